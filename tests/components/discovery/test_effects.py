"""Interventions against the model itself, run twice: once as it is, once with some variables held."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.contracts import CausalGraph
from components.discovery.constraints import reachable
from components.discovery.effects import intervene, total_effects
from components.errors import InputError
from components.synthetic import linear_sem, random_dag

laws = settings(deadline=None, max_examples=40, derandomize=True)
worlds = st.tuples(st.integers(2, 9), st.integers(0, 4), st.integers(0, 10**6))


def graph_of(weights: np.ndarray, order: tuple[int, ...], spread: float = 0.0) -> CausalGraph:
    names = tuple(f"v{index}" for index in range(len(weights)))
    total = total_effects(weights)
    return CausalGraph(names, weights, order, weights != 0, total, total - spread, total + spread, names[-1], 100, 10)


@given(world=worlds, held=st.integers(1, 3))
@laws
def test_an_intervention_is_what_simulating_it_gives(world: tuple[int, int, int], held: int) -> None:
    weights, order = random_dag(*world)
    rng = np.random.default_rng(world[2])
    places = rng.choice(len(weights), min(held, len(weights)), replace=False)
    shifts = {f"v{place}": float(shift) for place, shift in zip(places, rng.normal(size=len(places)), strict=True)}
    # The same noise in both worlds, so that the means of 7 rows differ by the intervention and nothing else.
    before = linear_sem(weights, order, 7, "laplace", 1)
    noise = before - before @ weights.T
    after = np.zeros_like(before)
    for index in order:
        shift = shifts.get(f"v{index}")
        after[:, index] = before[:, index] + shift if shift is not None else after @ weights[index] + noise[:, index]
    response = intervene(graph_of(weights, order), shifts)
    np.testing.assert_allclose(response.change, (after - before).mean(axis=0), atol=1e-12)


@given(world=worlds)
@laws
def test_one_shift_is_a_column_of_total_effects(world: tuple[int, int, int]) -> None:
    weights, order = random_dag(*world)
    graph = graph_of(weights, order, spread=0.25)
    for cause in range(len(weights)):
        response = intervene(graph, {f"v{cause}": -2.0})
        others = np.arange(len(weights)) != cause
        np.testing.assert_array_equal(response.change[others], -2 * graph.total[others, cause])
        np.testing.assert_array_equal(response.low[others], -2 * graph.total_high[others, cause])
        np.testing.assert_array_equal(response.high[others], -2 * graph.total_low[others, cause])
        assert response.change[cause] == response.low[cause] == response.high[cause] == -2


def test_intervals_come_from_replicates_where_there_are_some() -> None:
    weights, order = random_dag(6, 3, 1)
    factors = np.linspace(0.5, 1.5, 1001)
    graph, shifts = graph_of(weights, order), {f"v{order[0]}": 1.0, f"v{order[2]}": -1.0}
    assert np.isnan(intervene(graph, shifts).low).sum() == 4
    response = intervene(graph, shifts, factors[:, None, None] * weights)
    each = np.stack([intervene(graph_of(factor * weights, order), shifts).change for factor in factors])
    np.testing.assert_allclose(response.low, np.quantile(each, 0.025, axis=0), atol=1e-12)
    np.testing.assert_allclose(response.high, np.quantile(each, 0.975, axis=0), atol=1e-12)
    assert (response.low < response.high).any()


@pytest.mark.parametrize(
    ("shifts", "rule"),
    [({}, "at least one"), ({"w": 1.0}, "variables of the graph, got w"), ({"v0": np.nan}, "shift of v0 must be")],
)
def test_bad_interventions_are_refused_by_name(shifts: dict[str, float], rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        intervene(graph_of(*random_dag(3, 2, 0)), shifts)


@pytest.mark.parametrize("p", [1, 2, 3, 4, 5, 8, 9, 17, 40])
def test_a_chain_has_an_effect_at_every_distance(p: int) -> None:
    chain = np.diag(np.full(p - 1, 0.5), -1)
    distance = np.subtract.outer(np.arange(p), np.arange(p))
    np.testing.assert_array_equal(total_effects(chain), np.where(distance > 0, 0.5 ** np.abs(distance), 0.0))


def test_replicates_may_have_an_order_each() -> None:
    drawn = np.stack([random_dag(12, 4, seed)[0] for seed in range(20)])
    for weights, total in zip(drawn, total_effects(drawn), strict=True):
        np.testing.assert_allclose(total, np.linalg.inv(np.eye(12) - weights) - np.eye(12), atol=1e-12)
        assert not total[~reachable(weights != 0)].any()
