"""What PC, FCI and GES share: the causal-learn package, an optional one, and how its graphs are read.

Its matrix holds the mark at the end of ``i`` of the edge between ``i`` and ``j`` in ``[i, j]``: -1 a tail, 1 a head,
2 a circle, which may be either.
"""

from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.contracts import FloatArray
from components.discovery.constraints import BoolArray, Constraints
from components.discovery.found import Found, slopes
from components.errors import InputError
from components.findings import Decision, Verdict

Marks = NDArray[np.int64]

TAIL, HEAD, CIRCLE = -1, 1, 2
_SIGNS = {TAIL: ("-", "-"), HEAD: ("<", ">"), CIRCLE: ("o", "o")}


def require_causal_learn(kind: str) -> None:
    """Raises InputError where the package is not installed."""
    if find_spec("causallearn") is None:
        raise InputError(
            f"kind {kind!r} needs the causal-learn package, which is not installed; run: "
            "pip install 'kintsugi-ml[causal-learn]'"
        )


def background(constraints: Constraints, names: tuple[str, ...]) -> Any:
    """Knowledge as causal-learn takes it, over nodes of ``names``; None where there is none.

    A required edge gives an adjacency that survives its direction and adds none; a forbidden one gives the other
    direction, and only an adjacency forbidden both ways is never tested. The rest is enforced afterwards.
    """
    from causallearn.graph.GraphNode import GraphNode
    from causallearn.utils.PCUtils.BackgroundKnowledge import BackgroundKnowledge

    forbidden = constraints.forbidden_edge | constraints.before.T
    np.fill_diagonal(forbidden, False)
    required = constraints.required_edge & ~forbidden
    if not forbidden.any() and not required.any():
        return None
    nodes, knowledge = [GraphNode(name) for name in names], BackgroundKnowledge()
    for effect, cause in np.argwhere(forbidden):
        knowledge.add_forbidden_by_node(nodes[cause], nodes[effect])
    for effect, cause in np.argwhere(required):
        knowledge.add_required_by_node(nodes[cause], nodes[effect])
    return knowledge


def read_marks(marks: Marks, values: FloatArray, names: tuple[str, ...], hidden: bool) -> Found:
    """The graph in a matrix of marks.

    ``i --> j`` is an edge. Two heads are a pair with a hidden cause where the method allows for one (``hidden``), and
    otherwise a contradiction between two colliders; this and every mark with a circle leaves the direction open, and
    has a decision that tells the mark.
    """
    edges = np.asarray((marks == HEAD) & (marks.T == TAIL))
    two_heads = np.asarray((marks == HEAD) & (marks.T == HEAD))
    confounded = two_heads if hidden else np.zeros_like(two_heads)
    undirected = (marks != 0) & (marks.T != 0) & ~edges & ~edges.T & ~confounded
    decisions = []
    for i, j in np.argwhere(np.triu(confounded | undirected, 1)):
        verdict: Verdict = "confounded" if confounded[i, j] else "undirected"
        sign = f"{_SIGNS[int(marks[i, j])][0]}-{_SIGNS[int(marks[j, i])][1]}"
        decisions.append(Decision(names[i], names[j], verdict, f"mark {sign}", float("nan")))
    return Found(slopes(values, edges), confounded, undirected, (), tuple(decisions))


def marks_of(edges: BoolArray) -> Marks:
    """The marks of a graph of directed edges [effect, cause]."""
    marks: Marks = np.zeros(edges.shape, dtype=np.int64)
    marks[edges] = HEAD
    marks[edges.T] = TAIL
    return marks
