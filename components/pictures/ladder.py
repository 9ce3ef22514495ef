"""What each step of the chain is worth: the metrics of the steps, batch by batch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components.evaluation import METRICS
from components.pictures import style

_PANELS = (
    ("log_loss", "Log loss: lower is better"),
    ("calibration_error", "Calibration error: lower is better"),
    ("prevalence_bias", "Predicted minus true share of positives: zero is the truth"),
)
_RIBBON = "95 % interval"


def draw_ladder(scores: pd.DataFrame, steps: Sequence[str], baselines: Sequence[str], path: Path) -> None:
    """Write three panels over the batches: log loss, calibration error and signed prevalence error.

    Args:
        scores: ``Scorecard.frame()``; models it does not hold are left out.
        steps: Models in the order their step was added; the last one is ours and gets its bootstrap ribbon.
        baselines: Models drawn dashed.
        path: The PNG to write.
    """
    own = scores[(scores["slice"] == "all") & (scores["batch"] != "all")]
    batches = list(dict.fromkeys(own["batch"]))
    present = set(own["model"])
    drawn = [step for step in steps if step in present]
    others = [name for name in baselines if name in present and name not in drawn]
    with style.page(path, 9.2, 9.0) as figure:
        panels = figure.subplots(3, 1, sharex=True)
        for axes, (metric, title) in zip(panels, _PANELS, strict=True):
            table = own[own["metric"] == metric]
            for number, name in enumerate(others):
                _draw_line(axes, _by_batch(table, name, batches), name, _dashed(number))
            for number, name in enumerate(drawn):
                _draw_line(axes, _by_batch(table, name, batches), name, _solid(number, len(drawn)))
            if drawn:
                ribbon = _by_batch(table, drawn[-1], batches)
                axes.fill_between(
                    range(len(batches)),
                    ribbon["low"],
                    ribbon["high"],
                    color=style.OURS,
                    alpha=0.22,
                    linewidth=0,
                    label=_RIBBON,
                )
            axes.set_title(title)
            axes.set_ylabel(METRICS[metric].title)
            if metric == "prevalence_bias":
                axes.axhline(0, color=style.INK, linewidth=1)
            else:
                axes.set_ylim(bottom=0 if metric == "calibration_error" else None)
        style.label_batches(panels[-1], batches)
        panels[-1].set_xlabel("batch")
        for axes in panels[:-1]:
            axes.grid(visible=False, axis="x")
        handles, labels = panels[0].get_legend_handles_labels()
        ordered = [labels.index(name) for name in (*drawn, _RIBBON, *others) if name in labels]
        figure.legend(
            [handles[i] for i in ordered],
            [labels[i] for i in ordered],
            loc="outside upper center",
            ncols=min(5, max(len(ordered), 1)),
        )


def _by_batch(table: pd.DataFrame, name: str, batches: Sequence[str]) -> pd.DataFrame:
    return table[table["model"] == name].drop_duplicates("batch").set_index("batch").reindex(list(batches))


def _draw_line(axes: Any, line: pd.DataFrame, name: str, looks: dict[str, Any]) -> None:
    axes.plot(np.arange(len(line)), line["value"], label=name, **looks)


def _dashed(number: int) -> dict[str, Any]:
    colour = style.OTHERS[number % len(style.OTHERS)]
    return {"color": colour, "linestyle": (0, (4, 2)), "linewidth": 1.3, "zorder": 2}


def _solid(number: int, count: int) -> dict[str, Any]:
    if number == count - 1:
        return {"color": style.OURS, "linewidth": 2.6, "marker": "o", "zorder": 4}
    place = round(number * (len(style.STEPS) - 1) / max(count - 2, 1))
    marker = style.MARKERS[number % len(style.MARKERS)]
    return {"color": style.STEPS[place], "marker": marker, "markersize": 4.5, "linewidth": 1.6, "zorder": 3}
