"""CAM-UV: causal additive models with unobserved variables, for effects of any smooth shape.

Among dependent variables a set of causes is accepted when the additive regression of the child on them leaves a
residual that is independent of what their own causes leave of them. Causes that turn out to be superfluous are dropped.
Pairs without an edge whose residuals are still dependent have a hidden common cause, or a path between them that runs
through a hidden variable.

Maeda and Shimizu, Causal additive models with unobserved variables, UAI 2021; and with prior knowledge, Use of prior
knowledge to discover causal additive models with unobserved variables, Behaviormetrika 2024.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar, Literal

import numpy as np

from components.contracts import FloatArray
from components.discovery.additive import AdditiveRegression
from components.discovery.constraints import BoolArray, Constraints
from components.discovery.found import Found, slopes
from components.discovery.hsic import Width
from components.discovery.preparation import PreparedTable
from components.discovery.residuals import Residual, ResidualTests, Tests, check_level, check_rows, check_width
from components.discovery.search import GraphSearch
from components.errors import InputError
from components.findings import Decision


@dataclass(frozen=True)
class AdditiveSearch(GraphSearch):
    """What CAM-UV and its extension share.

    Attributes:
        explanatory: Most variables whose relations are tried at once, at least 2: a set of two is one cause and its
            effect, a set of three two causes and their common effect.
        alpha: Level of HSIC, in (0, 1); residuals count as independent above it.
        width: Kernel width: ``median`` of distances, or by the ``first_100`` rows alone as in the lingam package, whose
            results then depend on the order of the rows.
        replicates: Bootstrap resamples; support and intervals come from them.
        maximum_rows: Complete rows used at most, drawn at random from those there are, in [10, 1000000].
    """

    halves: ClassVar[bool] = True
    curves: ClassVar[bool] = True

    explanatory: int = 2
    alpha: float = 0.01
    width: Width = "median"
    replicates: int = 20
    maximum_rows: int = 2000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.explanatory < 2:
            raise InputError(f"explanatory must be at least 2, got {self.explanatory}")
        check_width(self.width)
        check_level("alpha", self.alpha)

    def tests(self, table: PreparedTable) -> ResidualTests:
        """Tests of independence between additive residuals of ``table``."""
        check_rows(table)
        return ResidualTests(AdditiveRegression(table.values), self.width)


@dataclass(frozen=True)
class CamUv(AdditiveSearch):
    """CAM-UV with prior knowledge and bootstrap support.

    Its cost is that of the tests of independence, some 1 ms each at 1,000 rows and 2 ms at 2,000; a table of 1,000 rows
    of 8 columns takes about 0.05 s, each replicate, of half the rows, a third of it. They grow with the pairs of
    dependent variables, and with the triples where ``explanatory`` is 3. The weights of the graph are slopes of
    straight lines on the parents that were found, as a summary; a slope near zero says that no line, not that no curve,
    is there.

    Attributes:
        kind: Name of the method.
    """

    kind: Literal["cam_uv"] = "cam_uv"

    def search(self, table: PreparedTable, constraints: Constraints, threads: int = 1) -> Found:
        """Search one table; a forbidden cause is never tried."""
        drawn = draw(self.tests(table), self, excluded_causes(constraints))
        return found_of(drawn, table)


@dataclass(frozen=True, eq=False)
class Drawn:
    """A graph over variables some of which may share hidden causes.

    Attributes:
        parents: For each variable its direct causes.
        hidden: Pairs (i, j), i < j, without an edge whose residuals are dependent.
        answers: For each pair (i, j), i < j, what decided it: the test in words, its p-value and the regressors.
    """

    parents: tuple[frozenset[int], ...]
    hidden: frozenset[tuple[int, int]]
    answers: dict[tuple[int, int], tuple[str, float, frozenset[int]]]

    @property
    def edges(self) -> BoolArray:
        """[effect, cause]."""
        return np.array([[cause in above for cause in range(len(self.parents))] for above in self.parents])

    @property
    def matrix(self) -> FloatArray:
        """[effect, cause] 1 an edge, 0 none, NaN both ways where something hidden is held, as in the lingam package."""
        matrix = self.edges.astype(np.float64)
        for i, j in self.hidden:
            matrix[i, j] = matrix[j, i] = np.nan
        return matrix


def excluded_causes(constraints: Constraints) -> BoolArray:
    """[effect, cause] True where knowledge rules the direct edge out."""
    return constraints.forbidden_edge | constraints.before.T


def draw(tests: Tests, method: AdditiveSearch, excluded: BoolArray) -> Drawn:
    """The graph that CAM-UV finds by ``tests``, without the edges ``excluded`` [effect, cause]."""
    size = len(excluded)
    marginal = {(i, j): tests.independence(Residual(i), Residual(j)) for i, j in combinations(range(size), 2)}
    dependent = {pair for pair, p_value in marginal.items() if p_value <= method.alpha}
    parents = _pruned(tests, method.alpha, _parents(tests, method, dependent, excluded))
    answers, hidden = {}, set()
    for i, j in combinations(range(size), 2):
        given = frozenset(parents[i] | parents[j])
        if j in parents[i] or i in parents[j]:
            effect, cause = (i, j) if j in parents[i] else (j, i)
            without = Residual(effect, parents[effect] - {cause})
            p_value = tests.independence(without, Residual(cause, parents[cause]))
            answers[i, j] = ("dependence of the residuals without the cause", p_value, given - {cause})
        elif (i, j) not in dependent:
            answers[i, j] = ("independence", marginal[i, j], frozenset())
        else:
            p_value = tests.independence(Residual(i, parents[i]), Residual(j, parents[j]))
            answers[i, j] = ("independence of the residuals given the parents", p_value, given)
            if p_value <= method.alpha:
                hidden.add((i, j))
    return Drawn(tuple(parents), frozenset(hidden), answers)


def found_of(drawn: Drawn, table: PreparedTable) -> Found:
    """``drawn`` as every search hands it back, with slopes on the parents."""
    confounded = np.isnan(drawn.matrix)
    weights = slopes(table.values, drawn.edges)
    # An edge whose line is exactly flat is an edge all the same.
    weights = np.where(drawn.edges & (weights == 0), np.finfo(np.float64).eps, weights)
    return Found(weights, confounded, np.zeros_like(confounded), (), decisions_of(drawn, table.names))


def decisions_of(drawn: Drawn, names: tuple[str, ...]) -> tuple[Decision, ...]:
    """Which test decided each pair."""
    decisions = []
    for (i, j), (test, p_value, given) in sorted(drawn.answers.items()):
        others = tuple(names[other] for other in sorted(given))
        cause, effect = (j, i) if j in drawn.parents[i] else (i, j)
        edge = cause in drawn.parents[effect]
        verdict: Literal["edge", "confounded", "no edge"] = (
            "edge" if edge else "confounded" if (i, j) in drawn.hidden else "no edge"
        )
        decisions.append(Decision(names[cause], names[effect], verdict, test, p_value, others))
    return tuple(decisions)


def _parents(
    tests: Tests, method: AdditiveSearch, dependent: set[tuple[int, int]], excluded: BoolArray
) -> list[frozenset[int]]:
    size = len(excluded)
    parents = [frozenset[int]() for _ in range(size)]
    width = 2
    while width <= method.explanatory:
        changed = False
        for members in combinations(range(size), width):
            if any(j in parents[i] or i in parents[j] for i, j in combinations(members, 2)):
                continue
            child = _child(tests, method.alpha, members, parents, dependent, excluded)
            if child is not None and _needed(tests, method.alpha, child, set(members) - {child}, parents):
                parents[child] = parents[child].union(members) - {child}
                changed = True
        width = 2 if changed else width + 1
    return parents


def _child(
    tests: Tests,
    level: float,
    members: tuple[int, ...],
    parents: list[frozenset[int]],
    dependent: set[tuple[int, int]],
    excluded: BoolArray,
) -> int | None:
    """The member that is most independent of the others once they are regressed out, if that is independent enough."""
    best, chosen = level, None
    for child in members:
        causes = [member for member in members if member != child]
        pairs = {(min(child, cause), max(child, cause)) for cause in causes}
        if not pairs <= dependent or any(excluded[child, cause] for cause in causes):
            continue
        rest = Residual(child, parents[child].union(causes))
        p_value = tests.independence(rest, *(Residual(cause, parents[cause]) for cause in causes))
        if p_value > best:
            best, chosen = p_value, child
    return chosen


def _needed(tests: Tests, level: float, child: int, causes: set[int], parents: list[frozenset[int]]) -> bool:
    """Without them in the regression the child depends on each of the causes."""
    without = Residual(child, parents[child])
    return all(tests.independence(without, Residual(cause, parents[cause])) <= level for cause in sorted(causes))


def _pruned(tests: Tests, level: float, parents: list[frozenset[int]]) -> list[frozenset[int]]:
    """Parents without those whose removal leaves the residuals independent."""
    kept = list(parents)
    for child, causes in enumerate(parents):
        superfluous = {
            cause
            for cause in causes
            if tests.independence(Residual(child, causes - {cause}), Residual(cause, kept[cause])) > level
        }
        kept[child] = causes - superfluous
    return kept
