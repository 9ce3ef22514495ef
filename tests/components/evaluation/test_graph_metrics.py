"""Graph metrics against counting by hand, against a plain count of pairs, and against published rows."""

import os
import warnings
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from components.contracts import CausalGraph
from components.errors import InputError
from components.evaluation.graph_metrics import found_cells, graph_metrics
from components.synthetic import random_dag

DATA = Path(os.environ.get("KINTSUGI_TEST_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
NAN = float("nan")
# 0 -> 1, 0 -> 2, 1 -> 2, 3 alone.
TRUTH = np.array([[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]])


def cells(**pairs: float) -> np.ndarray:
    """A 4 x 4 matrix with ``_10=w`` meaning entry [1, 0]."""
    matrix = np.zeros((4, 4))
    for name, value in pairs.items():
        matrix[int(name[1]), int(name[2])] = value
    return matrix


@pytest.mark.parametrize(
    ("estimate", "errors", "rates"),
    [
        (TRUTH * -0.2, (0, 0, 0), (0, 0, 1, 1)),
        (cells(), (0, 3, 0), (0, 1, NAN, 0)),
        (cells(_01=1, _20=1, _21=1), (0, 0, 1), (1 / 13, 1 / 3, 2 / 3, 2 / 3)),
        (cells(_10=1, _20=1, _30=1), (1, 1, 0), (1 / 13, 1 / 3, 2 / 3, 2 / 3)),
        # A pair without a direction: over a true edge one false positive and no distance, elsewhere two additions.
        (cells(_10=NAN, _01=NAN, _20=1, _21=1), (0, 0, 0), (1 / 13, 0, 3 / 4, 6 / 7)),
        (cells(_10=1, _20=1, _21=1, _30=NAN, _03=NAN), (2, 0, 0), (2 / 13, 0, 3 / 5, 6 / 8)),
    ],
)
def test_counted_by_hand(estimate: np.ndarray, errors: tuple[int, ...], rates: tuple[float, ...]) -> None:
    found = graph_metrics(estimate, TRUTH)
    assert (found.additions, found.deletions, found.reversals, found.shd) == (*errors, sum(errors))
    assert (found.fpr, found.fnr, found.precision, found.f1) == pytest.approx(rates, nan_ok=True)
    assert found.nhd == sum(errors) / 16


@given(
    p=st.integers(1, 6),
    seed=st.integers(0, 10**6),
    data=st.data(),
)
@settings(deadline=None, max_examples=80, derandomize=True)
def test_a_plain_count_of_pairs_says_the_same(p: int, seed: int, data: st.DataObject) -> None:
    truth = random_dag(p, 3, seed)[0]
    estimate = data.draw(arrays.arrays(np.float64, (p, p), elements=st.sampled_from([0.0, 0.5, NAN])))
    np.fill_diagonal(estimate, 0)
    additions = deletions = reversals = hits = 0
    for i in range(p):
        for j in range(i):
            true = {pair for pair in ((i, j), (j, i)) if truth[pair] != 0}
            found = {pair for pair in ((i, j), (j, i)) if estimate[pair] != 0}
            additions += len(found) if not true else 0
            deletions += bool(true) and not found
            reversals += bool(true) and bool(found) and not true & found
            hits += len(true & found)
    metrics = graph_metrics(estimate, truth)
    assert astuple(metrics)[:4] == (additions + deletions + reversals, additions, deletions, reversals)
    marked, edges = int((estimate != 0).sum()), int((truth != 0).sum())
    assert metrics.fpr * (p * p - edges) == pytest.approx(marked - hits)
    assert metrics.f1 * (marked + edges) == pytest.approx(2 * hits) or marked + edges == 0


def test_a_graph_fills_the_cells_it_claims_and_what_it_left_out_is_empty() -> None:
    weights = np.array([[0, 0, 0], [0.5, 0, 0], [0, 0, 0]])
    graph = CausalGraph(
        ("b", "a", "c"), weights, (0, 1, 2), weights, weights, weights, weights, "a", 9, 1,
        confounded=(("a", "c"),), undirected=(("b", "c"),),
    )  # fmt: skip
    wanted = np.zeros((4, 4), dtype=bool)
    # Order a, b, c, d: b -> a, a <-> c, b - c.
    for cell in ((0, 1), (0, 2), (2, 0), (1, 2), (2, 1)):
        wanted[cell] = True
    np.testing.assert_array_equal(found_cells(graph, ("a", "b", "c", "d")), wanted)
    np.testing.assert_array_equal(found_cells(graph), wanted[np.ix_([1, 0, 2], [1, 0, 2])])
    with pytest.raises(InputError, match="got none of c"):
        found_cells(graph, ("a", "b"))


@pytest.mark.parametrize(
    ("estimate", "truth", "rule"),
    [
        (np.zeros((2, 3)), np.zeros((2, 2)), "estimate must be a square"),
        (np.zeros((2, 2)), np.zeros(3), "truth must be a square"),
        (np.zeros((2, 2)), np.zeros((3, 3)), "of one size"),
        (np.zeros((2, 2)), np.ones((2, 2)), "one direction only"),
    ],
)
def test_bad_matrices_are_refused(estimate: np.ndarray, truth: np.ndarray, rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        graph_metrics(estimate, truth)


PUBLISHED = {
    ("auto_mpg", "pc"): (8, 0.400, 0.800, 0.111, 0.143),
    ("auto_mpg", "lingam"): (8, 0.400, 0.800, 0.111, 0.143),
    ("dwd_climate", "pc"): (9, 0.200, 0.833, 0.143, 0.154),
    ("dwd_climate", "lingam"): (10, 0.333, 0.667, 0.167, 0.222),
    ("sachs", "pc"): (24, 0.157, 0.474, 0.385, 0.444),
    ("sachs", "lingam"): (29, 0.255, 0.474, 0.278, 0.364),
}


def searched(values: np.ndarray, method: str) -> np.ndarray:
    """What the public packages find, [effect, cause], pairs without direction in both cells."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if method == "lingam":
            from lingam import DirectLiNGAM

            return np.asarray(DirectLiNGAM().fit(values).adjacency_matrix_)
        causallearn = pytest.importorskip("causallearn.search.ConstraintBased.PC")
        marks = causallearn.pc(values, 0.05, show_progress=False).G.graph
    return np.asarray((marks == 1) | ((marks == -1) & (marks.T == -1)))


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "method"), PUBLISHED)
def test_published_rows(name: str, method: str) -> None:
    if not (DATA / "causal" / f"{name}.csv").exists():
        pytest.skip(f"no test table causal/{name}.csv; set KINTSUGI_TEST_DATA to its folder")
    table = pd.read_csv(DATA / "causal" / f"{name}.csv")
    truth = np.loadtxt(DATA / "causal" / f"{name}_truth.csv", delimiter=",")
    assert astuple(graph_metrics(truth, truth)) == (0, 0, 0, 0, 0, 0, 1, 1, 0)
    found = graph_metrics(searched(((table - table.mean()) / table.std(ddof=0)).to_numpy(), method), truth)
    rates = (found.shd, found.fpr, found.fnr, found.precision, found.f1)
    assert rates == pytest.approx(PUBLISHED[name, method], abs=5e-4)
