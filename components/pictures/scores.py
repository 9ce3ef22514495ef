"""Every metric of every model with its interval, side by side."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from components.contracts import Scorecard
from components.evaluation import METRICS, OURS, Metric
from components.pictures import style


def draw_scores(scorecard: Scorecard, path: Path, known: Mapping[str, Metric] = METRICS) -> None:
    """Write a forest plot over all scored rows: one panel a metric, one row a model, ours first and in gold.

    Args:
        scorecard: What to draw.
        path: The PNG to write.
        known: The metrics to draw, by name; those the scorecard lacks have no panel.
    """
    table = scorecard.frame()
    table = table[(table["batch"] == "all") & (table["slice"] == "all")]
    metrics = [name for name in known if known[name].better != "zero" and name in set(table["metric"])]
    names = sorted(dict.fromkeys(table["model"]), key=lambda name: name != OURS)
    colours = style.palette(names, OURS)
    columns = min(3, len(metrics)) or 1
    lines = int(np.ceil(len(metrics) / columns)) or 1
    with style.page(path, 3.1 * columns + 1.2, lines * (0.95 + 0.29 * len(names)) + 0.4) as figure:
        grid = figure.subplots(lines, columns, sharey=True, squeeze=False)
        for axes in grid.ravel()[len(metrics) :]:
            axes.set_visible(False)
        for axes, metric in zip(grid.ravel(), metrics, strict=False):
            rows = table[table["metric"] == metric].drop_duplicates("model").set_index("model").reindex(names)
            for place, name in enumerate(names):
                row = rows.loc[name]
                wide = 2.6 if name == OURS else 1.6
                axes.plot([row["low"], row["high"]], [place, place], color=colours[name], linewidth=wide)
                axes.plot([row["value"]], [place], "o", color=colours[name], markersize=7 if name == OURS else 5)
            if OURS in names:
                axes.axvline(rows.loc[OURS, "value"], color=style.OURS, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
            axes.set_yticks(range(len(names)), names)
            axes.set_ylim(len(names) - 0.4, -0.6)
            axes.locator_params(axis="x", nbins=5)
            axes.grid(visible=False, axis="y")
            axes.set_title(style.title(known[metric].title))
            axes.set_xlabel("← better" if known[metric].better == "lower" else "better →", color=style.MUTED)
        kind = "weak label" if scorecard.weak else "evaluation label"
        figure.suptitle(
            f"Scores with 95 % intervals ({kind}: {scorecard.label})",
            fontsize=11,
            x=0.005,
            ha="left",
        )
