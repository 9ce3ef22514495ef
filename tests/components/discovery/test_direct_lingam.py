"""DirectLiNGAM: laws of the method, a known answer, and lingam itself as the oracle."""

import pickle
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.contracts import CausalGraph, PriorKnowledge
from components.discovery import METHODS, DirectLingam
from components.errors import InputError
from components.ports import Map, in_order, silent
from components.synthetic import linear_sem, random_dag

QUICK = DirectLingam(replicates=3, log_skewness=0)
# One rounding error of a standardised column, amplified by a few regressions.
ROUNDING = 1e-9
laws = settings(deadline=None, max_examples=12, derandomize=True)


def table_of(values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(values, columns=[f"x{index}" for index in range(values.shape[1])])


def world(seed: int, p: int = 5, rows: int = 400) -> pd.DataFrame:
    weights, order = random_dag(p, 3, seed)
    return table_of(linear_sem(weights, order, rows, "uniform", seed))


def discover(
    table: pd.DataFrame,
    knowledge: PriorKnowledge | None = None,
    method: DirectLingam = QUICK,
    map: Map = in_order,
) -> CausalGraph:
    names = tuple(str(name) for name in table.columns)
    return method.discover(table, knowledge or PriorKnowledge.unknown(names), names[-1], map, silent)


def assert_same(first: CausalGraph, second: CausalGraph) -> None:
    assert (first.names, first.order, first.notes) == (second.names, second.order, second.notes)
    for label in ("weights", "support", "total", "total_low", "total_high"):
        np.testing.assert_array_equal(getattr(first, label), getattr(second, label))


def test_the_model_of_the_lingam_documentation_is_recovered() -> None:
    truth = np.zeros((6, 6))
    truth[0, 3], truth[2, 3], truth[1, 0], truth[1, 2], truth[5, 0], truth[4, 0], truth[4, 2] = 3, 6, 3, 2, 4, 8, -1
    recovered = 0
    for seed in range(20):
        table = table_of(linear_sem(truth, (3, 0, 2, 1, 5, 4), 1000, "uniform", seed))
        weights = discover(table, method=replace(QUICK, replicates=1)).weights
        recovered += bool(((weights != 0) == (truth != 0)).all() and np.abs(weights - truth).max() < 0.1)
    # The reference itself errs on two of these draws: one superfluous edge, one reversal.
    assert recovered >= 18


@given(seed=st.integers(0, 10**6), p=st.integers(2, 6), noise=st.sampled_from(["uniform", "laplace", "gaussian"]))
@laws
def test_without_knowledge_it_is_lingam(seed: int, p: int, noise: str) -> None:
    from lingam import DirectLiNGAM as Reference

    weights, order = random_dag(p, 3, seed)
    values = linear_sem(weights, order, 200, noise, seed)  # type: ignore[arg-type]  # drawn from the three
    oracle = Reference().fit(values)
    graph = discover(table_of(values), method=replace(QUICK, replicates=1))
    scale = values.std(axis=0)
    large = np.abs(oracle.adjacency_matrix_) * scale / scale[:, None] >= QUICK.minimum_weight
    assert list(graph.order) == oracle.causal_order_
    np.testing.assert_allclose(graph.weights, np.where(large, oracle.adjacency_matrix_, 0), atol=ROUNDING)


@given(
    seed=st.integers(0, 10**6),
    factors=st.lists(st.sampled_from([-1000.0, -2.0, 0.01, 1.0, 30.0]), min_size=5, max_size=5),
    shift=st.floats(-100, 100),
)
@laws
def test_changing_units_changes_weights_as_units_do(seed: int, factors: list[float], shift: float) -> None:
    table, unit = world(seed), np.array(factors)
    before, after = discover(table), discover(table * unit + shift)
    assert after.order == before.order
    ratio = unit[:, None] / unit
    np.testing.assert_allclose(after.weights / ratio, before.weights, atol=ROUNDING)
    np.testing.assert_allclose(after.total / ratio, before.total, atol=ROUNDING)
    np.testing.assert_array_equal(after.support, before.support)


@given(seed=st.integers(0, 10**6), columns=st.permutations(range(5)))
@laws
def test_permuting_columns_permutes_the_graph(seed: int, columns: list[int]) -> None:
    table = world(seed)
    before, after = discover(table), discover(table.iloc[:, columns])
    assert [after.names[index] for index in after.order] == [before.names[index] for index in before.order]
    np.testing.assert_allclose(after.weights, before.weights[np.ix_(columns, columns)], atol=ROUNDING)
    np.testing.assert_allclose(after.support, before.support[np.ix_(columns, columns)], atol=ROUNDING)


@given(seed=st.integers(0, 10**6))
@laws
def test_permuting_rows_changes_neither_order_nor_weights(seed: int) -> None:
    table = world(seed)
    before, after = discover(table), discover(table.sample(frac=1, random_state=seed))
    assert after.order == before.order
    np.testing.assert_allclose(after.weights, before.weights, atol=ROUNDING)


@given(seed=st.integers(0, 10**6))
@laws
def test_weights_are_triangular_and_intervals_hold_what_replicates_show(seed: int) -> None:
    graph = discover(world(seed))
    ordered = graph.weights[np.ix_(graph.order, graph.order)]
    assert not np.triu(ordered).any()
    assert (graph.total_low <= graph.total_high).all()
    assert ((graph.support >= 0) & (graph.support <= 1)).all()
    np.testing.assert_allclose(graph.support * graph.replicates, np.round(graph.support * graph.replicates))
    assert graph.confounded == ()


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    covered, widths = 0, []
    for seed in range(20):
        table = table_of(linear_sem([[0, 0], [0.8, 0]], (0, 1), 500, "uniform", seed))
        graph = discover(table, method=replace(QUICK, replicates=20))
        assert graph.support[1, 0] > 0.9
        low, high = graph.total_low[1, 0], graph.total_high[1, 0]
        covered += bool(low < 0.8 < high)
        widths.append(high - low)
    # Three standard deviations of a binomial count around 95 %, less what 20 replicates miss of the tails.
    assert covered >= 15
    # A least squares slope has the standard deviation 1/sqrt(500) here; the interval is four of them wide.
    assert np.median(widths) == pytest.approx(4 / np.sqrt(500), rel=0.2)


def test_replicates_do_not_depend_on_who_runs_them() -> None:
    table, method = world(0), replace(QUICK, replicates=6)
    serial = discover(table, method=method)
    with ThreadPoolExecutor(3) as threads:
        assert_same(serial, discover(table, method=method, map=threads.map))
    with ProcessPoolExecutor(2) as processes:
        assert_same(serial, discover(table, method=method, map=processes.map))


def test_equal_seeds_give_equal_graphs_and_nothing_given_is_changed() -> None:
    table = world(1)
    table.iloc[3, 2] = np.nan
    copy = table.copy(deep=True)
    assert_same(discover(table), discover(table))
    pd.testing.assert_frame_equal(table, copy)
    other = discover(table, method=replace(QUICK, seed=1))
    assert not np.array_equal(other.total_low, discover(table).total_low)


def test_every_replicate_is_reported() -> None:
    table, seen = world(2), list[tuple[int, int, Mapping[str, float]]]()
    knowledge = PriorKnowledge.unknown(tuple(table.columns))
    QUICK.discover(table, knowledge, "x0", in_order, lambda step, total, metrics: seen.append((step, total, metrics)))
    assert [(step, total) for step, total, _ in seen] == [(0, 3), (1, 3), (2, 3)]
    assert all(metrics["edges"] > 0 for _, _, metrics in seen)


def test_small_effects_are_left_out_on_the_standard_scale() -> None:
    values = linear_sem([[0, 0, 0], [0.9, 0, 0], [0.5, 0.1, 0]], (0, 1, 2), 5000, "uniform", 0)
    table = table_of(values * np.array([1, 1, 1000]))
    assert discover(table).weights[2, 1] == pytest.approx(100, rel=0.4)
    assert discover(table, method=replace(QUICK, minimum_weight=0.3)).weights[2, 1] == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [("replicates", 0), ("minimum_weight", 1.0), ("maximum_rows", 9), ("log_skewness", -1.0), ("seed", -1)],
)
def test_a_bad_field_is_named(field: str, value: float) -> None:
    with pytest.raises(InputError, match=field):
        replace(DirectLingam(), **{field: value})


def test_a_method_survives_a_pickle_and_is_listed_under_its_kind() -> None:
    assert pickle.loads(pickle.dumps(QUICK)) == QUICK
    assert METHODS[QUICK.kind] is DirectLingam
