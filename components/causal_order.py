"""The causal order that breaks the least: a weighted minimum feedback arc set.

Only variables on a common cycle compete, so each strongly connected component is ordered by itself: exactly, by
dynamic programming over its subsets in O(2^p p), up to ``EXACT`` variables; beyond that by a greedy order that is
then improved by moving single variables until no move helps.
"""

import numpy as np

from components.contracts import FloatArray
from components.relations import widest

EXACT = 16


def causal_order(strength: FloatArray) -> tuple[int, ...]:
    """Indices of the variables, causes first, with the least total strength of relations against the order.

    Args:
        strength: [effect, cause] nonnegative strength of each relation. Infinite ones are never broken; they
            must not form a cycle.
    """
    fixed = np.isinf(strength)
    weights = np.where(fixed, 1.0 + strength[~fixed].sum(), strength)
    reach = widest(weights) > 0
    order: list[int] = []
    for component in _components(reach):
        order += [int(component[place]) for place in _order_component(weights[np.ix_(component, component)])]
    return tuple(order)


def broken(strength: FloatArray, order: tuple[int, ...]) -> FloatArray:
    """[effect, cause] the relations that run against ``order``, 0 elsewhere."""
    position = np.argsort(order)
    return np.where(position[:, None] <= position[None, :], strength, 0.0)


def _components(reach: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> list[list[int]]:
    """Strongly connected components, causes first: whoever reaches a component has more descendants than it."""
    mutual = (reach & reach.T) | np.eye(len(reach), dtype=bool)
    first = {int(row.argmax()): [int(index) for index in np.flatnonzero(row)] for row in mutual}
    descendants = (reach | mutual).sum(axis=0)
    return sorted(first.values(), key=lambda component: (-descendants[component[0]], component[0]))


def _order_component(weights: FloatArray) -> list[int]:
    if len(weights) <= EXACT:
        return _exact(weights)
    return _improved(weights, _greedy(weights))


def _exact(weights: FloatArray) -> list[int]:
    """Cheapest way to fill the order from the front, over all subsets already placed."""
    size = len(weights)
    subsets = np.arange(1 << size)
    cost = np.full(len(subsets), np.inf)
    cost[0] = 0.0
    last = np.zeros(len(subsets), dtype=np.int64)
    penalty = [_penalties(weights[:, variable]) for variable in range(size)]
    count = np.bitwise_count(subsets)
    for placed in range(size):
        layer = subsets[count == placed]
        for variable in range(size):
            before = layer[(layer >> variable) & 1 == 0]
            after = before | (1 << variable)
            price = cost[before] + penalty[variable][before]
            better = price < cost[after]
            cost[after[better]] = price[better]
            last[after[better]] = variable
    order: list[int] = []
    subset = len(subsets) - 1
    while subset:
        order.append(int(last[subset]))
        subset &= ~(1 << order[-1])
    return order[::-1]


def _penalties(effects: FloatArray) -> FloatArray:
    """[2^p] what it costs to place a variable after all of its ``effects`` in each subset."""
    total = np.zeros(1)
    for effect in effects:
        total = np.concatenate([total, total + effect])
    return total


def _greedy(weights: FloatArray) -> list[int]:
    """Next comes, again and again, the variable that is most a cause and least an effect of those left."""
    left = list(range(len(weights)))
    order = []
    while left:
        inside = weights[np.ix_(left, left)]
        # What would be broken by placing it now comes first: it holds the weight of relations never to be broken.
        best = min(range(len(left)), key=lambda place: (inside[place].sum(), -inside[:, place].sum()))
        order.append(left.pop(best))
    return order


def _improved(weights: FloatArray, order: list[int]) -> list[int]:
    moved = True
    while moved:
        moved = False
        for variable in range(len(weights)):
            rest = [other for other in order if other != variable]
            too_late = np.concatenate([[0.0], np.cumsum(weights[rest, variable])])
            too_early = np.concatenate([np.cumsum(weights[variable, rest][::-1])[::-1], [0.0]])
            price = too_late + too_early
            here, best = order.index(variable), int(price.argmin())
            if price[best] < price[here] - 1e-9:
                order = [*rest[:best], variable, *rest[best:]]
                moved = True
    return order
