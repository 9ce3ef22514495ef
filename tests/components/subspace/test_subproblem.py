"""The trust-region step against its optimality conditions and a search over the disc."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.subspace.subproblem import Model


def check_conditions(gradient: np.ndarray, hessian: np.ndarray, radius: float) -> None:
    """The conditions of More and Sorensen, which are necessary and sufficient for a global minimiser."""
    step, multiplier = Model.of(gradient, hessian).minimiser(radius)
    scale = max(1.0, float(np.abs(hessian).max()), multiplier) * max(1.0, radius)
    shifted = hessian + multiplier * np.eye(len(gradient))
    assert multiplier >= 0
    assert np.linalg.norm(step) <= radius * (1 + 1e-9)
    assert np.abs(shifted @ step + gradient).max() <= 1e-8 * scale
    assert np.linalg.eigvalsh(shifted).min() >= -1e-9 * scale
    assert abs(multiplier * (radius - np.linalg.norm(step))) <= 1e-7 * scale


@given(
    seed=st.integers(0, 10_000),
    size=st.integers(1, 6),
    radius=st.floats(1e-3, 1e3),
    bend=st.floats(-3, 3),
    rank=st.integers(0, 6),
)
@settings(deadline=None, max_examples=200)
def test_steps_satisfy_the_optimality_conditions(seed: int, size: int, radius: float, bend: float, rank: int) -> None:
    random = np.random.default_rng(seed)
    root = random.normal(size=(size, min(rank, size)))
    hessian = root @ root.T + bend * np.eye(size) * random.integers(0, 2, size)
    check_conditions(random.normal(size=size), hessian, radius)


@given(seed=st.integers(0, 10_000), size=st.integers(2, 6), radius=st.floats(1e-2, 1e2), tie=st.booleans())
@settings(deadline=None, max_examples=200)
def test_the_hard_case_satisfies_them_too(seed: int, size: int, radius: float, tie: bool) -> None:
    """No part of the gradient along the lowest curvature, alone or twofold."""
    random = np.random.default_rng(seed)
    axes = np.linalg.qr(random.normal(size=(size, size)))[0]
    curvature = np.sort(random.normal(size=size)) - 2
    slope = random.normal(size=size)
    slope[0] = 0
    if tie:
        curvature[1], slope[1] = curvature[0], 0
    check_conditions(axes @ slope, (axes * curvature) @ axes.T, radius)


@pytest.mark.parametrize("gradient", [(1.0, 0.5), (0.0, 1.0), (0.0, 0.0), (1e-13, 1.0)])
@pytest.mark.parametrize("curvature", [(-2.0, 1.0), (-1.0, -1.0), (0.5, 3.0), (0.0, 1.0)])
@pytest.mark.parametrize("radius", [0.1, 1.0, 5.0])
def test_no_point_of_the_disc_is_lower(
    gradient: tuple[float, float], curvature: tuple[float, float], radius: float
) -> None:
    """Brute force over a polar grid, rotated away from the axes; (0, 1) with (-2, 1) is the hard case."""
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    slope, hessian = turn @ np.array(gradient), turn @ np.diag(curvature) @ turn.T
    model = Model.of(slope, hessian)
    step, _ = model.minimiser(radius)
    angle, length = np.meshgrid(np.linspace(0, 2 * np.pi, 721), radius * np.linspace(0, 1, 101))
    points = np.stack([length * np.cos(angle), length * np.sin(angle)], axis=-1)
    values = points @ slope + 0.5 * np.einsum("...i,ij,...j->...", points, hessian, points)
    value = slope @ step + 0.5 * step @ hessian @ step
    assert value <= values.min() + 1e-9
    assert value >= values.min() - 1e-3 * max(1.0, radius**2)
    assert model.decrease(step) == pytest.approx(-value, abs=1e-10)


def test_a_saddle_is_left_along_its_lowest_curvature() -> None:
    step, multiplier = Model.of(np.zeros(3), np.diag([1.0, -2.0, 0.0])).minimiser(0.5)
    np.testing.assert_allclose(np.abs(step), [0, 0.5, 0], atol=1e-12)
    assert multiplier == pytest.approx(2.0)
