"""How training went down, and what tuning tried."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from components.pictures import style


def draw_training(risks: Mapping[str, Sequence[float]], path: Path) -> None:
    """Write the risk after every epoch, one line a series (``fit``, ``tune``), with the lowest point of each marked.

    A risk below zero is possible: corrected risks are unbiased, not nonnegative.
    """
    colours = (style.OURS, style.BLUE, *style.OTHERS)
    with style.page(path, 6.4, 3.5) as figure:
        axes = figure.subplots()
        for number, (name, values) in enumerate(risks.items()):
            y = np.asarray(values, dtype=np.float64)
            if not np.isfinite(y).any():
                continue
            colour = colours[number % len(colours)]
            best = int(np.nanargmin(y))
            epochs = np.arange(1, len(y) + 1)
            axes.plot(epochs, y, color=colour, label=f"{name}: lowest {y[best]:.4f} in epoch {best + 1}")
            axes.plot([epochs[best]], [y[best]], "o", color=colour, markersize=7, markeredgecolor="white")
        axes.set_title("Risk over the epochs of training")
        axes.set_xlabel("epoch")
        axes.set_ylabel("risk (nats a row)")
        axes.locator_params(axis="x", integer=True)
        if axes.get_legend_handles_labels()[1]:
            axes.legend(loc="upper right")


def draw_tuning(ledger: pd.DataFrame, path: Path) -> None:
    """Write what tuning tried.

    Args:
        ledger: One row a trial in the order tried, with the columns ``name`` (what was tried) and ``value`` (risk on
            the rows kept for tuning, lower is better); optional ``low`` and ``high`` (its interval) and ``chosen``.
        path: The PNG to write.
    """
    shown = ledger.reset_index(drop=True)
    chosen = shown["chosen"].to_numpy(dtype=bool) if "chosen" in shown else np.zeros(len(shown), dtype=bool)
    best = shown["value"].cummin()
    with style.page(path, 7.4, 1.5 + 0.28 * max(len(shown), 1)) as figure:
        axes = figure.subplots()
        places = np.arange(len(shown))
        axes.plot(best, places, color=style.OURS_LIGHT, linewidth=2.2, drawstyle="steps-pre", label="best so far")
        if {"low", "high"} <= set(shown):
            axes.hlines(places, shown["low"], shown["high"], color=style.MUTED, linewidth=1.2)
        axes.plot(shown["value"][~chosen], places[~chosen], "o", color=style.BLUE, label="tried")
        axes.plot(shown["value"][chosen], places[chosen], "D", color=style.OURS, markersize=8, label="chosen")
        axes.set_yticks(places, [str(name) for name in shown["name"]])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_title("What tuning tried, in order")
        axes.set_xlabel("risk on the rows kept for tuning (nats a row, lower is better)")
        axes.legend(loc="best")
