"""What is pruned: all that was unused for so long and can be made again, and nothing else."""

import os
import time
from pathlib import Path

import pytest

from components.errors import InputError, OutsideError
from tasks.locks import SHARED, lock
from tasks.prune import DAY, prune
from tasks.settings import Settings
from tasks.stage_store import Kept, Shown, entry_of

KEPT_FOREVER = ("runs/pipeline/report.html", "answers/a.json", "downloads/source/file.xpt", "artifacts/1/model.bin")


def aged(path: Path, days: float) -> Path:
    moment = time.time() - days * DAY
    os.utime(path, (moment, moment))
    return path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home with one old and one new thing of each kind, and things that are never pruned."""
    made = Settings(home=tmp_path / "home")
    for name in KEPT_FOREVER:
        file = made.home / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"1234")
        aged(file.parent, 500)
    for place in (made.datasets, made.home / "models", made.checkpoints):
        for name, days in (("old", 40), ("new", 2)):
            (place / name).mkdir(parents=True)
            (place / name / "part").write_bytes(b"12345")
            aged(place / name, days)
    made.stages.mkdir()
    (made.stages / "files").mkdir()
    for key, days in (("old", 40), ("new", 2)):
        entry = entry_of("train", key, made.stages)
        with entry.locked():
            entry.keep(Kept(key, Shown({}, {}, {}, (), (), ()), "run"), made.stages / "files")
        aged(entry.folder, days)
    (made.stages / ".unfinished-1").mkdir()
    return made


def left(settings: Settings) -> set[str]:
    return {path.relative_to(settings.home).as_posix() for path in settings.home.rglob("*") if path.is_file()}


def test_what_is_old_and_can_be_made_again_goes_and_nothing_else(settings: Settings) -> None:
    before = left(settings)
    named = prune(settings, 30, dry_run=True)
    assert left(settings) == before | {".in-use"}
    removed = prune(settings, 30)
    assert [each.path for each in removed] == [each.path for each in named]
    assert sorted(each.kind for each in removed) == [
        "copy of a server's model",
        "dataset",
        "half-made by a run that was killed",
        "result of a stage",
        "training that was killed",
    ]
    assert {each.size for each in removed if each.kind in ("dataset", "copy of a server's model")} == {5}
    kept = left(settings)
    assert {*KEPT_FOREVER, "datasets/new/part", "models/new/part", "checkpoints/new/part"} <= kept
    assert not any(name.startswith(("datasets/old", "models/old", "checkpoints/old")) for name in kept)
    assert [entry_of("train", key, settings.stages).find() is None for key in ("old", "new")] == [True, False]
    locks = sorted(path.name for path in (settings.stages / ".locks").iterdir())
    assert locks == [entry_of("train", "new", settings.stages).folder.name]
    assert prune(settings, 30) == ()


def test_a_result_that_was_used_lately_stays(settings: Settings) -> None:
    assert entry_of("train", "old", settings.stages).find() is not None
    assert "result of a stage" not in {each.kind for each in prune(settings, 30)}


def test_nothing_goes_while_a_run_uses_the_folder(settings: Settings) -> None:
    before = left(settings)
    with (settings.home / ".in-use").open("ab") as file:
        lock(file, SHARED)
        with pytest.raises(OutsideError, match="a run is using"):
            prune(settings, 0)
    assert left(settings) == before | {".in-use"}


def test_negative_days_are_refused(settings: Settings) -> None:
    with pytest.raises(InputError, match="--days must not be negative, got -1"):
        prune(settings, -1)
