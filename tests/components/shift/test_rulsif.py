"""The density ratio: exact leave-one-out, known ratios, invariances."""

import pickle
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import InputError
from components.shift import RuLsif
from components.shift.rulsif import divergence, gram, kernel, leave_one_out, squared_distances

PATTERNS = [(100, 100), (60, 200), (200, 60), (40, 40)]  # rows of target, rows of source


def kernels(m: int, n: int, seed: int = 0, centres: int = 20) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    source, target = rng.normal(size=(n, 2)), 0.7 * rng.normal(size=(m, 2)) + 0.4
    middle = target[:centres]
    return kernel(squared_distances(source, middle), 0.8), kernel(squared_distances(target, middle), 0.8)


def brute_force(phi: np.ndarray, psi: np.ndarray, alpha: float, ridge: float) -> float:
    scores = []
    for i in range(min(len(phi), len(psi))):
        left_phi, left_psi = np.delete(phi, i, axis=0), np.delete(psi, i, axis=0)
        second = alpha * left_psi.T @ left_psi / len(left_psi) + (1 - alpha) * left_phi.T @ left_phi / len(left_phi)
        solution = np.linalg.solve(second + ridge * np.eye(phi.shape[1]), left_psi.mean(axis=0))
        solution = np.maximum(solution, 0)
        u, v = psi[i] @ solution, phi[i] @ solution
        scores.append(alpha / 2 * u**2 + (1 - alpha) / 2 * v**2 - u)
    return float(np.mean(scores))


def published_ulsif(phi: np.ndarray, psi: np.ndarray, ridge: float) -> float:
    """Kanamori et al. 2009 for alpha = 0, with the division by d in both brackets."""
    n_de, n_nu = len(phi), len(psi)
    n = min(n_de, n_nu)
    X_de, X_nu, h = phi[:n].T, psi[:n].T, psi.mean(axis=0)
    inverse = np.linalg.inv(phi.T @ phi / n_de + ridge * (n_de - 1) / n_de * np.eye(phi.shape[1]))
    d = n_de - (X_de * (inverse @ X_de)).sum(axis=0)
    q0, q1 = h @ inverse @ X_de, (X_nu * (inverse @ X_de)).sum(axis=0)
    B0 = (inverse @ h)[:, None] + inverse @ X_de * (q0 / d)
    B1 = inverse @ X_nu + inverse @ X_de * (q1 / d)
    A = np.maximum((n_de - 1) / (n_de * (n_nu - 1)) * (n_nu * B0 - B1), 0)
    return float(np.mean(0.5 * (X_de * A).sum(axis=0) ** 2 - (X_nu * A).sum(axis=0)))


@pytest.mark.parametrize("ridge", [0.01, 0.3])
@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.5, 0.95])
@pytest.mark.parametrize(("m", "n"), PATTERNS)
def test_leave_one_out_is_what_leaving_out_gives(m: int, n: int, alpha: float, ridge: float) -> None:
    phi, psi = kernels(m, n)
    found = leave_one_out(phi, psi, alpha, (7.0, ridge))[1]
    assert found == pytest.approx(brute_force(phi, psi, alpha, ridge), abs=1e-10)


@pytest.mark.parametrize(("m", "n"), PATTERNS)
def test_leave_one_out_at_alpha_zero_is_the_published_formula(m: int, n: int) -> None:
    phi, psi = kernels(m, n, seed=1)
    assert leave_one_out(phi, psi, 0.0, (0.05,))[0] == pytest.approx(published_ulsif(phi, psi, 0.05), abs=1e-10)


def test_leave_one_out_is_much_cheaper_than_leaving_out() -> None:
    phi, psi = kernels(300, 300, centres=60)
    start = time.perf_counter()
    brute_force(phi, psi, 0.1, 0.1)
    slow, start = time.perf_counter() - start, time.perf_counter()
    leave_one_out(phi, psi, 0.1, (0.1,))
    assert time.perf_counter() - start < slow / 3


def test_the_fit_takes_the_width_and_ridge_with_the_best_score() -> None:
    rng = np.random.default_rng(5)
    source, target = rng.normal(size=(120, 1)), 0.6 * rng.normal(size=(90, 1)) + 0.5
    chosen = RuLsif(widths=(0.2, 0.7, 2.0), regularisations=(0.01, 0.1, 1.0)).fit(source, target)
    scores = [
        RuLsif(widths=(width,), regularisations=(ridge,)).fit(source, target).loo_score
        for width in (0.2, 0.7, 2.0)
        for ridge in (0.01, 0.1, 1.0)
    ]
    assert chosen.loo_score == pytest.approx(min(scores), abs=1e-12)
    assert max(scores) > min(scores) + 1e-3


def test_coefficients_reach_the_analytic_population_solution() -> None:
    centres, width, ridge = np.linspace(-1, 2, 8), 0.7, 0.1

    def first(mean: float, spread: float) -> np.ndarray:
        total = width**2 + spread**2
        return width / np.sqrt(total) * np.exp(-((centres - mean) ** 2) / (2 * total))

    def second(mean: float, spread: float) -> np.ndarray:
        half, middle = width**2 / 2, (centres[:, None] + centres) / 2
        apart = np.exp(-((centres[:, None] - centres) ** 2) / (4 * width**2))
        return apart * np.sqrt(half / (half + spread**2)) * np.exp(-((middle - mean) ** 2) / (2 * (half + spread**2)))

    exact = np.linalg.solve(0.1 * second(0.5, 0.7) + 0.9 * second(0, 1) + ridge * np.eye(8), first(0.5, 0.7))
    errors = []
    for rows in (1_000, 100_000):
        rng = np.random.default_rng(2)
        source, target = rng.normal(size=(rows, 1)), 0.5 + 0.7 * rng.normal(size=(rows, 1))
        phi, psi = (kernel(squared_distances(x, centres[:, None]), width) for x in (source, target))
        found = np.linalg.solve(gram(phi, psi, 0.1) + ridge * np.eye(8), psi.mean(axis=0))
        errors.append(np.linalg.norm(found - exact) / np.linalg.norm(exact))
    assert errors[0] < 0.2
    assert errors[1] < 0.02


@pytest.mark.parametrize(("rows", "bound"), [(200, 0.06), (1000, 0.015), (4000, 0.006)])
def test_the_ratio_of_two_gaussians_is_found(rows: int, bound: float) -> None:
    errors = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        source, target = rng.normal(size=(rows, 1)), 0.5 + 0.7 * rng.normal(size=(rows, 1))
        truth = np.exp(source**2 / 2 - ((source - 0.5) / 0.7) ** 2 / 2)[:, 0] / 0.7
        fitted = RuLsif(alpha=0.0, maximum_rows=4000).fit(source, target)
        errors.append(np.mean((fitted.predict(source) - truth) ** 2))
        assert abs(fitted.predict(source).mean() - 1) < 0.1
    assert np.mean(errors) < bound


def test_the_relative_ratio_and_its_divergence_are_found() -> None:
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(3000, 1)), 0.5 + 0.7 * rng.normal(size=(3000, 1))
    fitted = RuLsif(alpha=0.5).fit(source, target)

    def true_ratio(x: np.ndarray) -> np.ndarray:
        plain = np.exp(x**2 / 2 - ((x - 0.5) / 0.7) ** 2 / 2)[:, 0] / 0.7
        return np.asarray(plain / (0.5 * plain + 0.5))

    assert np.mean((fitted.predict(source) - true_ratio(source)) ** 2) < 0.02
    axis = np.linspace(-8, 8, 20_001)[:, None]
    p = np.exp(-(axis[:, 0] ** 2) / 2) / np.sqrt(2 * np.pi)
    q = np.exp(-(((axis[:, 0] - 0.5) / 0.7) ** 2) / 2) / np.sqrt(2 * np.pi) / 0.7
    mixed = 0.5 * p + 0.5 * q
    exact = 0.5 * np.sum(mixed * (q / mixed - 1) ** 2) * (axis[1, 0] - axis[0, 0])
    assert fitted.divergence == pytest.approx(exact, abs=0.03)
    assert true_ratio(source).max() <= 2.0
    assert fitted.predict(source).max() <= 2.0 + 0.1


def test_divergence_is_zero_for_a_ratio_of_one_and_below_the_truth_for_any_other() -> None:
    rng = np.random.default_rng(1)
    at_source, at_target = np.ones(50), np.ones(40)
    assert divergence(at_source, at_target, 0.3) == pytest.approx(0.0)
    wrong = rng.uniform(0, 2, 50)
    assert divergence(wrong, wrong, 0.3) <= 0.0


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.5])
def test_weights_are_nonnegative_with_mean_one(alpha: float) -> None:
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(700, 3)), rng.normal((0.8, 0, 0), 1.0, (300, 3))
    fitted = RuLsif(alpha=alpha, maximum_rows=200).fit(source, target)
    assert fitted.weights.shape == (700,)
    assert fitted.weights.min() >= 0
    assert fitted.weights.mean() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(fitted.weights, fitted.predict(source) / fitted.predict(source).mean())
    w = fitted.weights
    assert fitted.effective_share == pytest.approx(w.sum() ** 2 / (w**2).sum() / 700)
    assert np.average(source[:, 0], weights=w) > source[:, 0].mean() + 0.2


def test_without_shift_weights_are_near_one() -> None:
    rng = np.random.default_rng(0)
    fitted = RuLsif().fit(rng.normal(size=(1500, 3)), rng.normal(size=(1500, 3)))
    assert np.abs(fitted.weights - 1).mean() < 0.1
    assert fitted.divergence < 0.01
    assert fitted.effective_share > 0.97


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 100))
def test_units_and_axes_do_not_matter(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    source, target = rng.normal(size=(60, 2)), rng.normal(size=(50, 2)) + 0.5
    method = RuLsif(widths=(0.5, 1.0), regularisations=(0.1, 1.0))
    turn = np.array([[np.cos(1.0), -np.sin(1.0)], [np.sin(1.0), np.cos(1.0)]])
    plain = method.fit(source, target)
    moved = method.fit(scale * source @ turn + 3.0, scale * target @ turn + 3.0)
    np.testing.assert_allclose(moved.weights, plain.weights, rtol=1e-5, atol=1e-7)
    assert moved.width == pytest.approx(scale * plain.width)


def test_same_seed_same_answer_and_inputs_untouched() -> None:
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(400, 2)), rng.normal(size=(300, 2))
    before = source.copy(), target.copy()
    method = RuLsif(maximum_rows=100)
    first, second = method.fit(source, target), method.fit(source, target)
    np.testing.assert_array_equal(first.weights, second.weights)
    assert (replace(method, seed=1).fit(source, target).weights != first.weights).any()
    np.testing.assert_array_equal(source, before[0])
    np.testing.assert_array_equal(target, before[1])


def test_rows_are_predicted_alike_whether_few_or_many() -> None:
    rng = np.random.default_rng(0)
    fitted = RuLsif().fit(rng.normal(size=(100, 2)), rng.normal(size=(100, 2)))
    many = rng.normal(size=(20_000, 2))
    np.testing.assert_allclose(fitted.predict(many)[[0, 9000, 19_999]], fitted.predict(many[[0, 9000, 19_999]]))


def test_equal_rows_and_flags_are_no_trouble() -> None:
    flags = (np.arange(60) % 2)[:, None].astype(float)
    assert np.isfinite(RuLsif().fit(flags, flags[:30]).weights).all()
    np.testing.assert_allclose(RuLsif().fit(np.ones((10, 1)), np.ones((10, 1))).weights, 1.0)


@pytest.mark.parametrize(
    ("source", "target", "name"),
    [
        (np.zeros((2, 1)), np.zeros((5, 1)), "source must be a matrix of at least 3 rows"),
        (np.zeros((5, 1)), np.zeros((2, 1)), "target must be a matrix of at least 3 rows"),
        (np.full((5, 1), np.nan), np.zeros((5, 1)), "source must be finite"),
        (np.zeros((5, 1)), np.full((5, 1), np.inf), "target must be finite"),
        (np.zeros((5, 1)), np.zeros((5, 2)), "target must have the 1 columns"),
    ],
)
def test_samples_that_cannot_be_compared_are_refused(source: np.ndarray, target: np.ndarray, name: str) -> None:
    with pytest.raises(InputError, match=name):
        RuLsif().fit(source, target)


def test_a_target_that_no_source_row_is_near_to_is_refused() -> None:
    rng = np.random.default_rng(0)
    method = RuLsif(widths=(0.001,))
    with pytest.raises(InputError, match="target rows must overlap"):
        method.fit(rng.normal(size=(50, 1)), rng.normal(size=(50, 1)) + 1000)


def test_a_method_is_a_value() -> None:
    assert pickle.loads(pickle.dumps(RuLsif())) == RuLsif()
    assert hash(RuLsif()) == hash(RuLsif())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("alpha", 1.0),
        ("alpha", -0.1),
        ("centres", 0),
        ("widths", ()),
        ("widths", (1.0, 0.0)),
        ("regularisations", (-1.0,)),
        ("maximum_rows", 2),
        ("seed", -1),
    ],
)
def test_a_bad_field_is_named(field: str, value: object) -> None:
    with pytest.raises(InputError, match=f"^{field}"):
        RuLsif(**{field: value})
