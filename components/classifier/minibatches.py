"""Minibatches in which every source has its share of the rows.

A mean over a minibatch stands for a mean over a source, so a source must not be missing from it by chance. The rows of
each source are shuffled and spread evenly over the epoch; a minibatch is then a stretch of it. Where a source has fewer
rows than there are minibatches, its rows are divided by the number that a minibatch has on average: the epoch as a
whole is right, though some of its minibatches lack the source.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from components.classifier.rows import Chunk, Source
from components.collective import gather
from components.ports import ALONE, Together
from components.weak import Evidence
from components.weak.risk import shares_of

Reads = Callable[[Tensor, Tensor | None], Evidence]  # marks, weights
# Rows put in order at a time: more than a minibatch, for the overhead, and few enough to stay in memory that the
# process has already; a fresh copy of a large table costs five times as much, in pages that the system hands out.
GATHERED = 4096


@dataclass(frozen=True, eq=False)
class Minibatch:
    """One worker's share of the rows of one step; alone, all of them.

    Attributes:
        features: [n, d].
        marks: [n] or [n, K] what was observed.
        evidence: What that says of the classes.
        totals: [S] weight within each source that the whole minibatch is divided by.
        shares: [n, S] weight of each row within each source, divided by that.
        places: [m] number among all rows of each row of the whole minibatch.
        together: The workers.
    """

    features: Tensor
    marks: Tensor
    evidence: Evidence
    totals: Tensor
    shares: Tensor
    places: Tensor
    together: Together = ALONE

    def __len__(self) -> int:
        return len(self.features)

    @property
    def mine(self) -> Tensor:
        """[n] number among all rows of each row of this worker."""
        return self.places[self.together.rank :: self.together.world]

    def sum(self, part: Tensor) -> Tensor:
        """The sum of the workers' parts; gradients pass."""
        return gather(part, self.together)

    def once(self, term: Tensor) -> Tensor:
        """A term that every worker works out alike, so that gradients, which add up over workers, count it once."""
        world = self.together.world
        return term if world == 1 else term / world + (term * (1 - 1 / world)).detach()

    def everyone(self, values: Tensor) -> Tensor:
        """[m, ...] values of all rows of the minibatch, from ``values`` [n, ...] of this worker's; no gradient."""
        if self.together.world == 1:
            return values.detach()
        whole = values.new_zeros((len(self.places), *values.shape[1:]))
        whole[self.together.rank :: self.together.world] = values.detach()
        return self.together.sum(whole)


@dataclass(eq=False)
class Minibatches:
    """An epoch after the other of the rows of a source.

    A chunk that is the whole table stays in memory, with its evidence; a longer table is streamed anew each epoch.

    Attributes:
        source: The rows.
        reads: Turns marks and weights into evidence.
        rows: Number of all rows.
        size: Rows of a minibatch, about.
        together: The workers.
    """

    source: Source
    reads: Reads
    rows: int
    size: int
    together: Together = ALONE

    def __post_init__(self) -> None:
        self._whole: _Held | None = None
        totals: list[Tensor] = []
        for held in map(self._held, self.source.chunks()):
            totals.append(held.evidence.totals())
            if len(held.places) == self.rows:
                self._whole = held
        self._totals = torch.stack(totals).sum(dim=0)

    def epoch(self, seed: int) -> Iterator[Minibatch]:
        """Minibatches of all rows, shuffled by ``seed``."""
        generator = np.random.default_rng(seed)
        for held in [self._whole] if self._whole else map(self._held, self.source.chunks(seed)):
            count = max(1, round(len(held.places) / self.size))
            yield from self._cut(held, count, torch.from_numpy(interleaved(held.strata, generator)))

    def passes(self, size: int = 16_384) -> Iterator[Minibatch]:
        """All rows once, in order, for what is worked out and not learnt; totals are those of all rows."""
        for held in [self._whole] if self._whole else map(self._held, self.source.chunks()):
            count = max(1, -(-len(held.places) // size))
            yield from self._cut(held, count, totals=self._totals)

    def _cut(
        self, held: "_Held", count: int, order: Tensor | None = None, totals: Tensor | None = None
    ) -> Iterator[Minibatch]:
        """``count`` minibatches of the rows, in another ``order`` if there is one, of the same ``totals`` if given."""
        edges = np.linspace(0, len(held.places), count + 1).round().astype(int)
        there = held.evidence.inside.count_nonzero(dim=0)
        mean = self._totals * (len(held.places) / (self.rows * count))
        steady = there >= 2 * count  # spread evenly, so that each minibatch has a row of the source
        several = max(1, GATHERED // self.size)
        for first in range(0, count, several):
            cuts = edges[first : first + several + 1]
            part = slice(cuts[0], cuts[-1])
            block = held.at(part if order is None else order[part])
            lengths = torch.from_numpy(np.diff(cuts)).to(self.together.device)
            if totals is None:
                sums = torch.segment_reduce(block.evidence.inside, "sum", lengths=lengths)
                each = torch.where(steady, sums, mean)
            else:
                each = totals.expand(len(lengths), -1)
            yield from self._split(block, (cuts - cuts[0]).tolist(), lengths, each)

    def _split(self, block: "_Held", edges: list[int], lengths: Tensor, totals: Tensor) -> Iterator[Minibatch]:
        rank, world = self.together.rank, self.together.world
        shares = shares_of(block.evidence.inside, totals.repeat_interleave(lengths, dim=0))
        for (begin, end), total in zip(pairwise(edges), totals.unbind(), strict=True):
            mine = slice(begin + rank, end, world)
            yield Minibatch(
                block.features[mine],
                block.marks[mine],
                block.evidence.rows(mine),
                total,
                shares[mine],
                block.places[begin:end],
                self.together,
            )

    def _held(self, chunk: Chunk) -> "_Held":
        place = self.together.device
        marks = torch.from_numpy(np.array(chunk.marks)).to(place)
        weights = None if chunk.weights is None else torch.from_numpy(np.array(chunk.weights)).to(place)
        evidence = self.reads(marks, weights)
        return _Held(
            torch.from_numpy(np.array(chunk.features)).to(place),
            marks,
            evidence,
            torch.from_numpy(np.array(chunk.places)).to(place),
            evidence.inside.argmax(dim=1).cpu().numpy(),
        )


@dataclass(frozen=True, eq=False)
class _Held:
    """A chunk as tensors, with the source of each row."""

    features: Tensor
    marks: Tensor
    evidence: Evidence
    places: Tensor
    strata: NDArray[np.int64]

    def at(self, which: Tensor | slice) -> "_Held":
        """Some of the rows, without their sources."""
        if isinstance(which, slice):
            parts = self.features[which], self.marks[which], self.evidence.rows(which), self.places[which]
        else:
            index = which.to(self.features.device)
            features, marks, places = (rows.index_select(0, index) for rows in (self.features, self.marks, self.places))
            parts = features, marks, self.evidence.rows(index), places
        return _Held(*parts, self.strata[:0])


def interleaved(strata: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """[n] a random order in which any stretch has every stratum in proportion, up to a row or two.

    Args:
        strata: [n] stratum of each row.
        generator: Decides.
    """
    order = generator.permutation(len(strata))
    by_stratum = order[np.argsort(strata[order], kind="stable")]
    sizes = np.bincount(strata)
    starts = np.cumsum(sizes) - sizes
    rank = np.arange(len(strata)) - np.repeat(starts, sizes)
    # Each stratum's rows lie evenly on [0, 1), begun at a random place so that strata do not march in step.
    when = (rank + np.repeat(generator.random(len(sizes)), sizes)) / np.repeat(np.maximum(sizes, 1), sizes)
    return np.asarray(by_stratum[np.argsort(when, kind="stable")])
