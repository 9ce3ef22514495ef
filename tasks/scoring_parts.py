"""What of a folder of Parquet files is scored apart: some row groups of one file, and where their predictions go."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

ENDINGS = (".parquet", ".pq")
PART_ROWS = 500_000
CHUNK_ROWS = 65_536


@dataclass(frozen=True)
class Source:
    """What a part is made from; equal sources have equal rows.

    Attributes:
        file: Path of the file below the input folder.
        size: Its bytes.
        modified: When it was written, in nanoseconds.
        groups: Its row groups that the part holds.
        predictor: Digest of the predictor that scores it.
    """

    file: str
    size: int
    modified: int
    groups: tuple[int, ...]
    predictor: str


@dataclass(frozen=True)
class Refused:
    """A part that cannot be scored.

    Attributes:
        file: Path of its file below the input folder.
        reason: Why.
    """

    file: str
    reason: str


def target_of(source: Source, output: Path) -> Path:
    """Where the predictions of a part lie; no two parts share a place."""
    place, first = output / source.file, source.groups[0] if source.groups else 0
    return place.with_name(f"{place.name.removesuffix('.parquet')}-{first:05d}.parquet")


def planned(folder: Path, digest: str) -> tuple[list[Source], list[Refused]]:
    """All parts, and the files that are no Parquet files or were cut.

    Raises:
        InputError: There is no file, or no row.
    """
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.name.endswith(ENDINGS) and not any(part[0] in "._" for part in path.relative_to(folder).parts)
    )
    if not files:
        raise InputError(f"table must be a file, or a folder with Parquet files; {folder} holds none")
    sources: list[Source] = []
    refused: list[Refused] = []
    rows = 0
    for path in files:
        name, about = path.relative_to(folder).as_posix(), path.stat()
        try:
            with opened_file(path) as opened:
                sizes = [opened.metadata.row_group(index).num_rows for index in range(opened.num_row_groups)]
        except InputError as error:
            refused.append(Refused(name, str(error)))
            continue
        rows += sum(sizes)
        sources += [Source(name, about.st_size, about.st_mtime_ns, groups, digest) for groups in _runs(sizes)]
    if sources and not rows:
        raise InputError(f"table must have at least one row, {folder} has none")
    return sources, refused


def _runs(sizes: Sequence[int]) -> list[tuple[int, ...]]:
    """Neighbouring row groups, about ``PART_ROWS`` rows together; a file without rows is one part without groups."""
    runs: list[tuple[int, ...]] = []
    held = 0
    for index, size in enumerate(sizes):
        if not runs or held + size > PART_ROWS:
            runs.append(())
            held = 0
        runs[-1] += (index,)
        held += size
    return runs or [()]


@contextmanager
def opened_file(path: Path) -> Iterator[Any]:
    """An open Parquet file.

    Raises:
        InputError: It is none, or it was cut.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # A buffer, so that not even one row group is read whole.
        opened = pq.ParquetFile(path, buffer_size=2**20, pre_buffer=False, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(error) from error
    with opened:
        yield opened


def chunks_of(opened: Any, groups: Sequence[int]) -> "Iterator[pa.RecordBatch]":
    """The rows of some row groups, at most ``CHUNK_ROWS`` at a time.

    Raises:
        InputError: They cannot be read to their end.
    """
    import pyarrow as pa

    try:
        yield from opened.iter_batches(CHUNK_ROWS, row_groups=list(groups))
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> InputError:
    return InputError(
        f"it must be a Parquet file that can be read to its end: {str(error).splitlines()[0].rstrip('.')}"
    )
