"""Every picture is written, is small, shows something, and leaves matplotlib as it was."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from components.contracts import ColumnDrift, DriftReport, LabelFrequency, Score, Scorecard
from components.evaluation import METRICS
from components.pictures import style
from components.pictures.calibration import draw_calibration
from components.pictures.drift import draw_drift
from components.pictures.ladder import draw_ladder
from components.pictures.learning import draw_training, draw_tuning
from components.pictures.scores import draw_scores
from components.pictures.slices import draw_slices
from components.pictures.weights import draw_belief, draw_weights

MODELS = ("naive", "PU", "kintsugi", "logistic regression", "champion")
BATCHES = ("1999-2000", "2001-2002", "2003-2004")


def card() -> Scorecard:
    generator = np.random.default_rng(0)
    cells = [("all", "all"), *((batch, "all") for batch in BATCHES)]
    cells += [("all", group) for group in ("sex=female", "sex=male", "age=60+")]
    scores = []
    for model in MODELS:
        for batch, group in cells:
            for metric in METRICS:
                value = float(generator.random())
                scores.append(Score(model, batch, group, metric, value, value - 0.1, value + 0.1, 100))
    return Scorecard(tuple(scores), "label", False)


def reports() -> tuple[DriftReport, ...]:
    columns = (ColumnDrift("age", 0.3, 0.001), ColumnDrift("waist", 0.1, 0.4))
    one = DriftReport("2001-2002", "covariate", 0.1, 0.0001, 0.1, 0.2, 0.01, 0.1, 0.12, columns, "update")
    return one, replace(one, batch="2003-2004", kind="none", statistic=-0.01, p_value=0.6, columns=columns[:1])


def frequency() -> LabelFrequency:
    grid = np.linspace(0.02, 1, 99)
    density = np.exp(-0.5 * ((grid - 0.6) / 0.1) ** 2)
    return LabelFrequency(grid, density / density.sum(), "test")


def rows() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    generator = np.random.default_rng(0)
    probability = generator.random(500)
    truth = (generator.random(500) < probability).astype(float)
    truth[:20] = np.nan
    return truth, {"kintsugi": probability, "champion": generator.random(500)}


PICTURES: dict[str, Callable[[Path], None]] = {
    "calibration": lambda path: draw_calibration(*rows(), path),
    "ladder": lambda path: draw_ladder(card().frame(), ("naive", "PU", "kintsugi"), ("champion", "absent"), path),
    "scores": lambda path: draw_scores(card(), path),
    "slices": lambda path: draw_slices(card(), path),
    "drift": lambda path: draw_drift(reports(), path),
    "weights": lambda path: draw_weights(np.random.default_rng(0).exponential(size=300), path),
    "belief": lambda path: draw_belief(frequency(), 0.1, path),
    "training": lambda path: draw_training({"fit": [0.7, 0.5, -0.1], "tune": [0.8, np.nan, 0.6]}, path),
    "tuning": lambda path: draw_tuning(
        pd.DataFrame(
            {"name": ["a", "b"], "value": [0.4, 0.3], "low": [0.3, 0.2], "high": [0.5, 0.4], "chosen": [0, 1]}
        ),
        path,
    ),
}


# Pixels that must be gold at least: what each picture shows of ours. Without its marks a picture has fewer.
GOLD = {
    "calibration": 40_000,
    "ladder": 70_000,
    "scores": 2_500,
    "slices": 1_700,
    "drift": 1_850,
    "weights": 20_000,
    "belief": 40_000,
    "training": 1_400,
    "tuning": 700,
}


def pixels(path: Path) -> np.ndarray:
    """[height, width, 3] colours of a PNG."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), dtype=np.int64)


def gold(colours: np.ndarray) -> int:
    """Pixels in the colour of ours or a shade of it over white."""
    red, green, blue = colours[..., 0], colours[..., 1], colours[..., 2]
    return int(((red - blue > 25) & (red > green) & (green - blue > 20) & (red > 150)).sum())


@pytest.mark.parametrize("name", list(PICTURES))
def test_a_picture_is_written_and_matplotlib_left_alone(name: str, tmp_path: Path) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    path = tmp_path / "new folder" / f"{name}.png"
    PICTURES[name](path)
    height, width, _ = pixels(path).shape
    assert width > 600
    assert height > 250
    assert gold(pixels(path)) > GOLD[name]
    assert 5_000 < path.stat().st_size < 100_000
    assert dict(mpl.rcParams) == before
    assert [file.name for file in path.parent.iterdir()] == [f"{name}.png"]


@pytest.mark.parametrize(
    ("name", "draw"),
    [
        ("no slices", lambda path: draw_slices(Scorecard(card().scores[:7], "label", True), path)),
        ("one model", lambda path: draw_scores(Scorecard(card().scores[:3], "label", True), path)),
        ("no step", lambda path: draw_ladder(card().frame(), (), ("champion",), path)),
        ("no columns", lambda path: draw_drift([replace(reports()[0], columns=())], path)),
        ("equal weights", lambda path: draw_weights(np.ones(50), path)),
        ("one guess", lambda path: draw_belief(LabelFrequency(np.array([0.6]), np.array([1.0]), "told"), 0.1, path)),
        ("no epochs", lambda path: draw_training({}, path)),
        ("plain ledger", lambda path: draw_tuning(pd.DataFrame({"name": ["a"], "value": [0.4]}), path)),
        ("few rows", lambda path: draw_calibration(np.array([1.0, 0.0]), {"kintsugi": np.array([0.2, 0.9])}, path)),
    ],
)
def test_poor_inputs_still_make_a_picture(name: str, draw: Callable[[Path], None], tmp_path: Path) -> None:
    draw(tmp_path / f"{name}.png")
    assert pixels(tmp_path / f"{name}.png").shape[1] > 300


def test_no_report_makes_no_picture(tmp_path: Path) -> None:
    draw_drift((), tmp_path / "drift.png")
    assert not list(tmp_path.iterdir())


def test_a_picture_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "old.png"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="half way"), style.page(path, 2, 2):
        raise RuntimeError("half way")
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_equal_inputs_make_equal_files(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        PICTURES["weights"](tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_ours_is_gold_and_no_two_models_look_alike() -> None:
    colours = style.palette(MODELS, "kintsugi")
    assert colours["kintsugi"] == style.OURS
    assert len(set(colours.values())) == len(MODELS)


def test_importing_the_pictures_does_not_import_matplotlib() -> None:
    modules = "calibration, drift, ladder, learning, scores, slices, style, weights"
    code = f"import sys; from components.pictures import {modules}; import components.evaluation; "
    code += "print([name for name in ('matplotlib', 'sklearn', 'torch', 'yaml') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
