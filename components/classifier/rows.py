"""Where the rows to learn from come from: chunks of features, marks and weights, however large the table."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from components.contracts import FloatArray
from components.weak import Observed, Setting
from components.weak.observed import Marks

BUFFER = 65_536  # rows of a chunk that is read from disk


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some of the rows.

    Attributes:
        places: [n] number of each row among all rows, from 0.
        features: [n, d] float32.
        marks: [n] or [n, K], what was observed of each row; see ``Observed.marks``.
        weights: [n] nonnegative importance; None: all equal.
    """

    places: NDArray[np.int64]
    features: NDArray[np.float32]
    marks: Marks
    weights: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.places)


class Source(Protocol):
    """Rows that can be read again and again."""

    @property
    def width(self) -> int:
        """Number of features."""

    def chunks(self, seed: int | None = None) -> Iterator[Chunk]:
        """All rows once, in chunks: shuffled by ``seed`` as far as memory allows; None: always in the same order."""


@dataclass(frozen=True, eq=False)
class InMemory:
    """Rows that are all there: one chunk, always in the same order (minibatches shuffle within chunks).

    Attributes:
        chunk: The rows.
    """

    chunk: Chunk

    @classmethod
    def of(cls, observed: Observed) -> "InMemory":
        """All rows of ``observed``."""
        features = np.ascontiguousarray(observed.features, dtype=np.float32)
        return cls(Chunk(np.arange(len(observed)), features, observed.marks, observed.weights))

    @property
    def width(self) -> int:
        """Number of features."""
        return self.chunk.features.shape[1]

    def chunks(self, seed: int | None = None) -> Iterator[Chunk]:
        """The rows."""
        yield self.chunk


@dataclass(frozen=True, eq=False)
class Tally:
    """What must be known of all rows before the first step.

    Attributes:
        rows: Number of rows.
        counts: [S] rows, or their weight, of each source or label.
        width: Number of features.
    """

    rows: int
    counts: FloatArray
    width: int


def tally(source: Source, setting: Setting) -> Tally:
    """Count the rows of ``source``, read once."""
    rows, counts = 0, np.zeros(setting.symbol_count)
    for chunk in source.chunks():
        rows += len(chunk)
        counts += setting.counts(chunk.marks, chunk.weights)
    return Tally(rows, counts, source.width)
