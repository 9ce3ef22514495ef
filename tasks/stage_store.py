"""What finished stages made, kept by content: the same stage on the same inputs is never worked out twice.

An entry is a folder ``<stage>-<key>`` with the stage's result, what it showed, and its files. The key is a digest of
the stage's name, its method's fields, the digests of its inputs and the source code of the package. An entry appears
whole or not at all; a lock per key, which the kernel lifts when its owner dies, makes a second run wait for the first
instead of repeating its work.
"""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import components
from components.contracts import Dataset
from components.encoding import VALUE, digest_of, load_value, save_value
from components.errors import InputError, OutsideError
from components.storage import atomic_folder
from tasks.locks import locked_file

FILES = "files"
LOCKS = ".locks"
KEY_LENGTH = 20


@dataclass(frozen=True, eq=False)
class Shown:
    """What a stage showed of itself, to be shown again when it is reused.

    Attributes:
        metrics: Of its tracked run.
        run_metrics: Of the whole run.
        tags: Of its tracked run.
        datasets: What it read: the dataset, for what, and whether the whole run is told too.
        page: Entries of the run's page: kind, key, content, caption.
        files: Names of files to track, in the entry's folder.
    """

    metrics: dict[str, float]
    run_metrics: dict[str, float]
    tags: dict[str, str]
    datasets: tuple[tuple[Dataset, str, bool], ...]
    page: tuple[tuple[str, str, Any, str], ...]
    files: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Kept:
    """One finished stage.

    Attributes:
        result: What it handed on.
        shown: What it showed.
        run_id: The tracked run that worked it out.
    """

    result: Any
    shown: Shown
    run_id: str


@dataclass(frozen=True)
class Entry:
    """A place in the store, filled or not.

    Attributes:
        stage: Name of the stage.
        key: What it depends on, as a digest.
        store: Folder of the store.
    """

    stage: str
    key: str
    store: Path

    @property
    def folder(self) -> Path:
        """Where it lies once it is filled."""
        return self.store / f"{self.stage}-{self.key}"

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Nobody else works on this entry while the block runs; gives whether one had to wait for somebody."""
        with locked_file(self.store / LOCKS / f"{self.stage}-{self.key}") as waited:
            yield waited

    def find(self) -> Kept | None:
        """What was kept; None when there is nothing, or nothing that can be read whole."""
        if not (self.folder / VALUE).is_file():
            return None
        try:
            kept = load_value(self.folder)
        except InputError:
            return None
        if not isinstance(kept, Kept) or any(not (self.folder / FILES / name).is_file() for name in kept.shown.files):
            return None
        os.utime(self.folder)  # what was used lately is not pruned
        return kept

    def keep(self, kept: Kept, files: Path) -> None:
        """Fill the entry with a result and the files in ``files``, all at once.

        Raises:
            OutsideError: The disk does not take it; the entry is then as it was.
        """
        try:
            with atomic_folder(self.folder) as fresh:
                save_value(kept, fresh)
                (fresh / FILES).mkdir()
                for file in files.iterdir():
                    os.link(file, fresh / FILES / file.name)
        except OSError as error:
            raise OutsideError(
                f"the result of stage {self.stage!r} cannot be kept below {self.store} ({error.strerror or error}); "
                "make room (kintsugi gc) and run again: finished stages are not repeated"
            ) from error


def entry_of(stage: str, inputs: object, store: Path) -> Entry:
    """The entry for ``stage`` on ``inputs``: its method, what it was handed, and all else that it depends on."""
    return Entry(stage, digest_of((stage, code_digest(), inputs))[:KEY_LENGTH], store)


@lru_cache(maxsize=1)
def code_digest() -> str:
    """SHA-256 of the package's source, so that what older code made is not taken for what newer code would make."""
    sha = hashlib.sha256()
    root = Path(components.__file__).parents[1]
    for package in ("components", "tasks"):
        for file in sorted((root / package).rglob("*.py")):
            sha.update(file.relative_to(root).as_posix().encode())
            sha.update(file.read_bytes())
    return sha.hexdigest()


def entries(store: Path) -> list[tuple[Path, float]]:
    """Every filled entry with the days since it was last used."""
    now = time.time()
    folders = [folder for folder in store.glob("*-*") if (folder / VALUE).is_file()] if store.is_dir() else []
    return [(folder, (now - folder.stat().st_mtime) / 86_400) for folder in sorted(folders)]
