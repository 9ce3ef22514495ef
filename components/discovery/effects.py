"""What a change of one variable does to another, along every path at once, and what setting several of them does."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from components.contracts import CausalGraph, FloatArray, frozen
from components.errors import InputError


@dataclass(frozen=True, eq=False)
class Response:
    """How far every variable moves, on average, when some are held at shifted values.

    Attributes:
        names: The p variables.
        change: [p] expected change of each, in its own units; exactly 0 where no path leads.
        low: [p] lower end of the 95 % bootstrap interval; NaN where no replicates tell of it.
        high: [p] upper end.
    """

    names: tuple[str, ...]
    change: FloatArray
    low: FloatArray
    high: FloatArray


def total_effects(weights: ArrayLike) -> FloatArray:
    """[effect, cause] total effects (I - B)^-1 - I of acyclic direct effects, exactly 0 where there is no path.

    Any leading axes are kept. The inverse is the product (I + B)(I + B^2)(I + B^4)..., which needs no causal order,
    ends because the graph has no cycle, and unlike an inversion leaves no rounding dust where no path exists.
    Costs two products of matrices for each doubling of the longest path: O(p^3 log p).
    """
    direct = np.asarray(weights, dtype=np.float64)
    total = direct.copy()
    power = direct
    for _ in range((direct.shape[-1] - 1).bit_length()):
        power = power @ power
        if not power.any():
            break
        total = total + power + total @ power
    return total


def percentile_interval(replicates: FloatArray, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
    """Lower and upper ends of the bootstrap percentile interval over the first axis of [replicates, ...]."""
    tail = (1 - level) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail], axis=0)
    return low, high


def intervene(graph: CausalGraph, shifts: Mapping[str, float], replicates: ArrayLike | None = None) -> Response:
    """The expected change of every variable when those of ``shifts`` are taken in hand: do(x = x + shift).

    A variable that is set no longer listens to its causes; the rest follow along the directed edges. The model is
    linear, so only shifts matter and not where they start. Confounded and undirected pairs carry nothing: what would
    flow through them is not identified.

    Args:
        graph: Direct effects in the units of the data, with intervals of the total effects.
        shifts: How far each named variable is moved, in its own units.
        replicates: [m, effect, cause] direct effects of the bootstrap replicates, in the units of the data. Without
            them the intervals of one shift come from ``graph``, and those of several together are NaN.

    Raises:
        InputError: No variable, an unknown one, or a shift that is not a finite number.
    """
    places = _places(graph, shifts)
    moved = np.zeros(len(graph.names))
    moved[places] = [float(shift) for shift in shifts.values()]
    change = _response(graph.weights, moved, places)
    if replicates is not None:
        low, high = percentile_interval(_response(np.asarray(replicates, dtype=np.float64), moved, places))
    elif len(places) == 1:
        ends = np.stack([graph.total_low[:, places[0]], graph.total_high[:, places[0]]]) * moved[places[0]]
        ends[:, places[0]] = moved[places[0]]
        low, high = ends.min(axis=0), ends.max(axis=0)
    else:
        low = high = np.where(np.isin(np.arange(len(moved)), places), moved, np.nan)
    return Response(graph.names, frozen(change), frozen(low), frozen(high))


def _places(graph: CausalGraph, shifts: Mapping[str, float]) -> list[int]:
    if not shifts:
        raise InputError("shifts must name at least one variable to set, got none")
    strange = [name for name in shifts if name not in graph.names]
    if strange:
        raise InputError(f"shifts must name variables of the graph, got {', '.join(strange)}")
    for name, shift in shifts.items():
        if not np.isfinite(shift):
            raise InputError(f"shift of {name} must be a finite number, got {shift}")
    return [graph.names.index(name) for name in shifts]


def _response(weights: FloatArray, moved: FloatArray, places: list[int]) -> FloatArray:
    """[..., p] changes: total effects of the set variables in the graph without the edges into them."""
    cut = weights.copy()
    cut[..., places, :] = 0.0
    change: FloatArray = moved + total_effects(cut) @ moved
    return change
