"""How every picture looks: one page, one palette that colour-blind readers can tell apart, one way to be written."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

INK = "#1f2933"
MUTED = "#6b7785"
GRID = "#e4e7eb"
OURS = "#b8860b"
OURS_LIGHT = "#f0d58c"
BLUE = "#0072b2"
RED = "#b5341f"
STEPS = ("#a9b8c6", "#7f9bb3", "#4f7fa3", "#1f5f8b", "#123a5a")
OTHERS = ("#009e73", "#cc5c9b", "#0072b2", "#d55e00", "#56b4e9", "#555555")
MARKERS = ("s", "^", "D", "v", "P", "X", "o")
DOTS_PER_INCH = 130

_SETTINGS: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.labelsize": 9.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@contextmanager
def page(path: Path, width: float, height: float) -> Iterator[Any]:
    """A matplotlib figure that is written to ``path`` as PNG when the block ends well.

    No global state of matplotlib is changed, and a block that fails leaves no file behind.

    Args:
        path: Where the PNG goes; an older one is replaced at once.
        width: In inches, at 130 dots an inch.
        height: In inches.
    """
    import matplotlib
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with matplotlib.rc_context(cast(Any, _SETTINGS)):
        figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
        canvas: Any = FigureCanvasAgg(figure)
        yield figure
        canvas.draw()
        # Lines and flat areas need few colours; a palette makes the file a third as large.
        image = Image.fromarray(np.asarray(canvas.buffer_rgba())[:, :, :3]).quantize(
            224, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
        )
        try:
            image.save(part, format="PNG", optimize=True, dpi=(DOTS_PER_INCH, DOTS_PER_INCH))
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def palette(names: Sequence[str], ours: str) -> dict[str, str]:
    """A colour for each model: gold for ours, distinct ones for the others."""
    others = [name for name in names if name != ours]
    colours = {name: OTHERS[index % len(OTHERS)] for index, name in enumerate(others)}
    return {name: OURS if name == ours else colours[name] for name in names}


def title(metric_title: str) -> str:
    """The title of a metric, ready to head a panel."""
    return metric_title[0].upper() + metric_title[1:]


def label_batches(axes: Any, labels: Sequence[str]) -> None:
    """Mark the batches on the horizontal axis, slanted when they would touch."""
    crowded = sum(len(label) for label in labels) > 45
    axes.set_xticks(range(len(labels)), labels, rotation=40 if crowded else 0, ha="right" if crowded else "center")
    axes.set_xlim(-0.4, len(labels) - 0.6)
    axes.grid(visible=False, axis="x")
