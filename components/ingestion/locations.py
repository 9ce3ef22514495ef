"""From a path, a folder or a pattern to the files it means."""

import glob
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.errors import InputError


def located(path: str, folder: Path) -> str:
    """``path`` as seen from ``folder``; an absolute path stays as it is.

    Raises:
        InputError: It begins with the home of a user who is not known.
    """
    try:
        return str(folder / Path(path).expanduser())
    except RuntimeError as problem:
        raise InputError(f"source.path must begin with the home of a known user, got {path!r}") from problem


def files_of(path: str | None, endings: tuple[str, ...]) -> list[Path]:
    """The files that ``path`` (a file, a folder or a pattern) means, sorted by name.

    Raises:
        InputError: There are none, or one of them is empty.
    """
    if path is None:
        raise InputError("source.path must be given: this specification describes a file that you bring")
    with _looking_at(path):
        files = _matching(path, endings)
        for file in files:
            if not file.stat().st_size:
                raise InputError(f"source.path must name files with content, {file} is empty")
    return files


def reached(path: str) -> list[Path]:
    """Whatever ``path`` (a file, a folder or a pattern) leads to, whether it can be read as a table or not.

    Raises:
        InputError: It cannot be looked at.
    """
    with _looking_at(path):
        place = Path(path)
        if place.is_dir():
            return sorted(place.iterdir())
        if glob.has_magic(path) and not place.exists():
            return sorted(map(Path, glob.glob(path, recursive=True)))  # noqa: PTH207 - absolute patterns
        return [place]


@contextmanager
def _looking_at(path: str) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except (OSError, ValueError) as problem:
        raise InputError(f"source.path must be a path that can be looked at, got {path!r}: {problem}") from problem


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
