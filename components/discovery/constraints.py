"""Prior knowledge as constraints that no search can stumble over.

Knowledge may contradict itself, and three harmless statements "a does not reach b", "b does not reach c", "c does not
reach a" already have no order that honours them all, although the graph without edges does. So a search over causal
orders is given an acyclic set of order pairs, the most certain statements first; what does not fit in is enforced on
the edges afterwards. Where a pair is both required and forbidden, the prohibition holds.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from components.contracts import PriorKnowledge
from components.errors import InputError

BoolArray = NDArray[np.bool_]
Pair = tuple[int, int]
Claim = Literal["required path", "forbidden path", "required edge", "forbidden edge"]


@dataclass(frozen=True, eq=False)
class Constraints:
    """Knowledge over the columns of one table, without contradictions. Matrices are [effect, cause].

    Attributes:
        before: The cause comes before the effect in the causal order; acyclic and transitively closed.
        required_edge: Direct edges to keep whatever the data say; never forbidden.
        required_path: Paths that were asked for and can be had.
        forbidden_edge: Direct edges that must not be, among them every forbidden path.
        forbidden_path: Paths that must not be.
        notes: One sentence for everything that could not be honoured.
    """

    before: BoolArray
    required_edge: BoolArray
    required_path: BoolArray
    forbidden_edge: BoolArray
    forbidden_path: BoolArray
    notes: tuple[str, ...] = ()

    @property
    def order_knowledge(self) -> NDArray[np.int8] | None:
        """The matrix lingam takes: 1 where the cause comes first, -1 elsewhere; None when nothing is known.

        It holds no 0, which lingam would read as the reverse order and not only as a missing edge.
        """
        return np.where(self.before, 1, -1).astype(np.int8) if self.before.any() else None


def reconcile(knowledge: PriorKnowledge, names: tuple[str, ...], known: tuple[str, ...]) -> Constraints:
    """The constraints that ``knowledge`` puts on the columns ``names`` of a table whose columns once were ``known``.

    Raises:
        InputError: The knowledge speaks of a variable that the table never had.
    """
    strange = [name for name in knowledge.names if name not in known]
    if strange:
        raise InputError(
            f"knowledge must speak of columns of the table, got {', '.join(strange)}; it has {', '.join(known)}"
        )
    paths, edges = _aligned(knowledge, names)
    forbidden_path = paths == 0
    forbidden_edge = forbidden_path | (edges == 0)
    required_path, required_edge = paths == 1, (edges == 1) & ~forbidden_edge
    notes = [
        f"The edge {names[j]} -> {names[i]} is required and its path forbidden; it was left out."
        for i, j in np.argwhere((edges == 1) & forbidden_path)
    ]
    required = required_path | required_edge
    first = _by_confidence(knowledge, names, required, ("required path", "required edge"))
    before, dropped = _acyclic(np.zeros_like(required), first)
    for i, j in dropped:
        required_path[i, j] = required_edge[i, j] = False
        notes.append(f"{names[j]} -> {names[i]} was required, but surer knowledge says the reverse; it was dropped.")
    # A pair forbidden in both directions needs no order; a lone prohibition is met by putting its effect first.
    lone = (forbidden_path & ~forbidden_path.T).T
    second = _by_confidence(knowledge, names, lone, ("forbidden path",))
    before, _ = _acyclic(before, second)
    return Constraints(before, required_edge, required_path, forbidden_edge, forbidden_path, tuple(notes))


def reachable(edges: BoolArray) -> BoolArray:
    """[effect, cause] True where a directed path leads from cause to effect, in O(p^3)."""
    closed = edges.copy()
    for middle in range(len(closed)):
        closed |= np.outer(closed[:, middle], closed[middle])
    return closed


def _aligned(knowledge: PriorKnowledge, names: tuple[str, ...]) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    paths = np.full((len(names), len(names)), -1, dtype=np.int8)
    edges = paths.copy()
    places = [(place, knowledge.names.index(name)) for place, name in enumerate(names) if name in knowledge.names]
    if places:
        here, there = (list(side) for side in zip(*places, strict=True))
        paths[np.ix_(here, here)] = knowledge.path[np.ix_(there, there)]
        edges[np.ix_(here, here)] = knowledge.edge[np.ix_(there, there)]
    return paths, edges


def _by_confidence(
    knowledge: PriorKnowledge, names: tuple[str, ...], before: BoolArray, claims: tuple[Claim, ...]
) -> list[Pair]:
    """The pairs (later, earlier) of ``before``, the surest first; a cell without evidence counts as certain."""
    forbids = claims == ("forbidden path",)
    sure: dict[tuple[str, str], float] = {}
    for entry in knowledge.evidence:
        if entry.claim in claims:
            cell = (entry.effect, entry.cause)
            sure[cell] = max(entry.probability, sure.get(cell, 0.0))
    confidence = {}
    for later, earlier in np.argwhere(before):
        cell = (names[earlier], names[later]) if forbids else (names[later], names[earlier])
        confidence[int(later), int(earlier)] = sure.get(cell, 1.0)
    return sorted(confidence, key=lambda pair: -confidence[pair])


def _acyclic(before: BoolArray, pairs: list[Pair]) -> tuple[BoolArray, list[Pair]]:
    """Add the pairs (later, earlier) one after another to the closed relation, leaving out those that close a cycle."""
    closed, dropped = before.copy(), []
    for later, earlier in pairs:
        if closed[earlier, later] or later == earlier:
            dropped.append((later, earlier))
            continue
        after = closed[:, later].copy()
        after[later] = True
        ahead = closed[earlier].copy()
        ahead[earlier] = True
        closed |= np.outer(after, ahead)
    return closed, dropped
