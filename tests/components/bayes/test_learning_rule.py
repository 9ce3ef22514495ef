"""The closed-form steps against conjugate posteriors, Newton's method and their own identities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.bayes.rule import improved_step, mean_step, natural_step

seeds = st.integers(0, 10_000)
rates = st.floats(0.01, 1)


def definite(random: np.random.Generator, size: int = 4) -> np.ndarray:
    root = random.normal(size=(size, size))
    return root @ root.T + 0.5 * np.eye(size)


def regression(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Precision and shift of ridge regression's exact posterior, by normal equations."""
    design, noise = random.normal(size=(30, 4)), 0.5
    target = design @ random.normal(size=4) + noise * random.normal(size=30)
    return design.T @ design / noise**2 + np.eye(4), design.T @ target / noise**2


@given(seed=seeds)
@settings(deadline=None)
def test_a_unit_step_on_a_conjugate_model_is_exact_from_anywhere(seed: int) -> None:
    random = np.random.default_rng(seed)
    exact, exact_shift = regression(random)
    precision, mean = definite(random), random.normal(size=4)
    shift, renewed = natural_step(precision @ mean, precision, exact @ mean - exact_shift, exact, 1.0)
    np.testing.assert_allclose(renewed, exact, atol=1e-10)
    np.testing.assert_allclose(shift, exact_shift, atol=1e-10 * np.abs(exact).max())


@given(seed=seeds, rate=rates, diagonal=st.booleans())
@settings(deadline=None)
def test_natural_and_mean_steps_are_the_same_gaussian(seed: int, rate: float, diagonal: bool) -> None:
    random = np.random.default_rng(seed)
    precision, hessian = definite(random), definite(random)
    if diagonal:
        precision, hessian = np.diag(precision).copy(), np.diag(hessian).copy()
    mean, gradient = random.normal(size=4), random.normal(size=4)
    applied = precision * mean if diagonal else precision @ mean
    shift, natural = natural_step(applied, precision, gradient, hessian, rate)
    moved, renewed = mean_step(mean, precision, gradient, hessian, rate)
    np.testing.assert_allclose(natural, renewed, rtol=1e-12)
    np.testing.assert_allclose(shift, renewed * moved if diagonal else renewed @ moved, atol=1e-9)


def test_a_unit_step_in_mean_form_is_newtons() -> None:
    random = np.random.default_rng(1)
    hessian, gradient, mean = definite(random), random.normal(size=4), random.normal(size=4)
    moved, _ = mean_step(mean, definite(random), gradient, hessian, 1.0)
    np.testing.assert_allclose(moved, mean - np.linalg.inv(hessian) @ gradient, rtol=1e-12)


def test_observations_one_by_one_are_the_batch() -> None:
    """Sequential unit steps, each with the last posterior as its prior, against the normal equations at once."""
    random = np.random.default_rng(2)
    design, target = random.normal(size=(50, 4)), random.normal(size=50)
    precision, shift = np.eye(4), np.zeros(4)
    for row, value in zip(design, target, strict=True):
        mean = np.linalg.solve(precision, shift)
        hessian = precision + np.outer(row, row)
        gradient = row * (row @ mean - value)
        shift, precision = natural_step(shift, precision, gradient, hessian, 1.0)
    np.testing.assert_allclose(precision, np.eye(4) + design.T @ design, atol=1e-10)
    np.testing.assert_allclose(shift, design.T @ target, atol=1e-10)


def test_independent_parameters_find_the_exact_mean_and_the_diagonal_precision() -> None:
    random = np.random.default_rng(3)
    exact, exact_shift = regression(random)
    mean, precision = np.zeros(4), np.ones(4)
    for _ in range(500):
        mean, precision = mean_step(mean, precision, exact @ mean - exact_shift, np.diag(exact), 0.3)
    np.testing.assert_allclose(mean, np.linalg.solve(exact, exact_shift), atol=1e-8)
    np.testing.assert_allclose(precision, np.diag(exact), rtol=1e-8)


@given(seed=seeds, rate=rates, scale=st.floats(0.1, 100))
@settings(deadline=None)
def test_the_improved_step_is_its_own_square_and_stays_definite(seed: int, rate: float, scale: float) -> None:
    random = np.random.default_rng(seed)
    precision, noise = definite(random), random.normal(size=(4, 4))
    hessian = scale * (noise + noise.T)
    moved, renewed = improved_step(np.zeros(4), precision, np.ones(4), hessian, rate)
    gap = precision - rate * (precision - hessian)
    square = (precision + gap @ np.linalg.inv(precision) @ gap) / 2
    np.testing.assert_allclose(renewed, square, atol=1e-10 * np.abs(square).max())
    assert np.linalg.eigvalsh(renewed - precision / 2).min() >= -1e-10 * np.abs(renewed).max()
    np.testing.assert_allclose(moved, -rate * np.linalg.solve(precision, np.ones(4)), rtol=1e-12)


@given(
    precision=st.floats(1e-3, 1e3),
    hessian=st.floats(-1e4, 1e4),
    rate=st.floats(1e-4, 1),
)
@settings(deadline=None)
def test_one_parameter_never_loses_more_than_half_its_precision(precision: float, hessian: float, rate: float) -> None:
    _, renewed = improved_step(np.zeros(1), np.array([precision]), np.zeros(1), np.array([hessian]), rate)
    assert renewed[0] >= precision / 2 * (1 - 1e-10)


def test_the_bound_is_attained() -> None:
    _, renewed = improved_step(np.zeros(1), np.array([2.0]), np.zeros(1), np.array([-2.0]), 0.5)
    assert renewed[0] == pytest.approx(1.0)
