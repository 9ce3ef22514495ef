"""CAM-UV-X: CAM-UV, and then a wider search for regressors that settle the pairs it had to leave as hidden.

Write h(i, S) for what the additive regression on S leaves of variable i. For a pair (i, j) that CAM-UV leaves open,
sets S and T are tried: the parents found of i and of j, and few others, first none, of the parents of both and of the
variables whose relation to one of them is open.

    h(i, S) independent of h(j, T)            there is no edge, and nothing hidden, between them
    only h(i, S + j) independent of h(j, T)   j is a parent of i
    only h(i, S) independent of h(j, T + i)   i is a parent of j

Why this is sound. The noise of i always stays in h(i, S), and that of j in h(j, T); so does the noise of a hidden
cause, and that of a parent outside S. Independence therefore rules out a hidden path between the two and, in the first
case, an edge. In the second, the noise of j is not in h(i, S + j): were j no parent of i, taking it out of the
regressors would change nothing, and h(i, S) would be independent of h(j, T) as well. The same S and T must therefore
serve in both tests; an edge is not concluded from independence with one choice and dependence with another. The tests
check it on every graph of three variables and two hidden ones and of four and one, and on a sample of those of four and
two; there also nothing is left open that any choice of regressors could settle.

What is left open is not proven to be hidden. A direction of it may still be impossible, which the account of the
decision tells: because the edges found make the effect a cause of the cause, or because the effect does not depend on
an ancestor of the cause.

Left out of the published algorithm are the search for variables that are needed on a path, since under least-squares
regressions the rule above finds every edge that it would, and conditional independence tests, which tell a direction of
some pairs but never that nothing is hidden. A parent that shares a hidden cause with its child stays hidden here: a
least-squares regression on it always mixes in the noise of that hidden cause.

Pham, Maeda and Shimizu, Causal additive models with unobserved causal paths and backdoor paths, AISTATS 2026.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations, islice
from typing import Literal

import numpy as np

from components.discovery.cam_uv import AdditiveSearch, Drawn, draw, excluded_causes, found_of
from components.discovery.constraints import BoolArray, Constraints, reachable
from components.discovery.found import Found
from components.discovery.preparation import PreparedTable
from components.discovery.residuals import Residual, Tests
from components.errors import InputError

Pair = tuple[int, int]
Regressors = tuple[frozenset[int], frozenset[int]]


@dataclass(frozen=True)
class CamUvX(AdditiveSearch):
    """CAM-UV-X with prior knowledge and bootstrap support.

    Each pair that CAM-UV leaves open costs up to three more tests for every choice of regressors: for 2,000 rows of 11
    measured proteins 7 s beside the 1 s of CAM-UV. Every further choice is also a further chance that dependence goes
    unseen: more of them settle more pairs, and more of those wrongly.

    Attributes:
        kind: Name of the method.
        regressors: Most regressors beside the parents, of each of the two variables of a pair, in [0, 4].
        choices: Most choices of regressors that are tried for a pair, those of the fewest regressors first, at least 1.
        replicates: Bootstrap resamples; support and intervals come from them.
    """

    kind: Literal["cam_uv_x"] = "cam_uv_x"
    regressors: int = 2
    choices: int = 50
    replicates: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.regressors <= 4:
            raise InputError(f"regressors must lie in [0, 4], got {self.regressors}")
        if self.choices < 1:
            raise InputError(f"choices must be at least 1, got {self.choices}")

    def search(self, table: PreparedTable, constraints: Constraints, threads: int = 1) -> Found:
        """Search one table; a forbidden cause is never tried."""
        tests, excluded = self.tests(table), excluded_causes(constraints)
        drawn = settle(tests, self, draw(tests, self, excluded), excluded)
        return found_of(told(drawn, impossible(tests, self.alpha, drawn), table.names), table)


def settle(tests: Tests, method: CamUvX, drawn: Drawn, excluded: BoolArray) -> Drawn:
    """``drawn`` with those of its hidden pairs settled that wider regressions settle, one after another in order."""
    for i, j in sorted(drawn.hidden):
        around, (above_i, above_j) = _around(drawn, i, j), (drawn.parents[i], drawn.parents[j])
        choices = _choices(around - above_i, around - above_j, method.regressors)
        for first, second in islice(choices, method.choices):
            regressors = above_i | first, above_j | second
            settled = _settled(tests, method.alpha, drawn, (i, j), regressors, excluded)
            if settled is not None:
                drawn = settled
                break
    return drawn


def impossible(tests: Tests, level: float, drawn: Drawn) -> dict[Pair, int]:
    """Of the hidden pairs, the (effect, cause) that cannot be, each with the variable that shows it.

    It is the effect itself where the edges found make it an ancestor of the cause; otherwise an ancestor of the cause
    that the effect does not depend on.
    """
    reach = reachable(drawn.edges)
    shown = {}
    for pair in drawn.hidden:
        for effect, cause in (pair, pair[::-1]):
            for above in np.flatnonzero(reach[cause]):
                if above == effect or tests.independence(Residual(effect), Residual(int(above))) > level:
                    shown[effect, cause] = int(above)
                    break
    return shown


def told(drawn: Drawn, shown: dict[Pair, int], names: tuple[str, ...]) -> Drawn:
    """``drawn`` with the impossible directions of its hidden pairs in the words of what decided them."""
    answers = dict(drawn.answers)
    for (effect, cause), above in sorted(shown.items()):
        pair = (min(effect, cause), max(effect, cause))
        test, p_value, given = answers[pair]
        reason = "which causes it" if above == effect else f"which does not depend on its cause {names[above]}"
        words = f"{test}; {names[cause]} is no cause of {names[effect]}, {reason}"
        answers[pair] = (words, p_value, given)
    return replace(drawn, answers=answers)


def _settled(
    tests: Tests, level: float, drawn: Drawn, pair: Pair, regressors: Regressors, excluded: BoolArray
) -> Drawn | None:
    i, j = pair
    one, other = Residual(i, regressors[0]), Residual(j, regressors[1])
    given = regressors[0] | regressors[1]
    alone = tests.independence(one, other)
    if alone > level:
        return _without(drawn, pair, ("independence of the residuals in wider regressions", alone, given))
    from_j = tests.independence(one.less({j}), other)
    from_i = tests.independence(other.less({i}), one)
    if max(from_i, from_j) <= level:
        return None
    if min(from_i, from_j) > level:
        test = "independence with either in the regression of the other"
        return _without(drawn, pair, (test, min(from_i, from_j), given))
    effect, cause = (i, j) if from_j > level else (j, i)
    if excluded[effect, cause] or reachable(drawn.edges)[cause, effect]:
        return None
    answer = ("independence of the residuals only with the cause in wider regressions", max(from_i, from_j), given)
    parents = list(drawn.parents)
    parents[effect] = parents[effect] | {cause}
    return replace(_without(drawn, pair, answer), parents=tuple(parents))


def _without(drawn: Drawn, pair: Pair, answer: tuple[str, float, frozenset[int]]) -> Drawn:
    return replace(drawn, hidden=drawn.hidden - {pair}, answers={**drawn.answers, pair: answer})


def _around(drawn: Drawn, i: int, j: int) -> frozenset[int]:
    """Parents of the two, and others whose relation to one of them is open."""
    open_to = {other for pair in drawn.hidden for other in pair if i in pair or j in pair}
    return frozenset((drawn.parents[i] | drawn.parents[j] | open_to) - {i, j})


def _choices(first: frozenset[int], second: frozenset[int], most: int) -> Iterator[Regressors]:
    """Subsets of at most ``most`` of ``first``, and of ``second``, in pairs; those with the fewest members first."""
    for together in range(2 * most + 1):
        for size in range(max(0, together - most), min(most, together) + 1):
            for one in combinations(sorted(first), size):
                for other in combinations(sorted(second), together - size):
                    yield frozenset(one), frozenset(other)
