"""What a language model thinks of every pair, as a picture: one square a pair, and a mark where it became a claim."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from components.contracts import FloatArray, PriorKnowledge
from components.pictures import style

CELL, LEAST = 0.36, 3.2
LETTER, BAR, HEADS = 0.075, 1.1, 1.3
"""Inches of a letter, of the colour bar, and of titles and legend."""
NUMBERS = 16
"""Numbers are written into the squares of up to this many variables."""
MARKS = {1: "\N{BLACK CIRCLE}", 0: "\N{MULTIPLICATION SIGN}", -1: ""}
TITLES = {"path": "P(a path from cause to effect)", "edge": "P(a direct edge from cause to effect)"}


def draw_knowledge(knowledge: PriorKnowledge, probabilities: Mapping[str, FloatArray], path: Path) -> None:
    """Write the probabilities of all pairs, rows effects and columns causes.

    A filled dot marks what is required in the end, a cross what is forbidden, whoever claimed it; a hatched square was
    not asked for, or its answer was not accepted.

    Args:
        knowledge: What is used.
        probabilities: [effect, cause] by kind, ``path`` and ``edge``; a kind that nobody was asked for is left out.
        path: The PNG to write.
    """
    asked = {kind: matrix for kind, matrix in probabilities.items() if np.isfinite(matrix).any()}
    shown = asked or {"path": knowledge.probability}
    side = max(CELL * len(knowledge.names), LEAST)
    label = LETTER * max(map(len, knowledge.names))
    with style.page(path, len(shown) * (side + 0.3) + label + BAR, side + label + HEADS) as figure:
        panels = np.atleast_1d(figure.subplots(1, len(shown), sharey=True))
        image = None
        for axes, (kind, matrix) in zip(panels, shown.items(), strict=True):
            image = _panel(axes, knowledge, kind, matrix)
        panels[0].set_ylabel("effect")
        panels[0].set_yticks(range(len(knowledge.names)), knowledge.names)
        bar = figure.colorbar(image, ax=list(panels), shrink=0.8, ticks=[0, 0.25, 0.5, 0.75, 1])
        bar.outline.set_visible(False)
        legend = f"{MARKS[1]} required    {MARKS[0]} forbidden    (in the end, by anyone)"
        figure.supxlabel(legend, fontsize=8.5, color=style.MUTED)


def _panel(axes: Any, knowledge: PriorKnowledge, kind: str, matrix: FloatArray) -> Any:
    names = knowledge.names
    image = axes.imshow(matrix, cmap="PuOr", vmin=0, vmax=1, aspect="equal")
    axes.set_title(TITLES[kind])
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_xlabel("cause")
    axes.grid(visible=False)
    marks = knowledge.path if kind == "path" else knowledge.edge
    crowded = len(names) > NUMBERS
    for (i, j), value in np.ndenumerate(matrix):
        if not np.isfinite(value):
            axes.add_patch(_square(i, j))
        mark = MARKS[int(marks[i, j])]
        number = "" if crowded or not np.isfinite(value) else f"{value:.2f}".removeprefix("0")
        dark = np.isfinite(value) and abs(value - 0.5) > 0.28
        text = "\n".join(part for part in (mark, number) if part)
        axes.text(j, i, text, ha="center", va="center", fontsize=7, color="white" if dark else style.INK)
    return image


def _square(effect: int, cause: int) -> Any:
    """Without an answer; plain on the diagonal, where there is no question."""
    from matplotlib.patches import Rectangle

    hatch = None if effect == cause else "////"
    corner = (cause - 0.5, effect - 0.5)
    return Rectangle(corner, 1, 1, facecolor=style.GRID, edgecolor=style.MUTED, hatch=hatch, linewidth=0)
