"""The part of a large graph that a page can show: the target and what is nearest to it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from components.contracts import CausalGraph, FloatArray


def pair_marks(graph: CausalGraph, pairs: Sequence[tuple[str, str]]) -> NDArray[np.bool_]:
    """[p, p] symmetric marks of ``pairs``."""
    marks = np.zeros(graph.weights.shape, dtype=np.bool_)
    for first, second in pairs:
        i, j = graph.names.index(first), graph.names.index(second)
        marks[i, j] = marks[j, i] = True
    return marks


def nearest(graph: CausalGraph, most: int, lines: int) -> CausalGraph:
    """``graph`` on at most ``most`` variables with at most ``lines`` edges and pairs between them, target included.

    Those with the fewest lines to the target come first, the better supported ones before others as near. A graph
    within both bounds comes back as it is.
    """
    joined = (graph.weights != 0) | pair_marks(graph, (*graph.confounded, *graph.undirected))
    joined |= joined.T
    if len(graph.names) <= most and joined.sum() // 2 <= lines:
        return graph
    kept: list[int] = []
    for index in _by_distance(joined, np.maximum(graph.support, graph.support.T), graph.names.index(graph.target)):
        wider = [*kept, index]
        if len(wider) > most or joined[np.ix_(wider, wider)].sum() // 2 > lines:
            break
        kept = wider
    return _restricted(graph, sorted(kept))


def _by_distance(joined: NDArray[np.bool_], support: FloatArray, start: int) -> list[int]:
    """Indices by their number of lines from ``start``; those without a way come last."""
    order, frontier = [start], [start]
    left = np.ones(len(joined), dtype=np.bool_)
    left[start] = False
    while left.any():
        reached = np.flatnonzero(joined[frontier].any(axis=0) & left)
        if not len(reached):
            reached = np.flatnonzero(left)
        strength = np.where(joined[frontier][:, reached], support[frontier][:, reached], -1.0).max(axis=0)
        frontier = [int(reached[place]) for place in np.argsort(-strength, kind="stable")]
        left[frontier] = False
        order += frontier
    return order


def _restricted(graph: CausalGraph, kept: list[int]) -> CausalGraph:
    cell = np.ix_(kept, kept)
    names = tuple(graph.names[index] for index in kept)
    return CausalGraph(
        names=names,
        weights=graph.weights[cell],
        order=tuple(kept.index(index) for index in graph.order if index in kept),
        support=graph.support[cell],
        total=graph.total[cell],
        total_low=graph.total_low[cell],
        total_high=graph.total_high[cell],
        target=graph.target,
        rows=graph.rows,
        replicates=graph.replicates,
        confounded=tuple(pair for pair in graph.confounded if set(pair) <= set(names)),
        notes=graph.notes,
        undirected=tuple(pair for pair in graph.undirected if set(pair) <= set(names)),
        findings=graph.findings,
    )
