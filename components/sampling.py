"""A bounded, uniform sample of rows that pass by: the same in whatever order and chunks they come.

A row's rank is a hash of its key, and the rows of the lowest ranks are the sample: drawn without replacement, equally
likely, known by their keys alone. A table that has no more rows than the sample may have is its own sample, so that
what is worked out from it is exact.

Labeled rows can be so rare that next to none would come along. Then labeled rows of the lowest ranks among the labeled
ones are added: such a row stands for the labeled rows only, and :attr:`Drawn.everyone` tells it from the others.

Cohen and Kaplan, Summarizing data using bottom-k sketches, PODC 2007.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.contracts import BATCH, ROW, Dataset, FloatArray, Part
from components.features import FeatureMap
from components.storage import row_groups

SAMPLE = 200_000
RARE = 20  # labeled rows are added until they are one in so many
_SALT = np.uint64(0x6B696E7473756769)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)

WordArray = NDArray[np.uint64]
Marks = NDArray[np.bool_]


def mixed(words: WordArray) -> WordArray:
    """A bijection of 64-bit words that leaves no pattern (the finaliser of SplitMix64)."""
    words = words + _GOLDEN
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(words ^ (words >> np.uint64(31)))


def ranks(keys: NDArray[np.int64]) -> WordArray:
    """[n] ranks of row keys: as if thrown at random, and independent of the part that a row falls into."""
    return mixed(mixed(np.ascontiguousarray(keys, dtype=np.int64).view(np.uint64)) ^ _SALT)


@dataclass(frozen=True, eq=False)
class Sampled:
    """Rows in memory that stand for all rows of a part.

    Attributes:
        keys: [n] row keys, in increasing order.
        features: [n, d].
        labelled: [n] bool, the row is labeled.
        everyone: [n] bool, the row stands for all rows; the others are labeled and stand for the labeled ones only.
        rows: Rows there are.
        known: Labeled rows there are.
    """

    keys: NDArray[np.int64]
    features: FloatArray
    labelled: Marks
    everyone: Marks
    rows: int
    known: int

    @property
    def whole(self) -> bool:
        """Whether these are all rows there are."""
        return len(self.features) == self.rows

    @property
    def share(self) -> float:
        """Share of labeled rows among all there are."""
        return self.known / max(self.rows, 1)

    @property
    def oversampling(self) -> float:
        """How many times as likely a labeled row is to be among these as any other; 1 where none were added."""
        return _oversampling(self.labelled, self.everyone, self.rows, self.known)

    @property
    def alike(self) -> tuple[FloatArray, Marks]:
        """Features and labels of the rows that stand for all rows."""
        if self.everyone.all():
            return self.features, self.labelled
        return self.features[self.everyone], self.labelled[self.everyone]


@dataclass(frozen=True, eq=False)
class Drawn:
    """Rows of a table that stand for all rows of a part.

    Attributes:
        frame: Their columns, with key, part and batch, ordered by batch and row key.
        everyone: [n] bool, as in :class:`Sampled`.
        rows: Rows there are.
        labelled: Labeled rows there are.
        label: Name of the weak label.
    """

    frame: pd.DataFrame
    everyone: Marks
    rows: int
    labelled: int
    label: str

    @property
    def whole(self) -> bool:
        """Whether these are all rows there are."""
        return len(self.frame) == self.rows

    @property
    def alike(self) -> pd.DataFrame:
        """The rows that stand for all rows."""
        return self.frame if self.everyone.all() else self.frame[self.everyone]

    @property
    def oversampling(self) -> float:
        """How many times as likely a labeled row is to be among these as any other; 1 where none were added."""
        return _oversampling(self.frame[self.label].to_numpy() == 1, self.everyone, self.rows, self.labelled)

    @property
    def note(self) -> str:
        """In words, how they were drawn; empty where these are all rows."""
        if self.whole:
            return ""
        added = int((~self.everyone).sum())
        more = f" and {added:,} labeled rows more, which are rare" if added else ""
        return f"a random {len(self.frame) - added:,} of {self.rows:,} rows{more}"

    def matrix(self, features: FeatureMap) -> Sampled:
        """The same rows as features, ordered by row key alone."""
        order = np.argsort(self.frame[ROW].to_numpy(), kind="stable")
        frame = self.frame.iloc[order]
        labelled, keys = frame[self.label].to_numpy() == 1, frame[ROW].to_numpy()
        return Sampled(keys, features.transform(frame), labelled, self.everyone[order], self.rows, self.labelled)


def _oversampling(labelled: Marks, everyone: Marks, rows: int, known: int) -> float:
    if everyone.all():
        return 1.0
    drawn = int(labelled.sum())
    return (drawn / known) / ((len(labelled) - drawn) / (rows - known))


class Reservoir:
    """Takes rows as they come and keeps a sample of all it was given so far."""

    def __init__(self, label: str, most: int = SAMPLE) -> None:
        self._label = label
        self._fewest = max(most // RARE, 1)
        self._everyone, self._known = _Lowest(most), _Lowest(self._fewest)
        self._rows = self._labelled = 0

    def add(self, frames: Iterable[pd.DataFrame]) -> None:
        """Take some rows, none of which was given before."""
        for frame in frames:
            rank = ranks(frame[ROW].to_numpy())
            known = frame[self._label].to_numpy() == 1
            self._rows += len(frame)
            self._labelled += int(known.sum())
            self._everyone.add(frame, rank)
            self._known.add(frame[known], rank[known])

    def drawn(self) -> Drawn:
        """The sample of what was given so far."""
        frame, known = self._everyone.frame(), self._known.frame()
        everyone: Marks = np.ones(len(frame), dtype=np.bool_)
        if (frame[self._label].to_numpy() == 1).sum() < min(self._labelled, self._fewest):
            added = known[~known[ROW].isin(frame[ROW])]
            everyone = np.append(everyone, np.zeros(len(added), dtype=np.bool_))
            frame = pd.concat([frame, added], ignore_index=True)
        order = np.lexsort((frame[ROW], frame[BATCH]))
        frame = frame.iloc[order].reset_index(drop=True)
        return Drawn(frame, everyone[order], self._rows, self._labelled, self._label)


class _Lowest:
    """The rows of the lowest ranks among those given, at most ``most``."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._frames: list[pd.DataFrame] = []
        self._ranks: list[WordArray] = []
        self._highest = np.uint64(2**64 - 1)

    def add(self, frame: pd.DataFrame, rank: WordArray) -> None:
        low = rank <= self._highest
        if not self._frames or low.any():
            self._frames.append(frame[low])
            self._ranks.append(rank[low])
        if sum(map(len, self._ranks)) > 2 * self._most:
            self._settle()

    def _settle(self) -> None:
        frame, rank = pd.concat(self._frames, ignore_index=True), np.concatenate(self._ranks)
        if len(rank) > self._most:
            chosen = np.argpartition(rank, self._most - 1)[: self._most]
            frame, rank = frame.iloc[chosen], rank[chosen]
            self._highest = rank.max()
        self._frames, self._ranks = [frame], [rank]

    def frame(self) -> pd.DataFrame:
        if not self._frames:
            return pd.DataFrame()
        self._settle()
        return self._frames[0]


def draw(dataset: Dataset, columns: Sequence[str], batches: Sequence[int], parts: Sequence[Part]) -> Drawn:
    """A sample of the rows of some batches and parts: of at most 200,000, and more labeled ones where they are rare.

    The rows are read once, a row group at a time.

    Raises:
        InputError: A column, batch or part does not exist.
    """
    reservoir = Reservoir(dataset.weak_label)
    reservoir.add(row_groups(dataset, [*columns, dataset.weak_label], batches, parts))
    return reservoir.drawn()


def draw_rows(
    dataset: Dataset, columns: Sequence[str], batches: Sequence[int], parts: Sequence[Part], most: int = SAMPLE
) -> pd.DataFrame:
    """A sample of the rows of some batches and parts, whatever their labels: ``most`` of them, or all.

    They are ordered by batch and row key, and read once, a row group at a time.

    Raises:
        InputError: A column, batch or part does not exist.
    """
    lowest = _Lowest(most)
    for frame in row_groups(dataset, columns, batches, parts):
        lowest.add(frame, ranks(frame[ROW].to_numpy()))
    found = lowest.frame()
    return found.sort_values([BATCH, ROW], kind="stable", ignore_index=True) if len(found) else found
