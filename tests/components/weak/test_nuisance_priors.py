"""Class priors by mean scores and by kernel means: exact where theory is, on the right side where it is not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.contracts import LabelFrequency
from components.errors import InputError
from components.weak.best_bin import BestBin
from components.weak.class_prior import GRID
from components.weak.nuisance import ElkanNoto, KernelMean, prior_among_unlabelled
from components.weak.nuisance.belief import belief_about_prior
from components.weak.nuisance.elkan_noto import Sampling, mean_score_prior
from components.weak.nuisance.kernel_mean import kernel_features, kernel_mean_prior, steepening

seeds = st.integers(0, 10_000)


def one_sample(seed: int, gap: float, rows: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    """Three rows in ten are positive, every other one of them is labeled."""
    rng = np.random.default_rng(seed)
    positive = rng.random(rows) < 0.3
    features = rng.normal(size=(rows, 3))
    features[positive, 0] += gap
    return features, positive & (rng.random(rows) < 0.5)


def two_samples(seed: int, positives: int, unlabelled: int) -> tuple[np.ndarray, np.ndarray]:
    """Positives on one side, and rows of which three in ten are there: a line gives their posterior exactly."""
    rng = np.random.default_rng(seed)
    side = np.concatenate([np.ones(positives), rng.random(unlabelled) < 0.3])
    return side[:, None], np.arange(positives + unlabelled) < positives


def one_sided(seed: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Three rows in ten are on the side of the positives, every other one of them is labeled."""
    rng = np.random.default_rng(seed)
    positive = rng.random(rows) < 0.3
    return positive[:, None].astype(float), positive & (rng.random(rows) < 0.5)


@settings(deadline=None, max_examples=60)
@given(c=st.floats(0.05, 0.95), share=st.floats(0.02, 0.5), oversampling=st.floats(0.2, 50.0))
def test_the_mean_score_of_sure_positives_gives_the_prior(c: float, share: float, oversampling: float) -> None:
    count = 2000
    known = round(count * share * oversampling / (share * oversampling + 1 - share))
    labelled = np.arange(count) < known
    # What a perfect model says of a sure positive among rows of which the labeled are drawn more often.
    scores = np.full(count, np.log(oversampling * c / (1 - c)))
    rest = count - known
    true_share = (known / oversampling) / (known / oversampling + rest)
    prior, _ = mean_score_prior(scores, labelled, "one_sample", oversampling)
    assert prior == pytest.approx(true_share / c)


@settings(deadline=None, max_examples=60)
@given(prior=st.floats(0.05, 1.0), known=st.integers(5, 1995))
def test_with_two_samples_the_numbers_of_rows_do_not_matter(prior: float, known: int) -> None:
    labelled = np.arange(2000) < known
    scores = np.full(2000, np.log(known / ((2000 - known) * prior)))
    assert mean_score_prior(scores, labelled, "two_samples")[0] == pytest.approx(prior)


@pytest.mark.parametrize("sampling", ["one_sample", "two_samples"])
def test_the_error_of_the_mean_score_is_that_of_repeated_draws(sampling: Sampling) -> None:
    logs, errors = [], []
    for seed in range(300):
        features, labelled = one_sided(seed, 2000) if sampling == "one_sample" else two_samples(seed, 400, 1600)
        sure = features[:, 0] == 1
        inside = labelled[sure].mean()
        # The model that knows the sides and counts the labels in them.
        scores = np.where(sure, np.log(inside / (1 - inside)), -30.0)
        prior, error = mean_score_prior(scores, labelled, sampling)
        logs.append(np.log(prior / (labelled.mean() if sampling == "one_sample" else 1.0)))
        errors.append(error)
    assert np.std(logs) == pytest.approx(np.mean(errors), rel=0.15)  # 300 draws: 4 %


@pytest.mark.parametrize(("positives", "unlabelled"), [(300, 1500), (1500, 300)])
def test_two_samples_of_any_size_show_the_share_of_positives_among_the_unlabeled(
    positives: int, unlabelled: int
) -> None:
    features, labelled = two_samples(0, positives, unlabelled)
    share = float(labelled.mean())
    truth = float(features[~labelled].mean())
    for method in (ElkanNoto(sampling="two_samples"), KernelMean(maximum_rows=300)):
        prior = prior_among_unlabelled(method.estimate(features, labelled), share)
        assert prior.value == pytest.approx(truth, abs=0.05)
        assert prior.low <= truth <= prior.high
        assert prior.high - prior.low < 0.25


def test_elkan_noto_is_above_best_bin_where_classes_overlap_and_kernel_means_are_near_the_truth() -> None:
    features, labelled = one_sample(0, gap=2.0)
    share = float(labelled.mean())
    methods = (ElkanNoto(), BestBin(), KernelMean())
    scores, bins, kernel = (method.estimate(features, labelled).class_prior(share) for method in methods)
    assert scores.value > bins.value + 0.05
    assert scores.low > 0.3
    assert kernel.value == pytest.approx(0.3, abs=0.07)


def test_the_interval_of_kernel_means_holds_the_truth() -> None:
    held, errors = 0, []
    method = KernelMean(maximum_rows=250)
    for seed in range(12):
        features, labelled = one_sample(seed, gap=3.0, rows=1500)
        prior = method.estimate(features, labelled).class_prior(float(labelled.mean()))
        held += prior.low <= 0.3 <= prior.high
        errors.append(prior.value - 0.3)
    assert held >= 9
    assert abs(np.mean(errors)) < 0.03


def test_kernel_means_need_no_score_that_tells_the_classes_apart() -> None:
    rng = np.random.default_rng(0)
    positive = np.concatenate([np.ones(780, dtype=bool), np.zeros(420, dtype=bool)])
    sides = rng.choice([-1.0, 1.0], size=(1200, 2))
    sides[:, 1] = np.where(positive, sides[:, 0], -sides[:, 0])  # both columns on the same side, or on different ones
    features = 2 * sides + 0.5 * rng.normal(size=(1200, 2))
    labelled = np.arange(1200) < 600  # and 180 of the other 600 are positive
    for scorer in ("logistic", "trees"):  # to the former all rows look nearly alike: even so the prior is kept
        belief = KernelMean(replicates=2, scorer=scorer).estimate(features, labelled)  # type: ignore[arg-type]
        assert prior_among_unlabelled(belief, 0.5).value == pytest.approx(0.3, abs=0.06)


@settings(deadline=None, max_examples=40)
@given(seed=seeds, prior=st.floats(0.02, 0.95), cells=st.integers(3, 7))
def test_in_a_finite_world_the_prior_is_found_exactly(seed: int, prior: float, cells: int) -> None:
    rng = np.random.default_rng(seed)
    positive = rng.dirichlet(3 * np.ones(cells))
    negative = np.append(rng.dirichlet(3 * np.ones(cells - 1)), 0.0)  # the last cell holds positives only
    found = steepening(np.eye(cells), positive, prior * positive + (1 - prior) * negative, 1e-3)
    # Searched in steps: near 1 the distance is so flat that the last one is seen.
    assert found == pytest.approx(prior, abs=0.005)


def test_the_prior_is_where_the_distance_of_an_independent_search_bends() -> None:
    from scipy.optimize import minimize

    rng = np.random.default_rng(2)
    points = rng.normal(size=(12, 3))
    weights = rng.dirichlet(np.ones(12)), rng.dirichlet(np.ones(12))
    positive, unlabelled = weights[0] @ points, weights[1] @ points

    def distance(z: float) -> float:
        target = unlabelled + (z - 1) * (unlabelled - positive)
        simplex = {"type": "eq", "fun": lambda w: w.sum() - 1}
        best = minimize(
            lambda w: float(np.sum((w @ points - target) ** 2)), np.full(12, 1 / 12), bounds=[(0, 1)] * 12,
            constraints=[simplex], options={"ftol": 1e-14, "maxiter": 500},
        )  # fmt: skip
        return float(np.sqrt(best.fun))

    threshold = 0.8 * float(np.linalg.norm(unlabelled - positive))
    z = 1 / (1 - steepening(points, positive, unlabelled, threshold))
    slopes = [(distance(at + 0.01) - distance(at - 0.01)) / 0.02 for at in (0.97 * z, 1.03 * z)]
    assert slopes[0] < threshold < slopes[1]


@settings(deadline=None, max_examples=20)
@given(seed=seeds, rows=st.integers(2, 15), width=st.integers(1, 3))
def test_the_features_of_the_kernel_have_its_products(seed: int, rows: int, width: int) -> None:
    points = np.random.default_rng(seed).normal(size=(rows, width))
    apart = np.array([[np.sum((a - b) ** 2) for a in points] for b in points])
    expected = np.exp(-apart / (2 * 0.25 * np.median(apart[apart > 0])))
    mapped = kernel_features(points)
    np.testing.assert_allclose(mapped @ mapped.T, expected, atol=1e-8)


def test_more_rows_and_a_lower_threshold_lower_the_prior() -> None:
    rng = np.random.default_rng(0)
    features = kernel_features(np.concatenate([rng.normal(3, 1, 150), rng.normal(0, 1, 150)])[:, None])
    positive, unlabelled = features[:150], np.vstack([features[150:], features[:50]])
    priors = [kernel_mean_prior(positive, unlabelled, features, slope) for slope in (0.3, 1.0, 3.0)]
    assert priors == sorted(priors)
    assert priors[0] < priors[2]


def test_what_is_left_of_the_prior_among_unlabeled_rows_is_counted() -> None:
    certain = LabelFrequency(GRID, (np.isclose(GRID, 0.5)).astype(float), "test")
    # 20 of 100 rows labeled and half of all positives: 20 positives among the other 80.
    estimate = prior_among_unlabelled(certain, 0.2)
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((0.25, 0.25, 0.25))
    for share in (0.0, 1.0):
        with pytest.raises(InputError, match=r"^share must lie in \(0, 1\)"):
            prior_among_unlabelled(certain, share)


def test_a_belief_has_the_mean_and_the_spread_it_was_given() -> None:
    density = belief_about_prior(0.4, 0.1, 0.2, None, 1.0)
    mean = float(GRID @ density)
    assert mean == pytest.approx(0.5, rel=0.02)  # the mean of a log-normal is a little above its median
    assert np.sqrt(density @ (GRID - mean) ** 2) / mean == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("method", [ElkanNoto(), KernelMean(maximum_rows=100, replicates=2)])
def test_the_previous_belief_is_multiplied_in(method: ElkanNoto | KernelMean) -> None:
    features, labelled = one_sample(3, gap=4.0, rows=600)
    alone = method.estimate(features, labelled)
    again = method.estimate(features, labelled, alone)
    squared = alone.density**2
    np.testing.assert_allclose(again.density, squared / squared.sum(), atol=1e-6)


@pytest.mark.parametrize("method", [ElkanNoto(), KernelMean()])
def test_oversampled_rows_tell_the_same_label_frequency(method: ElkanNoto | KernelMean) -> None:
    features, labelled = one_sided(1, rows=6000)
    kept = labelled | (np.random.default_rng(0).random(6000) < 0.25)
    plain = method.estimate(features, labelled).estimate.value
    oversampled = method.estimate(features[kept], labelled[kept], oversampling=4.0).estimate.value
    assert oversampled == pytest.approx(plain, abs=0.05)


@pytest.mark.parametrize(
    ("make", "field", "value"),
    [
        (ElkanNoto, "sampling", "three_samples"),
        (ElkanNoto, "scorer", "forest"),
        (ElkanNoto, "folds", 1),
        (ElkanNoto, "retain", 1.5),
        (ElkanNoto, "maximum_rows", 99),
        (ElkanNoto, "seed", -1),
        (KernelMean, "scorer", "forest"),
        (KernelMean, "folds", 1),
        (KernelMean, "slope", 0.0),
        (KernelMean, "slope", float("nan")),
        (KernelMean, "replicates", 1),
        (KernelMean, "retain", -0.1),
        (KernelMean, "maximum_rows", 19),
        (KernelMean, "seed", -1),
    ],
)
def test_a_bad_field_is_named(make: type[ElkanNoto | KernelMean], field: str, value: object) -> None:
    with pytest.raises(InputError, match=f"^{field} must"):
        make(**{field: value})


def test_rows_that_say_nothing_are_refused() -> None:
    with pytest.raises(InputError, match=r"^labelled must hold at least 5 rows of each value"):
        KernelMean().estimate(np.arange(40.0)[:, None], np.arange(40) < 2)
