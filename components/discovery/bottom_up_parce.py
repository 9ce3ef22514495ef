"""BottomUpParceLiNGAM: causal order from the bottom upwards, as far as hidden causes leave it open to see.

The variable whose regression on all others leaves a residual most independent of them affects none of them; it is taken
away as the last, and the search repeats. Where even the best residual depends on the rest, hidden causes (or lines that
are none) are at work, and the variables left over stay without an order.

Tashiro, Shimizu, Hyvarinen and Washio, ParceLiNGAM: a causal ordering method robust against latent confounders,
Neural Computation 26, 2014.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import inf, log
from typing import ClassVar, Literal

import numpy as np

from components.contracts import FloatArray
from components.discovery.adjacency import adjacency
from components.discovery.constraints import BoolArray, Constraints
from components.discovery.found import Found
from components.discovery.hsic import Width
from components.discovery.linear_residuals import LinearTests
from components.discovery.preparation import PreparedTable
from components.discovery.residuals import Residual, check_level, check_rows
from components.discovery.search import GraphSearch
from components.findings import Decision


@dataclass(frozen=True)
class BottomUpParceLingam(GraphSearch):
    """Linear, non-Gaussian, acyclic, with hidden causes among the variables that come first.

    Every pair among the variables it cannot order is called confounded, although only some of them may be.

    Costs O(p^3) tests of independence, about 0.2 s for 1,000 rows of 8 columns and 2 s for 20; each replicate as much
    again. A replicate repeats rows, which tests of independence take for dependence: it leaves more open than the
    table does, and its support is on the low side.

    Attributes:
        kind: Name of the method.
        replicates: Bootstrap resamples; support and intervals come from them.
        maximum_rows: Complete rows used at most, drawn at random from those there are, in [10, 1000000].
        alpha: Level of the test that stops the search, divided by the number of variables less one, in (0, 1).
    """

    halves: ClassVar[bool] = True

    kind: Literal["bottom_up_parce"] = "bottom_up_parce"
    replicates: int = 20
    maximum_rows: int = 1000
    alpha: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_level("alpha", self.alpha)

    def search(self, table: PreparedTable, constraints: Constraints, threads: int = 1) -> Found:
        """The order as far as there is one, the edges along it, and the rest as confounded pairs."""
        check_rows(table)
        size = len(table.names)
        bottom = order_from_below(table.values, constraints.before, self.alpha)
        order = (*bottom.unordered, *bottom.ordered)
        confounded = np.zeros((size, size), dtype=np.bool_)
        if len(bottom.unordered) > 1:
            confounded[np.ix_(bottom.unordered, bottom.unordered)] = True
            np.fill_diagonal(confounded, False)
        weights = adjacency(table.values, order, constraints.forbidden_edge | confounded)
        test = "HSIC of the best residual of those left with each of the others, joined by Fisher's method"
        decisions = tuple(
            Decision(table.names[i], table.names[j], "confounded", test, bottom.p_value)
            for i, j in combinations(bottom.unordered, 2)
        )
        return Found(weights, confounded, np.zeros_like(confounded), (), decisions)


@dataclass(frozen=True)
class Bottom:
    """A causal order that may be open at its beginning.

    Attributes:
        unordered: Indices of the variables that come first, in no order; empty or more than one.
        ordered: Indices of the others, causes first.
        p_value: Of the test that stopped the search; NaN when all are ordered.
    """

    unordered: tuple[int, ...]
    ordered: tuple[int, ...]
    p_value: float = float("nan")


def order_from_below(values: FloatArray, before: BoolArray, alpha: float, width: Width = "median") -> Bottom:
    """The causal order of the columns of ``values`` [n, p], as far as independent residuals tell of one.

    Args:
        values: The table.
        before: [effect, cause] True where the cause must come first; acyclic and transitively closed.
        alpha: Level of the tests, divided by p - 1.
        width: Rule for the kernel width.
    """
    from scipy.stats import chi2

    tests = LinearTests.of(values, width)
    left, ordered = list(range(values.shape[1])), list[int]()
    while len(left) > 1:
        best, least = left[0], inf
        for candidate in left:
            if not before[left, candidate].any():
                others = [other for other in left if other != candidate]
                found = _fisher(tests, candidate, others, least)
                best, least = (candidate, found) if found < least else (best, least)
        p_value = float(chi2.sf(least, 2 * len(left) - 2))
        if p_value < alpha / (values.shape[1] - 1):
            return Bottom(tuple(left), tuple(ordered), p_value)
        left.remove(best)
        ordered.insert(0, best)
    return Bottom((), (*left, *ordered))


def _fisher(tests: LinearTests, candidate: int, others: Sequence[int], most: float) -> float:
    """-2 times the logarithms of the p-values, or something above ``most``."""
    residual, total = Residual(candidate, frozenset(others)), 0.0
    for other in others:
        p_value = tests.independence(residual, Residual(other))
        total += -2 * log(p_value) if p_value > 0 else inf
        if total > most:
            break
    return total
