"""The legend of a picture of a graph: what the picture uses, and nothing else."""

from typing import TYPE_CHECKING

from components.contracts import CausalGraph
from components.pictures.graph_parts import (
    CONFOUNDED,
    DASHED,
    INK,
    NEGATIVE,
    POSITIVE,
    STRONG,
    TARGET,
    TARGET_EDGE,
    UNDIRECTED,
    Edge,
    Node,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_legend(axes: "Axes", graph: CausalGraph, nodes: list[Node], edges: list[Edge]) -> None:
    """Below the graph, in as few rows as fit."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    directed = [edge for edge in edges if edge.kind == "directed"]
    kinds = {edge.kind for edge in edges}
    entries = [
        (any(e.weight > 0 for e in directed), Line2D([], [], color=POSITIVE, linewidth=3, label="increases")),
        (any(e.weight < 0 for e in directed), Line2D([], [], color=NEGATIVE, linewidth=3, label="decreases")),
        ("confounded" in kinds, Line2D([], [], color=CONFOUNDED, linewidth=2, linestyle=DASHED, label="hidden cause")),
        ("undirected" in kinds, Line2D([], [], color=UNDIRECTED, linewidth=2, label="direction open")),
        (any(e.support >= STRONG for e in directed), Line2D([], [], color=INK, linewidth=3, label="support 100 %")),
        (
            any(e.support < STRONG for e in directed),
            Line2D([], [], color=INK, linewidth=1.5, linestyle=DASHED, alpha=0.5, label="support below 50 %"),
        ),
        (True, Patch(facecolor=TARGET, edgecolor=TARGET_EDGE, linewidth=1.8, label="target")),
        (any(e.known for e in edges), Line2D([], [], color=INK, marker="o", linewidth=0, label="known before")),
        (
            any(n.rootless for n in nodes),
            Line2D(
                [], [], color=INK, marker="_", markersize=13, markeredgewidth=3, linewidth=0, label="told: no causes"
            ),
        ),
    ]
    handles = [handle for there, handle in entries if there]
    left, right = axes.get_xlim()
    rows = -(-len(handles) // max(3, int((right - left) / 1.45)))
    legend = axes.legend(
        handles=handles, loc="lower center", ncols=-(-len(handles) // rows), fontsize=8.5, frameon=False,
        labelcolor=INK, handlelength=2, columnspacing=1.6,
    )  # fmt: skip
    legend.set_title(
        f"{graph.rows:,} rows, {graph.replicates} bootstrap replicates"
        + ("; numbers are direct effects, in units of effect per unit of cause" if directed else "")
    )
    legend.get_title().set(fontsize=8.5, color=INK)
