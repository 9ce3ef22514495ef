"""Pictures of a classifier hold the numbers they are made of, and are written whatever the classes are."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.contracts import Score, Scorecard
from components.evaluation.class_metrics import CLASS_SCORES
from components.pictures import style
from components.pictures.classes import (
    draw_confusion,
    draw_doubts,
    draw_history,
    draw_reliability,
    draw_transition,
)
from components.pictures.scores import draw_scores
from tests.components.test_pictures import gold, pixels

CONFUSION = np.array([[82.0, 277.0, 137.0], [0.0, 621.0, 54.0], [17.0, 143.0, 445.0]])
CLASSES = ("ash", "beech", "oak")
HISTORY = [{"risk": 1 / (1 + epoch), "validation_error": 0.4 - 0.02 * epoch, "other": 3.0} for epoch in range(8)]


def transitions(given: bool = False) -> pd.DataFrame:
    rows = [
        (name, label, 0.8 if name == label else 0.1, 0.8 if given else 0.05, 0.8 if given else 0.9, "confident joint")
        for name in CLASSES
        for label in CLASSES
    ]
    return pd.DataFrame(rows, columns=["class", "label", "value", "low", "high", "source"])


def doubts(labels: tuple[object, ...] = CLASSES, rows: int = 3000) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    drawn = np.array(labels, dtype=object)[rng.integers(0, len(labels), rows)]
    return pd.DataFrame({"told": drawn, "doubt": rng.beta(1, 6, rows)})


def predictions(classes: int, rows: int = 500) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(classes), rows).astype(np.float32)
    truth = (rng.random((rows, 1)) > probabilities.cumsum(axis=1)).sum(axis=1).clip(max=classes - 1).astype(float)
    truth[:20] = np.nan
    return truth, probabilities


PICTURES: dict[str, tuple[Callable[[Path], None], int]] = {  # and the pixels that must be gold at least
    "confusion": (lambda path: draw_confusion(CONFUSION, CLASSES, path), 60_000),
    "transition": (lambda path: draw_transition(transitions(), path), 60_000),
    "history": (lambda path: draw_history(HISTORY, 4, path), 1_400),
    "reliability of two": (lambda path: draw_reliability(*predictions(2), path), 40_000),
    "reliability of three": (lambda path: draw_reliability(*predictions(3), path), 25_000),
    "doubts": (lambda path: draw_doubts(doubts(), path), 60_000),
}


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The texts of the last picture, and its figure."""
    from matplotlib.text import Text

    kept: dict[str, Any] = {}
    usual = style.page

    @contextmanager
    def page(path: Path, width: float, height: float) -> Iterator[Any]:
        with usual(path, width, height) as figure:
            yield figure
            kept["figure"] = figure
            kept["texts"] = [text.get_text() for text in figure.findobj(Text) if text.get_text()]

    monkeypatch.setattr(style, "page", page)
    return kept


@pytest.mark.parametrize("name", list(PICTURES))
def test_a_picture_is_written_and_matplotlib_left_alone(name: str, tmp_path: Path) -> None:
    import matplotlib as mpl

    before, (draw, least) = dict(mpl.rcParams), PICTURES[name]
    path = tmp_path / "new folder" / "picture.png"
    draw(path)
    height, width, _ = pixels(path).shape
    assert width > 500
    assert height > 250
    assert gold(pixels(path)) > least
    assert 5_000 < path.stat().st_size < 100_000
    assert dict(mpl.rcParams) == before
    assert [file.name for file in path.parent.iterdir()] == ["picture.png"]


def test_cells_hold_counts_and_shares_of_the_true_class(written: dict[str, Any], tmp_path: Path) -> None:
    draw_confusion(CONFUSION, CLASSES, tmp_path / "a.png")
    assert {"82\n17%", "277\n56%", "0\n0%", "445\n74%", "ash\n496 rows", "true class", "likeliest class"} <= set(
        written["texts"]
    )
    image = written["figure"].axes[0].images[0].get_array()
    np.testing.assert_allclose(image, CONFUSION / CONFUSION.sum(axis=1, keepdims=True))


def test_cells_hold_intervals_where_there_are_any(written: dict[str, Any], tmp_path: Path) -> None:
    draw_transition(transitions(), tmp_path / "a.png")
    assert written["texts"].count("0.800\n0.050 to 0.900") == 3
    assert "Share of each class that is given each label (confident joint)" in written["texts"]
    draw_transition(transitions(given=True), tmp_path / "a.png")
    assert written["texts"].count("0.800") == 3
    assert not any(" to " in text for text in written["texts"])


def test_more_labels_than_classes_keep_their_places(written: dict[str, Any], tmp_path: Path) -> None:
    cells = [("a", "x", 0.5), ("a", "y", 0.3), ("a", "z", 0.2), ("b", "x", 0.1), ("b", "y", 0.2), ("b", "z", 0.7)]
    frame = pd.DataFrame(cells, columns=["class", "label", "value"]).assign(source="given")
    draw_transition(frame.assign(low=frame["value"], high=frame["value"]), tmp_path / "a.png")
    np.testing.assert_allclose(written["figure"].axes[0].images[0].get_array(), [[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])


def test_the_kept_epoch_is_marked_with_its_numbers(written: dict[str, Any], tmp_path: Path) -> None:
    draw_history(HISTORY, 4, tmp_path / "a.png")
    assert {"0.2000 in epoch 5, the one kept", "0.3200 in epoch 5, the one kept"} <= set(written["texts"])
    assert "Weak error rate, on rows kept for validation" in written["texts"]
    risk, validation = written["figure"].axes
    np.testing.assert_allclose(risk.lines[0].get_ydata(), [metrics["risk"] for metrics in HISTORY])
    np.testing.assert_allclose(validation.lines[0].get_ydata(), [each["validation_error"] for each in HISTORY])
    assert {tuple(line.get_xdata()) for line in validation.lines[1:]} == {(5, 5), (5,)}


def test_every_label_has_its_doubts(written: dict[str, Any], tmp_path: Path) -> None:
    frame = doubts()
    draw_doubts(frame, tmp_path / "a.png")
    for name, panel in zip(CLASSES, written["figure"].axes, strict=True):
        own = frame.loc[frame["told"] == name, "doubt"]
        assert (
            panel.get_title(loc="left")
            == f"{name}: {len(own):,} rows, {(own > 0.5).mean():.1%} more likely wrong than right"
        )
        heights = [patch.get_height() for patch in panel.patches]
        np.testing.assert_allclose(heights, np.histogram(own, 20, (0, 1))[0])


def test_of_many_labels_the_rare_share_a_panel(written: dict[str, Any], tmp_path: Path) -> None:
    frame = doubts((*"aaaabbbbccccddddeeeeffggh", None))
    draw_doubts(frame, tmp_path / "a.png")
    heads = [panel.get_title(loc="left").partition(":")[0] for panel in written["figure"].axes]
    assert heads == ["a", "b", "c", "d", "e", "4 other labels"]
    assert f"4 other labels: {frame['told'].isin([*'fgh', None]).sum():,} rows" in "".join(written["texts"])


@pytest.mark.parametrize(
    ("classes", "axis"),
    [(2, "share of the first class among such rows"), (3, "share of such rows where that class is true")],
)
def test_of_two_classes_the_first_is_reliable_of_more_the_likeliest(
    written: dict[str, Any], tmp_path: Path, classes: int, axis: str
) -> None:
    truth, probabilities = predictions(classes, 400)
    draw_reliability(truth, probabilities, tmp_path / "a.png")
    known = np.isfinite(truth)
    said = (probabilities[:, 0] if classes == 2 else probabilities.max(axis=1))[known]
    right = (truth == (0 if classes == 2 else probabilities.argmax(axis=1)))[known]
    drawn = next(line for line in written["figure"].axes[0].lines if "kintsugi" in str(line.get_label()))
    parts = np.array_split(np.argsort(said, kind="stable"), 10)
    np.testing.assert_allclose(drawn.get_xdata(), [said[part].mean() for part in parts], rtol=1e-5)
    np.testing.assert_allclose(drawn.get_ydata(), [right[part].mean() for part in parts])
    assert axis in written["texts"]


def test_rare_classes_are_spread(written: dict[str, Any], tmp_path: Path) -> None:
    truth, probabilities = predictions(2)
    draw_reliability(
        truth, np.column_stack([probabilities[:, 0] / 10, 1 - probabilities[:, 0] / 10]), tmp_path / "a.png"
    )
    assert "predicted probability (square-root scale)" in written["texts"]
    draw_reliability(truth, probabilities, tmp_path / "a.png")
    assert "predicted probability" in written["texts"]


def test_scores_of_classes_are_drawn(written: dict[str, Any], tmp_path: Path) -> None:
    scores = [
        Score(model, "all", "all", metric, 0.3, 0.2, 0.4, 100)
        for model in ("kintsugi", "constant")
        for metric in ("validation_error", "error", "log_loss")
    ]
    draw_scores(Scorecard(tuple(scores), "species", False), tmp_path / "a.png", CLASS_SCORES)
    assert {"Weak error rate", "Error rate", "Log loss (nats)"} <= set(written["texts"])


LONG = ("a very long name of a class that has no end", "b$x$ <script>", "", "d\ne")


@pytest.mark.parametrize(
    ("name", "draw"),
    [
        ("strange names", lambda path: draw_confusion(np.eye(4) * 3e7, LONG, path)),
        ("a class nobody is of", lambda path: draw_confusion(np.array([[3.0, 1.0], [0.0, 0.0]]), ("a", "b"), path)),
        ("many classes", lambda path: draw_confusion(np.eye(150), [f"class {k}" for k in range(150)], path)),
        ("one epoch", lambda path: draw_history([{"risk": 0.5}], 0, path)),
        ("no epoch", lambda path: draw_history([], 0, path)),
        ("an epoch without a score", lambda path: draw_history([{"risk": np.nan, "validation_odd": np.nan}], 0, path)),
        ("few rows", lambda path: draw_reliability(np.array([1.0, np.nan]), np.array([[0.2, 0.8], [0.5, 0.5]]), path)),
        ("one label", lambda path: draw_doubts(doubts((1.0,), 5), path)),
        ("labels that are numbers", lambda path: draw_doubts(doubts((1.0, 0.0)), path)),
    ],
)
def test_poor_inputs_still_make_a_picture(name: str, draw: Callable[[Path], None], tmp_path: Path) -> None:
    draw(tmp_path / f"{name}.png")
    height, width, _ = pixels(tmp_path / f"{name}.png").shape
    assert 300 < width < 3000
    assert height < 3000
