"""What a classifier takes for what, what its labels are worth, how it learnt, and whether its probabilities hold."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.contracts import FloatArray
from components.evaluation import OURS
from components.evaluation.class_metrics import CLASS_SCORES
from components.pictures import style
from components.pictures.calibration import draw_calibration

CROWDED = 12  # classes; of more the cells hold no numbers
WIDEST = 12  # inches of all cells, where they hold no numbers
LONGEST = 24  # letters of a name
MOST = 6  # labels that have a histogram each
BINS = 20
RARE = 0.2  # mean probability below which small ones are spread


def draw_confusion(confusion: FloatArray, classes: Sequence[str], path: Path) -> None:
    """Write how many rows of each true class are taken for which, shaded by their share of the true class.

    Args:
        confusion: [K, K] rows of each true class (down) by the likeliest class (across).
        classes: Names of the classes.
        path: The PNG to write.
    """
    totals = confusion.sum(axis=1, keepdims=True)
    shares = np.divide(confusion, totals, out=np.full(confusion.shape, np.nan), where=totals > 0)
    texts = [
        [f"{_count(rows)}\n{share:.0%}" if np.isfinite(share) else "none" for rows, share in zip(*line, strict=True)]
        for line in zip(confusion, shares, strict=True)
    ]
    rows = [f"\n{_count(total)} rows" if len(classes) <= CROWDED else "" for total in totals[:, 0]]
    named = [_short(name) + told for name, told in zip(classes, rows, strict=True)]
    heads = ("What each class is taken for", "true class", "likeliest class")
    _draw_table(shares, texts, (named, [_short(name) for name in classes]), heads, path)


def draw_transition(transitions: pd.DataFrame, path: Path) -> None:
    """Write how often each class is given which label.

    Args:
        transitions: One row a cell, class by class: ``class``, ``label``, ``value``, ``low`` and ``high`` (its 95 %
            interval; both the value where it was given) and ``source``.
        path: The PNG to write.
    """
    classes, labels = (list(dict.fromkeys(transitions[name])) for name in ("class", "label"))
    size = len(classes), len(labels)
    value, low, high = (transitions[name].to_numpy(dtype=np.float64).reshape(size) for name in ("value", "low", "high"))
    texts = [
        [
            f"{value[i, j]:.3f}" + (f"\n{low[i, j]:.3f} to {high[i, j]:.3f}" if low[i, j] < high[i, j] else "")
            for j in range(size[1])
        ]
        for i in range(size[0])
    ]
    sources = ", ".join(dict.fromkeys(transitions["source"].astype(str)))
    heads = (f"Share of each class that is given each label ({sources})", "class", "label")
    _draw_table(value, texts, ([_short(name) for name in classes], [_short(name) for name in labels]), heads, path)


def draw_history(history: Sequence[Mapping[str, float]], kept: int, path: Path) -> None:
    """Write the risk after every epoch, and below it the score on rows kept for validation, where there is one.

    Args:
        history: Metrics of each epoch; ``risk`` is drawn, and what starts with ``validation_``.
        kept: Number of the epoch that was kept, from 0.
        path: The PNG to write.
    """
    names = dict.fromkeys(name for metrics in history for name in metrics)
    shown = [name for name in names if name == "risk" or name.startswith("validation_")]
    epochs = np.arange(1, len(history) + 1)
    with style.page(path, 6.4, 1.2 + 2.1 * max(len(shown), 1)) as figure:
        panels = figure.subplots(max(len(shown), 1), 1, sharex=True, squeeze=False)[:, 0]
        for axes, name in zip(panels, shown, strict=False):
            values = np.array([metrics.get(name, np.nan) for metrics in history])
            colour = style.OURS if name == "risk" else style.BLUE
            axes.plot(epochs, values, color=colour, marker="o" if len(history) < 3 else None)
            axes.axvline(kept + 1, color=style.MUTED, linewidth=1, linestyle=(0, (2, 2)))
            told = f"{values[kept]:.4f} in epoch {kept + 1}, the one kept"
            axes.plot([kept + 1], [values[kept]], "o", color=colour, markersize=7, markeredgecolor="white", label=told)
            axes.legend(loc="best")
            axes.set_title("Risk" if name == "risk" else f"{style.title(_titled(name))}, on rows kept for validation")
        panels[-1].set_xlabel("epoch")
        panels[-1].set_xlim(0.5, max(len(history), 1) + 0.5)
        panels[-1].locator_params(axis="x", integer=True)
        figure.suptitle("Over the epochs of training", fontsize=11, x=0.005, ha="left")


def draw_reliability(truth: FloatArray, probabilities: NDArray[np.floating[Any]], path: Path) -> None:
    """Write the reliability diagram: of two classes that of the first, of more that of the likeliest.

    Args:
        truth: [n] number of the true class; NaN rows are left out.
        probabilities: [n, K] probabilities of the classes.
        path: The PNG to write.
    """
    wide = np.asarray(probabilities, dtype=np.float64)
    two = wide.shape[1] == 2
    said, number = (wide[:, 0], np.zeros(len(wide))) if two else (wide.max(axis=1), wide.argmax(axis=1))
    event = np.where(np.isfinite(truth), truth == number, np.nan)
    happened = "share of the first class among such rows" if two else "share of such rows where that class is true"
    draw_calibration(event, {OURS: said}, path, happened, rare=two and float(said.mean()) < RARE)


def draw_doubts(doubts: pd.DataFrame, path: Path) -> None:
    """Write how doubtful the labels are, label by label.

    Args:
        doubts: One row a row: its label, and ``doubt`` in [0, 1]. Of more than six labels the rest share a panel.
        path: The PNG to write.
    """
    label = next(name for name in doubts.columns if name != "doubt")
    values = doubts["doubt"].to_numpy(dtype=np.float64)
    written = doubts[label].map(_written).to_numpy()
    commonest = pd.Series(written).value_counts().index.tolist()
    own = sorted(commonest if len(commonest) <= MOST else commonest[: MOST - 1])
    groups = {name: written == name for name in own}
    if len(own) < len(commonest):
        groups[f"{len(commonest) - len(own)} other labels"] = ~np.isin(written, own)
    with style.page(path, 6.4, 0.9 + 1.15 * max(len(groups), 1)) as figure:
        panels = figure.subplots(max(len(groups), 1), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (name, rows) in zip(panels, groups.items(), strict=False):
            here = values[rows]
            axes.hist(here, bins=np.linspace(0, 1, BINS + 1), color=style.OURS, alpha=0.75)
            axes.set_title(
                f"{_short(name)}: {len(here):,} rows, {(here > 0.5).mean():.1%} more likely wrong than right"
            )
            axes.set(yscale="log", ylim=(0.7, None), ylabel="rows")
            axes.grid(visible=False, axis="x")
        panels[-1].set(xlim=(0, 1), xlabel=f"doubt: probability that {_short(label)} is wrong")
        figure.suptitle("How doubtful the labels are", fontsize=11, x=0.005, ha="left")


def _draw_table(
    shares: FloatArray,
    texts: Sequence[Sequence[str]],
    names: tuple[Sequence[str], Sequence[str]],
    heads: tuple[str, str, str],
    path: Path,
) -> None:
    """A table of shares, shaded: ``names`` of rows and columns; ``heads`` of the picture, the rows and the columns."""
    from matplotlib.colors import LinearSegmentedColormap

    gold = LinearSegmentedColormap.from_list("gold", ["white", style.OURS_LIGHT, style.OURS])
    down, across = shares.shape
    told = max(down, across) <= CROWDED
    longest = max(len(line) for name in names[0] for line in name.split("\n"))
    small = min(0.3, WIDEST / max(down, across))
    cell = (1.15, 0.62) if told else (small, small)
    width = max(4.2, 1.0 + 0.085 * longest + cell[0] * across + 0.8, 0.1 * len(heads[0]))
    with style.page(path, width, max(2.6, 1.5 + cell[1] * down)) as figure:
        axes = figure.subplots()
        image = axes.imshow(shares, cmap=gold, vmin=0, vmax=1, aspect="auto")
        axes.set_yticks(range(down), names[0])
        turned = sum(map(len, names[1])) > 14 * across or not told
        axes.set_xticks(range(across), names[1], rotation=35 if turned else 0, ha="right" if turned else "center")
        axes.tick_params(labelsize=9.5 if told else max(3.0, 30 * small))
        axes.set(ylabel=heads[1], xlabel=heads[2])
        axes.grid(visible=False)
        for i in range(down if told else 0):
            for j in range(across):
                axes.text(j, i, texts[i][j], ha="center", va="center", fontsize=8.5, linespacing=1.35)
        bar = figure.colorbar(image, ax=axes, fraction=0.05, pad=0.03, ticks=(0, 0.5, 1), format="{x:.0%}")
        bar.outline.set_visible(False)
        figure.suptitle(heads[0], fontsize=11, x=0.005, ha="left")


def _titled(name: str) -> str:
    return CLASS_SCORES[name].title if name in CLASS_SCORES else name.replace("_", " ")


def _count(rows: float) -> str:
    return f"{rows:,.0f}" if rows < 1e6 else f"{rows / 1e6:,.1f} M"


def _short(name: object) -> str:
    text = " ".join(_written(name).split()).replace("$", r"\$")  # a dollar would begin a formula
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _written(value: object) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "no label"
    return f"{value:g}" if isinstance(value, float) else str(value)
