"""Places for the nodes and edges of an acyclic graph: layers of causal depth from top to bottom.

An edge that spans several layers is led through a bend in each layer between, so that no edge runs over a node. Orders
within the layers come from barycentre sweeps and swaps of neighbours, positions from pulling each item towards its
neighbours above and below under the least distances that their widths ask for.

Sugiyama, Tagawa and Toda, Methods for visual understanding of hierarchical system structures, IEEE SMC 11, 1981.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.contracts import FloatArray

BEND = 0.2
GAP = 0.3
SWEEPS = 24
PULLS = 60


@dataclass(frozen=True, eq=False)
class Layout:
    """Where everything goes, in the unit of the widths.

    Attributes:
        across: [p] horizontal centre of each node.
        depth: [p] layer of each node, 0 for the exogenous ones.
        bends: For each edge (effect, cause) the horizontal places at which it crosses the layers between, from the
            cause downwards.
    """

    across: FloatArray
    depth: tuple[int, ...]
    bends: dict[tuple[int, int], tuple[float, ...]]


def lay_out(edges: NDArray[np.bool_], order: Sequence[int], widths: Sequence[float]) -> Layout:
    """A layout of the acyclic graph ``edges`` [effect, cause] whose nodes have ``widths``; deterministic."""
    depth = [0] * len(widths)
    for effect in order:
        depth[effect] = max((depth[cause] + 1 for cause in np.flatnonzero(edges[effect])), default=0)
    net = _Net(depth, list(widths), order)
    chains = {(int(i), int(j)): net.connect(int(j), int(i)) for i, j in np.argwhere(edges)}
    net.untangle()
    across = net.place()
    bends = {pair: tuple(float(across[item]) for item in chain) for pair, chain in chains.items()}
    return Layout(across[: len(widths)], tuple(depth), bends)


class _Net:
    """Nodes and bends in layers, with the links between neighbouring layers."""

    def __init__(self, depth: Sequence[int], widths: list[float], order: Sequence[int]) -> None:
        self.nodes = len(widths)
        self.widths = widths
        self.layer = list(depth)
        self.layers: list[list[int]] = [[] for _ in range(max(depth) + 1)]
        for node in order:
            self.layers[depth[node]].append(node)
        self.above: list[list[int]] = [[] for _ in widths]
        self.below: list[list[int]] = [[] for _ in widths]

    def connect(self, cause: int, effect: int) -> list[int]:
        """Link two nodes, through new bends where layers lie between, and return the bends."""
        chain = []
        upper = cause
        for layer in range(self.layer[cause] + 1, self.layer[effect]):
            bend = len(self.widths)
            self.widths.append(BEND)
            self.layer.append(layer)
            self.above.append([])
            self.below.append([])
            self.layers[layer].append(bend)
            self._link(upper, bend)
            chain.append(bend)
            upper = bend
        self._link(upper, effect)
        return chain

    def untangle(self) -> None:
        """Order the layers so that few links cross."""
        best, fewest = [list(layer) for layer in self.layers], self._crossings()
        for sweep in range(SWEEPS):
            down = sweep % 2 == 0
            for layer in self.layers if down else self.layers[::-1]:
                self._sort(layer, self.above if down else self.below)
            self._swap_neighbours()
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(layer) for layer in self.layers], crossings
        self.layers = best

    def place(self) -> FloatArray:
        """Horizontal places that keep the order and the distances of each layer and make links short and straight."""
        from scipy.optimize import isotonic_regression

        across = np.zeros(len(self.widths))
        offsets = [self._offsets(layer) for layer in self.layers]
        for layer, offset in zip(self.layers, offsets, strict=True):
            across[layer] = offset - offset.mean()
        for _ in range(PULLS):
            for layer, offset in zip(self.layers, offsets, strict=True):
                wanted = np.array([self._pull(item, across) for item in layer])
                across[layer] = isotonic_regression(wanted - offset).x + offset
        return across

    def _link(self, upper: int, lower: int) -> None:
        self.below[upper].append(lower)
        self.above[lower].append(upper)

    def _sort(self, layer: list[int], neighbours: list[list[int]]) -> None:
        place = self._places()
        centre = {
            item: float(np.mean([place[other] for other in neighbours[item]])) if neighbours[item] else place[item]
            for item in layer
        }
        layer.sort(key=centre.__getitem__)

    def _swap_neighbours(self) -> None:
        place = self._places()
        for layer in self.layers:
            for left in range(len(layer) - 1):
                first, second = layer[left], layer[left + 1]
                now = later = 0
                for links in (self.above, self.below):
                    a, b = ([place[other] for other in links[item]] for item in (first, second))
                    now += sum(x > y for x in a for y in b)
                    later += sum(x < y for x in a for y in b)
                if later < now:
                    layer[left], layer[left + 1] = second, first
                    place[first], place[second] = place[second], place[first]

    def _crossings(self) -> int:
        place, total = self._places(), 0
        for layer in self.layers[:-1]:
            links = np.array([(place[item], place[other]) for item in layer for other in self.below[item]])
            if len(links):
                apart = links[:, None, :] - links[None, :, :]
                total += int((apart[..., 0] * apart[..., 1] < 0).sum()) // 2
        return total

    def _places(self) -> list[float]:
        """Where an item stands in its layer, from 0 to 1, so that layers of different size compare."""
        place = [0.5] * len(self.widths)
        for layer in self.layers:
            for rank, item in enumerate(layer):
                place[item] = (rank + 0.5) / len(layer)
        return place

    def _offsets(self, layer: list[int]) -> FloatArray:
        width = np.array([self.widths[item] for item in layer])
        gap = np.array([GAP if item < self.nodes else BEND / 2 for item in layer])
        steps = (width[1:] + width[:-1]) / 2 + (gap[1:] + gap[:-1]) / 2
        return np.concatenate([[0.0], np.cumsum(steps)])

    def _pull(self, item: int, across: FloatArray) -> float:
        others = self.above[item] + self.below[item]
        if not others:
            return float(across[item])
        # Long edges should be straight, so bends hold together more strongly than nodes.
        weights = [1.0 if other < self.nodes else 2.0 if item < self.nodes else 8.0 for other in others]
        return float(np.average(across[others], weights=weights))
