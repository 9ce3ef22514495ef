"""Metrics against scikit-learn and against plain loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from components.contracts import FloatArray
from components.evaluation import METRICS
from components.evaluation.metrics import BINS, Weighted

# Few distinct values, so that ties are the rule.
levels = st.sampled_from([0.0, 1e-9, 0.05, 0.2, 0.2, 0.5, 0.73, 0.999, 1.0])
rows = st.lists(st.tuples(st.sampled_from([0.0, 1.0]), levels), min_size=1, max_size=40)


def split(pairs: list[tuple[float, float]]) -> tuple[FloatArray, FloatArray]:
    truth, probability = np.array(pairs, dtype=np.float64).T
    return truth, probability


def looped_calibration_error(truth: FloatArray, probability: FloatArray) -> float:
    """Every row fifteen times, so that fifteen bins divide evenly; ties get the mean truth of their block."""
    order = np.argsort(probability)
    truth, probability = truth[order], probability[order]
    shared = [truth[probability == value].mean() for value in probability]
    many_truth, many_probability = np.repeat(shared, BINS), np.repeat(probability, BINS)
    size, error = len(truth), 0.0
    for number in range(BINS):
        inside = slice(number * size, (number + 1) * size)
        error += abs(many_probability[inside].sum() - many_truth[inside].sum())
    return error / (size * BINS)


@settings(deadline=None)
@given(rows)
def test_means_agree_with_scikit_learn(pairs: list[tuple[float, float]]) -> None:
    truth, probability = split(pairs)
    clipped = np.clip(probability, 1e-12, 1 - 1e-12)
    expected = oracle.log_loss(truth, np.column_stack([1 - clipped, clipped]), labels=[0, 1])
    assert METRICS["log_loss"](truth, probability) == pytest.approx(expected, rel=1e-6)
    assert METRICS["brier"](truth, probability) == pytest.approx(oracle.mean_squared_error(truth, probability))
    bias = probability.mean() - truth.mean()
    assert METRICS["prevalence_bias"](truth, probability) == pytest.approx(bias, abs=1e-12)
    assert METRICS["prevalence_error"](truth, probability) == pytest.approx(abs(bias), abs=1e-12)


@settings(deadline=None)
@given(rows)
def test_rankings_agree_with_scikit_learn(pairs: list[tuple[float, float]]) -> None:
    truth, probability = split(pairs)
    if len(set(truth)) == 1:
        assert np.isnan(METRICS["auc"](truth, probability))
        assert np.isnan(METRICS["average_precision"](truth, probability))
        return
    assert METRICS["auc"](truth, probability) == pytest.approx(oracle.roc_auc_score(truth, probability))
    expected = oracle.average_precision_score(truth, probability)
    assert METRICS["average_precision"](truth, probability) == pytest.approx(expected)


@settings(deadline=None)
@given(rows)
def test_calibration_error_agrees_with_a_loop(pairs: list[tuple[float, float]]) -> None:
    truth, probability = split(pairs)
    expected = looped_calibration_error(truth, probability)
    assert METRICS["calibration_error"](truth, probability) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(rows, st.integers(0, 2**32 - 1))
def test_counts_mean_repeated_rows_in_any_order(pairs: list[tuple[float, float]], seed: int) -> None:
    truth, probability = split(pairs)
    generator = np.random.default_rng(seed)
    counts = generator.integers(0, 4, len(truth))
    order = generator.permutation(len(truth))
    for metric in METRICS.values():
        expected = metric(np.repeat(truth, counts), np.repeat(probability, counts))
        weighted = metric.weighted(Weighted(truth, probability, counts[None].astype(float)))[0]
        moved = metric.weighted(Weighted(truth[order], probability[order], counts[order][None].astype(float)))[0]
        assert weighted == pytest.approx(expected, nan_ok=True, abs=1e-12), metric.name
        assert moved == pytest.approx(expected, nan_ok=True, abs=1e-12), metric.name


def test_constant_predictions_have_known_scores() -> None:
    truth = np.array([1.0, 0.0, 0.0, 0.0, 0.0] * 40)
    constant = np.full(len(truth), 0.3)
    assert METRICS["calibration_error"](truth, constant) == pytest.approx(0.1)
    assert METRICS["auc"](truth, constant) == pytest.approx(0.5)
    assert METRICS["average_precision"](truth, constant) == pytest.approx(0.2)
    assert METRICS["log_loss"](truth, constant) == pytest.approx(-0.2 * np.log(0.3) - 0.8 * np.log(0.7))


def test_a_certain_mistake_costs_the_clip() -> None:
    assert METRICS["log_loss"](np.array([1.0]), np.array([0.0])) == pytest.approx(-np.log(1e-12))


@pytest.mark.parametrize("name", list(METRICS))
def test_no_rows_have_no_score(name: str) -> None:
    assert np.isnan(METRICS[name](np.empty(0), np.empty(0)))


def test_metrics_are_keyed_by_their_name() -> None:
    assert all(METRICS[name].name == name and METRICS[name].description for name in METRICS)
