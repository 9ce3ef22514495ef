"""What the replicates agree on: lingam's own tables as the oracle, and every runner the same."""

import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.contracts import FloatArray, PriorKnowledge
from components.discovery import DirectLingam
from components.discovery.bootstrap import Replicates, pair_support, scaled
from components.discovery.constraints import reconcile
from components.discovery.effects import total_effects
from components.discovery.found import Found
from components.discovery.preparation import PreparedTable
from components.errors import InputError
from components.findings import PathSupport
from components.ports import Map, in_order, silent
from components.synthetic import linear_sem, random_dag

laws = settings(deadline=None, max_examples=25, derandomize=True)


def names_of(p: int) -> tuple[str, ...]:
    return tuple(f"x{index}" for index in range(p))


def replicates_of(weights: FloatArray) -> Replicates:
    p = weights.shape[-1]
    return Replicates(names_of(p), weights, total_effects(weights), np.zeros((p, p)), np.zeros((p, p)))


def draws(seed: int, p: int, count: int) -> FloatArray:
    """Graphs around one graph: some of its edges missing, weights a little different."""
    weights, _ = random_dag(p, 3, seed)
    rng = np.random.default_rng(seed)
    kept = rng.random((count, p, p)) < 0.7
    return np.where(kept, weights * rng.uniform(0.8, 1.2, (count, p, p)), 0.0)


@given(seed=st.integers(0, 10**6), p=st.integers(2, 6), count=st.integers(1, 30))
@laws
def test_support_graphs_and_paths_are_those_of_lingam(seed: int, p: int, count: int) -> None:
    from lingam import BootstrapResult

    weights = draws(seed, p, count)
    found = replicates_of(weights)
    oracle = BootstrapResult(weights, found.totals, np.zeros((count, 1)))
    np.testing.assert_allclose(found.support, oracle.get_probabilities())
    graphs = found.graphs(most=5)
    expected = oracle.get_directed_acyclic_graph_counts(n_dags=5)
    assert [graph.support * count for graph in graphs] == pytest.approx(expected["count"])
    names = names_of(p)
    first = {(names[j], names[i]) for j, i in zip(expected["dag"][0]["from"], expected["dag"][0]["to"], strict=True)}
    if len(expected["count"]) < 2 or expected["count"][0] > expected["count"][1]:
        assert set(graphs[0].edges) == first
    for effect in range(p):
        for cause in range(p):
            if effect != cause:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    table = oracle.get_paths(cause, effect)
                paths = found.paths(names[effect], most=10**6, cause=names[cause])
                assert sorted(path.support for path in paths) == pytest.approx(sorted(table["probability"]))
                by_path = {path.path: path for path in paths}
                for steps, size, share in zip(table["path"], table["effect"], table["probability"], strict=True):
                    same = by_path[tuple(names[step] for step in steps)]
                    assert (same.effect, same.support) == pytest.approx((size, share))


@given(seed=st.integers(0, 10**6), p=st.integers(2, 7))
@laws
def test_the_best_supported_paths_come_first_and_few_are_the_head_of_many(seed: int, p: int) -> None:
    found = replicates_of(draws(seed, p, 20))
    every = found.paths("x0", most=10**6)
    assert [path.support for path in every] == sorted((path.support for path in every), reverse=True)
    assert found.paths("x0", most=3) == every[:3]
    assert all(path.path[-1] == "x0" and path.support > 0.25 for path in found.paths("x0", 50, least=0.25))
    assert all(path.low <= path.effect <= path.high for path in every)


def test_a_path_of_known_weights() -> None:
    weights = np.zeros((4, 3, 3))
    weights[:, 1, 0], weights[:3, 2, 1] = [2, 2, 2, 2], [1, 2, 3]
    assert replicates_of(weights).paths("x2", 9, "x0") == (PathSupport(("x0", "x1", "x2"), 4.0, 2.1, 5.9, 0.75),)
    units = np.array([[1, 1, 1], [1, 1, 1], [10, 1, 1]])
    changed = scaled(PathSupport(("x0", "x1", "x2"), 4.0, 2.0, 6.0, 0.75), units, names_of(3))
    assert changed == PathSupport(("x0", "x1", "x2"), 40.0, 20.0, 60.0, 0.75)


def test_pairs_without_a_direction_keep_their_share() -> None:
    mask = np.array([[False, True, False], [True, False, False], [False, False, False]])
    found = Found(np.zeros((3, 3)), mask, np.roll(mask, 1, axis=(0, 1)))
    replicates = Replicates(names_of(3), np.zeros((4, 3, 3)), np.zeros((4, 3, 3)), mask * 0.25, np.full((3, 3), 0.5))
    pairs = [(pair.first, pair.second, pair.verdict, pair.support) for pair in pair_support(found, replicates)]
    assert pairs == [("x0", "x1", "confounded", 0.25), ("x1", "x2", "undirected", 0.5)]


def run(map: Map, count: int = 8) -> Replicates:
    weights, order = random_dag(5, 3, 4)
    table, _ = PreparedTable(names_of(5), linear_sem(weights, order, 300, "uniform", 4), ()).standardised()
    constraints = reconcile(PriorKnowledge.unknown(table.names), table.names, table.names)
    return Replicates.of(DirectLingam(replicates=count, seed=3), table, constraints, map, silent)


def test_threads_and_processes_give_the_numbers_of_one_after_the_other() -> None:
    alone = run(in_order)
    with ThreadPoolExecutor(3) as threads, ProcessPoolExecutor(2) as processes:
        for other in (run(threads.map), run(processes.map)):
            np.testing.assert_array_equal(other.weights, alone.weights)
            np.testing.assert_array_equal(other.totals, alone.totals)
    np.testing.assert_array_equal(run(in_order, 3).weights, alone.weights[:3])
    assert len(np.unique(alone.weights, axis=0)) > 1


def test_resamples_without_rank_are_left_out_or_refused() -> None:
    flag = np.zeros(12)
    flag[0] = 1.0
    values = np.column_stack([flag, np.random.default_rng(0).laplace(size=(12, 9))])
    table, _ = PreparedTable(names_of(10), values, ()).standardised()
    constraints = reconcile(PriorKnowledge.unknown(table.names), table.names, table.names)
    with pytest.raises(InputError, match="a resample keeps its rank"):
        Replicates.of(DirectLingam(replicates=1), table, constraints, in_order, silent)
