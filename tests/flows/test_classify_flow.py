"""A classifier from weak labels through the flow: chosen by what the labels are, judged, registered, told, used."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.errors import InputError
from flows.forms import read_form
from flows.outcome import Outcome
from tasks.packaging import quiet_pyfunc
from tasks.settings import Settings
from tasks.tracking import Tracking, open_tracking
from tests.weak_world import CLASSES, NOISE, trees, write_trees

MODEL = "kintsugi-trees-classifier"
STAGES = ["ingest", "train", "evaluate", "register", "report"]
QUICK: dict[str, Any] = {
    "network": {"kind": "linear"},
    "epochs": 8,
    "minibatch_rows": 100,
    "optimiser": {"kind": "adam", "step": 0.05},
}
Run = Callable[..., Outcome]


@dataclass(frozen=True)
class Classified:
    """The home folder after the run, and what it said."""

    home: Path
    outcome: Outcome
    tracking: Tracking

    def run(self, stage: str = "") -> Any:
        """The tracked run of a stage, or the one above them."""
        runs = self.tracking.client.search_runs([self.tracking.experiment_id])
        return next(
            run
            for run in runs
            if run.info.run_name == stage or (not stage and "mlflow.parentRunId" not in run.data.tags)
        )


@pytest.fixture(scope="module")
def run_classify(prefect_url: str) -> Run:
    from flows.classify import classify
    from flows.configuration import Classify
    from tests.flows.conftest import connected, surroundings

    def run(home: Path, specification: Path, setting: dict[str, Any], **values: Any) -> Outcome:
        training = QUICK | {"setting": setting} | values.pop("training", {})
        form = read_form(Classify, {"source": {"specification": str(specification)}, "training": training} | values)
        with surroundings(home), connected(prefect_url):
            outcome: Outcome = classify(form)
            return outcome

    return run


@pytest.fixture(scope="module")
def noisy(run_classify: Run, tmp_path_factory: pytest.TempPathFactory) -> Classified:
    folder = tmp_path_factory.mktemp("noisy")
    specification = write_trees(folder, "noisy")
    outcome = run_classify(folder / "kintsugi", specification, {"kind": "noisy_labels_estimated"})
    return Classified(folder / "kintsugi", outcome, open_tracking(Settings(home=folder / "kintsugi"), "kintsugi-trees"))


def test_it_is_tracked_stage_by_stage(noisy: Classified) -> None:
    assert [stage for stage, _ in noisy.outcome.timings] == STAGES


def test_what_the_labels_leave_open_is_tracked_with_its_interval_and_source(noisy: Classified) -> None:
    train = noisy.run("train").data
    assert train.tags["setting"] == "noisy_labels"
    assert "confident joint" in train.tags["noise_rate.source"]
    low, value, high = (train.metrics[f"noise_rate{end}"] for end in ("_low", "", "_high"))
    assert low < value < high
    assert noisy.run().data.metrics["noise_rate"] == value
    files = {file.path for file in noisy.tracking.client.list_artifacts(noisy.run("train").info.run_id)}
    assert {
        "nuisances.csv",
        "transition.csv",
        "transition.png",
        "training.png",
        "doubts.parquet",
        "doubtful.csv",
    } <= files


def test_every_row_is_told_how_doubtful_its_label_is(noisy: Classified) -> None:
    doubts = pd.read_parquet(Path(noisy.outcome.folder) / "doubts.parquet")
    assert len(doubts) == 1500
    assert doubts["doubt"].between(0, 1).all()
    table = trees().set_index("number")
    wrong = (table["noisy"] != table["kind"]).loc[doubts["number"].astype(int)].to_numpy()
    assert doubts["doubt"][wrong].mean() > doubts["doubt"][~wrong].mean() + 0.3


def test_the_registered_model_predicts_classes(noisy: Classified) -> None:
    assert noisy.outcome.uri == f"models:/{MODEL}@champion"
    version = noisy.tracking.client.get_model_version_by_alias(MODEL, "champion")
    assert version.tags["setting"] == "noisy_labels"
    model = quiet_pyfunc().load_model(version.source)
    rows = trees(400, seed=9)
    told = model.predict(rows[["height", "girth", "forest"]])
    assert list(told.columns) == [*(f"probability of {name}" for name in CLASSES), "likeliest", "outside_support"]
    assert (told["likeliest"].to_numpy() == rows["kind"].to_numpy()).mean() > 0.8
    np.testing.assert_allclose(told[[f"probability of {name}" for name in CLASSES]].sum(axis=1), 1)


def test_what_the_run_says_is_printed_and_on_its_page(noisy: Classified) -> None:
    lines = dict(noisy.outcome.lines)
    assert any(line.startswith("noise_rate 0.") for line in lines["training"])
    assert any("epoch" in line and "was kept" in line for line in lines["training"])
    assert lines["verdict"][0].startswith("champion: ")
    assert [row[0] for row in noisy.outcome.scores] == ["held rows", "kintsugi", "  95 %", "constant"]
    page = Path(noisy.outcome.report).read_text(encoding="utf-8")
    for said in (MODEL, "noisy_labels", "cedar", "noise_rate", "confident joint"):
        assert said in page
    assert json.dumps(noisy.outcome.lines)


def test_the_same_run_again_makes_no_second_version(noisy: Classified, run_classify: Run) -> None:
    specification = noisy.home.parent / "noisy.yaml"
    again = run_classify(noisy.home, specification, {"kind": "noisy_labels_estimated"})
    assert again.uri == noisy.outcome.uri
    assert again.scores == noisy.outcome.scores
    assert len(noisy.tracking.client.search_model_versions(f"name='{MODEL}'")) == 1


def test_a_worse_one_stays_challenger(noisy: Classified, run_classify: Run) -> None:
    specification = noisy.home.parent / "noisy.yaml"
    worse = {"optimiser": {"kind": "adam", "step": 1e-7}, "epochs": 4}
    said = run_classify(noisy.home, specification, {"kind": "noisy_labels_estimated"}, training=worse)
    assert said.uri == f"models:/{MODEL}@challenger"
    assert "champion" in [row[0] for row in said.scores]
    assert str(noisy.tracking.client.get_model_version_by_alias(MODEL, "champion").version) == "1"


def test_a_training_that_was_cut_short_goes_on_and_ends_with_the_same_bits(
    noisy: Classified, run_classify: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.classifier import training

    real, done = training._Run.epoch, list[int]()

    def until_the_disk_is_full(run: Any) -> dict[str, float]:
        done.append(run.course.epoch)
        if len(done) == 6:
            raise OSError("no room")
        return real(run)

    specification = write_trees(tmp_path, "noisy")
    monkeypatch.setattr(training._Run, "epoch", until_the_disk_is_full)
    with pytest.raises(OSError, match="no room"):
        run_classify(tmp_path / "kintsugi", specification, {"kind": "noisy_labels_estimated"})
    assert list((tmp_path / "kintsugi" / "checkpoints").iterdir())
    assert not list((tmp_path / "kintsugi").rglob("classifier.json"))
    said = run_classify(tmp_path / "kintsugi", specification, {"kind": "noisy_labels_estimated"})
    assert done == [0, 1, 2, 3, 4, 5, 5, 6, 7]
    assert not list((tmp_path / "kintsugi" / "checkpoints").iterdir())
    assert said.scores == noisy.outcome.scores


@pytest.mark.parametrize(
    ("label", "setting", "truth"),
    [
        ("not_this", {"kind": "complementary_labels", "classes": 3}, None),
        ("candidates", {"kind": "partial_labels", "classes": 3}, "kind"),
        ("known_ash", {"kind": "positive_unlabeled_estimated"}, "is_ash"),
        ("noisy", {"kind": "noisy_labels", "transition": NOISE.tolist()}, "kind"),
        ("some_kinds", {"kind": "semi_supervised", "prior": [0.34, 0.33, 0.33]}, "kind"),
    ],
)
def test_any_setting_runs_by_saying_what_the_labels_are(
    run_classify: Run, tmp_path: Path, label: str, setting: dict[str, Any], truth: str | None
) -> None:
    outcome = run_classify(tmp_path / "kintsugi", write_trees(tmp_path, label, truth), setting)
    assert outcome.uri == f"models:/{MODEL}@champion"
    scores = {row[0]: dict(zip(outcome.scores[0], row, strict=True)) for row in outcome.scores[1:]}
    judge = "log loss" if truth else "validation error"
    assert float(scores["kintsugi"][judge]) < float(scores["constant"][judge]) - 0.1
    if truth and "validation error" in scores["kintsugi"]:  # what weak labels alone tell of the error
        told, true = (float(scores["kintsugi"][name]) for name in ("validation error", "error"))
        assert told == pytest.approx(true, abs=0.1)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"kind": "partial_labels", "classes": 4}, "values of column 'noisy' must be the 4 classes of partial_labels"),
        (
            {"kind": "positive_unlabeled", "prior": 0.3},
            "must be the 2 kinds of label of positive_unlabeled, got ash, bee",
        ),
    ],
)
def test_labels_that_do_not_fit_the_setting_are_refused_before_anything_is_made(
    run_classify: Run, tmp_path: Path, setting: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run_classify(tmp_path / "kintsugi", write_trees(tmp_path, "noisy"), setting)
    assert not (tmp_path / "kintsugi").exists()


def test_a_wrong_setting_is_told_in_one_line(kintsugi: Any, tmp_path: Path) -> None:
    said = kintsugi(
        "classify", "--data", write_trees(tmp_path, "noisy"), "--set", "training.setting.kind=partial_labels"
    )
    assert (said.code, said.err[-1]) == (2, "kintsugi: training.setting.classes must be given, it has no usual value")
    said = kintsugi("classify", "--set", "training.setting={kind: positive_unlabeled, prior: 1.5}")
    assert (said.code, said.err[-1]) == (2, "kintsugi: training.setting: prior must lie in (0, 1), got 1.5")
