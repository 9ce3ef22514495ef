"""From a table to a classifier: the label is read as the setting says, and what it leaves open is found."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.classification import LearntClassifier, coding_of, doubtful_rows, learnt, prepare
from components.classifier import Adam, ClassifierTraining, Linear
from components.classifier.coding import Coding
from components.contracts import Column, Estimate
from components.encoding import load_value, save_value
from components.errors import InputError
from components.ingestion import ingest, load_specification
from components.ports import silent
from components.storage import read_rows
from components.weak import (
    ComplementaryLabels,
    NoiseUnknown,
    PartialLabels,
    PositiveNegativeUnlabeled,
    PositiveUnlabeled,
    PriorUnknown,
    SemiSupervised,
    Setting,
    SimilarUnlabeled,
    UnlabeledUnlabeled,
)
from tests.weak_world import CLASSES, FREQUENCY, NOISE, trees, write_trees

QUICK: dict[str, Any] = {"network": Linear(), "epochs": 12, "minibatch_rows": 100, "optimiser": Adam(0.05)}
NAMED = Column("tree", "observed_label", "category", values=CLASSES)
NUMBER = Column("mark", "observed_label")


def series(*values: object) -> "pd.Series[Any]":
    return pd.Series(values, dtype="str" if isinstance(values[0], str) else "float64")


def test_names_are_numbered_in_the_order_that_is_declared() -> None:
    marks = Coding(NAMED, ComplementaryLabels(3)).marks(series("cedar", "ash", "beech"))
    np.testing.assert_array_equal(marks, [2, 0, 1])


def test_a_set_is_written_with_bars_between() -> None:
    marks = Coding(NAMED, PartialLabels(3)).marks(series("cedar|ash", "beech", "ash | beech"))
    np.testing.assert_array_equal(marks, [[True, False, True], [False, True, False], [True, True, False]])


@pytest.mark.parametrize(
    ("setting", "values", "marks"),
    [
        (PositiveUnlabeled(0.3), [1, np.nan, 0], [0, 1, 1]),
        (PositiveNegativeUnlabeled(0.3), [1, -1, 0, np.nan], [0, 1, 2, 2]),
        (SimilarUnlabeled(0.3), [0, 1, np.nan], [0, 1, 1]),
        (SemiSupervised((0.2, 0.3, 0.5)), [2, -1, np.nan, 0], [2, 3, 3, 0]),
        (UnlabeledUnlabeled(0.9, 0.2, 0.5), [1, 0], [1, 0]),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_numbers_are_read_as_the_setting_codes_them_and_nothing_is_no_label(
    setting: Any, values: list[float], marks: list[int]
) -> None:
    np.testing.assert_array_equal(Coding(NUMBER, setting).marks(series(*values)), marks)


def test_a_named_label_may_be_absent_where_the_setting_knows_unlabeled_rows() -> None:
    values = pd.Series(["beech", None, "ash"], dtype="str")
    np.testing.assert_array_equal(Coding(NAMED, SemiSupervised((0.2, 0.3, 0.5))).marks(values), [1, 3, 0])
    with pytest.raises(InputError, match=r"column 'tree' must have a value in every row for comple.*, 1 of 3"):
        Coding(NAMED, ComplementaryLabels(3)).marks(values)


def test_what_is_no_label_is_told() -> None:
    with pytest.raises(InputError, match=r"column 'tree': values must be among ash, beech, cedar, got 'oak'"):
        Coding(NAMED, ComplementaryLabels(3)).marks(series("ash", "oak"))
    with pytest.raises(InputError, match=r"column 'tree': values must be among .* got 'oak'"):
        Coding(NAMED, PartialLabels(3)).marks(series("ash|oak"))
    with pytest.raises(InputError, match=r"column 'mark': labels must be whole numbers from 0 to 1"):
        Coding(NUMBER, UnlabeledUnlabeled(0.9, 0.2, 0.5)).marks(series(0, 2))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (ComplementaryLabels(4), r"values of column 'tree' must be the 4 kinds of label of complementary_labels"),
        (PartialLabels(2), r"values of column 'tree' must be the 2 classes of partial_labels, got ash, beech, cedar"),
        (PositiveUnlabeled(0.5), r"must be the 2 kinds of label of positive_unlabeled"),
    ],
)
def test_names_that_do_not_fit_the_setting_are_refused_before_a_row_is_read(setting: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Coding(NAMED, setting)
    with pytest.raises(InputError, match="values of column 'mark' must name the classes for partial_labels, got none"):
        Coding(NUMBER, PartialLabels(3))


def test_classes_are_called_as_their_labels_are() -> None:
    assert coding_of(NAMED, NoiseUnknown()).classes == CLASSES
    assert coding_of(NAMED, PartialLabels(3)).classes == CLASSES
    assert coding_of(NUMBER, PriorUnknown()).classes == ("positive", "negative")
    assert coding_of(NUMBER, ComplementaryLabels(4)).classes == ("0", "1", "2", "3")
    with pytest.raises(InputError, match="classes must be given where the label column lists no values"):
        coding_of(NUMBER, NoiseUnknown())


def trained(folder: Path, label: str, setting: Any, **more: Any) -> tuple[LearntClassifier, Any]:
    dataset, _ = ingest(load_specification(write_trees(folder, label)), folder / "datasets", 0, silent)
    prepared = prepare(ClassifierTraining(setting, **(QUICK | more)), dataset, [1])
    assert prepared.validation is not None
    classifier = prepared.training.fit(prepared.rows, prepared.validation)
    return learnt(prepared, classifier), (prepared, classifier)


def held_accuracy(found: LearntClassifier, parts: Any, truth: str) -> float:
    dataset = parts[0].rows.dataset
    frame = read_rows(dataset, [c.name for c in found.predictor.inputs] + ["number"], [1], ["held"])
    table = pd.read_csv(dataset.path.parents[1] / "trees.csv").set_index("number")
    told = found.predictor.predict(frame)["likeliest"].to_numpy()
    return float((told == table.loc[frame["number"], truth].to_numpy()).mean())


@pytest.mark.parametrize(
    ("label", "setting"),
    [
        ("noisy", NoiseUnknown()),
        ("not_this", ComplementaryLabels(3)),
        ("candidates", PartialLabels(3)),
        ("some_kinds", SemiSupervised((1 / 3, 1 / 3, 1 / 3))),
    ],
)
def test_a_table_with_weak_labels_teaches_the_classes(tmp_path: Path, label: str, setting: Setting) -> None:
    found, parts = trained(tmp_path, label, setting)
    assert found.predictor.classes == CLASSES
    assert held_accuracy(found, parts, "kind") > 0.82  # two measurements leave a tenth of the trees in doubt


def test_the_noise_that_is_found_is_near_that_of_the_labels(tmp_path: Path) -> None:
    found, (prepared, classifier) = trained(tmp_path, "noisy", NoiseUnknown(), epochs=20)
    assert found.transition is not None
    # A thousand trees of which a tenth cannot be told apart: the confident joint takes some of these for wrong labels.
    assert np.abs(found.transition.matrix - NOISE).max() < 0.2
    habit = found.transition.matrix * (1 - np.eye(3))
    np.testing.assert_array_equal(habit.argmax(axis=1), [1, 2, 0])
    assert found.nuisances()["noise_rate"].value == pytest.approx(0.35, abs=0.1)
    cells = found.transitions()
    assert cells is not None
    assert list(cells["class"].unique()) == list(cells["label"].unique()) == list(CLASSES)
    assert (cells["low"] <= cells["value"]).all()
    doubts = pd.concat(doubtful_rows(prepared, classifier))
    table = pd.read_csv(tmp_path / "trees.csv")
    wrong = (table["noisy"] != table["kind"]).to_numpy()[doubts["_row"].argsort().argsort()]
    assert len(doubts) == len(table)
    assert doubts["doubt"][wrong].mean() > doubts["doubt"][~wrong].mean() + 0.4


def test_an_unknown_class_prior_is_estimated_and_told_with_its_source(tmp_path: Path) -> None:
    found, parts = trained(tmp_path, "known_ash", PriorUnknown())
    prior = found.nuisances()["class_prior"]
    assert isinstance(found.coding.setting, PositiveUnlabeled)
    assert found.coding.setting.prior == prior.value
    assert prior.low < prior.value < prior.high
    assert prior.value == pytest.approx(1 / 3, abs=0.1)
    assert "given" not in {each.source for each in found.nuisances().values()}
    assert held_accuracy(replace(found, predictor=replace(found.predictor, classes=(1.0, 0.0))), parts, "is_ash") > 0.8  # type: ignore[arg-type]


def test_what_the_owner_of_the_data_declares_of_the_labels_goes_before_an_estimate(tmp_path: Path) -> None:
    dataset, _ = ingest(load_specification(write_trees(tmp_path, "known_ash")), tmp_path / "datasets", 0, silent)
    declared = replace(dataset, label_frequency=Estimate(FREQUENCY, 0.45, 0.55, "declared: the forester"))
    prepared = prepare(ClassifierTraining(PriorUnknown(), **(QUICK | {"epochs": 1})), declared, [1])
    found = learnt(prepared, prepared.training.fit(prepared.rows))
    prior = found.nuisances()["class_prior"]
    assert prior.source == "declared: the forester"
    assert prior.value == pytest.approx(1 / 3, abs=0.05)


def test_a_nuisance_that_was_given_is_told_as_given(tmp_path: Path) -> None:
    found, _ = trained(tmp_path, "known_ash", PositiveUnlabeled(0.33, "one_sample"), epochs=1)
    assert found.nuisances() == {"prior": Estimate(0.33, 0.33, 0.33, "given")}
    assert found.transitions() is None


def test_what_was_learnt_is_kept_whole(tmp_path: Path) -> None:
    found, _ = trained(tmp_path, "noisy", NoiseUnknown(), epochs=5)
    (tmp_path / "kept").mkdir()
    save_value(found, tmp_path / "kept")
    again = load_value(tmp_path / "kept")
    rows = pd.read_csv(tmp_path / "trees.csv")
    pd.testing.assert_frame_equal(found.predictor.predict(rows), again.predictor.predict(rows))
    assert again.coding == found.coding
    assert again.nuisances() == found.nuisances()


def test_a_label_that_cannot_be_read_is_told_before_the_training_be_it_of_a_held_row(tmp_path: Path) -> None:
    dataset, _ = ingest(load_specification(write_trees(tmp_path, "known_ash")), tmp_path / "datasets", 0, silent)
    held = read_rows(dataset, ["number"], [1], ["held"])["number"].iloc[0]
    table = trees()
    table.loc[table["number"] == held, "known_ash"] = 7.0
    (tmp_path / "changed").mkdir()
    path = write_trees(tmp_path / "changed", "known_ash", table=table)
    changed, _ = ingest(load_specification(path), tmp_path / "datasets", 0, silent)
    with pytest.raises(InputError, match=r"column 'known_ash': labels must be coded \{1, 0\}"):
        prepare(ClassifierTraining(PriorUnknown()), changed, [1])


def test_batches_without_rows_are_refused(tmp_path: Path) -> None:
    dataset, _ = ingest(load_specification(write_trees(tmp_path, "noisy")), tmp_path / "datasets", 0, silent)
    with pytest.raises(InputError, match="batches must have rows to learn from"):
        prepare(ClassifierTraining(NoiseUnknown()), dataset, [])
