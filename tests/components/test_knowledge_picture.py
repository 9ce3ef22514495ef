"""The picture of what a language model thinks is written, and every square says what it stands for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from components.contracts import Evidence, FloatArray
from components.pictures import style
from components.pictures.knowledge import draw_knowledge
from components.priors import combine

NAMES = ("age", "bmi", "hba1c")
PERSON = [
    Evidence("bmi", "age", "required path", "person", 1.0),
    Evidence("age", "hba1c", "forbidden path", "person", 1.0),
]


def drawn(path: Path, monkeypatch: pytest.MonkeyPatch, probabilities: dict[str, FloatArray], size: int = 3) -> Figure:
    """The figure that was written to ``path``."""
    figures, page = list[Figure](), style.page

    @contextmanager
    def kept(file: Path, width: float, height: float) -> Iterator[Figure]:
        with page(file, width, height) as figure:
            figures.append(figure)
            yield figure

    monkeypatch.setattr(style, "page", kept)
    names = tuple(f"v{place}" for place in range(size)) if size > 3 else NAMES
    draw_knowledge(combine(names, PERSON if size == 3 else ()), probabilities, path)
    with Image.open(path) as picture:
        assert min(picture.size) > 300
    return figures[0]


def table(size: int = 3) -> FloatArray:
    matrix = np.random.default_rng(0).random((size, size))
    np.fill_diagonal(matrix, np.nan)
    return matrix


def test_marks_numbers_and_gaps_stand_in_their_squares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, edges = table(), np.full((3, 3), np.nan)
    paths[2, 1], edges[1, 0] = np.nan, 0.625
    figure = drawn(tmp_path / "k.png", monkeypatch, {"path": paths, "edge": edges})
    left, right = figure.axes[:2]
    texts = {(round(text.get_position()[1]), round(text.get_position()[0])): text.get_text() for text in left.texts}
    assert texts[1, 0].split("\n") == ["\N{BLACK CIRCLE}", f"{paths[1, 0]:.2f}".removeprefix("0")]
    assert texts[0, 2].split("\n")[0] == "\N{MULTIPLICATION SIGN}"
    assert texts[2, 1] == ""
    hatched = [tuple(patch.get_xy()) for patch in left.patches if patch.get_hatch()]  # type: ignore[attr-defined]
    assert hatched == [(0.5, 1.5)]
    assert [text.get_text() for text in right.texts if text.get_text()][:1] == ["\N{MULTIPLICATION SIGN}"]
    assert [label.get_text() for label in left.get_yticklabels()] == list(NAMES)


def test_a_kind_that_nobody_was_asked_for_has_no_panel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = drawn(tmp_path / "k.png", monkeypatch, {"path": np.full((3, 3), np.nan), "edge": table()})
    assert [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")] == [
        "P(a direct edge from cause to effect)"
    ]


def test_many_variables_are_drawn_without_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = drawn(tmp_path / "k.png", monkeypatch, {"path": table(20)}, size=20)
    assert not any(text.get_text() for text in figure.axes[0].texts)
