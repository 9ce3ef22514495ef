"""The nearest mixture carries its certificate: no point lies further towards the target than the mixture."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.weak.nuisance.hull import nearest_in_hull

seeds = st.integers(0, 10_000)


@settings(deadline=None, max_examples=150)
@given(seed=seeds, count=st.integers(1, 30), width=st.integers(1, 6), apart=st.sampled_from([0.1, 1.0, 3.0]))
def test_no_mixture_is_nearer(seed: int, count: int, width: int, apart: float) -> None:
    rng = np.random.default_rng(seed)
    points = np.round(rng.normal(size=(count, width)), seed % 3)  # ties and copies
    target = apart * rng.normal(size=width)
    weights, gap = nearest_in_hull(points, target)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(gap, target - weights @ points, atol=1e-9)
    # The gap's plane has all points behind it; that is the condition of optimality of a convex problem.
    assert ((points - weights @ points) @ gap).max() <= 1e-9 * (1 + apart**2) * count


@settings(deadline=None, max_examples=50)
@given(seed=seeds, width=st.integers(1, 5))
def test_the_weights_of_a_mixture_inside_a_simplex_are_found(seed: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    corners = np.vstack([np.zeros(width), np.eye(width)]) + rng.uniform(-0.1, 0.1, (width + 1, width))
    truth = rng.dirichlet(np.ones(width + 1))
    weights, gap = nearest_in_hull(corners, truth @ corners)
    np.testing.assert_allclose(weights, truth, atol=1e-5)
    assert np.linalg.norm(gap) < 1e-5


def test_the_nearest_point_of_a_segment_is_its_foot() -> None:
    weights, gap = nearest_in_hull(np.array([[0.0, 0.0], [4.0, 0.0]]), np.array([1.0, 2.0]))
    np.testing.assert_allclose(weights, [0.75, 0.25])
    np.testing.assert_allclose(gap, [0.0, 2.0], atol=1e-12)


def test_a_rough_answer_is_within_what_is_enough() -> None:
    rng = np.random.default_rng(0)
    points, target = rng.normal(size=(200, 8)), 2 * rng.normal(size=8)
    least = float(np.sum(nearest_in_hull(points, target)[1] ** 2))
    rough = float(np.sum(nearest_in_hull(points, target, enough=0.1)[1] ** 2))
    assert least <= rough <= least + 0.2  # the gap to the dual bounds half the difference
