"""The whole family under one contract: one axis rule, knowledge kept, nothing outside touched; lingam as the oracle."""

import io
import pickle
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress

import numpy as np
import pandas as pd
import pytest

from components.contracts import CausalGraph, PriorKnowledge
from components.discovery import DirectLingam
from components.discovery.bottom_up_parce import BottomUpParceLingam
from components.discovery.bottom_up_parce import order_from_below as parce_order
from components.discovery.cam_uv import CamUv
from components.discovery.cam_uv_x import CamUvX
from components.discovery.constraint_based import Fci, Pc
from components.discovery.constraints import Constraints, reachable, reconcile
from components.discovery.ges import Ges
from components.discovery.ica_lingam import IcaLingam
from components.discovery.lim import Lim
from components.discovery.preparation import PreparedTable
from components.discovery.quiet import quietly
from components.discovery.rcd import RepetitiveDiscovery
from components.discovery.resit import Regression, Resit, kept_edges, made
from components.discovery.resit import order_from_below as resit_order
from components.discovery.search import GraphSearch
from components.discovery.var_lingam import VarLingam
from components.errors import InputError
from components.ports import in_order, silent
from components.synthetic import linear_sem, random_dag

FAMILY: tuple[type[GraphSearch], ...] = (
    DirectLingam, IcaLingam, BottomUpParceLingam, Resit, VarLingam, Lim, RepetitiveDiscovery, CamUv, CamUvX,
    Pc, Fci, Ges,
)  # fmt: skip
names_of = pytest.mark.parametrize("method", FAMILY, ids=lambda method: method.__name__)

# a -> c <- b, c -> d.
COLLIDER = np.array([[0, 0, 0, 0], [0, 0, 0, 0], [0.9, 0.8, 0, 0], [0, 0, 0.9, 0]])


def table_of(weights: np.ndarray, order: tuple[int, ...], rows: int, seed: int = 0) -> pd.DataFrame:
    return pd.DataFrame(linear_sem(weights, order, rows, "laplace", seed), columns=list("abcdefgh")[: len(weights)])


def discovered(method: GraphSearch, table: pd.DataFrame, knowledge: PriorKnowledge | None = None) -> CausalGraph:
    names = tuple(table.columns)
    return method.discover(table, knowledge or PriorKnowledge.unknown(names), names[-1], in_order, silent)


def told(names: tuple[str, ...], edge: dict[tuple[int, int], int], path: dict[tuple[int, int], int]) -> PriorKnowledge:
    marks = np.full((2, len(names), len(names)), -1)
    for layer, said in enumerate((edge, path)):
        for cell, value in said.items():
            marks[layer][cell] = value
    return PriorKnowledge(names, marks[1], marks[0], np.full(marks[0].shape, np.nan))


def prepared(values: np.ndarray, names: tuple[str, ...] | None = None) -> PreparedTable:
    standard = (values - values.mean(axis=0)) / values.std(axis=0)
    return PreparedTable(names or tuple(f"v{index}" for index in range(values.shape[1])), standard, ())


def nothing_known(names: tuple[str, ...]) -> Constraints:
    return reconcile(PriorKnowledge.unknown(names), names, names)


@contextmanager
def lingam_alone() -> Iterator[None]:
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


@names_of
def test_a_collider_points_where_it_should(method: type[GraphSearch]) -> None:
    table = table_of(COLLIDER, (0, 1, 2, 3), 500, 2)
    graph = discovered(method(replicates=1), table)
    # Of a table that is no series, a past value may seem to act by chance.
    found = {(row.cause, row.effect) for row in graph.edges().itertuples() if "[t-" not in row.cause}
    if method is Fci:
        # Hidden causes cannot be ruled out above the collider: circles at a and b, heads at c, and c -> d for sure.
        assert found == {("c", "d")}
        assert {(d.cause, d.effect, d.test) for d in graph.findings.decisions} == {
            ("a", "c", "mark o->"),
            ("b", "c", "mark o->"),
        }
        return
    assert found == {("a", "c"), ("b", "c"), ("c", "d")}
    assert graph.confounded == graph.undirected == ()
    slopes = np.linalg.lstsq(table[["a", "b"]] - table[["a", "b"]].mean(), table["c"] - table["c"].mean(), rcond=None)[
        0
    ]
    # Lags take a row away, and maximum_rows others.
    assert graph.weights[2, :2] == pytest.approx(slopes, abs=0.06)


@names_of
@pytest.mark.parametrize("seed", [0, 1])
def test_what_is_forbidden_or_required_holds_whatever_the_data_say(method: type[GraphSearch], seed: int) -> None:
    weights, order = random_dag(5, 2, seed)
    table = table_of(weights, order, 300, seed)
    knowledge = told(
        tuple(table.columns), {(0, 1): 0, (4, 3): 1}, {(2, 1): 0, (3, 0): 0, (2, 3): 0, (1, 3): 0, (0, 3): 0}
    )
    graph = discovered(method(replicates=3), table, knowledge)
    present = [graph.names.index(name) for name in table.columns]
    edges = graph.weights[np.ix_(present, present)] != 0
    assert not edges[0, 1]
    assert edges[4, 3]
    reach = reachable(edges)
    assert not any(reach[cell] for cell in ((2, 1), (3, 0), (2, 3), (1, 3), (0, 3)))
    support = graph.support[np.ix_(present, present)]
    assert support[0, 1] == 0
    assert support[4, 3] == 1


@names_of
def test_a_search_is_a_value_and_leaves_nothing_behind(
    method: type[GraphSearch], capfd: pytest.CaptureFixture[str]
) -> None:
    one = method(replicates=2, seed=3)
    assert hash(one) == hash(method(replicates=2, seed=3))
    assert pickle.loads(pickle.dumps(one)) == one
    assert one.kind in repr(one)  # type: ignore[attr-defined]
    table = table_of(COLLIDER, (0, 1, 2, 3), 120, 4)
    before, kept = np.random.get_state()[1].copy(), table.copy()  # type: ignore[union-attr]
    knowledge = told(tuple(table.columns), {(3, 2): 1, (0, 2): 0}, {})
    first = discovered(one, table, knowledge)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # type: ignore[index]
    second = discovered(one, table, knowledge)
    pd.testing.assert_frame_equal(table, kept)
    for label in ("weights", "support", "total_low", "total_high"):
        np.testing.assert_array_equal(getattr(first, label), getattr(second, label))
    assert capfd.readouterr() == ("", "")


def test_quietly_hands_everything_back_even_after_a_failure(capfd: pytest.CaptureFixture[str]) -> None:
    state, filters = np.random.get_state()[1].copy(), list(warnings.filters)  # type: ignore[union-attr]
    drawn = []
    for _ in range(2):
        with suppress(ZeroDivisionError), quietly(7) as said:
            print("swallowed")
            warnings.warn("heard", RuntimeWarning, stacklevel=1)
            drawn.append(np.random.random())
            raise ZeroDivisionError
        assert [str(warning.message) for warning in said] == ["heard"]
    assert drawn[0] == drawn[1]
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # type: ignore[index]
    assert warnings.filters == filters
    assert sys.stdout is not None
    assert capfd.readouterr().out == ""


def test_searches_in_threads_take_turns() -> None:
    drawn: dict[int, float] = {}

    def draw(seed: int) -> None:
        with quietly(seed):
            first = np.random.random()
            time.sleep(0.005)  # long enough for another thread to draw, if it could
            drawn[seed] = first + np.random.random()

    threads = [threading.Thread(target=draw, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert drawn == {seed: float(np.random.RandomState(seed).random(2).sum()) for seed in range(8)}


# -- against lingam


# Without enough of any shape the analysis depends on its start, which must be that of lingam too.
@pytest.mark.parametrize("rows", [500, 40])
@pytest.mark.parametrize("seed", range(5))
def test_ica_lingam_finds_what_lingam_finds(seed: int, rows: int) -> None:
    weights, order = random_dag(6, 3, seed)
    table = prepared(linear_sem(weights, order, rows, "laplace", seed))
    with lingam_alone():
        from lingam import ICALiNGAM

        other = ICALiNGAM(random_state=seed).fit(table.values)
    found = IcaLingam(seed=seed).search(table, nothing_known(table.names))
    assert found.order == tuple(other.causal_order_)
    np.testing.assert_allclose(found.weights, other.adjacency_matrix_, atol=1e-9)


def test_a_component_analysis_that_stops_early_says_so() -> None:
    weights, order = random_dag(6, 3, 0)
    table = prepared(linear_sem(weights, order, 100, "gaussian", 0))
    assert "did not converge in 1 iterations" in IcaLingam(maximum_iterations=1).search(
        table, nothing_known(table.names)
    ).notes[0]  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_bottom_up_parce_finds_what_lingam_finds(seed: int) -> None:
    weights, order = random_dag(6, 3, seed)
    values = linear_sem(weights, order, 300, "uniform", seed)
    # A cause of the two that come first, which nobody sees.
    hidden = np.random.default_rng(seed).uniform(-2, 2, len(values))
    for index in order[:2]:
        values += hidden[:, None] * np.linalg.inv(np.eye(6) - weights)[:, index]
    with lingam_alone():
        from lingam import BottomUpParceLiNGAM

        other = BottomUpParceLiNGAM(alpha=0.1).fit(values).causal_order_
    unordered = tuple(sorted(int(i) for i in other[0])) if isinstance(other[0], list) else ()
    rest = tuple(int(i) for i in (other[1:] if unordered else other))
    found = parce_order(values, np.zeros((6, 6), dtype=bool), 0.1, "first_100")
    assert (found.unordered, found.ordered) == (unordered, rest)


def test_bottom_up_parce_sees_the_hidden_cause_and_orders_the_rest() -> None:
    rng = np.random.default_rng(0)
    hidden, noise = rng.exponential(size=1000), rng.exponential(size=(1000, 3))
    a, b = hidden + noise[:, 0], hidden + noise[:, 1]
    table = pd.DataFrame({"a": a, "b": b, "c": a - 0.7 * b + noise[:, 2]})
    graph = discovered(BottomUpParceLingam(replicates=1), table)
    assert graph.confounded == (("a", "b"),)
    assert {(row.cause, row.effect) for row in graph.edges().itertuples()} == {("a", "c"), ("b", "c")}
    (decision,) = graph.findings.decisions
    assert (decision.cause, decision.effect, decision.verdict) == ("a", "b", "confounded")
    assert decision.p_value < 0.05


@pytest.mark.parametrize("seed", range(2))
def test_resit_finds_what_lingam_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    place = rng.permutation(4)
    values = np.empty((200, 4))
    values[:, place[0]] = rng.normal(size=200)
    values[:, place[1]] = np.sin(2 * values[:, place[0]]) + 0.3 * rng.normal(size=200)
    values[:, place[2]] = values[:, place[1]] ** 2 + 0.3 * rng.normal(size=200)
    values[:, place[3]] = values[:, place[0]] * 0.8 + np.exp(values[:, place[2]] / 3) + 0.3 * rng.normal(size=200)
    values = prepared(values).values
    with lingam_alone():
        from lingam import RESIT

        other = RESIT(regressor=made("boosting", 0)).fit(values)
    nothing = np.zeros((4, 4), dtype=bool)
    regression = Regression(values, made("boosting", 0), "first_100")
    order = resit_order(regression, nothing)
    assert order == tuple(int(index) for index in other.causal_order_)
    np.testing.assert_array_equal(kept_edges(regression, order, nothing, 0.01), other.adjacency_matrix_ != 0)


@pytest.mark.parametrize("regressor", ["splines", "forest", "boosting"])
def test_resit_sees_through_a_curve(regressor: str) -> None:
    rng = np.random.default_rng(1)
    cause = rng.uniform(-2, 2, 300)
    table = pd.DataFrame({"effect": cause**3 / 4 - cause + 0.4 * rng.normal(size=300), "cause": cause})
    graph = discovered(Resit(replicates=1, regressor=regressor), table)  # type: ignore[arg-type]  # one of the three
    assert [(row.cause, row.effect) for row in graph.edges().itertuples()] == [("cause", "effect")]


def series(seed: int, rows: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A stationary series with effects now [3, 3] and from one moment before [3, 3]."""
    now, past = (
        np.array([[0, 0, 0], [0.5, 0, 0], [0, -0.5, 0]]),
        np.array([[0.5, 0.4, 0], [0, 0.5, 0.4], [0.3, 0, 0.6]]),
    )
    noise, values = np.random.default_rng(seed).laplace(size=(rows, 3)), np.zeros((rows, 3))
    for t in range(1, rows):
        values[t] = np.linalg.solve(np.eye(3) - now, past @ values[t - 1] + noise[t])
    return values, now, past


@pytest.mark.parametrize("seed", range(3))
def test_var_lingam_finds_what_lingam_finds_and_the_truth(seed: int) -> None:
    values, now, past = series(seed)
    graph = discovered(VarLingam(replicates=1, minimum_weight=0.0), pd.DataFrame(values, columns=list("abc")))
    assert graph.names == ("a", "b", "c", "a[t-1]", "b[t-1]", "c[t-1]")
    assert not graph.weights[3:].any()
    np.testing.assert_allclose(graph.weights[:3, :3], now, atol=0.12)
    np.testing.assert_allclose(graph.weights[:3, 3:], past, atol=0.12)
    with lingam_alone():
        from lingam import VARLiNGAM

        # lingam's autoregression has no intercept, so its means must be gone before.
        other = VARLiNGAM(lags=1, criterion=None).fit(values - values.mean(axis=0))
    assert [index for index in graph.order if index < 3] == list(other.causal_order_)
    expected = np.hstack(other.adjacency_matrices_)
    np.testing.assert_array_equal(graph.weights[:3] != 0, expected != 0)
    np.testing.assert_allclose(graph.weights[:3], expected, atol=5e-3)


def test_var_lingam_takes_lags_before_rows_are_left_out_and_reads_more_than_one() -> None:
    values, _, _ = series(0, 300)
    table = pd.DataFrame(values, columns=list("abc"))
    table.loc[100, "b"] = np.nan
    graph = discovered(VarLingam(replicates=1, lags=2), table)
    # Two rows have no past, and the missing value is in three rows: its own and the two that look back on it.
    assert graph.rows == 300 - 2 - 3
    assert graph.names[3:] == ("a[t-1]", "b[t-1]", "c[t-1]", "a[t-2]", "b[t-2]", "c[t-2]")
    place = [graph.order.index(index) for index in (6, 3, 0)]
    assert place == sorted(place)
    with pytest.raises(InputError, match=r"named like a past value, got x\[t-1\]"):
        VarLingam().widen(pd.DataFrame({"x[t-1]": [1.0]}))


@pytest.mark.parametrize("seed", range(2))
def test_lim_finds_what_lingam_finds_in_our_convention(seed: int) -> None:
    rng = np.random.default_rng(seed)
    flag, number = (rng.random(800) < 0.5).astype(float), rng.laplace(size=800)
    values = np.column_stack([flag, number, 1.2 * flag + number + 0.7 * rng.laplace(size=800)])
    table = prepared(values)
    with lingam_alone():
        from lingam import LiM

        np.random.seed(seed)
        other = LiM().fit(np.column_stack([flag, table.values[:, 1:]]), np.array([[0, 1, 1]]))
    found = Lim(seed=seed).search(table, nothing_known(table.names))
    np.testing.assert_array_equal(found.weights != 0, other.T != 0)
    np.testing.assert_array_equal(found.weights != 0, [[0, 0, 0], [0, 0, 0], [1, 1, 0]])


def test_lim_says_when_its_second_search_is_too_dear_and_refuses_wide_tables() -> None:
    table = prepared(linear_sem(COLLIDER, (0, 1, 2, 3), 400, "laplace", 4), ("a", "b", "c", "d"))
    found = Lim(most_edges=2).search(table, nothing_known(table.names))
    assert "the first found 3 edges, most_edges is 2" in found.notes[0]
    with pytest.raises(InputError, match="at most maximum_columns = 3 columns for LiM, got 4"):
        Lim(maximum_columns=3).search(table, nothing_known(table.names))


@pytest.mark.parametrize(
    ("method", "fields", "rule"),
    [
        (IcaLingam, {"maximum_iterations": 0}, "maximum_iterations must be at least 1, got 0"),
        (BottomUpParceLingam, {"alpha": 1.0}, r"alpha must lie in \(0, 1\), got 1.0"),
        (Resit, {"alpha": 0.0}, r"alpha must lie in \(0, 1\)"),
        (Resit, {"regressor": "line"}, "regressor must be one of splines, forest, boosting, got 'line'"),
        (VarLingam, {"lags": 0}, r"lags must lie in \[1, 20\], got 0"),
        (VarLingam, {"minimum_weight": 1.0}, "minimum_weight must lie in"),
        (Lim, {"maximum_columns": 1}, r"maximum_columns must lie in \[2, 30\], got 1"),
        (Lim, {"most_edges": 17}, "most_edges must lie in"),
        (Lim, {"penalty": -1.0}, "penalty must be 0 or a positive number, got -1.0"),
        (Pc, {"alpha": 2.0}, "alpha must lie in"),
        (Pc, {"maximum_condition": -2}, "maximum_condition must be -1 or more"),
        (Fci, {"maximum_path": -2}, "maximum_path must be -1 or more"),
        (Ges, {"penalty": 0.0}, "penalty must be a positive number"),
        (Ges, {"maximum_parents": -1}, "maximum_parents must be 0 or more"),
        *((each, {"replicates": 0}, "replicates must be at least 1") for each in FAMILY),
    ],
)
def test_bad_fields_are_refused_by_name(method: type[GraphSearch], fields: dict[str, object], rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        method(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", [BottomUpParceLingam, Resit])
def test_too_few_rows_for_tests_of_independence_are_refused(method: type[GraphSearch]) -> None:
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(4, 2)), columns=["a", "b"])
    with pytest.raises(InputError, match="rows must be at least 6"):
        discovered(method(replicates=1), table)
