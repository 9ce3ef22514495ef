"""A causal graph as a picture: causes above their effects, surer edges thicker, weights on the edges that matter."""

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from components.contracts import CausalGraph, FloatArray, PriorKnowledge
from components.errors import InputError
from components.pictures.layers import Layout, lay_out

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Lengths are inches; colours are those of Okabe and Ito, told apart with any colour vision.
POSITIVE, NEGATIVE = "#0072B2", "#D55E00"
INK, NODE, TARGET, TARGET_EDGE = "#22303C", "#F2F5F8", "#FFF1B8", "#B07D00"
LINE_HEIGHT, PADDING, FONT, LABEL_FONT = 0.19, 0.12, 10.5, 8.0
MARGIN, LEGEND, HEAD = 0.35, 0.62, 0.13
STRONG = 0.5


@dataclass(frozen=True, eq=False)
class _Node:
    name: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, eq=False)
class _Edge:
    effect: int
    cause: int
    weight: float
    support: float
    known: bool
    scale: float
    line: FloatArray

    @property
    def colour(self) -> str:
        return POSITIVE if self.weight > 0 else NEGATIVE

    @property
    def width(self) -> float:
        return (0.7 + 2.3 * self.support) * self.scale


def draw_graph(graph: CausalGraph, path: Path, knowledge: PriorKnowledge | None = None) -> None:
    """Write the picture of ``graph`` to ``path``, as its suffix says.

    Legible up to about 20 variables. The numbers are direct effects in the units of the data; a number that would cover
    a node or another number is left out.

    Args:
        graph: What to draw.
        path: The file, ending in .png or .svg; its folder must exist.
        knowledge: Marks the edges that were known before.

    Raises:
        InputError: The suffix is another one.
    """
    if path.suffix not in (".png", ".svg"):
        raise InputError(f"path of a picture must end in .png or .svg, got {path.name!r}")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    joined = graph.weights != 0
    boxes = [_box(name, int(max(joined[i].sum(), joined[:, i].sum()))) for i, name in enumerate(graph.names)]
    layout = lay_out(joined, graph.order, [width for width, _ in boxes])
    nodes = _nodes(graph, layout, boxes)
    edges = _edges(graph, layout, nodes, knowledge)
    figure = Figure(facecolor="white")
    FigureCanvasAgg(figure)
    axes = _canvas(figure, nodes, edges)
    for edge in sorted(edges, key=lambda edge: edge.support):
        _draw_edge(axes, edge)
    for index, node in enumerate(nodes):
        _draw_node(axes, node, graph.names[index] == graph.target)
    _draw_labels(axes, edges, nodes, graph.names.index(graph.target))
    _draw_legend(axes, graph, any(edge.known for edge in edges))
    # Without a date equal graphs make equal files.
    figure.savefig(path, dpi=160, metadata={"Date": None} if path.suffix == ".svg" else None)


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


def _nodes(graph: CausalGraph, layout: Layout, boxes: list[tuple[float, float]]) -> list[_Node]:
    layers = max(layout.depth) + 1
    heights = [max(boxes[i][1] for i in range(len(boxes)) if layout.depth[i] == layer) for layer in range(layers)]
    # Layers that many edges pass between stand farther apart, so that the curves stay gentle.
    busy = np.zeros(layers)
    for effect, cause in np.argwhere(graph.weights != 0):
        busy[layout.depth[cause] : layout.depth[effect]] += 1
    levels = [0.0]
    for layer in range(1, layers):
        space = 0.6 + 0.035 * min(busy[layer - 1], 16)
        levels.append(levels[-1] - (heights[layer - 1] + heights[layer]) / 2 - space)
    return [
        _Node(name, float(layout.across[index]), levels[layout.depth[index]], *boxes[index])
        for index, name in enumerate(graph.names)
    ]


def _edges(graph: CausalGraph, layout: Layout, nodes: list[_Node], knowledge: PriorKnowledge | None) -> list[_Edge]:
    levels = {layout.depth[index]: node.y for index, node in enumerate(nodes)}
    half = {
        layer: max(node.height for index, node in enumerate(nodes) if layout.depth[index] == layer) / 2
        for layer in levels
    }
    starts, ends = _ports(layout, nodes)
    # A graph of many edges is drawn with a finer pen.
    scale = min(1.0, (25 / max(len(layout.bends), 1)) ** 0.5)
    edges = []
    for (effect, cause), bends in layout.bends.items():
        points = [(starts[effect, cause], nodes[cause].y - nodes[cause].height / 2)]
        for place, across in enumerate(bends, start=layout.depth[cause] + 1):
            points += [(across, levels[place] + half[place]), (across, levels[place] - half[place])]
        points.append((ends[effect, cause], nodes[effect].y + nodes[effect].height / 2))
        known = knowledge is not None and _is_known(knowledge, graph.names[effect], graph.names[cause])
        weight, support = float(graph.weights[effect, cause]), float(graph.support[effect, cause])
        edges.append(_Edge(effect, cause, weight, support, known, scale, np.array(points)))
    return edges


def _ports(layout: Layout, nodes: list[_Node]) -> tuple[dict[tuple[int, int], float], dict[tuple[int, int], float]]:
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


def _canvas(figure: "Figure", nodes: list[_Node], edges: list[_Edge]) -> "Axes":
    """Axes over the whole figure on which one unit is one inch."""
    across = [node.x + side * node.width / 2 for node in nodes for side in (-1, 1)]
    across += [float(place) for edge in edges for place in edge.line[:, 0]]
    low, high = min(across) - MARGIN, max(across) + MARGIN
    missing = max(0.0, 6.2 - (high - low)) / 2
    bottom = min(node.y - node.height / 2 for node in nodes) - MARGIN - LEGEND
    top = max(node.y + node.height / 2 for node in nodes) + MARGIN
    figure.set_size_inches(high - low + 2 * missing, top - bottom)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(low - missing, high + missing)
    axes.set_ylim(bottom, top)
    axes.axis("off")
    return axes


def _curve(edge: _Edge) -> FloatArray:
    """[m, 2] points along the edge: vertical through the bends, an S between them; ends where the head begins."""
    time = np.linspace(0, 1, 25)[:, None]
    line = edge.line.copy()
    line[-1, 1] += HEAD * 0.8
    parts = []
    for place in range(0, len(line), 2):
        (x0, y0), (x1, y1) = line[place], line[place + 1]
        middle = (y0 + y1) / 2
        knots = [np.array(knot) for knot in ((x0, y0), (x0, middle), (x1, middle), (x1, y1))]
        shares = ((1 - time) ** 3, 3 * time * (1 - time) ** 2, 3 * time**2 * (1 - time), time**3)
        parts.append(sum((share * knot for share, knot in zip(shares, knots, strict=True)), np.zeros((25, 2))))
    return np.concatenate(parts)


def _draw_edge(axes: "Axes", edge: _Edge) -> None:
    strong = edge.support >= STRONG
    curve, style = _curve(edge), "-" if strong else (0, (4, 2.5))
    alpha = 0.9 if strong else 0.4
    axes.plot(*curve.T, color="white", linewidth=edge.width + 2, solid_capstyle="butt", zorder=2)
    axes.plot(*curve.T, color=edge.colour, linewidth=edge.width, linestyle=style, alpha=alpha, zorder=2)
    x, y = edge.line[-1]
    half = HEAD * (0.28 + 0.17 * edge.support) * edge.scale**0.5
    head = [(x, y), (x - half, y + HEAD), (x + half, y + HEAD)]
    axes.fill(*zip(*head, strict=True), color=edge.colour, alpha=1 if strong else 0.55, linewidth=0, zorder=4)
    if edge.known:
        axes.plot(*edge.line[0], marker="o", markersize=6, color=INK, markeredgecolor="white", zorder=6)


def _draw_node(axes: "Axes", node: _Node, target: bool) -> None:
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
    weight = "bold" if target else "normal"
    axes.text(
        node.x, node.y, _wrapped(node.name), ha="center", va="center", fontsize=FONT, color=INK, weight=weight, zorder=7
    )


def _draw_labels(axes: "Axes", edges: list[_Edge], nodes: list[_Node], target: int) -> None:
    """Weights on the strong edges, those of the target first, each at the freest place along its edge."""
    taken = [(node.x, node.y, node.width / 2 + 0.03, node.height / 2 + HEAD) for node in nodes]
    curves = [_curve(edge) for edge in edges]
    strong = [index for index, edge in enumerate(edges) if edge.support >= STRONG]
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


def _draw_legend(axes: "Axes", graph: CausalGraph, known: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [
        Line2D([], [], color=POSITIVE, linewidth=3, label="increases"),
        Line2D([], [], color=NEGATIVE, linewidth=3, label="decreases"),
        Line2D([], [], color=INK, linewidth=3, label="support 100 %"),
        Line2D([], [], color=INK, linewidth=1.5, linestyle=(0, (4, 2.5)), alpha=0.5, label="support below 50 %"),
        Patch(facecolor=TARGET, edgecolor=TARGET_EDGE, linewidth=1.8, label="target"),
    ]
    if known:
        handles.append(Line2D([], [], color=INK, marker="o", markersize=6, linewidth=0, label="known before"))
    left, right = axes.get_xlim()
    legend = axes.legend(
        handles=handles, loc="lower center", ncols=len(handles) if right - left > 7.5 else 3, fontsize=8.5,
        frameon=False, labelcolor=INK, handlelength=2, columnspacing=1.6,
    )  # fmt: skip
    legend.set_title(
        f"{graph.rows:,} rows, {graph.replicates} bootstrap replicates; "
        "numbers are direct effects, in units of effect per unit of cause"
    )
    legend.get_title().set(fontsize=8.5, color=INK)
