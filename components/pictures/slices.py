"""Whom the model serves well, and whom not: metrics by group."""

from pathlib import Path
from typing import Any

import pandas as pd

from components.contracts import Scorecard
from components.evaluation import OURS
from components.pictures import style

_PANELS = (
    ("prevalence_bias", "Predicted minus true share", "too few  ←  share of positives  →  too many"),
    ("log_loss", "Log loss", "nats, lower is better"),
)


def draw_slices(scorecard: Scorecard, path: Path) -> None:
    """Write signed prevalence error and log loss of every group: ours with intervals, the other models as dots.

    A hollow mark is a model without correction or an earlier step; the vertical line is the truth, or our mean.
    """
    table = scorecard.frame()
    table = table[(table["batch"] == "all") & table["metric"].isin([metric for metric, _, _ in _PANELS])]
    groups = [name for name in dict.fromkeys(table["slice"]) if name != "all"]
    places = _places(groups)
    colours = style.palette(tuple(dict.fromkeys(table["model"])), OURS)
    rows = table[table["model"] == OURS].drop_duplicates("slice").set_index("slice")["rows"]
    with style.page(path, 9.2, 1.5 + 0.27 * (max(places.values(), default=0) + 1)) as figure:
        panels = figure.subplots(1, 2, sharey=True)
        for axes, (metric, title, label) in zip(panels, _PANELS, strict=True):
            _draw_panel(axes, table[table["metric"] == metric], places, colours)
            axes.set_title(title)
            axes.set_xlabel(label)
        labels = [f"{name.replace('=', ': ')}  ({rows.get(name, 0):,})" for name in groups]
        panels[0].set_yticks([places[name] for name in groups], labels)
        panels[0].set_ylim(max(places.values(), default=0) + 0.7, -0.7)
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=min(max(len(names), 1), 4))


def _places(groups: list[str]) -> dict[str, float]:
    """Vertical place of each group, with a gap between columns."""
    places: dict[str, float] = {}
    place, column = -1.0, ""
    for name in groups:
        place += 1.0 if name.split("=")[0] == column or not places else 1.6
        places[name], column = place, name.split("=")[0]
    return places


def _draw_panel(axes: Any, table: pd.DataFrame, places: dict[str, float], colours: dict[str, str]) -> None:
    for number, (name, colour) in enumerate(sorted(colours.items(), key=lambda item: item[0] == OURS)):
        rows = table[(table["model"] == name) & table["slice"].isin(places)].drop_duplicates("slice")
        y = [places[group] for group in rows["slice"]]
        if name == OURS:
            axes.hlines(y, rows["low"], rows["high"], color=colour, linewidth=2, zorder=3)
            axes.plot(rows["value"], y, "o", color=colour, markersize=6.5, label=name, zorder=4)
        else:
            marker = style.MARKERS[number % len(style.MARKERS)]
            axes.plot(rows["value"], y, marker, color=colour, fillstyle="none", label=name, zorder=2)
    whole = table[(table["model"] == OURS) & (table["slice"] == "all")]["value"]
    signed = "prevalence_bias" in set(table["metric"])
    if signed or len(whole):
        axes.axvline(0 if signed else whole.iloc[0], color=style.INK, linewidth=1, zorder=1)
    axes.locator_params(axis="x", nbins=5)
