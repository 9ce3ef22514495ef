"""The label frequency is found where it can be, and bounded where it cannot."""

import os
import pickle
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.contracts import LabelFrequency
from components.errors import InputError
from components.weak import CLASS_PRIORS, BestBin, ClassPrior, Declared, SaturatingLogistic
from components.weak.best_bin import cross_fitted_scores, fold_numbers, largest_prior
from components.weak.class_prior import GRID, on_grid, update_belief
from components.weak.saturating_logistic import _cost, expand, profile

DATA = Path(os.environ.get("KINTSUGI_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
NHANES = DATA / "health" / "nhanes_adults_1999_2023.parquet"
each_method = pytest.mark.parametrize("method", [make() for make in CLASS_PRIORS.values()], ids=list(CLASS_PRIORS))


def saturating_world(seed: int, rows: int = 4000) -> tuple[np.ndarray, np.ndarray, float]:
    rng = np.random.default_rng(seed)
    frequency, slope = rng.uniform(0.4, 0.95), rng.normal(size=4)
    features = rng.normal(size=(rows, 4))
    score = features @ slope * 3.5 / np.linalg.norm(slope) - 2 + 0.5 * (features[:, 0] ** 2 - 1)
    positive = rng.random(rows) < 1 / (1 + np.exp(-score))
    return features, positive & (rng.random(rows) < frequency), frequency


def irreducible_world(seed: int, gap: float = 6.0) -> tuple[np.ndarray, np.ndarray, float]:
    rng = np.random.default_rng(seed)
    positive = rng.random(6000) < 0.3
    features = rng.normal(size=(6000, 3))
    features[positive, 0] += gap
    return features, positive & (rng.random(6000) < 0.5), float(positive.mean())


def test_saturating_logistic_holds_the_known_label_frequency_in_its_interval() -> None:
    held, errors = 0, []
    for seed in range(30):
        features, labelled, truth = saturating_world(seed)
        estimate = SaturatingLogistic().estimate(features, labelled).estimate
        held += estimate.low <= truth <= estimate.high
        errors.append(estimate.value - truth)
    assert held >= 27
    assert abs(np.mean(errors)) < 0.05


def test_the_profile_is_as_high_as_a_cold_start_with_another_optimiser_finds() -> None:
    from scipy.optimize import minimize

    features, labelled, _ = saturating_world(1, rows=600)
    design = expand(features, labelled, quadratic=True, products=2)
    values = np.array([0.5, 0.7, 0.9, 1.0])
    heights = profile(design, labelled, values, ridge=1.0)
    full = np.column_stack([np.ones(len(design)), design])

    def cost(at: np.ndarray, c: float) -> float:
        probability = c / (1 + np.exp(-full @ at))
        return -np.log(np.where(labelled, probability, 1 - probability)).sum() + 0.5 * at[1:] @ at[1:]

    for c, height in zip(values, heights, strict=True):
        start = np.zeros(full.shape[1]) if c == 1.0 else 0.1 * np.ones(full.shape[1])
        assert height == pytest.approx(-minimize(cost, start, c, method="BFGS", options={"gtol": 1e-3}).fun, abs=0.02)


def test_at_one_the_curve_is_logistic_regression() -> None:
    from sklearn.linear_model import LogisticRegression

    features, labelled, _ = saturating_world(4, rows=800)
    design = expand(features, labelled, quadratic=False, products=0)
    model = LogisticRegression(C=1.0, tol=1e-8, max_iter=1000).fit(design, labelled)
    logs = model.predict_log_proba(design)[np.arange(len(labelled)), labelled.astype(int)].sum()
    expected = logs - 0.5 * float((model.coef_**2).sum())
    assert profile(design, labelled, np.array([1.0]), 1.0)[0] == pytest.approx(expected, abs=1e-2)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), c=st.floats(0.2, 1.0), oversampling=st.just(1.0) | st.floats(1.0, 500.0))
def test_the_slope_of_the_cost_is_that_of_finite_differences(seed: int, c: float, oversampling: float) -> None:
    rng = np.random.default_rng(seed)
    design, turn, at = rng.normal(size=(30, 3)), rng.normal(size=(3, 3)), rng.normal(size=3)
    arguments = (design @ turn, turn, np.array([0.1, 1.0, 2.0]), rng.random(30) < 0.3, c, oversampling)
    slope = _cost(at, *arguments)[1]
    for axis in np.eye(3) * 1e-6:
        numeric = (_cost(at + axis, *arguments)[0] - _cost(at - axis, *arguments)[0]) / 2e-6
        assert numeric == pytest.approx(float(slope @ axis) / 1e-6, rel=1e-4, abs=1e-4)


def test_the_previous_belief_is_the_next_prior_and_retain_forgets_it() -> None:
    features, labelled, _ = saturating_world(6)
    method, half = SaturatingLogistic(), np.arange(len(labelled)) < 2000
    first = method.estimate(features[half], labelled[half])
    alone = method.estimate(features[~half], labelled[~half])
    both = method.estimate(features[~half], labelled[~half], first)
    product = first.density * alone.density
    np.testing.assert_allclose(both.density, product / product.sum(), atol=1e-6)
    forgotten = replace(method, retain=0.0).estimate(features[~half], labelled[~half], first)
    np.testing.assert_allclose(forgotten.density, alone.density, atol=1e-12)
    deviation = [np.sqrt(b.density @ (b.grid - b.estimate.value) ** 2) for b in (first, alone, both)]
    assert deviation[2] < min(deviation[:2])


def test_a_contradicting_batch_can_still_move_the_belief() -> None:
    labelled = np.arange(100) < 10
    certain = LabelFrequency(GRID, (GRID[179] == GRID).astype(float), "certain")
    peaked = -0.5 * ((GRID - 0.3) / 0.01) ** 2
    moved = update_belief(peaked, certain, 1.0, float(labelled.mean()))
    assert moved.sum() == pytest.approx(1.0)
    assert abs(float(GRID @ moved) - 0.3) < 0.05


def test_no_belief_holds_more_positives_than_rows() -> None:
    labelled = np.arange(100) < 40
    density = update_belief(np.zeros(len(GRID)), None, 1.0, float(labelled.mean()))
    assert density[GRID < 0.4].sum() == 0.0
    assert density[GRID >= 0.4].min() > 0.0


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), points=st.integers(1, 400))
def test_a_belief_on_another_grid_keeps_its_mass_and_mean(seed: int, points: int) -> None:
    rng = np.random.default_rng(seed)
    grid = np.sort(rng.choice(np.arange(20, 1000), min(points, 900), replace=False)) / 1000
    belief = LabelFrequency(grid, rng.dirichlet(np.ones(len(grid))), "test")
    moved = on_grid(belief)
    widest = np.diff(grid).max(initial=0.0)
    assert moved.sum() == pytest.approx(1.0)
    assert abs(float(GRID @ moved) - belief.estimate.value) <= widest / 2 + 0.005
    same = LabelFrequency(GRID, moved, "test")
    np.testing.assert_array_equal(on_grid(same), same.density)


@pytest.mark.parametrize("scorer", ["logistic", "trees"])
def test_best_bin_finds_the_prior_where_some_rows_can_only_be_positive(scorer: str) -> None:
    features, labelled, truth = irreducible_world(0)
    prior = BestBin(scorer=scorer).estimate(features, labelled).class_prior(float(labelled.mean()))
    assert prior.value == pytest.approx(truth, abs=0.02)
    assert prior.low <= truth <= prior.high


def test_best_bin_is_an_upper_bound_where_classes_overlap() -> None:
    features, labelled, truth = irreducible_world(1, gap=1.5)
    prior = BestBin().estimate(features, labelled).class_prior(float(labelled.mean()))
    assert prior.value > truth
    upper = largest_prior(features[:, 0], labelled, 0.1, 0.01).high
    assert upper >= truth


def test_the_best_threshold_is_the_one_brute_force_finds() -> None:
    rng = np.random.default_rng(3)
    labelled = rng.random(200) < 0.3
    scores = np.round(rng.normal(size=200) + labelled, 1)  # with ties
    slack = np.sqrt(np.log(40) / 400) + np.sqrt(np.log(40) / (2 * labelled.sum()))
    candidates = []
    for threshold in np.unique(scores[labelled]):
        reached, caught = (scores >= threshold).mean(), (scores[labelled] >= threshold).mean()
        candidates.append(((reached + 1.01 * slack) / caught, reached / caught))
    expected = float(np.clip(min(candidates)[1], labelled.mean(), 1.0))
    assert largest_prior(scores, labelled, 0.1, 0.01).value == pytest.approx(expected)


def test_the_bound_of_best_bin_holds_as_often_as_it_says() -> None:
    failures = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        positive = rng.random(1500) < 0.3
        labelled = positive & (rng.random(1500) < 0.4)
        estimate = largest_prior(rng.normal(size=1500) + 8 * positive, labelled, 0.1, 0.01)
        failures += not estimate.low <= 0.3 <= estimate.high
    assert failures <= 6


def test_folds_keep_the_share_of_labeled_rows_and_scores_are_of_unseen_rows() -> None:
    rng = np.random.default_rng(0)
    labelled = rng.random(500) < 0.2
    folds = fold_numbers(labelled, 5, seed=0)
    shares = [labelled[folds == number].mean() for number in range(5)]
    assert max(shares) - min(shares) < 0.02
    noise = rng.normal(size=(500, 100))  # 100 columns of noise separate 400 rows in sample, never out of sample
    scores = cross_fitted_scores(noise, labelled, "logistic", 5, 0)
    assert np.mean(scores[labelled][:, None] > scores[~labelled]) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(("value", "low", "high"), [(0.73, 0.6, 0.85), (0.3, 0.25, 0.35), (0.732, 0.732, 0.732)])
def test_a_stated_frequency_keeps_its_mean_and_interval(value: float, low: float, high: float) -> None:
    belief = Declared(value=value, low=low, high=high).estimate(np.zeros((20, 1)), np.arange(20) < 2)
    assert belief.estimate.value == pytest.approx(value, abs=1e-3)
    assert belief.estimate.low == pytest.approx(low, abs=0.02)
    assert belief.estimate.high == pytest.approx(high, abs=0.02)


def test_a_stated_frequency_below_the_share_of_labels_is_refused() -> None:
    with pytest.raises(InputError, match="high must be at least the share"):
        Declared(value=0.3, low=0.2, high=0.4).estimate(np.zeros((20, 1)), np.arange(20) < 15)


@each_method
def test_the_same_rows_give_the_same_belief_and_stay_as_they_are(method: ClassPrior) -> None:
    features, labelled, _ = saturating_world(9, rows=500)
    before = features.copy(), labelled.copy()
    beliefs = [method.estimate(features, labelled) for _ in range(2)]
    np.testing.assert_array_equal(beliefs[0].density, beliefs[1].density)
    np.testing.assert_array_equal(features, before[0])
    np.testing.assert_array_equal(labelled, before[1])
    assert beliefs[0].estimate.value >= labelled.mean()


@each_method
def test_the_unit_of_a_column_does_not_matter(method: ClassPrior) -> None:
    features, labelled, _ = saturating_world(9, rows=1000)
    plain = method.estimate(features, labelled).estimate.value
    moved = method.estimate(features * [1000.0, 1.0, 0.001, 1.0] + [5.0, 0.0, 0.0, -40.0], labelled).estimate.value
    assert moved == pytest.approx(plain, abs=0.01)


def test_constant_and_binary_columns_are_no_trouble() -> None:
    features, labelled, _ = saturating_world(9, rows=500)
    more = np.column_stack([features, np.ones(500), np.arange(500) % 2])
    assert expand(more, labelled, quadratic=True, products=3).shape == (500, 5 + 4 + 3)
    belief = SaturatingLogistic().estimate(more, labelled)
    assert np.isfinite(belief.density).all()


def test_thirteen_thousand_rows_take_seconds() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(13_000, 20))
    positive = rng.random(13_000) < 1 / (1 + np.exp(-1.5 * features[:, :5].sum(axis=1) + 2))
    start = time.perf_counter()
    SaturatingLogistic().estimate(features, positive & (rng.random(13_000) < 0.6))
    assert time.perf_counter() - start < 9  # below 1 s on an idle core; the rest is for a loaded one


@pytest.mark.real_data
@pytest.mark.skipif(not NHANES.exists(), reason="the NHANES table is not here")
def test_undiagnosed_diabetes_is_seen_in_the_estimated_prior() -> None:
    columns = ["age", "male", "bmi", "waist_cm", "sbp", "dbp", "pulse", "total_chol", "hdl", "bp_meds", "chol_meds"]
    table = pd.read_parquet(NHANES, columns=[*columns, "batch", "dx_diabetes", "any_diabetes"])
    table = table[table["batch"].le(3) & table["dx_diabetes"].notna()]
    features = table[columns].astype(float)
    labelled = table["dx_diabetes"].to_numpy() == 1
    belief = SaturatingLogistic().estimate(features.fillna(features.median()).to_numpy(), labelled)
    share, truth = float(labelled.mean()), float(table["any_diabetes"].mean())
    prior = belief.class_prior(share)
    assert abs(prior.value - truth) < abs(share - truth)
    assert prior.low <= truth <= prior.high


@each_method
@pytest.mark.parametrize(
    ("features", "labelled", "name"),
    [
        (np.zeros((4, 1)), np.zeros(4, dtype=bool), "labelled must hold both"),
        (np.zeros((4, 1)), np.ones(4, dtype=bool), "labelled must hold both"),
        (np.zeros((4, 1)), np.array([True, False]), "labelled must hold one"),
        (np.array([[np.nan], [0.0]]), np.array([True, False]), "features must be finite"),
    ],
)
def test_rows_that_say_nothing_are_refused(
    method: ClassPrior, features: np.ndarray, labelled: np.ndarray, name: str
) -> None:
    with pytest.raises(InputError, match=name):
        method.estimate(features, labelled)


@pytest.mark.parametrize("method", [SaturatingLogistic(), BestBin()])
def test_fewer_labeled_rows_than_folds_are_refused(method: ClassPrior) -> None:
    with pytest.raises(InputError, match="labelled must hold at least 5 rows of each value"):
        method.estimate(np.arange(20.0)[:, None], np.arange(20) < 2)


@each_method
def test_a_method_is_a_value(method: ClassPrior) -> None:
    assert pickle.loads(pickle.dumps(method)) == method
    assert hash(method) == hash(type(method)())


@pytest.mark.parametrize(
    ("make", "field", "value"),
    [
        (SaturatingLogistic, "grid", 3),
        (SaturatingLogistic, "lowest", 0.0),
        (SaturatingLogistic, "products", -1),
        (SaturatingLogistic, "ridge", 0.0),
        (SaturatingLogistic, "retain", 1.5),
        (SaturatingLogistic, "maximum_rows", 99),
        (SaturatingLogistic, "seed", -1),
        (BestBin, "delta", 0.0),
        (BestBin, "gamma", -0.1),
        (BestBin, "scorer", "forest"),
        (BestBin, "folds", 1),
        (BestBin, "retain", -0.1),
        (BestBin, "maximum_rows", 10),
        (BestBin, "seed", -1),
        (Declared, "value", 0.0),
        (Declared, "low", 0.8),
        (Declared, "high", 0.6),
        (Declared, "source", ""),
    ],
)
def test_a_bad_field_is_named(make: type[ClassPrior], field: str, value: object) -> None:
    with pytest.raises(InputError, match=f"^{field}"):
        make(**{field: value})
