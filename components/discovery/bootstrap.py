"""The bootstrap: the whole search again on rows drawn anew, and what the replicates agree on.

Rows are drawn with replacement; or, for a method that tests independence, half of them without: a row that is there
twice looks like dependence to a test, and a half of the rows spreads an estimate as much as a bootstrap does (Politis
and Romano, Large sample confidence regions based on subsamples under minimal assumptions, Annals of Statistics 22,
1994).

Every replicate has a seed of its own, drawn from the method's seed and its index, so threads, processes and a cluster
give the same numbers. Nothing that was fitted before is touched.
"""

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from components.contracts import FloatArray
from components.discovery.constraints import BoolArray, Constraints
from components.discovery.effects import percentile_interval, total_effects
from components.discovery.enforcing import enforce
from components.discovery.found import Found
from components.discovery.preparation import PreparedTable
from components.errors import InputError
from components.findings import GraphSupport, PairSupport, PathSupport, Verdict
from components.ports import Map, Report

ATTEMPTS = 100
# Smallest eigenvalue of the correlation matrix below which a resample has lost rank.
SINGULAR = 1e-10


class Search(Protocol):
    """What can be repeated on a resample."""

    @property
    def seed(self) -> int:
        """Seed of all resamples."""

    @property
    def replicates(self) -> int:
        """How many there are."""

    @property
    def halves(self) -> bool:
        """Whether a resample is half of the rows, each once, and not as many rows with replacement."""

    def search(self, table: PreparedTable, constraints: Constraints, threads: int = 1) -> Found:
        """Search one table."""


@dataclass(frozen=True, eq=False)
class Replicate:
    """Draws rows with replacement and searches them; picklable, and independent of every other replicate.

    Attributes:
        method: The search.
        table: [n, p] values in standard units.
        constraints: What every replicate must honour.
    """

    method: Search
    table: PreparedTable
    constraints: Constraints

    def __call__(self, index: int) -> Found | None:
        """What replicate ``index`` found; None when no resample of full rank was found."""
        rng = np.random.default_rng(np.random.SeedSequence(self.method.seed, spawn_key=(index,)))
        rows = len(self.table.values)
        for _ in range(ATTEMPTS):
            drawn = self.table.values[self._rows(rng, rows)]
            if _full_rank(drawn):
                table = PreparedTable(self.table.names, drawn, ())
                return enforce(self.method.search(table, self.constraints), table, self.constraints)
        return None

    def _rows(self, rng: np.random.Generator, rows: int) -> NDArray[np.int64]:
        return rng.choice(rows, rows // 2, replace=False) if self.method.halves else rng.integers(0, rows, rows)


@dataclass(frozen=True, eq=False)
class Replicates:
    """What all replicates found.

    Attributes:
        names: The p variables.
        weights: [m, effect, cause] direct effects in standard units, 0 where there is no edge.
        totals: [m, effect, cause] total effects.
        confounded: [p, p] share of replicates in which the pair is confounded.
        undirected: [p, p] share in which its direction is open.
        notes: Sentences a reader must know.
    """

    names: tuple[str, ...]
    weights: FloatArray
    totals: FloatArray
    confounded: FloatArray
    undirected: FloatArray
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, method: Search, table: PreparedTable, constraints: Constraints, map: Map, report: Report
    ) -> "Replicates":
        """All replicates of ``method``, reported one by one.

        Raises:
            InputError: No resample kept its rank.
        """
        found = []
        for index, one in enumerate(map(Replicate(method, table, constraints), range(method.replicates))):
            report(index, method.replicates, {"edges": float(np.count_nonzero(one.weights)) if one else 0.0})
            if one is not None:
                found.append(one)
        if not found:
            raise InputError(
                f"table must have enough rows that a resample keeps its rank, got {len(table.values)} complete rows of "
                f"{table.values.shape[1]} columns; add rows or leave out rare flags"
            )
        lost = method.replicates - len(found)
        weights = np.stack([one.weights for one in found])
        return cls(
            table.names,
            weights,
            total_effects(weights),
            np.mean([one.confounded for one in found], axis=0),
            np.mean([one.undirected for one in found], axis=0),
            (f"{lost} replicates found no resample of full rank.",) if lost else (),
        )

    @property
    def support(self) -> FloatArray:
        """[effect, cause] share of replicates with the edge."""
        return np.asarray((self.weights != 0).mean(axis=0))

    def paths(self, effect: str, most: int, cause: str | None = None, least: float = 0.0) -> tuple[PathSupport, ...]:
        """The ``most`` best supported directed paths to ``effect``, in standard units; exact.

        A path is grown backwards from its end, and a longer path is never better supported than the shorter one it
        ends in, so taking the best open one first gives them in order.

        Args:
            effect: Where the paths end.
            most: How many at most.
            cause: Where they begin; None: anywhere.
            least: Only paths with more support than this.
        """
        begin = None if cause is None else self.names.index(cause)
        grown = self._backwards(self.names.index(effect), least)
        wanted = (steps for steps in grown if begin is None or steps[0] == begin)
        return tuple(self._path(steps) for steps in islice(wanted, most))

    def graphs(self, most: int) -> tuple[GraphSupport, ...]:
        """The ``most`` commonest whole graphs; ties in the order of the replicates."""
        counts = Counter((each != 0).tobytes() for each in self.weights)
        shape = self.weights.shape[1:]
        found = []
        for packed, count in counts.most_common(most):
            edges = np.argwhere(np.frombuffer(packed, dtype=np.bool_).reshape(shape))
            named = sorted((self.names[j], self.names[i]) for i, j in edges)
            found.append(GraphSupport(tuple(named), count / len(self.weights)))
        return tuple(found)

    def _backwards(self, end: int, least: float) -> Iterator[tuple[int, ...]]:
        present = self.weights != 0
        start = ((end,), np.ones(len(present), dtype=np.bool_))
        heap: list[tuple[float, tuple[int, ...], NDArray[np.bool_]]] = [(-1.0, *start)]
        while heap:
            _, steps, inside = heapq.heappop(heap)
            if len(steps) > 1:
                yield steps
            for cause in range(len(self.names)):
                if cause in steps:
                    continue
                both = inside & present[:, steps[0], cause]
                if both.mean() > least:
                    heapq.heappush(heap, (-float(both.mean()), (cause, *steps), both))

    def _path(self, steps: tuple[int, ...]) -> PathSupport:
        along = [self.weights[:, later, earlier] for earlier, later in pairwise(steps)]
        products = np.prod(along, axis=0)
        there = products[np.all([weights != 0 for weights in along], axis=0)]
        low, high = percentile_interval(there)
        names = tuple(self.names[step] for step in steps)
        return PathSupport(names, float(np.median(there)), float(low), float(high), len(there) / len(products))


def pairs_of(names: tuple[str, ...], symmetric: BoolArray) -> tuple[tuple[str, str], ...]:
    """Names of the pairs that a symmetric matrix marks, each once."""
    return tuple((names[i], names[j]) for i, j in np.argwhere(np.triu(symmetric, 1)))


def scaled(path: PathSupport, units: FloatArray, names: tuple[str, ...]) -> PathSupport:
    """``path`` with its effect multiplied by the [effect, cause] ``units`` of its ends."""
    factor = float(units[names.index(path.path[-1]), names.index(path.path[0])])
    return replace(path, effect=path.effect * factor, low=path.low * factor, high=path.high * factor)


def pair_support(found: Found, replicates: Replicates) -> tuple[PairSupport, ...]:
    """The confounded and the undirected pairs of ``found`` with the share of replicates that say the same."""
    kinds: tuple[tuple[Verdict, BoolArray, FloatArray], ...] = (
        ("confounded", found.confounded, replicates.confounded),
        ("undirected", found.undirected, replicates.undirected),
    )
    return tuple(
        PairSupport(replicates.names[i], replicates.names[j], verdict, float(share[i, j]))
        for verdict, mask, share in kinds
        for i, j in np.argwhere(np.triu(mask, 1))
    )


def _full_rank(values: FloatArray) -> bool:
    if len(values) <= values.shape[1] or (np.ptp(values, axis=0) == 0).any():
        return False
    return bool(np.linalg.eigvalsh(np.corrcoef(values.T))[0] > SINGULAR)
