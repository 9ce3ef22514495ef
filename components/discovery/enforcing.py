"""Put the edges of a found graph right: acyclic, nothing forbidden, everything required that can be had.

Whatever loses or gains a parent is fitted anew by least squares on the parents that remain.
"""

from dataclasses import replace

import numpy as np

from components.causal_order import causal_order
from components.contracts import FloatArray
from components.discovery.constraints import BoolArray, Constraints, reachable
from components.discovery.found import Found, least_squares
from components.discovery.preparation import PreparedTable


def enforce(found: Found, table: PreparedTable, constraints: Constraints) -> Found:
    """``found`` with an acyclic set of edges that honours ``constraints``, its order, and notes of what was changed."""
    before, names = found.weights != 0, table.names
    against = before & constraints.before.T
    allowed = before & ~constraints.forbidden_edge & ~against
    order = found.order
    if not order or _violates(order, constraints.before):
        strength = np.where(allowed, np.abs(found.weights), 0.0)
        order = causal_order(np.where(constraints.before, np.inf, strength))
    place = np.argsort(order)
    forward = place[:, None] > place[None, :]
    wanted = (allowed | constraints.required_edge) & forward
    weights = found.weights.copy()
    for effect in np.flatnonzero((wanted != before).any(axis=1)):
        weights[effect] = least_squares(table.values, int(effect), wanted[effect])
    notes = [f"The edge {names[j]} -> {names[i]} was removed: it closed a cycle." for i, j in _pairs(allowed & ~wanted)]
    weights, cut = _without_forbidden_paths(table.values, weights, constraints)
    notes += [
        f"The edge {names[j]} -> {names[i]} was removed: it was part of a forbidden path."
        + (" It was required." if constraints.required_edge[i, j] else "")
        for i, j in cut
    ]
    missing = constraints.required_path & ~reachable(weights != 0)
    notes += [
        f"The data show no path {names[j]} -> ... -> {names[i]}, which was required; only its order was kept."
        for i, j in _pairs(missing)
    ]
    directed = (weights != 0) | (weights != 0).T
    closed = constraints.forbidden_edge & constraints.forbidden_edge.T
    return replace(
        found,
        weights=weights,
        order=tuple(int(index) for index in order),
        confounded=found.confounded & ~directed,
        undirected=found.undirected & ~directed & ~closed,
        notes=(*found.notes, *notes),
    )


def _violates(order: tuple[int, ...], before: BoolArray) -> bool:
    place = np.argsort(order)
    return bool((before & (place[:, None] < place[None, :])).any())


def _pairs(mask: BoolArray) -> list[tuple[int, int]]:
    return [(int(i), int(j)) for i, j in np.argwhere(mask)]


def _without_forbidden_paths(
    values: FloatArray, weights: FloatArray, constraints: Constraints
) -> tuple[FloatArray, tuple[tuple[int, int], ...]]:
    """Cut the weakest edge of a forbidden path, required edges last, until none is left."""
    weights, cut = weights.copy(), list[tuple[int, int]]()
    while constraints.forbidden_path.any():
        reach = reachable(weights != 0)
        broken = np.argwhere(reach & constraints.forbidden_path)
        if not len(broken):
            break
        on_path = _edges_between(weights != 0, reach, *broken[0])
        candidates = on_path & ~constraints.required_edge
        sizes = np.where(candidates if candidates.any() else on_path, np.abs(weights), np.inf)
        effect, cause = (int(index) for index in np.unravel_index(np.argmin(sizes), sizes.shape))
        parents = weights[effect] != 0
        parents[cause] = False
        weights[effect] = least_squares(values, effect, parents)
        cut.append((effect, cause))
    return weights, tuple(cut)


def _edges_between(edges: BoolArray, reach: BoolArray, effect: int, cause: int) -> BoolArray:
    from_cause, to_effect = reach[:, cause].copy(), reach[effect].copy()
    from_cause[cause] = to_effect[effect] = True
    return edges & np.outer(to_effect, from_cause)
