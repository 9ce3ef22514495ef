"""RCD: lingam as the oracle cell by cell, laws, and knowledge."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, shapiro

from components.contracts import CausalGraph, PriorKnowledge
from components.discovery.constraints import reconcile
from components.discovery.hsic import Kernel, independence
from components.discovery.linear_residuals import LinearTests
from components.discovery.preparation import PreparedTable
from components.discovery.rcd import RepetitiveDiscovery, ancestors, hidden_causes, parents_of, weights_of
from components.discovery.refitting import refitted
from components.discovery.residuals import Residual
from components.errors import InputError
from components.ports import in_order, silent
from components.synthetic import linear_sem, random_dag

PARITY = RepetitiveDiscovery(width="first_100", log_skewness=0)
QUICK = RepetitiveDiscovery(replicates=2, log_skewness=0)
laws = settings(deadline=None, max_examples=10, derandomize=True)


def documented(seed: int, rows: int, hide_x5: bool = False) -> np.ndarray:
    """The model of lingam's documentation: x6 always hidden, a cause of x2 and x4."""
    random = np.random.RandomState(seed)
    x5, x6, e1, e3, e0, e2, e4 = (random.normal(0, 0.5, rows) ** 3 for _ in range(7))
    x1, x3 = 0.6 * x5 + e1, 0.5 * x5 + e3
    x0 = x1 + x3 + e0
    x2 = 0.8 * x0 - 0.6 * x6 + e2
    x4 = x0 - 0.5 * x6 + e4
    return np.column_stack([x0, x1, x2, x3, x4] + ([] if hide_x5 else [x5]))


def hidden_world(seed: int, p: int, rows: int, noise: str) -> np.ndarray:
    """A linear model of p + 1 variables, one of which is not shown."""
    weights, order = random_dag(p + 1, 3, seed)
    values = linear_sem(weights, order, rows, noise, seed)  # type: ignore[arg-type]  # drawn from the three
    return np.delete(values, seed % (p + 1), axis=1)


def raw(
    values: np.ndarray, method: RepetitiveDiscovery = PARITY, excluded: np.ndarray | None = None
) -> tuple[tuple[frozenset[int], ...], np.ndarray]:
    """Ancestors, and the matrix with NaN for hidden causes."""
    size = values.shape[1]
    nothing = np.zeros((size, size), dtype=bool)
    tests = LinearTests.of(values, method.width)
    found = ancestors(tests, method, nothing if excluded is None else excluded)
    parents, tried = parents_of(tests, found, method.correlation_alpha, nothing)
    mask, _ = hidden_causes(tests, parents, tried, method.correlation_alpha, tuple(map(str, range(size))))
    return found, weights_of(values, parents, mask)


def assert_lingam(values: np.ndarray, method: RepetitiveDiscovery = PARITY) -> None:
    from lingam import RCD

    oracle = RCD(max_explanatory_num=method.explanatory, MLHSICR=method.refit).fit(values)
    found, matrix = raw(values, method)
    assert [set(above) for above in found] == oracle.ancestors_list_
    np.testing.assert_allclose(matrix, oracle.adjacency_matrix_, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("hide_x5", [False, True])
def test_the_documented_model_comes_out_as_from_lingam(hide_x5: bool) -> None:
    for seed in range(8):
        assert_lingam(documented(seed, 300, hide_x5))


def test_after_a_discovery_small_sets_come_first_again() -> None:
    """Tables on which staying with the larger sets finds other ancestors."""
    assert_lingam(documented(116, 200))
    assert_lingam(documented(22, 200, hide_x5=True), replace(PARITY, explanatory=3))


def test_known_answers_of_the_documented_model() -> None:
    found, matrix = raw(documented(0, 300))
    assert [set(above) for above in found] == [{1, 3, 5}, {5}, {0, 1, 3, 5}, {5}, {0, 1, 3, 5}, set()]
    assert np.argwhere(np.isnan(matrix)).tolist() == [[2, 4], [4, 2]]
    known = {(0, 1): 0.939, (0, 3): 0.994, (2, 0): 0.751, (4, 0): 1.016, (1, 5): 0.556, (3, 5): 0.563}
    for (effect, cause), weight in known.items():
        assert matrix[effect, cause] == pytest.approx(weight, abs=5e-4)
    pairs = {tuple(pair) for pair in np.argwhere(np.isnan(raw(documented(0, 300, hide_x5=True))[1])).tolist()}
    assert pairs == {(2, 4), (4, 2), (0, 1), (1, 0), (0, 3), (3, 0), (1, 3), (3, 1)}


def test_the_hidden_pair_is_held_as_often_as_by_lingam() -> None:
    held = [np.isnan(raw(documented(seed, 300))[1])[2, 4] for seed in range(20)]
    assert sum(held) == 12


@given(
    seed=st.integers(0, 10**6),
    p=st.integers(2, 6),
    rows=st.sampled_from([40, 150, 400]),
    noise=st.sampled_from(["uniform", "laplace", "gaussian"]),
    explanatory=st.integers(1, 3),
)
@laws
def test_random_models_come_out_as_from_lingam(seed: int, p: int, rows: int, noise: str, explanatory: int) -> None:
    assert_lingam(hidden_world(seed, p, rows, noise), replace(PARITY, explanatory=explanatory))


def test_with_refitting_it_is_lingam_too() -> None:
    for seed in range(2):
        assert_lingam(documented(seed, 100), replace(PARITY, refit=True))


def test_refitted_slopes_are_a_minimum_of_the_dependence() -> None:
    values = documented(0, 150)
    effect, causes = values[:, 0] - values[:, 0].mean(), (values[:, [1, 3]] - values[:, [1, 3]].mean(axis=0)).T
    rest = refitted(effect, causes, "median")
    slopes = np.linalg.lstsq(causes.T, effect - rest, rcond=None)[0]
    kernels = [Kernel.of(cause) for cause in causes]
    start = Kernel.of(effect).width

    def dependence(at: np.ndarray) -> float:
        width = start - sum(slope * kernel.width for slope, kernel in zip(at, kernels, strict=True))
        kernel = Kernel(np.atleast_2d(effect - at @ causes), float(width))
        return sum(independence(kernel, other).statistic for other in kernels)

    least = dependence(slopes)
    for step in ([0.02, 0], [-0.02, 0], [0, 0.02], [0, -0.02]):
        assert dependence(slopes + step) > least


def test_answers_are_those_of_the_tests_by_name() -> None:
    values = np.random.default_rng(0).laplace(size=(300, 4))
    values[:, 2] += values[:, 3]
    tests = LinearTests.of(values)
    one, other = Residual(0, frozenset({2, 3})), Residual(1, frozenset({2}))

    def left(residual: Residual) -> np.ndarray:
        causes = np.column_stack([np.ones(300), values[:, sorted(residual.given)]])
        column = values[:, residual.variable]
        return np.asarray(column - causes @ np.linalg.lstsq(causes, column, rcond=None)[0])

    np.testing.assert_allclose(tests.residuals.values(one), left(one), atol=1e-12)
    assert 0.01 < tests.correlation(one, other) < 0.99
    assert tests.correlation(one, other) == pytest.approx(pearsonr(left(one), left(other))[1], abs=1e-10)
    assert tests.correlation(other, one) == tests.correlation(one, other)
    assert tests.shape(one) == pytest.approx(shapiro(left(one)).pvalue, abs=1e-10)


def test_the_shape_of_many_rows_is_tested_without_a_warning() -> None:
    rng = np.random.default_rng(0)
    tests = LinearTests.of(np.column_stack([rng.normal(size=6000), rng.laplace(size=6000)]))
    assert tests.shape(Residual(0)) > 0.01
    assert tests.shape(Residual(1)) < 1e-6


@given(seed=st.integers(0, 10**6))
@laws
def test_neither_order_of_rows_nor_units_matter_by_default(seed: int) -> None:
    values = hidden_world(seed, 4, 200, "laplace")
    method = replace(PARITY, width="median")
    _, matrix = raw(values, method)
    rng = np.random.default_rng(seed)
    _, moved = raw(values[rng.permutation(200)], method)
    np.testing.assert_allclose(moved, matrix, atol=1e-10)
    scale = rng.choice([0.01, -2.0, 30.0], 4)
    _, scaled = raw(values * scale, method)
    np.testing.assert_allclose(scaled * scale / scale[:, None], matrix, atol=1e-8)


def test_columns_in_another_order_are_the_same_graph_in_another_order() -> None:
    method = replace(PARITY, width="median")
    for seed in range(5):
        values = documented(seed, 1000)
        columns = np.random.default_rng(seed).permutation(6)
        matrix, moved = raw(values, method)[1], raw(values[:, columns], method)[1]
        np.testing.assert_allclose(moved, matrix[np.ix_(columns, columns)], atol=1e-10)


def discover(
    values: np.ndarray, method: RepetitiveDiscovery = QUICK, knowledge: PriorKnowledge | None = None
) -> CausalGraph:
    names = tuple(f"x{index}" for index in range(values.shape[1]))
    table = pd.DataFrame(values, columns=list(names))
    return method.discover(table, knowledge or PriorKnowledge.unknown(names), "x0", in_order, silent)


def test_every_pair_has_a_decision_and_the_hidden_one_is_named() -> None:
    graph = discover(documented(1, 1000))
    assert ("x2", "x4") in graph.confounded
    decisions = graph.findings.decisions
    assert {frozenset((one.cause, one.effect)) for one in decisions} == {
        frozenset((f"x{i}", f"x{j}")) for i in range(6) for j in range(i)
    }
    edges = {
        (graph.names.index(one.effect), graph.names.index(one.cause)) for one in decisions if one.verdict == "edge"
    }
    assert edges == {tuple(pair) for pair in np.argwhere(graph.weights).tolist()}
    for one in decisions:
        assert (one.p_value < 0.01) == (one.verdict != "no edge")


def test_a_forbidden_path_is_never_tried_and_its_reverse_may_be_found() -> None:
    values = documented(0, 300)
    names = tuple(f"x{index}" for index in range(6))
    path = np.full((6, 6), -1)
    path[0, 1] = 0
    knowledge = PriorKnowledge(names, path, np.full((6, 6), -1), np.full((6, 6), np.nan))
    table = PreparedTable(names, values, ())
    constraints = reconcile(knowledge, names, names)
    found, _ = raw(values, PARITY, constraints.forbidden_path | constraints.before.T)
    assert 1 in raw(values)[0][0]
    assert 1 not in found[0]
    assert QUICK.search(table, constraints).weights[0, 1] == 0
    assert discover(values, QUICK, knowledge).weights[0, 1] == 0


def test_knowledge_that_agrees_changes_nothing() -> None:
    values = documented(0, 300)
    names = tuple(f"x{index}" for index in range(6))
    path = np.full((6, 6), -1)
    path[1, 0] = path[5, 2] = path[3, 1] = 0
    knowledge = PriorKnowledge(names, path, np.full((6, 6), -1), np.full((6, 6), np.nan))
    np.testing.assert_array_equal(discover(values).weights, discover(values, QUICK, knowledge).weights)


def test_the_bootstrap_repeats_itself() -> None:
    values = documented(2, 200)
    first, second = discover(values), discover(values)
    np.testing.assert_array_equal(first.support, second.support)
    np.testing.assert_array_equal(first.weights, second.weights)
    assert first.findings == second.findings


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("explanatory", 0),
        ("independence_alpha", 0.0),
        ("correlation_alpha", 1.0),
        ("shape_alpha", 1.5),
        ("width", "first_10"),
        ("replicates", 0),
        ("maximum_rows", 5),
    ],
)
def test_a_bad_field_is_named(field: str, value: float | str) -> None:
    with pytest.raises(InputError, match=field):
        replace(QUICK, **{field: value})


def test_too_few_rows_are_named() -> None:
    with pytest.raises(InputError, match="rows must be at least 6"):
        discover(documented(0, 5, hide_x5=True)[:, :3])
