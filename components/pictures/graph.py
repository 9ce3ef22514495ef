"""A causal graph as a picture: causes above their effects, surer edges thicker, weights on the edges that matter.

Pairs that share a hidden cause are dashed lines with a head at both ends, pairs whose direction is open lines without
heads. Of a graph too large for a page the neighbourhood of the target is drawn.
"""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from components.contracts import CausalGraph, FloatArray, PriorKnowledge
from components.errors import InputError
from components.pictures.graph_legend import draw_legend
from components.pictures.graph_parts import (
    DASHED,
    INK,
    NODE,
    STRONG,
    TARGET,
    TARGET_EDGE,
    Edge,
    Kind,
    Node,
)
from components.pictures.layers import Layout, lay_out
from components.pictures.neighbourhood import nearest, pair_marks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Lengths are inches.
LINE_HEIGHT, PADDING, FONT, LABEL_FONT = 0.19, 0.12, 10.5, 8.0
MARGIN, LEGEND, HEAD = 0.35, 0.62, 0.13
MOST_VARIABLES, MOST_LINES = 32, 90


def draw_graph(graph: CausalGraph, *paths: Path, knowledge: PriorKnowledge | None = None) -> None:
    """Write one picture of ``graph`` to each of ``paths``, as its suffix says.

    The numbers are direct effects in the units of the data; a number that would cover a node or another number is left
    out. Of more than 32 variables, or 90 edges and pairs, only those nearest to the target are drawn, which the
    picture's title says.

    Args:
        graph: What to draw.
        paths: The files, ending in .png or .svg; their folders must exist.
        knowledge: Marks the edges that were known before, and the variables that were told to have no causes here.

    Raises:
        InputError: The suffix is another one.
    """
    for path in paths:
        if path.suffix not in (".png", ".svg"):
            raise InputError(f"path of a picture must end in .png or .svg, got {path.name!r}")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = nearest(graph, MOST_VARIABLES, MOST_LINES)
    joined = _joined(shown)
    boxes = [_box(name, int(max(joined[i].sum(), joined[:, i].sum()))) for i, name in enumerate(shown.names)]
    layout = lay_out(joined, shown.order, [width for width, _ in boxes])
    nodes = _nodes(shown, layout, boxes, knowledge)
    edges = _edges(shown, layout, nodes, knowledge)
    figure = Figure(facecolor="white")
    FigureCanvasAgg(figure)
    axes = _canvas(figure, nodes, edges, titled=shown is not graph)
    for edge in sorted(edges, key=lambda edge: edge.support):
        _draw_edge(axes, edge)
    for index, node in enumerate(nodes):
        _draw_node(axes, node, shown.names[index] == shown.target)
    _draw_labels(axes, edges, nodes, shown.names.index(shown.target))
    draw_legend(axes, shown, nodes, edges)
    if shown is not graph:
        _draw_title(axes, f"The {len(shown.names)} of {len(graph.names)} variables that are nearest to {graph.target}")
    for path in paths:
        # Without a date equal graphs make equal files.
        figure.savefig(path, dpi=160, metadata={"Date": None} if path.suffix == ".svg" else None)


def _joined(graph: CausalGraph) -> NDArray[np.bool_]:
    """[effect, cause] every line to be drawn; a pair without direction runs down the causal order."""
    place = np.argsort(graph.order)
    pairs = pair_marks(graph, (*graph.confounded, *graph.undirected)) & (place[:, None] > place[None, :])
    return np.asarray((graph.weights != 0) | pairs)


def _box(name: str, ports: int) -> tuple[float, float]:
    """Width and height that hold the name and, side by side, the ``ports`` heads of the busier side."""
    lines = _wrapped(name).split("\n")
    width = max(_text_width(line, FONT) for line in lines) + 2 * PADDING + 0.08
    return max(width, 0.13 * ports), len(lines) * LINE_HEIGHT + 2 * PADDING


def _wrapped(name: str) -> str:
    return "\n".join(textwrap.wrap(name.replace("_", " "), 15)) or name


def _text_width(text: str, size: float) -> float:
    from matplotlib.textpath import TextPath

    return float(TextPath((0, 0), text, size=size).get_extents().width) / 72


def _nodes(
    graph: CausalGraph, layout: Layout, boxes: list[tuple[float, float]], knowledge: PriorKnowledge | None
) -> list[Node]:
    layers = max(layout.depth) + 1
    heights = [max(boxes[i][1] for i in range(len(boxes)) if layout.depth[i] == layer) for layer in range(layers)]
    # Layers that many edges pass between stand farther apart, so that the curves stay gentle.
    busy = np.zeros(layers)
    for effect, cause in layout.bends:
        busy[layout.depth[cause] : layout.depth[effect]] += 1
    levels = [0.0]
    for layer in range(1, layers):
        space = 0.6 + 0.035 * min(busy[layer - 1], 16)
        levels.append(levels[-1] - (heights[layer - 1] + heights[layer]) / 2 - space)
    return [
        Node(name, float(layout.across[index]), levels[layout.depth[index]], *boxes[index], _rootless(knowledge, name))
        for index, name in enumerate(graph.names)
    ]


def _edges(graph: CausalGraph, layout: Layout, nodes: list[Node], knowledge: PriorKnowledge | None) -> list[Edge]:
    levels = {layout.depth[index]: node.y for index, node in enumerate(nodes)}
    half = {
        layer: max(node.height for index, node in enumerate(nodes) if layout.depth[index] == layer) / 2
        for layer in levels
    }
    starts, ends = _ports(layout, nodes)
    # A graph of many edges is drawn with a finer pen.
    scale = min(1.0, (25 / max(len(layout.bends), 1)) ** 0.5)
    confounded = pair_marks(graph, graph.confounded)
    agreed = {frozenset((pair.first, pair.second)): pair.support for pair in graph.findings.pairs}
    edges = []
    for (effect, cause), bends in layout.bends.items():
        points = [(starts[effect, cause], nodes[cause].y - nodes[cause].height / 2)]
        for place, across in enumerate(bends, start=layout.depth[cause] + 1):
            points += [(across, levels[place] + half[place]), (across, levels[place] - half[place])]
        points.append((ends[effect, cause], nodes[effect].y + nodes[effect].height / 2))
        known = knowledge is not None and _is_known(knowledge, graph.names[effect], graph.names[cause])
        weight, support = float(graph.weights[effect, cause]), float(graph.support[effect, cause])
        kind: Kind = "directed"
        if not weight:
            kind = "confounded" if confounded[effect, cause] else "undirected"
            support = agreed.get(frozenset((graph.names[effect], graph.names[cause])), 1.0)
        edges.append(Edge(effect, cause, kind, weight, support, known, scale, np.array(points)))
    return edges


def _ports(layout: Layout, nodes: list[Node]) -> tuple[dict[tuple[int, int], float], dict[tuple[int, int], float]]:
    """Where each edge leaves its cause and enters its effect: spread over the box, in the order of the ways on."""
    starts: dict[tuple[int, int], float] = {}
    ends: dict[tuple[int, int], float] = {}
    for index, node in enumerate(nodes):
        leaving = {pair: bends[0] if bends else nodes[pair[0]].x for pair, bends in layout.bends.items()}
        entering = {pair: bends[-1] if bends else nodes[pair[1]].x for pair, bends in layout.bends.items()}
        for side, towards, ports in ((1, leaving, starts), (0, entering, ends)):
            pairs = sorted((pair for pair in layout.bends if pair[side] == index), key=towards.__getitem__)
            step = min(0.24, 0.9 * node.width / max(len(pairs), 1))
            for rank, pair in enumerate(pairs):
                ports[pair] = node.x + step * (rank - (len(pairs) - 1) / 2)
    return starts, ends


def _is_known(knowledge: PriorKnowledge, effect: str, cause: str) -> bool:
    if effect not in knowledge.names or cause not in knowledge.names:
        return False
    cell = knowledge.names.index(effect), knowledge.names.index(cause)
    return bool(knowledge.edge[cell] == 1 or knowledge.path[cell] == 1)


def _rootless(knowledge: PriorKnowledge | None, name: str) -> bool:
    """Whether every other variable that the knowledge speaks of was forbidden to act on ``name``."""
    if knowledge is None or name not in knowledge.names or len(knowledge.names) < 2:
        return False
    row = knowledge.names.index(name)
    forbidden = (knowledge.path[row] == 0) | (knowledge.edge[row] == 0)
    return bool(np.delete(forbidden, row).all())


def _canvas(figure: "Figure", nodes: list[Node], edges: list[Edge], titled: bool) -> "Axes":
    """Axes over the whole figure on which one unit is one inch."""
    across = [node.x + side * node.width / 2 for node in nodes for side in (-1, 1)]
    across += [float(place) for edge in edges for place in edge.line[:, 0]]
    low, high = min(across) - MARGIN, max(across) + MARGIN
    missing = max(0.0, 6.2 - (high - low)) / 2
    bottom = min(node.y - node.height / 2 for node in nodes) - MARGIN - LEGEND
    top = max(node.y + node.height / 2 for node in nodes) + MARGIN * (2 if titled else 1)
    figure.set_size_inches(high - low + 2 * missing, top - bottom)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(low - missing, high + missing)
    axes.set_ylim(bottom, top)
    axes.axis("off")
    return axes


def _curve(edge: Edge) -> FloatArray:
    """[m, 2] points along the edge: vertical through the bends, an S between them; ends where the head begins."""
    time = np.linspace(0, 1, 25)[:, None]
    line = edge.line.copy()
    if edge.kind != "undirected":
        line[-1, 1] += HEAD * 0.8
    if edge.kind == "confounded":
        line[0, 1] -= HEAD * 0.8
    parts = []
    for place in range(0, len(line), 2):
        (x0, y0), (x1, y1) = line[place], line[place + 1]
        middle = (y0 + y1) / 2
        knots = [np.array(knot) for knot in ((x0, y0), (x0, middle), (x1, middle), (x1, y1))]
        shares = ((1 - time) ** 3, 3 * time * (1 - time) ** 2, 3 * time**2 * (1 - time), time**3)
        parts.append(sum((share * knot for share, knot in zip(shares, knots, strict=True)), np.zeros((25, 2))))
    return np.concatenate(parts)


def _draw_edge(axes: "Axes", edge: Edge) -> None:
    strong = edge.support >= STRONG
    curve, style = _curve(edge), DASHED if edge.kind == "confounded" or not strong else "-"
    alpha = 0.9 if strong else 0.4
    axes.plot(*curve.T, color="white", linewidth=edge.width + 2, solid_capstyle="butt", zorder=2)
    axes.plot(*curve.T, color=edge.colour, linewidth=edge.width, linestyle=style, alpha=alpha, zorder=2)
    heads: dict[Kind, tuple[tuple[int, float], ...]]
    heads = {"directed": ((-1, HEAD),), "confounded": ((-1, HEAD), (0, -HEAD)), "undirected": ()}
    half = HEAD * (0.28 + 0.17 * edge.support) * edge.scale**0.5
    for end, height in heads[edge.kind]:
        x, y = edge.line[end]
        head = [(x, y), (x - half, y + height), (x + half, y + height)]
        axes.fill(*zip(*head, strict=True), color=edge.colour, alpha=1 if strong else 0.55, linewidth=0, zorder=4)
    if edge.known:
        axes.plot(*edge.line[0], marker="o", markersize=6, color=INK, markeredgecolor="white", zorder=6)


def _draw_node(axes: "Axes", node: Node, target: bool) -> None:
    from matplotlib.patches import FancyBboxPatch

    corner = (node.x - node.width / 2, node.y - node.height / 2)
    axes.add_patch(
        FancyBboxPatch(
            corner,
            node.width,
            node.height,
            boxstyle="round,pad=0,rounding_size=0.08",
            facecolor=TARGET if target else NODE,
            edgecolor=TARGET_EDGE if target else INK,
            linewidth=2.2 if target else 1.0,
            zorder=5,
        )
    )
    if node.rootless:
        top = node.y + node.height / 2 + 0.035
        ends = [node.x - node.width / 2 + 0.04, node.x + node.width / 2 - 0.04]
        axes.plot(ends, [top, top], color=INK, linewidth=3, solid_capstyle="butt", zorder=7)
    weight = "bold" if target else "normal"
    axes.text(
        node.x, node.y, _wrapped(node.name), ha="center", va="center", fontsize=FONT, color=INK, weight=weight, zorder=7
    )


def _draw_labels(axes: "Axes", edges: list[Edge], nodes: list[Node], target: int) -> None:
    """Weights on the strong edges, those of the target first, each at the freest place along its edge."""
    taken = [(node.x, node.y, node.width / 2 + 0.03, node.height / 2 + HEAD) for node in nodes]
    curves = [_curve(edge) for edge in edges]
    strong = [index for index, edge in enumerate(edges) if edge.kind == "directed" and edge.support >= STRONG]
    strong.sort(key=lambda index: (target not in (edges[index].effect, edges[index].cause), -edges[index].support))
    for index in strong:
        text = f"{edges[index].weight:.2g}".replace("-", "\N{MINUS SIGN}")
        half = np.array([_text_width(text, LABEL_FONT) / 2 + 0.04, 0.075])
        others = np.concatenate([curve for place, curve in enumerate(curves) if place != index] or [np.empty((0, 2))])
        spots = [
            (int((np.abs(others - spot) < half).all(axis=1).sum()), abs(rank - len(curves[index]) // 2), tuple(spot))
            for rank, spot in enumerate(curves[index])
            if all(abs(spot[0] - x) >= w + half[0] or abs(spot[1] - y) >= h + half[1] for x, y, w, h in taken)
        ]
        if spots:
            x, y = min(spots)[2]
            taken.append((x, y, *half))
            axes.text(
                x, y, text, ha="center", va="center", fontsize=LABEL_FONT, color=edges[index].colour, zorder=6,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.9},
            )  # fmt: skip


def _draw_title(axes: "Axes", title: str) -> None:
    left, right = axes.get_xlim()
    axes.text(
        (left + right) / 2, axes.get_ylim()[1] - MARGIN / 2, title, ha="center", va="top", fontsize=FONT, color=INK,
        weight="bold",
    )  # fmt: skip
