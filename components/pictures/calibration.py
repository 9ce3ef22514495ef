"""Do probabilities mean what they say: a reliability diagram over the counts of predictions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from components.contracts import FloatArray
from components.evaluation import METRICS, OURS
from components.pictures import style

BINS = 10
_TICKS = (0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1)


def draw_calibration(
    truth: FloatArray,
    probabilities: Mapping[str, FloatArray],
    path: Path,
    happened: str = "share of positives among such rows",
    rare: bool = True,
) -> None:
    """Write the reliability diagram of each model, ours with 95 % intervals, over a histogram of its predictions.

    Args:
        truth: [n] 0, 1 or NaN; NaN rows are left out.
        probabilities: Model to [n] probabilities; about four models stay legible.
        path: The PNG to write.
        happened: What the vertical axis shows.
        rare: Whether most probabilities are small, so that these are spread.
    """
    known = np.isfinite(truth)
    colours = style.palette(tuple(probabilities), OURS)
    bins = np.linspace(0, 1, 26)
    with style.page(path, 6.4, 6.2) as figure:
        above, below = figure.subplots(2, 1, height_ratios=(3.4, 1), sharex=True)
        above.plot([0, 1], [0, 1], color=style.MUTED, linewidth=1, linestyle=(0, (2, 2)), label="perfect")
        for number, name in enumerate(sorted(probabilities, key=lambda name: name == OURS)):
            marker = "o" if name == OURS else style.MARKERS[number % len(style.MARKERS)]
            _draw_model(above, truth[known], probabilities[name][known], (name, colours[name], marker))
            below.hist(
                probabilities[name][known],
                bins=bins**2 if rare else bins,
                histtype="stepfilled" if name == OURS else "step",
                alpha=0.55 if name == OURS else 1,
                color=colours[name],
                linewidth=1.4,
            )
        if rare:
            above.set_xscale("function", functions=(_root, np.square))
            above.set_yscale("function", functions=(_root, np.square))
            above.set(xticks=_TICKS, yticks=_TICKS)
        above.set(xlim=(0, 1), ylim=(0, 1), ylabel=happened)
        above.set_title("Predicted probabilities against what came true")
        handles, labels = above.get_legend_handles_labels()
        above.legend(handles[:0:-1] + handles[:1], labels[:0:-1] + labels[:1], loc="upper left")
        scale = " (square-root scale)" if rare else ""
        below.set(xlabel=f"predicted probability{scale}", ylabel="rows", yscale="log")
        below.grid(visible=False, axis="x")


def _draw_model(axes: Any, truth: FloatArray, probability: FloatArray, looks: tuple[str, str, str]) -> None:
    name, colour, marker = looks
    error = METRICS["calibration_error"](truth, probability)
    ours = name == OURS
    parts = np.array_split(np.argsort(probability, kind="stable"), min(BINS, len(truth)))
    x = np.array([probability[part].mean() for part in parts])
    y = np.array([truth[part].mean() for part in parts])
    label = f"{name} (calibration error {error:.3f})"
    if ours:
        low, high = np.array([_wilson(float(truth[part].sum()), len(part)) for part in parts]).T
        axes.vlines(x, low, high, color=colour, linewidth=1.2, alpha=0.8)
    axes.plot(
        x,
        y,
        marker=marker,
        color=colour,
        label=label,
        linewidth=2.4 if ours else 1.3,
        linestyle="-" if ours else "--",
        markersize=6 if ours else 4.5,
        zorder=3 if ours else 2,
    )


def _root(values: FloatArray) -> FloatArray:
    """Spreads the small probabilities that rare positives live at; the diagonal stays straight."""
    return np.asarray(np.sqrt(np.maximum(values, 0)))


def _wilson(positives: float, rows: int) -> tuple[float, float]:
    """95 % interval of a share, which stays within [0, 1] (Wilson, 1927)."""
    z = 1.959964
    share = positives / rows
    centre = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z / (1 + z**2 / rows) * float(np.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2)))
    return centre - half, centre + half
