"""How far a found graph is from the agreed one, cell by cell of the [effect, cause] matrix.

The definitions are those of Takayama et al., Integrating large language models in causal discovery: a statistical
causal approach, TMLR 2025, so that numbers compare with theirs. A cell counts as found when it is not 0, NaN included.
A pair without a direction (confounded, or undirected) fills both of its cells: where the truth has no edge it costs two
additions; where the truth has one, it is neither a deletion nor a reversal, but one of its cells is a false positive.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from components.contracts import CausalGraph
from components.errors import InputError


@dataclass(frozen=True)
class GraphMetrics:
    """Distances and rates of one found graph; a rate whose denominator is 0 is NaN.

    Attributes:
        shd: Structural Hamming distance: additions + deletions + reversals.
        additions: Found cells between variables that have no true edge either way.
        deletions: True edges between variables with nothing found either way.
        reversals: True edges found only the other way round.
        fpr: False positives among all cells without a true edge, the diagonal among them.
        fnr: True edges whose cell was not found, as a share of all true edges.
        precision: True edges among the found cells, as a share of these.
        f1: Harmonic mean of precision and 1 - fnr.
        nhd: Normalised Hamming distance, shd / p^2.
    """

    shd: int
    additions: int
    deletions: int
    reversals: int
    fpr: float
    fnr: float
    precision: float
    f1: float
    nhd: float


def graph_metrics(estimate: ArrayLike, truth: ArrayLike) -> GraphMetrics:
    """Metrics of ``estimate`` against ``truth``, both [effect, cause]; any entry but 0 is an edge.

    Raises:
        InputError: The matrices are not square or differ in size, or the truth has an edge both ways or a diagonal.
    """
    found, true = _marks("estimate", estimate), _marks("truth", truth)
    if found.shape != true.shape:
        raise InputError(f"estimate and truth must be of one size, got {found.shape} and {true.shape}")
    if (true & true.T).any():
        raise InputError("truth must hold each edge in one direction only and nothing on its diagonal")
    additions = int((found & ~(true | true.T)).sum())
    deletions = int((true & ~(found | found.T)).sum())
    reversals = int((true & ~found & found.T).sum())
    shd = additions + deletions + reversals
    hits, false, missed = int((found & true).sum()), int((found & ~true).sum()), int((true & ~found).sum())
    return GraphMetrics(
        shd=shd,
        additions=additions,
        deletions=deletions,
        reversals=reversals,
        fpr=_ratio(false, int((~true).sum())),
        fnr=_ratio(missed, hits + missed),
        precision=_ratio(hits, hits + false),
        f1=_ratio(2 * hits, 2 * hits + false + missed),
        nhd=_ratio(shd, true.size),
    )


def found_cells(graph: CausalGraph, names: tuple[str, ...] | None = None) -> NDArray[np.bool_]:
    """[effect, cause] what ``graph`` claims: its edges, and both cells of every confounded or undirected pair.

    Args:
        graph: The found graph.
        names: Order of the rows and columns, that of ``graph`` by default. Variables that the graph left out have
            no edges.

    Raises:
        InputError: ``names`` lacks a variable of the graph.
    """
    order = graph.names if names is None else names
    missing = [name for name in graph.names if name not in order]
    if missing:
        raise InputError(f"names must hold every variable of the graph, got none of {', '.join(missing)}")
    place = {name: index for index, name in enumerate(order)}
    cells = np.zeros((len(order), len(order)), dtype=np.bool_)
    for effect, cause in np.argwhere(graph.weights != 0):
        cells[place[graph.names[effect]], place[graph.names[cause]]] = True
    for first, second in (*graph.confounded, *graph.undirected):
        cells[place[first], place[second]] = cells[place[second], place[first]] = True
    return cells


def _marks(label: str, matrix: ArrayLike) -> NDArray[np.bool_]:
    marks = np.asarray(matrix) != 0
    if marks.ndim != 2 or marks.shape[0] != marks.shape[1]:
        raise InputError(f"{label} must be a square matrix, got shape {marks.shape}")
    return np.asarray(marks)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
