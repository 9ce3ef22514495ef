"""CAM-UV: lingam as the oracle cell by cell, laws, and knowledge."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.contracts import CausalGraph, PriorKnowledge
from components.discovery import residuals
from components.discovery.additive import AdditiveRegression
from components.discovery.cam_uv import CamUv, Drawn, draw, excluded_causes, found_of
from components.discovery.constraints import reconcile
from components.discovery.preparation import PreparedTable
from components.discovery.residuals import Residual, ResidualTests
from components.errors import InputError
from components.ports import in_order, silent

PARITY = CamUv(width="first_100", explanatory=3, log_skewness=0)
QUICK = CamUv(replicates=2, log_skewness=0)
laws = settings(deadline=None, max_examples=8, derandomize=True)


def documented(seed: int, rows: int) -> np.ndarray:
    """The model of lingam's own tests: 0 -> 1, 0 -> 3, 2 -> 4, 2 -> hidden -> 5, and a hidden cause of 3 and 4."""
    random = np.random.RandomState(seed)

    def constant(low: float, high: float) -> float:
        return float(random.choice([-1, 1]) * random.uniform(low, high))

    def noise() -> np.ndarray:
        return np.asarray((random.rand(rows) - 0.5) * 5 + constant(0, 2))

    def curve(cause: np.ndarray) -> np.ndarray:
        return np.asarray((cause + constant(0, 5)) ** 2 + constant(0, 1))

    values = np.column_stack([noise() for _ in range(6)])
    hidden = noise()
    hidden /= hidden.std()
    for effect in (3, 4):
        values[:, effect] += curve(hidden)
    for cause in range(6):
        values[:, cause] /= values[:, cause].std()
        for effect in range(cause + 1, 6):
            if (cause, effect) in {(0, 1), (0, 3), (2, 4)}:
                values[:, effect] += curve(values[:, cause])
            if (cause, effect) == (2, 5):
                between = curve(values[:, 2]) + noise()
                values[:, 5] += curve(between / between.std())
    return values


def random_world(seed: int, p: int, rows: int) -> np.ndarray:
    """Waves and squares of random parents, one variable of p + 1 not shown."""
    random = np.random.default_rng(seed)
    values = random.uniform(-1, 1, (rows, p + 1))
    for effect in range(1, p + 1):
        for cause in random.permutation(effect)[: random.integers(0, 3)]:
            column = values[:, cause] / values[:, cause].std()
            values[:, effect] += np.sin(2 * column + random.uniform(0, 3)) if random.random() < 0.5 else column**2 / 2
    return np.delete(values, seed % (p + 1), axis=1)


def raw(values: np.ndarray, method: CamUv = PARITY, knowledge: PriorKnowledge | None = None) -> Drawn:
    names = tuple(f"x{index}" for index in range(values.shape[1]))
    constraints = reconcile(knowledge or PriorKnowledge.unknown(names), names, names)
    return draw(method.tests(PreparedTable(names, values, ())), method, excluded_causes(constraints))


def assert_lingam(values: np.ndarray, method: CamUv = PARITY) -> None:
    from lingam import CAMUV

    oracle = CAMUV(num_explanatory_vals=method.explanatory, alpha=method.alpha).fit(values)
    np.testing.assert_array_equal(raw(values, method).matrix, oracle.adjacency_matrix_)


@pytest.mark.parametrize("seed", range(8))
def test_the_documented_model_comes_out_as_from_lingam(seed: int) -> None:
    assert_lingam(documented(seed, 500))


@given(
    seed=st.integers(0, 10**6),
    p=st.integers(2, 5),
    rows=st.sampled_from([150, 400]),
    explanatory=st.integers(2, 4),
    alpha=st.sampled_from([0.01, 0.1]),
)
@laws
def test_random_models_come_out_as_from_lingam(seed: int, p: int, rows: int, explanatory: int, alpha: float) -> None:
    assert_lingam(random_world(seed, p, rows), replace(PARITY, explanatory=explanatory, alpha=alpha))


def test_p_values_are_those_of_pygam_and_lingam() -> None:
    from lingam.hsic import hsic_test_gamma
    from pygam import LinearGAM

    for rows in (300, 1000):
        values = documented(1, rows)
        tests = ResidualTests(AdditiveRegression(values), "first_100")
        for first, second in (
            (Residual(3, frozenset({0, 2})), Residual(4)),
            (Residual(1, frozenset({0, 5})), Residual(3, frozenset({2}))),
            (Residual(4, frozenset({1, 2, 5})), Residual(0, frozenset({3}))),
        ):
            left = []
            for one in (first, second):
                causes = values[:, sorted(one.given)]
                explained = LinearGAM().fit(causes, values[:, one.variable]).predict(causes) if one.given else 0.0
                left.append(values[:, one.variable] - explained)
            expected = hsic_test_gamma(*left)[1]
            assert tests.independence(first, second) == pytest.approx(expected, abs=1e-10)
            assert tests.independence(second, first) == tests.independence(first, second)
            joint = hsic_test_gamma(left[0], np.column_stack([left[1], values[:, 5]]))[1]
            assert tests.independence(first, second, Residual(5)) == pytest.approx(joint, abs=1e-10)


def test_what_is_forgotten_is_found_again_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    values = random_world(3, 5, 300)
    kept = raw(values)
    monkeypatch.setattr(residuals, "MEMORY", 1)
    forgetful = raw(values)
    np.testing.assert_array_equal(forgetful.matrix, kept.matrix)
    assert forgetful.answers == kept.answers


@given(seed=st.integers(0, 10**6))
@laws
def test_neither_order_of_rows_nor_of_columns_nor_units_matter_by_default(seed: int) -> None:
    values = documented(seed, 200)
    method = replace(PARITY, width="median", explanatory=2)
    matrix = raw(values, method).matrix
    random = np.random.default_rng(seed)
    np.testing.assert_array_equal(raw(values[random.permutation(200)], method).matrix, matrix)
    np.testing.assert_array_equal(raw(5 - 3 * values, method).matrix, matrix)


def discover(values: np.ndarray, method: CamUv = QUICK, knowledge: PriorKnowledge | None = None) -> CausalGraph:
    names = tuple(f"x{index}" for index in range(values.shape[1]))
    table = pd.DataFrame(values, columns=list(names))
    return method.discover(table, knowledge or PriorKnowledge.unknown(names), "x0", in_order, silent)


def test_edges_hidden_pairs_and_absent_edges_have_their_decisions() -> None:
    graph = discover(documented(1, 1000))
    edges = {(graph.names[cause], graph.names[effect]) for effect, cause in np.argwhere(graph.weights)}
    assert {("x0", "x1"), ("x0", "x3"), ("x2", "x4")} <= edges
    assert {frozenset(pair) for pair in graph.confounded} <= {frozenset({"x3", "x4"}), frozenset({"x2", "x5"})}
    assert ("x3", "x4") in graph.confounded
    decisions = graph.findings.decisions
    assert len(decisions) == 15
    assert {(one.cause, one.effect) for one in decisions if one.verdict == "edge"} == edges
    assert {(one.cause, one.effect) for one in decisions if one.verdict == "confounded"} == set(graph.confounded)
    for one in decisions:
        assert (one.p_value > 0.01) == (one.verdict == "no edge")


def test_an_edge_whose_line_is_flat_is_an_edge() -> None:
    table = PreparedTable(("x0", "x1"), np.column_stack([np.linspace(-1, 1, 9), np.zeros(9)]), ())
    found = found_of(Drawn((frozenset(), frozenset({0})), frozenset(), {}), table)
    assert (found.weights != 0).tolist() == [[False, False], [True, False]]
    assert abs(found.weights[1, 0]) < 1e-10


def test_a_forbidden_edge_is_never_tried() -> None:
    values = documented(1, 500)
    names = tuple(f"x{index}" for index in range(6))
    nothing = np.full((6, 6), -1)
    edge = nothing.copy()
    edge[1, 0] = 0
    knowledge = PriorKnowledge(names, nothing, edge, np.full((6, 6), np.nan))
    assert raw(values).matrix[1, 0] == 1
    forbidden = raw(values, PARITY, knowledge)
    assert forbidden.matrix[1, 0] != 1
    from lingam import CAMUV

    oracle = CAMUV(num_explanatory_vals=3, prior_knowledge=[(0, 1)]).fit(values)
    np.testing.assert_array_equal(forbidden.matrix, oracle.adjacency_matrix_)
    path = nothing.copy()
    path[0, 1] = 1
    reverse = PriorKnowledge(names, path, nothing, np.full((6, 6), np.nan))
    assert raw(values, PARITY, reverse).matrix[1, 0] != 1


@pytest.mark.parametrize(
    ("field", "value"), [("explanatory", 1), ("width", "all"), ("alpha", 0.0), ("alpha", 1.0), ("seed", -1)]
)
def test_a_bad_field_is_named(field: str, value: float | str) -> None:
    with pytest.raises(InputError, match=field):
        replace(QUICK, **{field: value})


def test_too_few_rows_are_named() -> None:
    with pytest.raises(InputError, match="rows must be at least 6"):
        discover(documented(0, 5)[:, :3])
