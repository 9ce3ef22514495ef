"""RCD: repetitive causal discovery of linear models with non-Gaussian noise and hidden common causes.

Sets of variables are regressed on the ancestors they are known to share. The one member of a set whose regression on
the others leaves a residual independent of each of them is a sink: the others are its ancestors. This repeats until
nothing new is found. An ancestor is a parent if it still correlates with its effect when the other ancestors are taken
out; pairs without a parent whose residuals correlate share a hidden cause.

Maeda and Shimizu, RCD: repetitive causal discovery of linear non-Gaussian acyclic models with latent confounders,
AISTATS 2020.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar, Literal, Protocol

import numpy as np

from components.contracts import FloatArray
from components.discovery.constraints import BoolArray, Constraints
from components.discovery.found import Found, slopes
from components.discovery.hsic import Width
from components.discovery.linear_residuals import LinearTests
from components.discovery.preparation import PreparedTable
from components.discovery.residuals import Residual, check_level, check_rows, check_width
from components.discovery.search import GraphSearch
from components.errors import InputError
from components.findings import Decision, Verdict

Sets = tuple[frozenset[int], ...]


class Answers(Protocol):
    """Who answers the questions that RCD asks of residuals, by p-values."""

    def independence(self, first: Residual, *second: Residual) -> float:
        """Of independence."""

    def refitted(self, effect: Residual, causes: tuple[Residual, ...]) -> float:
        """Of independence from each of ``causes``, with the slopes on them that make it most independent."""

    def correlation(self, first: Residual, second: Residual) -> float:
        """Of a correlation of zero."""

    def shape(self, residual: Residual) -> float:
        """Of a Gaussian shape."""


@dataclass(frozen=True)
class RepetitiveDiscovery(GraphSearch):
    """RCD with prior knowledge and bootstrap support, for linear effects.

    Its cost is that of the tests of independence, some 1 ms each at 1,000 rows and 2 ms at 2,000; a table of 1,000 rows
    of 8 columns takes about 0.05 to 0.1 s, each replicate, of half the rows, a third of it. Their number grows with the
    pairs, and with the triples where ``explanatory`` is 2.

    Attributes:
        kind: Name of the method.
        explanatory: Most variables that are tried as ancestors of another at once, at least 1.
        independence_alpha: Level of HSIC, in (0, 1); a residual counts as independent above it.
        correlation_alpha: Level of Pearson's correlation, in (0, 1); two residuals count as correlated below it.
        shape_alpha: Level of Shapiro and Wilk's test, in (0, 1]; a residual counts as non-Gaussian up to it, and only
            such are used.
        refit: Where least squares leave a residual that depends on one of several others, try slopes that minimise the
            dependence itself; slow.
        width: Kernel width: ``median`` of distances, or by the ``first_100`` rows alone as in the lingam package, whose
            results then depend on the order of the rows.
        replicates: Bootstrap resamples; support and intervals come from them.
        maximum_rows: Complete rows used at most, drawn at random from those there are, in [10, 1000000].
    """

    halves: ClassVar[bool] = True

    kind: Literal["rcd"] = "rcd"
    explanatory: int = 2
    independence_alpha: float = 0.01
    correlation_alpha: float = 0.01
    shape_alpha: float = 0.01
    refit: bool = False
    width: Width = "median"
    replicates: int = 20
    maximum_rows: int = 2000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.explanatory < 1:
            raise InputError(f"explanatory must be at least 1, got {self.explanatory}")
        check_width(self.width)
        check_level("independence_alpha", self.independence_alpha)
        check_level("correlation_alpha", self.correlation_alpha)
        if not 0 < self.shape_alpha <= 1:
            raise InputError(f"shape_alpha must lie in (0, 1], got {self.shape_alpha}")

    def search(self, table: PreparedTable, constraints: Constraints, threads: int = 1) -> Found:
        """Search one table; forbidden ancestors are never tried, so what is left of a set may be its one sink."""
        check_rows(table)
        tests = LinearTests.of(table.values, self.width)
        found = ancestors(tests, self, constraints.forbidden_path | constraints.before.T)
        parents, tried = parents_of(tests, found, self.correlation_alpha, constraints.forbidden_edge)
        edges = np.array([[cause in one for cause in range(len(parents))] for one in parents])
        confounded, decisions = hidden_causes(tests, parents, tried, self.correlation_alpha, table.names)
        nothing = np.zeros_like(confounded)
        return Found(slopes(table.values, edges), confounded, nothing, (), decisions)


def ancestors(tests: Answers, method: RepetitiveDiscovery, excluded: BoolArray) -> Sets:
    """For each variable the ancestors that were found, none of which is ``excluded`` [effect, cause]."""
    size = len(excluded)
    found = [frozenset[int]() for _ in range(size)]
    seen: dict[tuple[int, ...], frozenset[int]] = {}
    width = 1
    while True:
        changed = False
        for members in combinations(range(size), width + 1):
            shared = frozenset.intersection(*(found[member] for member in members))
            if seen.get(members) == shared or not _usable(tests, method, members, shared):
                continue
            sinks = [
                sink
                for sink in members
                if not _settled(found, members, sink)
                and not any(excluded[sink, other] for other in members if other != sink)
                and _is_sink(tests, method, members, sink, shared)
            ]
            seen[members] = shared
            if len(sinks) == 1:
                wider = found[sinks[0]].union(members) - {sinks[0]}
                changed = changed or wider != found[sinks[0]]
                found[sinks[0]] = wider
        if changed:
            width = 1
        elif width < method.explanatory:
            width += 1
        else:
            return tuple(found)


def parents_of(
    tests: Answers, found: Sets, level: float, excluded: BoolArray
) -> tuple[Sets, dict[tuple[int, int], float]]:
    """The parents among the ancestors ``found``, and the p-value of each (effect, ancestor)."""
    tried = {}
    for effect, above in enumerate(found):
        for cause in sorted(above):
            rest = Residual(effect, above - {cause})
            tried[effect, cause] = tests.correlation(Residual(cause, above & found[cause]), rest)
    parents = tuple(
        frozenset(cause for cause in above if tried[effect, cause] < level and not excluded[effect, cause])
        for effect, above in enumerate(found)
    )
    return parents, tried


def hidden_causes(
    tests: Answers, parents: Sets, tried: dict[tuple[int, int], float], level: float, names: tuple[str, ...]
) -> tuple[BoolArray, tuple[Decision, ...]]:
    """Symmetric mask of the pairs without an edge whose residuals correlate, and which test decided each pair."""
    mask = np.zeros((len(parents), len(parents)), dtype=np.bool_)
    decisions = []
    for first, second in combinations(range(len(parents)), 2):
        for effect, cause in ((first, second), (second, first)):
            if cause in parents[effect]:
                test = "correlation of the residuals given the other ancestors"
                given = tuple(names[other] for other in sorted(parents[effect] - {cause}))
                decisions.append(Decision(names[cause], names[effect], "edge", test, tried[effect, cause], given))
                break
        else:
            p_value = tests.correlation(Residual(first, parents[first]), Residual(second, parents[second]))
            mask[first, second] = mask[second, first] = p_value < level
            verdict: Verdict = "confounded" if p_value < level else "no edge"
            given = tuple(names[other] for other in sorted(parents[first] | parents[second]))
            test = "correlation of the residuals given the parents"
            decisions.append(Decision(names[first], names[second], verdict, test, p_value, given))
    return mask, tuple(decisions)


def weights_of(values: FloatArray, parents: Sets, confounded: BoolArray) -> FloatArray:
    """[effect, cause] coefficients on the parents, NaN where a hidden cause is held, as in the lingam package."""
    edges = np.array([[cause in one for cause in range(len(parents))] for one in parents])
    return np.where(confounded, np.nan, slopes(values, edges))


def _usable(tests: Answers, method: RepetitiveDiscovery, members: tuple[int, ...], shared: frozenset[int]) -> bool:
    """All residuals are non-Gaussian and all pairs of them correlated."""
    residuals = [Residual(member, shared) for member in members]
    return all(tests.shape(residual) <= method.shape_alpha for residual in residuals) and all(
        tests.correlation(one, other) < method.correlation_alpha for one, other in combinations(residuals, 2)
    )


def _settled(found: list[frozenset[int]], members: tuple[int, ...], sink: int) -> bool:
    """It is known already that ``sink`` is above one of the others, or that all of them are above it."""
    others = set(members) - {sink}
    return any(sink in found[other] for other in others) or others <= found[sink]


def _is_sink(
    tests: Answers, method: RepetitiveDiscovery, members: tuple[int, ...], sink: int, shared: frozenset[int]
) -> bool:
    """The residual of ``sink`` given the others and their shared ancestors is independent of each of the others."""
    others = tuple(Residual(member, shared) for member in members if member != sink)
    rest = Residual(sink, shared.union(other.variable for other in others))
    if all(tests.independence(rest, other) > method.independence_alpha for other in others):
        return True
    if not method.refit or len(others) == 1:
        return False
    return tests.refitted(Residual(sink, shared), others) > method.independence_alpha
