"""From a path, a folder or a pattern to the files it means."""

import glob
from pathlib import Path

from components.errors import InputError


def located(path: str, folder: Path) -> str:
    """``path`` as seen from ``folder``; an absolute path stays as it is."""
    return str(folder / Path(path).expanduser())


def files_of(path: str | None, endings: tuple[str, ...]) -> list[Path]:
    """The files that ``path`` (a file, a folder or a pattern) means, sorted by name.

    Raises:
        InputError: There are none, or one of them is empty.
    """
    if path is None:
        raise InputError("source.path must be given: this specification describes a file that you bring")
    files = _matching(path, endings)
    for file in files:
        if not file.stat().st_size:
            raise InputError(f"source.path must name files with content, {file} is empty")
    return files


def _matching(path: str, endings: tuple[str, ...]) -> list[Path]:
    place = Path(path)
    if place.is_dir():
        files = sorted(file for file in place.iterdir() if file.name.endswith(endings) and file.name[0] not in "._")
        if not files:
            raise InputError(f"source.path must hold files that end in {' or '.join(endings)}, folder {path} has none")
        return files
    if place.is_file():
        return [place]
    if not glob.has_magic(path):
        raise InputError(f"source.path must be a file, a folder or a pattern, found nothing at {path}")
    files = sorted(file for file in map(Path, glob.glob(path, recursive=True)) if file.is_file())  # noqa: PTH207 - absolute patterns
    if not files:
        raise InputError(f"source.path must match at least one file, the pattern {path} matches none")
    return files


def same_names(first: list[str], other: list[str], file: Path) -> None:
    """Refuse a file whose columns are not those of the first one, in whatever order.

    Raises:
        InputError: They differ; the sentence names one column.
    """
    differing = sorted(set(first) ^ set(other))
    if differing:
        where = "lacks" if differing[0] in first else "alone has"
        raise InputError(f"source.path must name files with the same columns, {file} {where} {differing[0]!r}")
