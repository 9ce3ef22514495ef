"""Prior knowledge as constraints that no search can stumble over.

Knowledge may contradict itself, and three harmless statements "a does not reach b", "b does not reach c", "c does not
reach a" already have no order that honours them all, although the graph without edges does. So a search over causal
orders is given an acyclic set of order pairs: the least total confidence is given up (a weighted minimum feedback arc
set), and what does not fit in is enforced on the edges afterwards. Where a pair is both required and forbidden, the
prohibition holds.
"""

from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from components.causal_order import broken, causal_order
from components.contracts import PERSON, FloatArray, PriorKnowledge
from components.errors import InputError

BoolArray = NDArray[np.bool_]
Indices = NDArray[np.int64]
Kind = TypeVar("Kind", bound=np.generic)
Claim = Literal["required path", "forbidden path", "required edge", "forbidden edge"]
# No claim counts for more than odds of a million to one, so that two certain ones can be weighed against a third.
DOUBT = 1e-6


@dataclass(frozen=True, eq=False)
class Constraints:
    """Knowledge over the columns of one table, without contradictions. Matrices are [effect, cause].

    Attributes:
        before: The cause comes before the effect in the causal order; acyclic and transitively closed.
        required_edge: Direct edges to keep whatever the data say; never forbidden.
        required_path: Paths that were asked for and can be had.
        forbidden_edge: Direct edges that must not be, among them every forbidden path.
        forbidden_path: Paths that must not be.
        lean: [i, j] antisymmetric log odds of i -> j against j -> i, believed and not enforced; zeros where all
            knowledge is enforced.
        notes: One sentence for everything that could not be honoured.
    """

    before: BoolArray
    required_edge: BoolArray
    required_path: BoolArray
    forbidden_edge: BoolArray
    forbidden_path: BoolArray
    lean: FloatArray
    notes: tuple[str, ...] = ()


def reconcile(
    knowledge: PriorKnowledge, names: tuple[str, ...], known: tuple[str, ...], *, soft: bool = False
) -> Constraints:
    """The constraints that ``knowledge`` puts on the columns ``names`` of a table whose columns once were ``known``.

    Args:
        knowledge: What is known.
        names: Columns of the graph.
        known: Every column the table ever had.
        soft: Enforce only what a person claims; what a language model says becomes log odds to lean to.

    Raises:
        InputError: The knowledge speaks of a variable that the table never had.
    """
    strange = [name for name in knowledge.names if name not in known]
    if strange:
        raise InputError(
            f"knowledge must speak of columns of the table, got {', '.join(strange)}; it has {', '.join(known)}"
        )
    lean: FloatArray = np.zeros((len(names), len(names)))
    if soft:
        lean = _leaning(_aligned(knowledge.names, knowledge.probability, names, np.nan))
        knowledge = _only_certain(knowledge)
    paths, edges = (_aligned(knowledge.names, marks, names, -1) for marks in (knowledge.path, knowledge.edge))
    forbidden_path = paths == 0
    forbidden_edge = forbidden_path | (edges == 0)
    required_path, required_edge = paths == 1, (edges == 1) & ~forbidden_edge
    notes = [
        f"The edge {names[j]} -> {names[i]} is required and its path forbidden; it was left out."
        for i, j in np.argwhere((edges == 1) & forbidden_path)
    ]
    required = required_path | required_edge
    strength = _confidence(knowledge, names, ("required path", "required edge"))
    before, dropped = _acyclic(np.zeros_like(required), np.where(required, strength, 0.0))
    for i, j in np.argwhere(dropped):
        required_path[i, j] = required_edge[i, j] = False
        notes.append(f"{names[j]} -> {names[i]} was required, but surer knowledge says the reverse; it was dropped.")
    # A pair forbidden in both directions needs no order; a lone prohibition is met by putting its effect first.
    lone = forbidden_path & ~forbidden_path.T
    strength = _confidence(knowledge, names, ("forbidden path",))
    before, _ = _acyclic(before, np.where(lone, strength, 0.0).T)
    return Constraints(before, required_edge, required_path, forbidden_edge, forbidden_path, lean, tuple(notes))


def reachable(edges: BoolArray) -> BoolArray:
    """[effect, cause] True where a directed path leads from cause to effect, in O(p^3)."""
    closed = edges.copy()
    for middle in range(len(closed)):
        closed |= np.outer(closed[:, middle], closed[middle])
    return closed


def _aligned(known: tuple[str, ...], matrix: NDArray[Kind], names: tuple[str, ...], unknown: float) -> NDArray[Kind]:
    """``matrix`` over ``known`` as a matrix over ``names``, ``unknown`` where nothing is said."""
    found: NDArray[Kind] = np.full((len(names), len(names)), unknown, dtype=matrix.dtype)
    places = [(place, known.index(name)) for place, name in enumerate(names) if name in known]
    if places:
        here, there = (list(side) for side in zip(*places, strict=True))
        found[np.ix_(here, here)] = matrix[np.ix_(there, there)]
    return found


def _only_certain(knowledge: PriorKnowledge) -> PriorKnowledge:
    """``knowledge`` without the cells that rest on others' word than a person's."""
    path, edge = knowledge.path.copy(), knowledge.edge.copy()
    sources: dict[tuple[int, int, bool], set[str]] = {}
    for entry in knowledge.evidence:
        cell = knowledge.names.index(entry.effect), knowledge.names.index(entry.cause), entry.claim.endswith("path")
        sources.setdefault(cell, set()).add(entry.source)
    for (effect, cause, is_path), said in sources.items():
        if PERSON not in said:
            (path if is_path else edge)[effect, cause] = -1
    return replace(knowledge, path=path, edge=edge)


def _leaning(probability: FloatArray) -> FloatArray:
    """[i, j] log odds of a path i -> j against those of a path j -> i; nobody's answer counts as even odds."""
    sure = np.clip(np.nan_to_num(probability, nan=0.5), DOUBT, 1 - DOUBT)
    of_path = np.log(sure / (1 - sure)).T
    lean: FloatArray = of_path - of_path.T
    return lean


def _confidence(knowledge: PriorKnowledge, names: tuple[str, ...], claims: tuple[Claim, ...]) -> FloatArray:
    """[effect, cause] |logit| of the surest claim on each pair; a cell without evidence counts as certain."""
    sure = np.full((len(names), len(names)), np.nan)
    for entry in knowledge.evidence:
        if entry.claim in claims and entry.effect in names and entry.cause in names:
            cell = names.index(entry.effect), names.index(entry.cause)
            sure[cell] = np.nanmax([entry.probability, sure[cell], 0.5])
    bounded = np.clip(np.nan_to_num(sure, nan=1.0), 0.5 + DOUBT, 1 - DOUBT)
    strength: FloatArray = np.log(bounded / (1 - bounded))
    return strength


def _acyclic(before: BoolArray, strength: FloatArray) -> tuple[BoolArray, BoolArray]:
    """``before`` closed over the relations of positive ``strength`` that fit in, and those that were given up."""
    order = causal_order(np.where(before, np.inf, strength))
    dropped = (broken(strength, order) > 0) & ~before
    return reachable(before | ((strength > 0) & ~dropped)), dropped
