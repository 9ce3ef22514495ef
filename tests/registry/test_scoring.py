"""A folder scored part by part says what the predictor says of each file, whatever happens on the way."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import InputError, OutsideError
from components.predictor import Predictor
from tasks import scoring_parts
from tasks.scoring import SUMMARY, FolderScored, Scorer, score_folder
from tasks.scoring_parts import Source, target_of
from tasks.settings import Settings

ROOT = Path(__file__).parents[2]
Rows = Callable[..., pd.DataFrame]


@pytest.fixture(scope="module")
def model(small: Callable[[float], Predictor]) -> Predictor:
    return small(1.5)


@pytest.fixture
def folder(rows: Rows, tmp_path: Path) -> Path:
    """Three files: one of three row groups, one in a subfolder that says a column, one without rows."""
    place = tmp_path / "visits"
    (place / "ward=west side").mkdir(parents=True)
    rows(70, 1).to_parquet(place / "a.parquet", index=False, row_group_size=30)
    rows(20, 2).drop(columns="ward").to_parquet(place / "ward=west side" / "b.pq", index=False)
    rows(0, 3).to_parquet(place / "none.parquet", index=False)
    (place / "_SUCCESS").touch()
    (place / "notes.txt").write_text("not ours")
    return place


def score(model: Predictor, folder: Path, digest: str = "d" * 64, **settings: Any) -> FolderScored:
    chosen = Settings(**{"home": folder.parent / "home", "map": "threads", "workers": 2} | settings)
    return score_folder(Scorer(model, folder, output_of(folder)), digest, "models:/m/1", chosen)


def output_of(folder: Path) -> Path:
    return folder.with_name("scored")


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def read(path: Path) -> pd.DataFrame:
    return pq.ParquetFile(path).read().to_pandas()


def expected(model: Predictor, frame: pd.DataFrame, **said: str) -> pd.DataFrame:
    return frame.join(model.predict(frame.assign(**said)))


def check(model: Predictor, folder: Path, rows: Rows) -> None:
    output = output_of(folder)
    parts = sorted(output.glob("a-*.parquet"))
    pd.testing.assert_frame_equal(
        pd.concat([read(part) for part in parts], ignore_index=True), expected(model, rows(70, 1))
    )
    pd.testing.assert_frame_equal(
        read(output / "ward=west side" / "b.pq-00000.parquet"),
        expected(model, rows(20, 2).drop(columns="ward"), ward="west side"),
    )
    assert list(read(output / "none-00000.parquet")) == [*rows(1, 3), *model.added]


@pytest.mark.parametrize("part_rows", [1, 60, 1000])
@pytest.mark.parametrize("chunk_rows", [7, 1000])
def test_every_part_says_what_the_predictor_says_of_its_rows(
    model: Predictor, folder: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch, part_rows: int, chunk_rows: int
) -> None:
    monkeypatch.setattr(scoring_parts, "PART_ROWS", part_rows)
    monkeypatch.setattr(scoring_parts, "CHUNK_ROWS", chunk_rows)
    made = score(model, folder)
    check(model, folder, rows)
    parts = {1: 3, 60: 2, 1000: 1}[part_rows]
    assert (made.parts, made.kept, made.tally.rows) == (parts + 2, 0, 90)
    frame = pd.concat([read(path) for path in output_of(folder).rglob("*.parquet")])
    assert made.tally.outside == frame["outside_support"].sum()
    assert made.tally.probability == pytest.approx(frame["probability"].sum())
    said = json.loads((output_of(folder) / SUMMARY).read_text())
    assert (said["rows"], said["model"]) == (90, "models:/m/1")
    # Readers of folders see the predictions and nothing else.
    assert len(pd.read_parquet(output_of(folder), columns=["probability"], partitioning=None)) == 90


def test_no_more_rows_than_a_chunk_are_in_memory(
    model: Predictor, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    monkeypatch.setattr(scoring_parts, "CHUNK_ROWS", 16)
    monkeypatch.setattr(
        Predictor, "predict", lambda self, frame, own=Predictor.predict: seen.append(len(frame)) or own(self, frame)
    )
    assert score(model, folder).tally.rows == sum(seen) == 90
    assert max(seen) <= 16


@given(st.lists(st.integers(0, 60), max_size=12), st.integers(1, 100))
def test_runs_hold_every_row_group_once_and_few_rows(sizes: list[int], limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring_parts, "PART_ROWS", limit)
        runs = scoring_parts._runs(sizes)
    assert [index for run in runs for index in run] == list(range(len(sizes)))
    assert all(len(run) == 1 or sum(sizes[index] for index in run) <= limit for run in runs if run)
    assert all(sum(sizes[index] for index in before) + sizes[after[0]] > limit for before, after in pairwise(runs))


@given(st.lists(st.tuples(st.sampled_from(["a", "a-00000", "b"]), st.sampled_from([".parquet", ".pq"])), unique=True))
def test_no_two_parts_share_a_place(files: list[tuple[str, str]]) -> None:
    sources = [Source(name + end, 1, 1, (group,), "") for name, end in files for group in (0, 7, 12)]
    assert len({target_of(source, Path("x")) for source in sources}) == len(sources)


def test_inline_threads_and_ray_write_the_same_predictions(model: Predictor, folder: Path, rows: Rows) -> None:
    found = []
    for kind in ("inline", "threads", "processes", "ray"):
        score(model, folder, map=kind, workers=2)
        check(model, folder, rows)
        found.append({name: read(output_of(folder) / name) for name in names(output_of(folder)) if name != SUMMARY})
        for path in output_of(folder).rglob("*.parquet"):
            path.unlink()
    for other in found[1:]:
        assert other.keys() == found[0].keys()
        for name, frame in other.items():
            pd.testing.assert_frame_equal(frame, found[0][name], check_exact=True)


def test_what_is_finished_is_kept_and_what_changed_is_done_again(
    model: Predictor, small: Callable[[float], Predictor], folder: Path, rows: Rows
) -> None:
    score(model, folder)
    output, places = output_of(folder), {}
    places = {name: (output / name).stat().st_mtime_ns for name in names(output)}
    assert score(model, folder).kept == 3
    assert {name: (output / name).stat().st_mtime_ns for name in names(output)} == places
    (output / "none-00000.parquet").unlink()
    (output / ".unfinished-killed").mkdir()
    (output / "a-00000.parquet").write_bytes(b"")  # a power failure may leave this
    assert score(model, folder).kept == 1
    assert names(output) == sorted(places)
    check(model, folder, rows)
    rows(70, 4).to_parquet(folder / "a.parquet", index=False)
    (folder / "none.parquet").unlink()
    assert score(model, folder).kept == 1
    assert names(output) == [SUMMARY, "a-00000.parquet", "ward=west side/b.pq-00000.parquet"]
    pd.testing.assert_frame_equal(read(output / "a-00000.parquet"), expected(model, rows(70, 4)))
    assert score(small(0.5), folder, digest="e" * 64).kept == 0
    pd.testing.assert_frame_equal(read(output / "a-00000.parquet"), expected(small(0.5), rows(70, 4)))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = content.find(b"PAR1") + 40
    content[middle : middle + 400] = bytes(400)
    path.write_bytes(bytes(content))


def text_for_numbers(path: Path) -> None:
    read(path).assign(age="old").to_parquet(path, index=False)


def without_a_column(path: Path) -> None:
    read(path).drop(columns="bmi").to_parquet(path, index=False)


def answered_before(path: Path) -> None:
    read(path).assign(probability=0.5).to_parquet(path, index=False)


def names_twice(path: Path) -> None:
    table = pq.ParquetFile(path).read()
    pq.write_table(table.append_column("age", table["bmi"]), path)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut, "it must be a Parquet file that can be read to its end"),
        (flip, "it must be a Parquet file that can be read to its end"),
        (text_for_numbers, "column 'age' must hold numbers, got 'old'"),
        (without_a_column, "missing: bmi"),
        (answered_before, "must not have a column called probability already"),
        (names_twice, "'age' comes twice"),
    ],
)
def test_a_bad_part_is_named_and_the_others_are_finished(
    model: Predictor, folder: Path, rows: Rows, damage: Callable[[Path], None], reason: str
) -> None:
    bad = folder / "c.parquet"
    rows(300, 5).to_parquet(bad, index=False)
    good = bad.read_bytes()
    damage(bad)
    with pytest.raises(InputError) as refused:
        score(model, folder)
    sentence = str(refused.value)
    assert sentence.startswith(f"table must be readable, but 1 file of {folder} cannot be scored: c.parquet: ")
    assert reason in sentence
    check(model, folder, rows)
    assert SUMMARY not in names(output_of(folder))
    assert not list(output_of(folder).rglob(".unfinished-*"))
    bad.write_bytes(good)
    made = score(model, folder)
    assert (made.parts, made.kept, made.tally.rows) == (4, 3, 390)
    pd.testing.assert_frame_equal(read(output_of(folder) / "c-00000.parquet"), expected(model, rows(300, 5)))
    assert SUMMARY in names(output_of(folder))


def test_when_nothing_can_be_scored_nothing_is_left(model: Predictor, folder: Path) -> None:
    for path in [*folder.rglob("*.parquet"), *folder.rglob("*.pq")]:
        cut(path)
    with pytest.raises(InputError, match=r"3 files of .* cannot be scored: a\.parquet: .*; none\.parquet: "):
        score(model, folder)
    assert not output_of(folder).exists()


def test_a_folder_without_rows_or_files_is_refused(model: Predictor, folder: Path, rows: Rows) -> None:
    for path in folder.rglob("*.p*q*"):
        path.unlink()
    with pytest.raises(InputError, match="holds none"):
        score(model, folder)
    rows(0).to_parquet(folder / "none.parquet", index=False)
    with pytest.raises(InputError, match="must have at least one row"):
        score(model, folder)
    assert not output_of(folder).exists()


def test_other_peoples_files_are_not_touched(model: Predictor, folder: Path, rows: Rows) -> None:
    output_of(folder).mkdir()
    rows(3).to_parquet(output_of(folder) / "mine.parquet")
    with pytest.raises(InputError, match=r"--output must be a new folder .*mine\.parquet is something else"):
        score(model, folder)
    assert names(output_of(folder)) == ["mine.parquet"]
    for output in (folder, folder / "inside", folder.parent):
        with pytest.raises(InputError, match="--output must lie outside"):
            score_folder(Scorer(model, folder, output), "d", "", Settings(map="inline"))
    assert not (folder / "inside").exists()


def test_two_scorings_do_not_write_into_one_folder(model: Predictor, folder: Path) -> None:
    output_of(folder).mkdir()
    handle = os.open(output_of(folder), os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(OutsideError, match="another scoring writes into"):
            score(model, folder)
        assert names(output_of(folder)) == []
    finally:
        os.close(handle)
    assert score(model, folder).parts == 3


def test_a_full_disk_is_told_and_finished_parts_are_kept(
    model: Predictor, folder: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []

    def write(writer: Any, batch: pa.RecordBatch, own: Any = pq.ParquetWriter.write_batch) -> None:
        written.append(batch.num_rows)
        if len(written) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        own(writer, batch)

    with monkeypatch.context() as full:
        full.setattr(pq.ParquetWriter, "write_batch", write)
        with pytest.raises(OutsideError, match=r"No space left on device.*finished parts are kept"):
            score(model, folder, map="inline")
    assert names(output_of(folder)) == ["a-00000.parquet", "none-00000.parquet"]  # a file without rows needs no room
    assert score(model, folder).kept == 2
    check(model, folder, rows)


def test_a_scoring_that_was_killed_goes_on_with_what_is_left(
    sqlite: Any, kintsugi: Callable[..., Any], model: Predictor, rows: Rows, tmp_path: Path
) -> None:
    """The real command, killed by -9 in the middle of many parts, and run again."""
    sqlite.register("killed-scoring", tmp_path, 1.5, "", True)
    folder, output = tmp_path / "many", tmp_path / "many.predictions"
    folder.mkdir()
    frame = rows(20_000, 6)
    for number in range(60):
        frame.assign(part=number).to_parquet(folder / f"{number:02d}.parquet", index=False)
    words = ["predict", str(folder), "--model", "killed-scoring", "--home", str(sqlite.home)]
    starting = [sys.executable, "-c", "from flows.cli import main; main()", *words]
    process = subprocess.Popen(starting, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list(output.glob("*.parquet"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    finished = {path: path.stat().st_mtime_ns for path in output.glob("*.parquet")}
    assert 3 <= len(finished) < 60
    assert not (output / SUMMARY).exists()
    said = kintsugi(*words)
    assert (said.code, said.out.splitlines()[0].split(" scored by")[0]) == (
        0,
        f"1,200,000 rows in 60 parts, {len(finished)} of them scored before",
    )
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert len(names(output)) == 61
    answer = model.predict(frame)
    for number in (0, 31, 59):
        found = read(output / f"{number:02d}-00000.parquet")
        assert set(found["part"]) == {number}
        pd.testing.assert_frame_equal(found[list(model.added)], answer)


def test_the_type_of_every_column_stays(model: Predictor, rows: Rows, tmp_path: Path) -> None:
    folder = tmp_path / "typed"
    folder.mkdir()
    frame = rows(9).assign(
        ward=lambda table: table["ward"].astype("category"),
        day=pd.Timestamp("2020-02-29"),
        smoker=[True, None, False] * 3,
    )
    frame.to_parquet(folder / "a.parquet")
    score(model, folder)
    found = pq.ParquetFile(output_of(folder) / "a-00000.parquet").schema_arrow
    own = pq.ParquetFile(folder / "a.parquet").schema_arrow
    assert [found.field(name) for name in own.names] == [own.field(name) for name in own.names]
    assert found.metadata[b"pandas"] == own.metadata[b"pandas"]
    pd.testing.assert_frame_equal(read(output_of(folder) / "a-00000.parquet"), expected(model, frame))
