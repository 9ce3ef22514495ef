"""Total effects against interventions on the model itself, and the worlds they are tested on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.discovery.constraints import reachable
from components.discovery.effects import percentile_interval, total_effects
from components.errors import InputError
from components.synthetic import linear_sem, random_dag

laws = settings(deadline=None, max_examples=40, derandomize=True)
worlds = st.tuples(st.integers(1, 8), st.integers(0, 4), st.integers(0, 10**6))


def respond(weights: np.ndarray, order: tuple[int, ...], noise: np.ndarray, cause: int, value: float) -> np.ndarray:
    """The variables when ``cause`` is held at ``value``, one equation after another."""
    state = np.zeros(len(weights))
    for index in order:
        state[index] = value if index == cause else weights[index] @ state + noise[index]
    return state


@given(world=worlds)
@laws
def test_a_total_effect_is_the_response_to_an_intervention(world: tuple[int, int, int]) -> None:
    weights, order = random_dag(*world)
    noise, total = np.random.default_rng(0).standard_normal(len(weights)), total_effects(weights)
    for cause in range(len(weights)):
        response = respond(weights, order, noise, cause, 1.0) - respond(weights, order, noise, cause, 0.0)
        response[cause] = 0.0
        np.testing.assert_allclose(total[:, cause], response, atol=1e-12)


@given(world=worlds)
@laws
def test_total_effects_equal_the_inverse_and_vanish_without_a_path(world: tuple[int, int, int]) -> None:
    weights, _ = random_dag(*world)
    unit = np.eye(len(weights))
    total = total_effects(weights)
    np.testing.assert_allclose(total, np.linalg.inv(unit - weights) - unit, atol=1e-12)
    assert not total[~reachable(weights != 0)].any()
    np.testing.assert_array_equal(total_effects(np.stack([weights, -weights]))[0], total)


def test_the_interval_holds_the_middle_of_the_replicates() -> None:
    values = np.random.default_rng(0).permutation(np.arange(1.0, 1002.0)).reshape(-1, 1, 1)
    low, high = percentile_interval(values)
    assert (low.item(), high.item()) == pytest.approx((26.0, 976.0))
    assert percentile_interval(values, level=0.5)[0].item() == 251.0


@pytest.mark.parametrize("noise", ["uniform", "laplace", "gaussian"])
def test_the_model_has_the_covariance_that_its_weights_imply(noise: str) -> None:
    weights, order = random_dag(4, 3, 1)
    values = linear_sem(weights, order, 200_000, noise, 0)  # type: ignore[arg-type]  # one of the three
    mixing = np.linalg.inv(np.eye(4) - weights)
    # Four standard errors of a covariance at this size.
    np.testing.assert_allclose(np.cov(values.T), mixing @ mixing.T, atol=4 * 3 / np.sqrt(200_000) * 2)
    kurtosis = {"uniform": -1.2, "laplace": 3.0, "gaussian": 0.0}[noise]
    source = values[:, order[0]]
    assert np.mean(source**4) / np.mean(source**2) ** 2 - 3 == pytest.approx(kurtosis, abs=0.2)


@given(world=worlds)
@laws
def test_random_graphs_keep_their_promises(world: tuple[int, int, int]) -> None:
    p, parents, seed = world
    weights, order = random_dag(p, parents, seed)
    assert not np.triu(weights[np.ix_(order, order)]).any()
    assert ((weights != 0).sum(axis=1) <= parents).all()
    sizes = np.abs(weights[weights != 0])
    assert ((sizes >= 0.3) & (sizes <= 0.9)).all()
    np.testing.assert_array_equal(random_dag(p, parents, seed)[0], weights)
    np.testing.assert_array_equal(
        linear_sem(weights, order, 3, "laplace", 5), linear_sem(weights, order, 3, "laplace", 5)
    )


def test_bad_worlds_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="weights must be strictly lower triangular"):
        linear_sem([[0, 1], [0, 0]], (0, 1), 3, "uniform", 0)
    with pytest.raises(InputError, match="noise must be one of"):
        linear_sem([[0]], (0,), 3, "normal", 0)  # type: ignore[arg-type]  # the point of the test
    with pytest.raises(InputError, match="p must be at least 1"):
        random_dag(0, 1, 0)
