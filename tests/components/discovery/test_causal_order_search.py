"""The causal order: the same as lingam's full search, whatever is left out and whoever computes it."""

import warnings
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.contracts import FloatArray
from components.discovery.adjacency import adjacency
from components.discovery.causal_order_search import causal_order
from components.discovery.columns import OnDevice, OnProcessor
from components.discovery.kernels.entropy import entropies, mixed_entropies, pair_entropies
from components.discovery.kernels.lars import best_corner
from components.errors import InputError
from components.synthetic import linear_sem, random_dag

laws = settings(deadline=None, max_examples=25, derandomize=True)
SHAPES = ("uniform", "laplace", "gaussian", "exponential", "rounded")


@cache
def world(seed: int, rows: int, p: int, shape: str) -> FloatArray:
    weights, order = random_dag(p, 3, seed)
    if shape in ("uniform", "laplace", "gaussian"):
        return linear_sem(weights, order, rows, shape, seed)  # type: ignore[arg-type]  # one of the three
    values = np.random.default_rng(seed).exponential(size=(rows, p))
    for effect in order:
        values[:, effect] += values @ weights[effect]
    return np.round(values, 1) if shape == "rounded" else values


def reference_entropy(u: FloatArray) -> float:
    """The formula as it stands; ln cosh by logaddexp, which does not overflow."""
    cosh = np.mean(np.logaddexp(u, -u) - np.log(2))
    return float(
        (1 + np.log(2 * np.pi)) / 2 - 79.047 * (cosh - 0.37457) ** 2 - 7.4129 * np.mean(u * np.exp(-(u**2) / 2)) ** 2
    )


def full_search(values: FloatArray) -> tuple[tuple[int, ...], float]:
    """The order by the definition, every pair from scratch, and the closest call between the two best of a round."""
    x, left, order, closest = values.copy(), list(range(values.shape[1])), [], np.inf
    while left:
        z = (x - x.mean(axis=0)) / x.std(axis=0)
        sums = []
        for i in left:
            total = 0.0
            for j in left:
                if i != j:
                    rho = np.mean(z[:, i] * z[:, j])
                    one, two = z[:, i] - rho * z[:, j], z[:, j] - rho * z[:, i]
                    here = reference_entropy(z[:, j]) + reference_entropy(one / one.std())
                    there = reference_entropy(z[:, i]) + reference_entropy(two / two.std())
                    total += min(0.0, here - there) ** 2
            sums.append(total)
        if len(sums) > 1:
            least = np.sort(sums)
            closest = min(closest, least[1] - least[0])
        chosen = left.pop(int(np.argmin(sums)))
        order.append(chosen)
        for k in left:
            x[:, k] -= np.cov(x[:, k], x[:, chosen], bias=True)[0, 1] / x[:, chosen].var() * x[:, chosen]
    return tuple(order), closest


# Two hundred tables: mostly small ones, for lingam's sake; benchmarks compare up to 10,000 rows of 100 columns.
GRID = [
    (seed, rows, p, SHAPES[seed % 5])
    for seed, (rows, p) in enumerate(
        [(100, 2), (100, 5), (150, 8), (200, 4), (300, 6), (500, 3), (700, 7), (1000, 5), (2000, 3), (5000, 2)] * 19
        + [(100, 10), (100, 12), (100, 15), (150, 20), (100, 25), (5000, 6), (3000, 8), (120, 30), (100, 35), (110, 40)]
    )
]


@pytest.mark.parametrize("part", range(10))
def test_order_and_weights_equal_those_of_lingam(part: int) -> None:
    from lingam import DirectLiNGAM

    compared = 0
    for seed, rows, p, shape in GRID[part::10]:
        values = world(seed, rows, p, shape)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn's lasso path on nearly collinear columns
            oracle = DirectLiNGAM().fit(values)
        order = causal_order(values)
        if list(order) != oracle.causal_order_:
            # Only where the definition itself cannot tell the two best apart.
            assert full_search(values)[1] < 1e-12, (seed, rows, p, shape)
            continue
        compared += 1
        np.testing.assert_allclose(adjacency(values, order), oracle.adjacency_matrix_, rtol=1e-10, atol=1e-10)
    assert compared >= 19


@given(seed=st.integers(0, 10**6), p=st.integers(2, 9), rows=st.integers(30, 400), shape=st.sampled_from(SHAPES))
@laws
def test_leaving_out_pairs_changes_nothing(seed: int, p: int, rows: int, shape: str) -> None:
    values = world(seed, rows, p, shape)
    whole, closest = full_search(values)
    assert causal_order(values, exhaustive=True) == causal_order(values)
    if closest > 1e-12:
        assert causal_order(values) == whole


@pytest.mark.parametrize(("rows", "p"), [(4000, 30), (12_000, 25), (40_000, 8)])
def test_the_order_of_a_table_worth_searching_does_not_depend_on_threads_or_on_what_is_left_out(
    rows: int, p: int
) -> None:
    for seed, shape in enumerate(SHAPES[:4]):
        values = world(seed, rows, p, shape)
        once = causal_order(values, exhaustive=True)
        assert causal_order(values) == once
        assert causal_order(values, threads=2) == once
        assert causal_order(values, threads=3) == once


@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(2, 700),
    size=st.sampled_from([1e-3, 1.0, 30.0, 1e3]),
    other=st.floats(-2, 2),
)
@laws
def test_the_entropies_are_those_of_the_formula_without_overflow(
    seed: int, rows: int, size: float, other: float
) -> None:
    x, y = np.random.default_rng(seed).standard_normal((2, rows)) * size
    # The squared mean of ln cosh is as large as the values; the polynomial's error is that of one part in 1e15.
    assert mixed_entropies(x, y, 0.7, other) == pytest.approx(
        (reference_entropy(0.7 * x + other * y), reference_entropy(0.7 * y + other * x)), rel=1e-12, abs=1e-12
    )


@given(seed=st.integers(0, 10**6), slope=st.sampled_from([0.0, 0.5, 3.0, 1e3, 1e5]))
@laws
def test_entropies_of_residuals_survive_near_collinearity(seed: int, slope: float) -> None:
    x, noise = np.random.default_rng(seed).laplace(size=(2, 500))
    Z = np.stack([x, slope * x + noise])
    Z = (Z - Z.mean(axis=1, keepdims=True)) / Z.std(axis=1, keepdims=True)
    out = np.empty((1, 2))
    pair_entropies(Z, np.array([[0, 1]]), 0, 1, out)
    for place, (i, j) in enumerate(((0, 1), (1, 0))):
        rest = Z[i] - np.linalg.lstsq(Z[j][:, None], Z[i], rcond=None)[0] * Z[j]
        assert out[0, place] == pytest.approx(reference_entropy(rest / rest.std()), abs=1e-6 if slope > 1e3 else 1e-10)


def test_the_mean_log_likelihood_ratio_is_antisymmetric() -> None:
    Z = np.ascontiguousarray(world(3, 500, 4, "laplace").T)
    Z = (Z - Z.mean(axis=1, keepdims=True)) / Z.std(axis=1, keepdims=True)
    H, both = np.empty(4), np.empty((2, 2))
    entropies(Z, np.arange(4), 0, 4, H)
    pair_entropies(Z, np.array([[1, 2], [2, 1]]), 0, 2, both)
    np.testing.assert_allclose(both[0], both[1][::-1], rtol=0, atol=1e-14)
    assert (H[2] + both[0, 0]) - (H[1] + both[0, 1]) == pytest.approx(
        -((H[1] + both[1, 0]) - (H[2] + both[1, 1])), abs=1e-14
    )


def test_what_must_come_first_does_and_the_rest_follows_the_data() -> None:
    values = world(0, 1000, 6, "uniform")
    free = causal_order(values)
    before = np.zeros((6, 6), dtype=bool)
    before[free[0], free[5]] = True
    forced = causal_order(values, before)
    assert forced.index(free[5]) < forced.index(free[0])
    place = np.argsort(free)
    assert causal_order(values, place[:, None] > place) == free


def test_a_lean_decides_what_the_data_do_not_and_is_overruled_where_they_do() -> None:
    mute, telling = world(1, 2000, 2, "gaussian"), linear_sem([[0, 0], [0.8, 0]], (0, 1), 2000, "uniform", 0)
    lean = np.array([[0.0, 3.0], [-3.0, 0.0]]) / 2000
    assert causal_order(telling, lean=lean) == causal_order(telling, lean=-lean) == (0, 1)
    assert causal_order(mute, lean=100 * lean) == (0, 1)
    assert causal_order(mute, lean=-100 * lean) == (1, 0)
    assert causal_order(telling, lean=-1000 * lean) == (1, 0)


@pytest.mark.parametrize(("rows", "p"), [(50, 5), (3000, 12)])
def test_another_device_finds_the_same_order(rows: int, p: int) -> None:
    # Torch's arithmetic on whatever device there is; "cpu:0" is the processor by its device's name.
    for seed, shape in enumerate(SHAPES):
        values = world(seed, rows, p, shape)
        assert causal_order(values, device="cpu:0") == causal_order(values)
    processor, device = OnProcessor(world(0, 500, 4, "laplace")), OnDevice(world(0, 500, 4, "laplace"), "cpu:0")
    pairs, every = np.array([[0, 1], [2, 3], [3, 1]]), np.arange(4)
    for _ in range(2):
        np.testing.assert_allclose(device.pair_entropies(pairs), processor.pair_entropies(pairs), rtol=0, atol=1e-12)
        np.testing.assert_allclose(device.entropies(every), processor.entropies(every), rtol=0, atol=1e-12)
        left = device.regress_out(0, every[1:]), processor.regress_out(0, every[1:])
        np.testing.assert_allclose(*left, rtol=1e-12)
    with pytest.raises(InputError, match="device must be one that this machine has, got 'nowhere'"):
        causal_order(values, device="nowhere")


def test_the_table_is_left_as_it_was() -> None:
    values = np.asfortranarray(world(2, 200, 4, "uniform"))
    copy = values.copy()
    causal_order(values)
    np.testing.assert_array_equal(values, copy)


def test_columns_that_others_determine_are_refused() -> None:
    values = world(2, 200, 3, "uniform")
    with pytest.raises(InputError, match="full column rank"):
        causal_order(np.column_stack([values, values @ [1.0, 1.0, 1.0]]))
    with pytest.raises(InputError, match="constant"):
        causal_order(np.column_stack([values, np.ones(200)]))


@given(seed=st.integers(0, 10**6), p=st.integers(2, 8), rows=st.integers(20, 300), power=st.integers(-3, 3))
@laws
def test_the_lasso_stops_where_that_of_scikit_learn_stops(seed: int, p: int, rows: int, power: int) -> None:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LassoLarsIC

    values = world(seed, rows, p, "laplace") * 10.0**power
    order = tuple(range(p))
    weights = adjacency(values, order)
    z = (values - values.mean(axis=0)) / values.std(axis=0)
    for target in range(1, p):
        ols = np.linalg.lstsq(z[:, :target], z[:, target], rcond=None)[0]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            lasso = LassoLarsIC(criterion="bic").fit(z[:, :target] * np.abs(ols), z[:, target])
        kept = lasso.coef_ != 0
        np.testing.assert_array_equal(weights[target, :target] != 0, kept)
        slopes = np.linalg.lstsq(z[:, :target][:, kept], z[:, target], rcond=None)[0]
        np.testing.assert_allclose(
            weights[target, :target][kept], slopes * values[:, target].std() / values[:, :target][:, kept].std(axis=0)
        )


@given(seed=st.integers(0, 10**6), k=st.integers(2, 9), noise=st.sampled_from([1.0, 1e-2, 1e-4]))
@laws
def test_the_path_is_that_of_scikit_learn_where_variables_leave_again(seed: int, k: int, noise: float) -> None:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LassoLarsIC

    rng = np.random.default_rng(seed)
    # Columns that share most of what they say, and weights that push the wrong ones in first.
    x = rng.standard_normal((60, k)) + 1.5 * rng.standard_normal((60, 1))
    y = x @ rng.standard_normal(k) + rng.standard_normal(60)
    x, y, w = x - x.mean(axis=0), y - y.mean(), rng.lognormal(0, 1, k)
    # Little noise in the BIC asks for a late corner of the path.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        lasso = LassoLarsIC(criterion="bic", noise_variance=noise).fit(x * w, y)
    found = best_corner(x.T @ x, x.T @ y, w, float(y @ y), noise, 60)
    np.testing.assert_allclose(found, lasso.coef_ * w, rtol=1e-7, atol=1e-9)


def test_variables_do_leave_again_on_those_paths() -> None:
    from sklearn.linear_model import lars_path

    left = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((60, 6)) + 1.5 * rng.standard_normal((60, 1))
        y = x @ rng.standard_normal(6) + rng.standard_normal(60)
        coefficients = lars_path(x * rng.lognormal(0, 1, 6), y, method="lasso")[2]
        left += bool(((coefficients[:, :-1] != 0) & (coefficients[:, 1:] == 0)).any())
    assert left >= 5


def test_forbidden_edges_are_left_out_before_the_lasso_chooses() -> None:
    values = world(7, 800, 5, "uniform")
    order = causal_order(values)
    forbidden = np.zeros((5, 5), dtype=bool)
    forbidden[order[4], order[0]] = forbidden[order[3]] = True
    weights = adjacency(values, order, forbidden)
    assert not weights[forbidden].any()
    free = [k for k in order if not forbidden[k].any()]
    np.testing.assert_array_equal(weights[free], adjacency(values, order)[free])
