"""What moved from batch to batch: the features as a whole, the class prior, and each column."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.contracts import DriftReport
from components.pictures import style

_COLOURS = {
    "none": "#b9c3cd",
    "covariate": "#56b4e9",
    "label": "#e69f00",
    "concept": "#d55e00",
    "support": "#7b5ea7",
}
_COLUMNS = 16


def draw_drift(reports: Sequence[DriftReport], path: Path) -> None:
    """Write three panels over the batches: divergence with its p-value, class prior before and after, columns.

    The last panel is a heat map of the Kolmogorov-Smirnov distances of the 16 columns that moved farthest; a dot
    marks a Holm-adjusted p-value below 0.05.
    """
    if not reports:
        return
    names = _farthest(reports)
    labels = [report.batch for report in reports]
    with style.page(path, 9.2, 5.6 + 0.24 * len(names)) as figure:
        ratios = (1.7, 1.7, max(0.32 * len(names), 0.6))
        first, second, third = figure.subplots(3, 1, height_ratios=ratios)
        _draw_divergence(first, reports)
        _draw_prior(second, reports)
        for axes in (first, second):
            style.label_batches(axes, labels)
            axes.set_xticklabels([])
            axes.set_xlim(-0.5, len(reports) - 0.5)
        _draw_columns(figure, third, reports, names)
        style.label_batches(third, labels)
        third.set_xlim(-0.5, len(reports) - 0.5)
        third.set_xlabel("batch")


def _farthest(reports: Sequence[DriftReport]) -> list[str]:
    worst: dict[str, float] = {}
    for report in reports:
        for column in report.columns:
            worst[column.name] = max(worst.get(column.name, 0.0), column.statistic)
    return sorted(worst, key=lambda name: -worst[name])[:_COLUMNS]


def _draw_divergence(axes: Any, reports: Sequence[DriftReport]) -> None:
    tallest = max(max(report.statistic for report in reports), 1e-9)
    for kind, colour in _COLOURS.items():
        places = [i for i, report in enumerate(reports) if report.kind == kind]
        if places:
            label = "no drift" if kind == "none" else f"{kind} drift"
            axes.bar(places, [reports[i].statistic for i in places], color=colour, width=0.62, label=label)
    for place, report in enumerate(reports):
        text = "p < 0.001" if report.p_value < 0.001 else f"p = {report.p_value:.2g}"
        axes.annotate(
            text,
            (place, max(report.statistic, 0)),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
            color=style.MUTED,
        )
    axes.set_ylim(min(0, min(report.statistic for report in reports)), tallest * 1.35)
    axes.set_title("How far the features moved from the batch before")
    axes.set_ylabel("relative Pearson\ndivergence")
    axes.legend(loc="upper left", ncols=5)


def _draw_prior(axes: Any, reports: Sequence[DriftReport]) -> None:
    before = np.array([report.prior_before for report in reports])
    after = np.array([report.prior_after for report in reports])
    places = np.arange(len(reports))
    axes.vlines(places, before, after, color=style.OURS_LIGHT, linewidth=3, zorder=1)
    axes.plot(places, before, "o", color=style.MUTED, fillstyle="none", label="before the batch", zorder=2)
    axes.plot(places, after, "o", color=style.OURS, markersize=6.5, label="after the batch", zorder=3)
    low, high = min(before.min(), after.min()), max(before.max(), after.max())
    room = max(high - low, 0.02)
    axes.set_ylim(max(0, low - 0.15 * room), high + 0.45 * room)
    axes.set_title("Believed share of positives, before and after each batch")
    axes.set_ylabel("class prior")
    axes.legend(loc="upper left", ncols=2)


def _shades() -> Any:
    """From nearly white to deep blue in 20 steps."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("shades", ("#f3f6f9", style.STEPS[1], style.STEPS[3], "#0b2239"), N=20)


def _draw_columns(figure: Any, axes: Any, reports: Sequence[DriftReport], names: Sequence[str]) -> None:
    found = [{column.name: column for column in report.columns} for report in reports]
    distance = np.array([[of[name].statistic if name in of else np.nan for of in found] for name in names])
    axes.set_title("How far each column moved (dot: more than chance explains)")
    axes.grid(visible=False)
    if not names:
        axes.set_yticks([])
        return
    image = axes.imshow(distance, aspect="auto", cmap=_shades(), vmin=0, vmax=max(float(np.nanmax(distance)), 0.1))
    axes.set_yticks(range(len(names)), names)
    moved = [
        (j, i) for i, name in enumerate(names) for j, of in enumerate(found) if name in of and of[name].p_value < 0.05
    ]
    if moved:
        axes.scatter(*zip(*moved, strict=True), s=7, color="white", edgecolor=style.INK, linewidth=0.7)
    figure.colorbar(image, ax=axes, label="KS distance", pad=0.01, aspect=18).outline.set_visible(False)
