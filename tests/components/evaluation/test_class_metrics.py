"""Metrics of several classes against scikit-learn and against plain loops, and their bootstrap."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from components.evaluation import METRICS, bootstrap, resample, resampled
from components.evaluation.class_metrics import CLASS_METRICS, CLASS_SCORES, Classified

Array = np.ndarray


def drawn(classes: int, seed: int = 0, rows: int = 400) -> tuple[Array, Array]:
    """Classes and probabilities that know something of them; some are alike."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(classes), rows).round(2)
    probabilities = (probabilities + 0.01) / (probabilities + 0.01).sum(axis=1, keepdims=True)
    chances = 0.5 * probabilities + 0.5 / classes
    truth = (rng.random((rows, 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(max=classes - 1)
    return truth, probabilities


def value(name: str, truth: Array, probabilities: Array) -> float:
    return CLASS_METRICS[name](truth, probabilities)


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_metrics_agree_with_scikit_learn(classes: int) -> None:
    truth, probabilities = drawn(classes)
    likeliest = probabilities.argmax(axis=1)
    assert value("error", truth, probabilities) == pytest.approx(oracle.zero_one_loss(truth, likeliest))
    log_loss = oracle.log_loss(truth, probabilities, labels=range(classes))
    assert value("log_loss", truth, probabilities) == pytest.approx(log_loss)
    squares = [oracle.brier_score_loss(truth == k, probabilities[:, k]) for k in range(classes)]
    assert value("brier", truth, probabilities) == pytest.approx(sum(squares))
    if classes == 2:
        first = truth == 0
        assert value("auc", truth, probabilities) == pytest.approx(oracle.roc_auc_score(first, probabilities[:, 0]))
        found = oracle.average_precision_score(first, probabilities[:, 0])
        assert value("average_precision", truth, probabilities) == pytest.approx(found)


@pytest.mark.parametrize("classes", [2, 4])
def test_the_calibration_error_is_that_of_the_likeliest_class(classes: int) -> None:
    """Fifteen bins of equal mass, row by row."""
    rng = np.random.default_rng(1)
    truth, probabilities = drawn(classes, rows=450)
    probabilities += 1e-6 * rng.random(probabilities.shape)  # no two alike, so that bins are of whole rows
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    rows = sorted((max(row), float(np.argmax(row) == true)) for row, true in zip(probabilities, truth, strict=True))
    error = 0.0
    for begin in range(0, 450, 30):
        part = rows[begin : begin + 30]
        error += abs(sum(top for top, _ in part) - sum(right for _, right in part)) / 450
    assert value("calibration_error", truth, probabilities) == pytest.approx(error, abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 5), rows=st.integers(1, 40))
def test_weights_are_repetitions_and_order_does_not_matter(seed: int, classes: int, rows: int) -> None:
    truth, probabilities = drawn(classes, seed, rows)
    rng = np.random.default_rng(seed)
    counts, order = rng.integers(0, 3, rows).astype(float), rng.permutation(rows)
    if not counts.sum():
        return
    data = Classified(truth, {"a": probabilities})
    weighted = data.values(counts[None])[0, :, 0]
    repeated = np.repeat(order, counts[order].astype(int))
    again = Classified(truth[repeated], {"a": probabilities[repeated]}).values(np.ones((1, len(repeated))))[0, :, 0]
    np.testing.assert_allclose(weighted, again, atol=1e-10)


def test_names_of_two_classes_are_left_out_of_more() -> None:
    two, three = (Classified(truth, {"a": probabilities}) for truth, probabilities in (drawn(2), drawn(3)))
    assert two.metrics == tuple(CLASS_METRICS)
    assert set(two.metrics) - set(three.metrics) == {"auc", "average_precision"}
    assert set(CLASS_SCORES) == {*CLASS_METRICS, "validation_error", "validation_surprise"}
    assert all(metric.name == name for name, metric in CLASS_SCORES.items())


def test_two_classes_have_the_scores_that_a_probability_of_one_has() -> None:
    truth, probabilities = drawn(2)
    first = (truth == 0).astype(float)
    for name in ("log_loss", "auc", "average_precision"):
        assert value(name, truth, probabilities) == pytest.approx(METRICS[name](first, probabilities[:, 0]))
    assert value("brier", truth, probabilities) == pytest.approx(2 * METRICS["brier"](first, probabilities[:, 0]))


def test_resamples_are_those_of_any_metric() -> None:
    truth, probabilities = drawn(2, rows=150)
    found = resampled(Classified(truth, {"a": probabilities}), 40, 3)
    other = resample((truth == 0).astype(float), {"a": probabilities[:, 0]}, 40, 3, ("auc",))
    at = found.metrics.index("auc")
    np.testing.assert_allclose(found.replicates[0, at], other.replicates[0, 0])


def test_weights_of_rows_reach_the_bootstrap() -> None:
    truth, probabilities = drawn(3, rows=120)
    weights = np.where(truth == 0, 5.0, 1.0)
    interval = resampled(Classified(truth, {"a": probabilities}), 50, 0, weights).interval("a", "error")
    wrong = probabilities.argmax(axis=1) != truth
    assert interval.estimate == pytest.approx(np.average(wrong, weights=weights))
    assert interval.low < interval.estimate < interval.high


def test_of_many_rows_a_sample_is_resampled(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, probabilities = drawn(3, rows=4000)
    whole = resampled(Classified(truth, {"a": probabilities}), 100, 0).interval("a", "error")
    monkeypatch.setattr(bootstrap, "MANY", 1000)
    some = resampled(Classified(truth, {"a": probabilities}), 100, 0).interval("a", "error")
    assert some.estimate == whole.estimate
    assert some.high - some.low == pytest.approx(whole.high - whole.low, rel=0.35)


def test_equal_probabilities_go_to_the_first_class() -> None:
    half = np.full((2, 2), 0.5)
    assert value("error", np.array([0, 1]), half) == 0.5
    assert value("error", np.array([1, 1]), half) == 1.0


def test_chosen_rows_keep_their_truth() -> None:
    truth, probabilities = drawn(3)
    rows = np.array([7, 3, 350, 3])
    found = Classified(truth, {"a": probabilities}).chosen(rows).values(np.ones((1, 4)))
    expected = Classified(truth[rows], {"a": probabilities[rows]}).values(np.ones((1, 4)))
    np.testing.assert_array_equal(found, expected)
