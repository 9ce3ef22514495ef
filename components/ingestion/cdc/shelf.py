"""The folder of the CDC's files: which are there, and whether each still is what it was when it came.

Beside a file ``DEMO_J.xpt`` lies its record ``DEMO_J.xpt.json``. A file without one was put there by hand; it is taken
as it is and recorded. From then on a file that no longer has its recorded SHA-256 is refused.
"""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

from components.errors import InputError, OutsideError
from components.ingestion.cdc.xpt import NotATable, names
from components.storage import read_json, write_json

BY_HAND = "put there by hand"
_PAGES = (b"<!doctype", b"<html", b"<head", b"<?xml")


@dataclass(frozen=True)
class Wanted:
    """A file that a table is made of.

    Attributes:
        name: Its name, as in ``DEMO_J.xpt``.
        cycle: The survey cycle it belongs to.
        url: Where the CDC has it.
    """

    name: str
    cycle: str
    url: str

    def __str__(self) -> str:
        return f"{self.name} of cycle {self.cycle}"


@dataclass(frozen=True)
class Record:
    """What is known of a file in the folder.

    Attributes:
        sha256: Digest of its content.
        bytes: Its size.
        url: Where it came from.
        etag: The server's own name for the content; empty where it gave none.
        modified: When the server says that the content last changed; empty where it does not say.
        replaced: Digest of the content that it replaced because the server had another one; empty where none.
    """

    sha256: str
    bytes: int
    url: str
    etag: str = ""
    modified: str = ""
    replaced: str = ""


def place_of(folder: Path, name: str) -> Path:
    """Where the file is, or will be; a file put there by hand may be written in other capitals."""
    there = (path for path in folder.iterdir() if path.name.lower() == name.lower()) if folder.is_dir() else iter(())
    return next(there, folder / name)


def record_of(path: Path) -> Record | None:
    """What was recorded of a file, None where nothing was."""
    manifest = _manifest(path)
    if not manifest.is_file():
        return None
    try:
        return Record(**read_json(manifest))
    except (InputError, TypeError):
        raise OutsideError(f"{manifest} must describe a file of the CDC and does not; delete it") from None


def write_record(path: Path, record: Record) -> None:
    """Record a file, whole or not at all."""
    write_json(_manifest(path), asdict(record))


def verified(path: Path, wanted: Wanted) -> Record:
    """The record of a file that is there; one that was put there by hand is recorded now.

    Raises:
        OutsideError: It has changed since it was recorded, or is no whole table.
    """
    digest, known = sha256(path), record_of(path)
    if known is None:
        check_table(path, wanted, str(path))
        known = Record(digest, path.stat().st_size, BY_HAND)
        write_record(path, known)
    if known.sha256 != digest:
        raise OutsideError(
            f"{path} is not what it was when it came (SHA-256 {known.sha256[:12]} then, {digest[:12]} now); delete it "
            f"to have it downloaded again, or delete {_manifest(path).name} beside it to take it as it is"
        )
    return known


def check_table(path: Path, wanted: Wanted, origin: str) -> None:
    """Refuse what is no whole table, above all the web page that the CDC sends for a file that it does not have.

    Raises:
        OutsideError: It is none; the sentence says that it came from ``origin``.
    """
    with path.open("rb") as opened:
        start = opened.read(1024).lstrip().lower()
    if start.startswith(_PAGES):
        raise OutsideError(f"{wanted} must be a SAS transport file, but {origin} gives a web page")
    try:
        names(path)
    except NotATable as problem:
        raise OutsideError(f"{wanted} must be a SAS transport file, but what {origin} gives {problem}") from problem


def sha256(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _manifest(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")
