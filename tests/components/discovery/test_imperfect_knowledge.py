"""Knowledge from a source that errs: five hundred draws of a noisy oracle, none of which may end in an exception."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.contracts import Evidence, FloatArray, PriorKnowledge
from components.discovery import DirectLingam
from components.discovery.constraints import BoolArray, reachable
from components.discovery.enforcing import enforce
from components.discovery.preparation import PreparedTable
from components.synthetic import linear_sem

DATA = Path(os.environ.get("KINTSUGI_TEST_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
RATES = (0.05, 0.1, 0.15, 0.2, 0.3)


def distance(edges: BoolArray, truth: BoolArray) -> int:
    """Structural Hamming distance: a pair counts once, whatever is wrong with it."""
    wrong = (edges != truth) | (edges.T != truth.T)
    return int(np.triu(wrong | wrong.T, 1).sum())


def noisy(names: tuple[str, ...], truth: BoolArray, rate: float, seed: int) -> PriorKnowledge:
    """What a source says of every ordered pair's direct edge when it is wrong at ``rate``."""
    rng = np.random.default_rng(seed)
    said = truth ^ (rng.random(truth.shape) < rate)
    edge = np.where(said, 1, 0)
    np.fill_diagonal(edge, -1)
    evidence = tuple(
        Evidence(names[i], names[j], "required edge" if said[i, j] else "forbidden edge", "oracle", 1 - rate)
        for i in range(len(names))
        for j in range(len(names))
        if i != j
    )
    unknown = PriorKnowledge.unknown(names)
    return replace(unknown, edge=edge, evidence=evidence)


def found(method: DirectLingam, table: PreparedTable, knowledge: PriorKnowledge) -> BoolArray:
    constraints = method.reconcile(knowledge, table.names, table.names)
    return np.asarray(enforce(method.search(table, constraints), table, constraints).weights != 0)


def spread(table: PreparedTable, truth: BoolArray, draws: int) -> tuple[int, dict[float, float]]:
    """Distance without knowledge, and the mean distance at every rate of error."""
    method = DirectLingam(log_skewness=0)
    alone = distance(found(method, table, PriorKnowledge.unknown(table.names)), truth)
    means = {}
    for rate in RATES:
        results = []
        for seed in range(draws):
            edges = found(method, table, noisy(table.names, truth, rate, seed))
            assert not np.diag(reachable(edges)).any()
            results.append(distance(edges, truth))
        means[rate] = float(np.mean(results))
    return alone, means


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["auto_mpg", "dwd_climate"])
def test_on_the_agreed_graphs_a_source_that_errs_still_helps(name: str) -> None:
    if not (DATA / "causal" / f"{name}.csv").exists():
        pytest.skip(f"no test table causal/{name}.csv; set KINTSUGI_TEST_DATA to its folder")
    frame = pd.read_csv(DATA / "causal" / f"{name}.csv")
    truth = np.loadtxt(DATA / "causal" / f"{name}_truth.csv", delimiter=",") != 0
    table, _ = PreparedTable(tuple(frame.columns), frame.to_numpy(dtype=np.float64), ()).standardised()
    alone, means = spread(table, truth, draws=50)
    assert alone >= 8
    assert all(means[rate] < alone for rate in RATES if rate <= 0.2), means
    assert means[0.05] < means[0.3]


def test_on_a_world_of_known_causes_five_hundred_draws_raise_nothing() -> None:
    weights = np.zeros((6, 6))
    weights[1, 0], weights[2, 1], weights[3, 1], weights[4, 2], weights[5, 3], weights[5, 0] = (
        0.8,
        0.7,
        -0.6,
        0.9,
        0.5,
        0.6,
    )
    # Gaussian noise leaves the directions open, so knowledge has something to say.
    values: FloatArray = linear_sem(weights, range(6), 300, "gaussian", 3)
    table, _ = PreparedTable(tuple("abcdef"), values, ()).standardised()
    alone, means = spread(table, weights != 0, draws=100)
    assert all(means[rate] < alone for rate in RATES if rate <= 0.2), means
