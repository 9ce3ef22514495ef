"""What of the home folder can be made again and has not been used for long: found, and removed."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from components.errors import InputError
from tasks.leftovers import UNFINISHED, alone
from tasks.settings import Settings
from tasks.stage_store import LOCKS, entries

DAY = 86_400


@dataclass(frozen=True)
class Prunable:
    """Something that a later run makes again where it needs it.

    Attributes:
        kind: What it is, in words.
        path: File or folder.
        size: Bytes of its files.
        days: Since it was last used.
    """

    kind: str
    path: Path
    size: int
    days: float


def prune(settings: Settings, days: float, dry_run: bool = False) -> tuple[Prunable, ...]:
    """Remove what was not used for ``days``, and what killed runs have left half-made; gives what it was.

    Removed are results of stages, datasets, copies of a server's models and where killed trainings stood. Runs with
    their reports, answers of language models, downloads, the tracking store and registered models are never touched.
    With ``dry_run`` nothing is removed.

    Raises:
        InputError: ``days`` is negative.
        OutsideError: A run is using the home folder.
    """
    if days < 0:
        raise InputError(f"--days must not be negative, got {days:g}")
    with alone(settings):
        found = tuple(sorted(_prunable(settings, days), key=lambda each: (each.kind, -each.days)))
        if not dry_run:
            for each in found:
                shutil.rmtree(each.path)
            _unlock(settings.stages)
    return found


def _prunable(settings: Settings, days: float) -> Iterator[Prunable]:
    for folder, unused in entries(settings.stages):
        if unused >= days:
            yield Prunable("result of a stage", folder, _size(folder), unused)
    for kind, place in (
        ("dataset", settings.datasets),
        ("copy of a server's model", settings.home / "models"),
        ("training that was killed", settings.checkpoints),
    ):
        yield from _unused(kind, place, days, lambda folder: not folder.name.startswith("."))
    for place in (settings.stages, settings.datasets, settings.runs, settings.home / "models"):
        yield from _unused("half-made by a run that was killed", place, 0, lambda path: path.match(UNFINISHED))


def _unused(kind: str, place: Path, days: float, wanted: Callable[[Path], bool]) -> Iterator[Prunable]:
    for folder in place.iterdir() if place.is_dir() else ():
        unused = (time.time() - folder.stat().st_mtime) / DAY
        if folder.is_dir() and wanted(folder) and unused >= days:
            yield Prunable(kind, folder, _size(folder), unused)


def _size(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_dir())


def _unlock(store: Path) -> None:
    """Remove the locks of results that are not there; whoever is alone can."""
    for lock in (store / LOCKS).glob("*"):
        if not (store / lock.name).exists():
            lock.unlink()
