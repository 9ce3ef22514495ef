"""Baselines rank what can be ranked, take missing values, and are the same for the same seed."""

from dataclasses import replace

import numpy as np
import pytest

from components.contracts import FloatArray
from components.errors import InputError
from components.evaluation import BASELINES, METRICS, Baseline, NaiveBoosting, NaiveLogistic

each_baseline = pytest.mark.parametrize("name", list(BASELINES))


def draw(rows: int = 400, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(rows, 3)) * (1, 10, 100)
    labelled = (generator.random(rows) < 1 / (1 + np.exp(-2 * features[:, 0]))).astype(float)
    return features, labelled


@each_baseline
def test_a_baseline_ranks_labeled_rows_above_others(name: str) -> None:
    fitted = BASELINES[name]().fit(*draw(), seed=0)
    features, labelled = draw(seed=1)
    probability = fitted.probability(features)
    assert probability.shape == (400,)
    # The true probabilities reach 0.84 on these rows.
    assert METRICS["auc"](labelled, probability) > 0.75
    assert METRICS["calibration_error"](labelled, probability) < 0.15


@each_baseline
def test_missing_values_are_taken(name: str) -> None:
    features, labelled = draw()
    features[::5, 1], features[:, 2] = np.nan, np.nan
    before = features.copy()
    assert np.isfinite(BASELINES[name]().fit(features, labelled, 0).probability(features)).all()
    np.testing.assert_array_equal(features, before)


@each_baseline
def test_same_seed_same_probabilities(name: str) -> None:
    features, labelled = draw()
    one, two = (BASELINES[name]().fit(features, labelled, 3).probability(features) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_logistic_regression_is_where_its_gradient_is_zero() -> None:
    features, labelled = draw()
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    fitted = NaiveLogistic(regularisation=0.5).fit(features, labelled, 0)
    probability = fitted.probability(features)
    log_odds = np.log(probability / (1 - probability))
    design = np.column_stack([np.ones(400), standard])
    weights = np.linalg.lstsq(design, log_odds, rcond=None)[0]
    gradient = design.T @ (probability - labelled) + np.r_[0, weights[1:]] / 0.5
    # The optimiser stops at a gradient of about 1e-4 times the rows.
    np.testing.assert_allclose(gradient, 0, atol=0.1)


@each_baseline
def test_both_kinds_of_rows_are_needed(name: str) -> None:
    with pytest.raises(InputError, match="labelled"):
        BASELINES[name]().fit(np.zeros((4, 1)), np.zeros(4), 0)


@pytest.mark.parametrize(
    ("baseline", "field", "value"),
    [
        (NaiveLogistic(), "regularisation", 0.0),
        (NaiveBoosting(), "rounds", 0),
        (NaiveBoosting(), "learning_rate", 1.5),
        (NaiveBoosting(), "leaves", 1),
    ],
)
def test_a_bad_field_is_named(baseline: Baseline, field: str, value: float) -> None:
    with pytest.raises(InputError, match=field):
        replace(baseline, **{field: value})
