"""Additive regression: the certificate of its optimum, and pygam as the oracle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import BSpline

from components.discovery.additive import PENALTY, RIDGE, SPLINES, AdditiveRegression

laws = settings(deadline=None, max_examples=20, derandomize=True)


def table(seed: int, rows: int) -> np.ndarray:
    """Related columns: smooth, rounded, a flag, a heavy tail, and one that depends on all of them."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, 5))
    values[:, 1] += np.sin(values[:, 0])
    values[:, 1] = values[:, 1].round(1)
    values[:, 2] = values[:, 2] > 0
    values[:, 3] = values[:, 3] ** 3
    values[:, 4] += values[:, 0] ** 2 + 0.3 * values[:, 1] - values[:, 2] + np.tanh(values[:, 3])
    return values


def basis(column: np.ndarray) -> np.ndarray:
    """[n, 20] the splines by scipy, which knows nothing of the closed form used."""
    low, high = column.min(), column.max()
    step = (high - low) / (SPLINES - 3)
    knots = low + step * np.arange(-3, SPLINES + 1)
    inside = np.clip(column, low, high - 1e-12 * (high - low))
    return np.asarray(BSpline.design_matrix(inside, knots, 3).toarray())


@given(
    seed=st.integers(0, 10**6),
    rows=st.sampled_from([90, 300, 1000]),
    causes=st.sampled_from([(0,), (1,), (2,), (3,), (0, 1), (1, 0, 2), (3, 2), (0, 1, 2, 3)]),
)
@laws
def test_it_is_the_additive_model_of_pygam(seed: int, rows: int, causes: tuple[int, ...]) -> None:
    from pygam import LinearGAM

    values = table(seed, rows)
    explained = values[:, list(causes)]
    oracle = values[:, 4] - LinearGAM().fit(explained, values[:, 4]).predict(explained)
    residual = AdditiveRegression(values).residual(4, causes)
    np.testing.assert_allclose(residual, oracle, atol=1e-10 * np.abs(values[:, 4]).max())


@given(seed=st.integers(0, 10**6), causes=st.sampled_from([(0,), (3, 1), (0, 1, 2)]))
@laws
def test_what_is_left_is_orthogonal_to_every_spline_up_to_the_penalty(seed: int, causes: tuple[int, ...]) -> None:
    values = table(seed, 400)
    residual = AdditiveRegression(values).residual(4, causes)
    design = np.column_stack([*(basis(values[:, cause]) for cause in causes), np.ones(400)])
    fitted = values[:, 4] - residual
    # The coefficients behind the fit, and the stationarity of the penalised squares at them.
    penalty = RIDGE * np.eye(design.shape[1])
    for place in range(len(causes)):
        block = slice(place * SPLINES, (place + 1) * SPLINES)
        penalty[block, block] += PENALTY
    coefficients = np.linalg.solve(design.T @ design + penalty, design.T @ values[:, 4])
    np.testing.assert_allclose(design @ coefficients, fitted, atol=1e-9)
    np.testing.assert_allclose(design.T @ residual, penalty @ coefficients, atol=1e-7)


@given(seed=st.integers(0, 10**6))
@laws
def test_order_of_rows_and_of_causes_does_not_matter(seed: int) -> None:
    values = table(seed, 200)
    shuffled = np.random.default_rng(seed).permutation(200)
    residual = AdditiveRegression(values).residual(4, (0, 1, 3))
    np.testing.assert_allclose(AdditiveRegression(values).residual(4, (3, 0, 1)), residual, atol=1e-10)
    moved = AdditiveRegression(values[shuffled]).residual(4, (0, 1, 3))
    np.testing.assert_allclose(moved, residual[shuffled], atol=1e-10)


def test_bases_that_were_kept_change_nothing() -> None:
    values = table(0, 300)
    kept = AdditiveRegression(values)
    for causes in ((0,), (1, 0), (0, 1), (2, 1, 0)):
        np.testing.assert_array_equal(kept.residual(4, causes), AdditiveRegression(values).residual(4, causes))
        np.testing.assert_array_equal(kept.residual(3, causes), AdditiveRegression(values).residual(3, causes))
    np.testing.assert_array_equal(values, table(0, 300))


def test_without_causes_the_column_itself_is_left() -> None:
    values = table(0, 50)
    np.testing.assert_array_equal(AdditiveRegression(values).residual(2, ()), values[:, 2])


def test_a_straight_line_is_explained_away() -> None:
    values = table(0, 300)
    values[:, 4] = 3 - 2 * values[:, 0] + 0.5 * values[:, 3]
    assert np.abs(AdditiveRegression(values).residual(4, (0, 3))).max() == pytest.approx(0, abs=1e-5)


def test_fewer_rows_than_coefficients_still_have_an_answer() -> None:
    values = table(0, 12)
    residual = AdditiveRegression(values).residual(4, (0, 1, 2))
    assert np.isfinite(residual).all()
    assert np.mean(residual**2) < np.var(values[:, 4])
