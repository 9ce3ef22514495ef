"""What of a folder of Parquet files is scored apart: some row groups, where their predictions go, what was met."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from components.errors import InputError
from components.predicting import LIKELIEST

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

ENDINGS = (".parquet", ".pq")
PART_ROWS = 500_000
CHUNK_ROWS = 65_536
MOST_TOLD = 5


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


@dataclass(frozen=True)
class Tally:
    """What was met in a part, or in a whole table.

    Attributes:
        rows: Rows scored.
        probability: Sum of their probabilities; 0 where classes have names.
        outside: Rows unlike all training rows.
        likeliest: Rows that each class is the likeliest of; empty where classes have no names.
    """

    rows: int = 0
    probability: float = 0.0
    outside: int = 0
    likeliest: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, found: "pd.DataFrame", classes: Sequence[str]) -> Self:
        """Of some predictions; ``classes`` are the predictor's."""
        rows, outside = len(found), int(found["outside_support"].sum())
        if not classes:
            return cls(rows, float(found["probability"].sum()), outside)
        counts = found[LIKELIEST].value_counts()
        return cls(rows, 0.0, outside, {name: int(counts.get(name, 0)) for name in classes})

    def __add__(self, other: "Tally") -> "Tally":
        """Of both parts."""
        names = dict.fromkeys([*self.likeliest, *other.likeliest])
        return Tally(
            self.rows + other.rows,
            self.probability + other.probability,
            self.outside + other.outside,
            {name: self.likeliest.get(name, 0) + other.likeliest.get(name, 0) for name in names},
        )

    @property
    def sentence(self) -> str:
        """The mean probability, or how often the commonest classes are the likeliest."""
        if not self.likeliest:
            return f"mean probability {self.probability / self.rows:.3f}"
        commonest = sorted(self.likeliest, key=self.likeliest.__getitem__, reverse=True)[:MOST_TOLD]
        shares = {name: 100 * count / self.rows for name, count in self.likeliest.items() if name in commonest}
        more = f" (commonest of {len(self.likeliest)} classes)" if len(self.likeliest) > MOST_TOLD else ""
        return f"likeliest: {', '.join(f'{name} {share:.1f} %' for name, share in shares.items())}{more}"


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
