"""A classifier is scored on held rows: against loops over the rows, with and without truth, and kept as it is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import confusion_matrix

from components.classification_assessment import (
    CHAMPION,
    CONSTANT,
    AssessedClassifier,
    assess_classifier,
)
from components.classifier.coding import Coding
from components.contracts import Column, EvaluationLabels
from components.encoding import load_value, save_value
from components.errors import InputError
from components.evaluation import OURS
from components.weak import PartialLabels
from tests.class_world import CLASSES, ClassWorld, class_world


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> ClassWorld:
    return class_world(tmp_path_factory.mktemp("three") / "table")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> ClassWorld:
    return class_world(tmp_path_factory.mktemp("two") / "table", 2, weights=True)


@pytest.fixture(scope="module")
def assessed(three: ClassWorld) -> AssessedClassifier:
    return assess_classifier(three.dataset, three.labels, three.learnt(), three.predictor(5, 0.6), (1, 2))


def predicted(world: ClassWorld, seed: int = 0, near: float = 1.0) -> np.ndarray:
    return world.predictor(seed, near).predict(world.held).iloc[:, : len(world.classes)].to_numpy()


def test_scores_are_those_of_a_loop_over_the_held_rows(three: ClassWorld, assessed: AssessedClassifier) -> None:
    held, probabilities = three.held, {OURS: predicted(three), CHAMPION: predicted(three, 5, 0.6)}
    known = held["truth"].notna().to_numpy()
    shares = held["truth"][known].value_counts(normalize=True).sort_index().to_numpy()
    probabilities[CONSTANT] = np.tile(shares, (len(held), 1))
    inverse = np.linalg.inv(np.array(three.setting.transition))  # type: ignore[attr-defined]
    for model, table in probabilities.items():
        for batch, within in (("all", held["batch"] > 0), ("autumn", held["batch"] == 2)):
            errors, losses, squares, weak = [], [], [], []
            for place in np.flatnonzero(within):
                says = int(table[place].argmax())
                observed = CLASSES.index(held["told"][place])
                weak.append(sum(inverse[observed, k] * (k != says) for k in range(3)))
                if known[place]:
                    true = int(held["truth"][place])
                    errors.append(says != true)
                    losses.append(-np.log(table[place, true]))
                    squares.append(sum((table[place, k] - (k == true)) ** 2 for k in range(3)))
            for metric, values in (
                ("error", errors),
                ("log_loss", losses),
                ("brier", squares),
                ("validation_error", weak),
            ):
                found = assessed.scorecard.value(model, metric, batch)
                assert found.value == pytest.approx(np.mean(values), abs=1e-9), (model, batch, metric)
                assert found.rows == len(values)
                assert found.low <= found.value <= found.high
    assert not assessed.scorecard.weak
    assert assessed.scorecard.label == "species"
    assert assessed.judge == "log_loss"


def test_what_pictures_are_made_of_is_kept(three: ClassWorld, assessed: AssessedClassifier) -> None:
    held = three.held
    np.testing.assert_array_equal(assessed.truth, held["truth"].to_numpy())
    np.testing.assert_allclose(assessed.probabilities, predicted(three), atol=1e-7)
    assert assessed.probabilities.dtype == np.float32
    known = held["truth"].notna().to_numpy()
    expected = confusion_matrix(held["truth"][known].astype(int), predicted(three)[known].argmax(axis=1))
    np.testing.assert_array_equal(assessed.confusion, expected)
    assert assessed.classes == CLASSES


def test_differences_and_verdicts(assessed: AssessedClassifier) -> None:
    card = assessed.scorecard
    assert {entry.against for entry in assessed.differences} == {CHAMPION, CONSTANT}
    for entry in assessed.differences:
        expected = card.value(OURS, "log_loss").value - card.value(entry.against, "log_loss").value
        assert entry.estimate == pytest.approx(expected, abs=1e-12)
        assert entry.low < entry.estimate < entry.high
        if entry.against == CHAMPION:  # classifiers alike are compared on the same rows
            alone, other = (card.value(model, "log_loss") for model in (OURS, CHAMPION))
            assert entry.high - entry.low < 0.85 * np.hypot(alone.high - alone.low, other.high - other.low)
    constant, champion = assessed.verdicts
    assert constant.passed
    assert champion.passed
    assert constant.sentence.startswith("Log loss minus that of the best constant is -0.")
    assert "must be below 0" in constant.sentence
    assert "minus that of champion" in champion.sentence
    assert "must be at most 0" in champion.sentence


def test_a_classifier_that_is_worse_is_held_back(three: ClassWorld) -> None:
    poor, good = three.learnt(3, -1.0), three.predictor(0)
    found = assess_classifier(three.dataset, three.labels, poor, good, (1, 2))
    assert [verdict.passed for verdict in found.verdicts] == [False, False]
    same = assess_classifier(three.dataset, three.labels, three.learnt(), good, (1, 2))
    assert same.verdicts[1].passed  # no worse than itself
    assert "is +0.0000 [+0.0000, +0.0000]" in same.verdicts[1].sentence
    assert len(assess_classifier(three.dataset, three.labels, three.learnt(), None, (1, 2)).verdicts) == 1


def test_without_truth_weak_labels_judge(three: ClassWorld, assessed: AssessedClassifier) -> None:
    found = assess_classifier(three.dataset, None, three.learnt(), three.predictor(5, 0.6), (1, 2))
    assert found.scorecard.weak
    assert found.scorecard.label == "told"
    assert found.confusion is None
    assert np.isnan(found.truth).all()
    assert {score.metric for score in found.scorecard.scores} == {"validation_error"}
    assert found.judge == "validation_error"
    assert "Weak error rate minus that of the best constant" in found.verdicts[0].sentence
    same = found.scorecard.value(OURS, "validation_error")
    assert same == assessed.scorecard.value(OURS, "validation_error")
    gap = next(entry for entry in found.differences if entry.against == CHAMPION)
    assert gap.high - gap.low < same.high - same.low


def test_sample_weights_weigh_rows(two: ClassWorld) -> None:
    found = assess_classifier(two.dataset, two.labels, two.learnt(), None, (1, 2))
    held, table = two.held, predicted(two)
    known = held["truth"].notna().to_numpy()
    heavy, truth = held["heavy"].to_numpy(), held["truth"].to_numpy()
    wrong = table.argmax(axis=1)[known] != truth[known]
    assert found.scorecard.value(OURS, "error").value == pytest.approx(np.average(wrong, weights=heavy[known]))
    assert found.confusion is not None
    assert found.confusion.sum() == pytest.approx(heavy[known].sum())
    # One sample of positives and unlabeled rows: prior times (error of positives - error were they negative) + ...
    positive, prior = held["told"].to_numpy() == 1, two.setting.prior  # type: ignore[attr-defined]
    says_negative = table.argmax(axis=1) == 1
    lacking = np.average(2.0 * says_negative[positive] - 1, weights=heavy[positive])
    expected = prior * lacking + np.average(~says_negative, weights=heavy)
    assert found.scorecard.value(OURS, "validation_error").value == pytest.approx(expected, abs=1e-9)
    assert {"auc", "average_precision"} < {score.metric for score in found.scorecard.scores}


def test_two_classes_of_an_evaluation_label_that_says_positive(two: ClassWorld) -> None:
    found = assess_classifier(two.dataset, two.labels, two.learnt(), None, (1, 2))
    assert found.scorecard.value(OURS, "auc").value > 0.8  # 1.0 in the file is class 0
    np.testing.assert_array_equal(found.truth, two.held["truth"].to_numpy())


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("beech", "oak", "ash"), None),
        (("a", "b", "c"), "Classes were matched by their place: ash is a, beech is b, oak is c."),
    ],
)
def test_classes_are_matched_by_name_else_by_place(
    three: ClassWorld, assessed: AssessedClassifier, tmp_path: Path, names: tuple[str, ...], told: str | None
) -> None:
    frame = pd.read_parquet(three.labels.path)
    if told is None:
        frame["label"] = frame["label"].map({CLASSES.index(name): place for place, name in enumerate(names)})
    frame.to_parquet(tmp_path / "other.parquet")
    labels = replace(three.labels, path=tmp_path / "other.parquet", classes=names)
    found = assess_classifier(three.dataset, labels, three.learnt(), three.predictor(5, 0.6), (1, 2))
    assert found.scorecard.scores == assessed.scorecard.scores
    assert found.scorecard.notes == (() if told is None else (told,))


def labels_of(world: ClassWorld, folder: Path, label: float, **fields: object) -> EvaluationLabels:
    frame = pd.read_parquet(world.labels.path).assign(label=label)
    frame.to_parquet(folder / "labels.parquet")
    return replace(world.labels, path=folder / "labels.parquet", **fields)  # type: ignore[arg-type]


def test_truth_that_is_known_of_no_held_row_leaves_weak_scores(three: ClassWorld, tmp_path: Path) -> None:
    labels = labels_of(three, tmp_path, np.nan)
    found = assess_classifier(three.dataset, labels, three.learnt(), None, (1, 2))
    assert found.scorecard.weak
    assert found.scorecard.label == "told"
    assert found.scorecard.notes == ("The evaluation label species is known for no held row.",)


def test_wrong_inputs_are_told(three: ClassWorld, tmp_path: Path) -> None:
    def refused(labels: EvaluationLabels | None, message: str, **changed: object) -> None:
        learnt = replace(three.learnt(), **changed)  # type: ignore[arg-type]
        with pytest.raises(InputError, match=message):
            assess_classifier(three.dataset, labels, learnt, None, (1,))

    refused(labels_of(three, tmp_path, 3.0), "numbers from 0 to 2")
    refused(replace(three.labels, classes=("ash", "beech", "elm")), "must be ash, beech, oak, as the classifier has")
    refused(replace(three.labels, classes=()), "must be the 3 of the classifier, got positive and not")
    refused(None, "features must be known", predictor=replace(three.predictor(0), features=None))
    other = replace(three.predictor(0), classes=("oak", "beech", "ash"))
    with pytest.raises(InputError, match="classes of champion must be ash, beech, oak"):
        assess_classifier(three.dataset, None, three.learnt(), other, (1,))


def test_no_held_row_is_told(two: ClassWorld, tmp_path: Path) -> None:
    path = tmp_path / "batch=1"
    path.mkdir()
    frame = two.frame[two.frame["_part"] != "held"].drop(columns=["truth", "batch"])
    frame.to_parquet(path / "part-0.parquet", index=False)
    with pytest.raises(InputError, match="must have held rows, 1 have none"):
        assess_classifier(replace(two.dataset, path=tmp_path), None, two.learnt(), None, (1,))


def test_weak_labels_that_tell_nothing(two: ClassWorld) -> None:
    """A prior below the share of the labeled is impossible in one sample: truth judges alone, or nobody can."""
    impossible = replace(two.learnt(), coding=replace(two.learnt().coding, setting=replace(two.setting, prior=0.01)))  # type: ignore[type-var]
    found = assess_classifier(two.dataset, two.labels, impossible, None, (1, 2))
    assert "validation_error" not in {score.metric for score in found.scorecard.scores}
    assert "Weak labels of the held rows tell no score: prior must be at least" in found.scorecard.notes[0]
    unjudged = assess_classifier(two.dataset, None, impossible, None, (1, 2))
    assert (unjudged.differences, unjudged.scorecard.scores, unjudged.judge) == ((), (), "")
    assert [verdict.passed for verdict in unjudged.verdicts] == [False]
    assert "neither truth nor weak labels do" in unjudged.verdicts[0].sentence


def test_sets_that_cannot_be_inverted_are_told_by_their_surprise(three: ClassWorld, tmp_path: Path) -> None:
    rng, frame = np.random.default_rng(0), three.frame.drop(columns="truth")
    frame["told"] = ["|".join(sorted({told, *rng.choice(CLASSES, 2)})) for told in frame["told"]]
    for index, part in frame.groupby("batch"):
        (tmp_path / f"batch={index}").mkdir()
        part.drop(columns="batch").to_parquet(tmp_path / f"batch={index}" / "part-0.parquet", index=False)
    dataset = replace(three.dataset, path=tmp_path)
    column = Column("told", "observed_label", "category", values=CLASSES)
    learnt = replace(three.learnt(), coding=Coding(column, PartialLabels(3)))
    found = assess_classifier(dataset, None, learnt, None, (1, 2))
    assert {score.metric for score in found.scorecard.scores} == {"validation_surprise"}
    held, table = frame[frame["_part"] == "held"].sort_values(["batch", "_row"]), predicted(three)
    inside = [[name in told.split("|") for name in CLASSES] for told in held["told"]]
    expected = -np.log((table * np.array(inside)).sum(axis=1)).mean()
    assert found.scorecard.value(OURS, "validation_surprise").value == pytest.approx(expected, rel=1e-9)


def test_it_is_kept_as_it_is(assessed: AssessedClassifier, tmp_path: Path) -> None:
    save_value(assessed, tmp_path)
    again = load_value(tmp_path)
    assert isinstance(again, AssessedClassifier)
    assert (again.scorecard.scores, again.differences, again.verdicts, again.classes) == (
        assessed.scorecard.scores,
        assessed.differences,
        assessed.verdicts,
        assessed.classes,
    )
    np.testing.assert_array_equal(again.probabilities, assessed.probabilities)
    np.testing.assert_array_equal(again.truth, assessed.truth)
    np.testing.assert_array_equal(again.confusion, assessed.confusion)


def test_progress_and_chunks(three: ClassWorld, assessed: AssessedClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    from components import held_classes

    monkeypatch.setattr(held_classes, "CHUNK", 100)
    told: list[tuple[int, int, dict[str, float]]] = []
    found = assess_classifier(
        three.dataset,
        three.labels,
        three.learnt(),
        three.predictor(5, 0.6),
        (2, 1),
        report=lambda step, total, metrics: told.append((step, total, dict(metrics))),
    )
    for one, other in zip(found.scorecard.scores, assessed.scorecard.scores, strict=True):
        assert one.value == pytest.approx(other.value, abs=1e-7)  # networks round by the size of what they are given
    assert [(step, total) for step, total, _ in told] == [(0, 3), (1, 3), (2, 3)]
    assert told[0][2]["rows"] == 600
    assert 0 < told[0][2]["rows_unknown"] < 100
    assert torch.is_grad_enabled()
