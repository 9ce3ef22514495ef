"""How much training leans on few rows, and what is believed of the labels."""

from pathlib import Path

import numpy as np

from components.contracts import FloatArray, LabelFrequency
from components.pictures import style


def draw_weights(weights: FloatArray, path: Path) -> None:
    """Write a histogram of importance weights [n] (mean one) with their effective sample size."""
    used = np.asarray(weights, dtype=np.float64)
    used = used[np.isfinite(used) & (used >= 0)]
    effective = float(used.sum() ** 2 / (used @ used)) if used.any() else 0.0
    top = float(np.quantile(used, 0.995)) if len(used) else 1.0
    beyond = int((used > top * 1.02).sum())
    with style.page(path, 6.4, 3.5) as figure:
        axes = figure.subplots()
        edges = np.linspace(0, max(top * 1.02, 1.2), 41)
        axes.hist(np.minimum(used, edges[-1]), bins=edges, color=style.OURS, alpha=0.85)
        axes.axvline(1, color=style.INK, linewidth=1, linestyle=(0, (2, 2)))
        axes.annotate(
            "mean 1",
            (1, 0.97),
            xycoords=("data", "axes fraction"),
            xytext=(4, 0),
            va="top",
            textcoords="offset points",
            fontsize=8.5,
        )
        share = effective / max(len(used), 1)
        axes.set_title(f"{len(used):,} weighted rows are worth {effective:,.0f} unweighted ones ({share:.0%})")
        more = f"; last bar: {beyond:,} rows beyond" if beyond else ""
        axes.set_xlabel(f"importance weight of a training row{more}")
        axes.set_ylabel("rows")
        axes.grid(visible=False, axis="x")


def draw_belief(frequency: LabelFrequency, labelled_share: float, path: Path) -> None:
    """Write the belief over the label frequency, and the belief over the class prior that follows from it.

    Args:
        frequency: The belief; drawn as a curve, per unit of the label frequency.
        labelled_share: Share of rows that are labeled, in (0, 1]; the class prior is this over the label frequency.
        path: The PNG to write.
    """
    grid = np.asarray(frequency.grid)
    height = frequency.density / np.gradient(grid) if len(grid) > 1 else frequency.density
    estimate, prior = frequency.estimate, frequency.class_prior(labelled_share)
    feasible = grid >= labelled_share
    # The class prior is share / c, so its density is that of c times |dc / dprior| = c^2 / share.
    panels = (
        (grid, height, estimate, "labelled share of the positives", "label frequency  P(labeled | positive)"),
        (
            labelled_share / grid[feasible],
            (height * grid**2 / labelled_share)[feasible],
            prior,
            "positives among all rows",
            f"class prior  =  labelled share {labelled_share:.3f} / label frequency",
        ),
    )
    with style.page(path, 9.2, 3.3) as figure:
        for axes, (x, y, centre, what, label) in zip(figure.subplots(1, 2), panels, strict=True):
            inside = (x >= centre.low) & (x <= centre.high)
            axes.plot(x, y, color=style.OURS, linewidth=2)
            axes.fill_between(x, y, where=inside, color=style.OURS, alpha=0.25, linewidth=0)
            axes.axvline(centre.value, color=style.INK, linewidth=1, linestyle=(0, (2, 2)))
            axes.set_title(f"{centre.value:.2f} [{centre.low:.2f}, {centre.high:.2f}] {what}")
            axes.set_xlabel(label)
            axes.set_ylabel("belief (density)")
            axes.set_ylim(bottom=0)
            axes.set_yticks([])
            width = max(centre.high - centre.low, 0.02)
            axes.set_xlim(max(0, centre.low - width), min(1, centre.high + width))
            axes.grid(visible=False, axis="y")
