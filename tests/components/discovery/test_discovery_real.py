"""Discovery on tables of the world, where they lie beside the checkout."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.contracts import CausalGraph, PriorKnowledge
from components.discovery import DirectLingam
from components.discovery.constraints import reachable
from components.ports import in_order, silent

DATA = Path(os.environ.get("KINTSUGI_TEST_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
COLUMNS = (
    "age", "male", "height_cm", "bmi", "waist_cm", "sbp", "dbp", "pulse", "total_chol", "hdl", "dx_diabetes",
)  # fmt: skip


def located(path: str) -> Path:
    if not (DATA / path).exists():
        pytest.skip(f"no test table {path}; set KINTSUGI_TEST_DATA to its folder")
    return DATA / path


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "target"), [("auto_mpg", "Mpg"), ("dwd_climate", "Temperature")])
@pytest.mark.parametrize("require", [True, False])
def test_a_perfect_oracle_gives_the_agreed_graph(name: str, target: str, require: bool) -> None:
    table = pd.read_csv(located(f"causal/{name}.csv"))
    truth = np.loadtxt(located(f"causal/{name}_truth.csv"), delimiter=",") != 0
    marks = [np.where(known, 1 if require else -1, 0) for known in (reachable(truth), truth)]
    for matrix in marks:
        np.fill_diagonal(matrix, -1)
    knowledge = PriorKnowledge(tuple(table.columns), marks[0], marks[1], np.full(truth.shape, np.nan))
    graph = DirectLingam(replicates=2, log_skewness=0).discover(table, knowledge, target, in_order, silent)
    np.testing.assert_array_equal(graph.weights != 0, truth)
    assert not [note for note in graph.notes if " residuals " not in note]


def health(knowledge: PriorKnowledge) -> CausalGraph:
    table = pd.read_parquet(located("health/nhanes_adults_1999_2023.parquet"), columns=[*COLUMNS, "batch"])
    assert table["batch"].nunique() == 11
    table = table[list(COLUMNS)].dropna().sample(3000, random_state=0)
    return DirectLingam(replicates=5).discover(table, knowledge, "dx_diabetes", in_order, silent)


@pytest.mark.real_data
def test_without_knowledge_age_becomes_an_effect() -> None:
    graph = health(PriorKnowledge.unknown(COLUMNS))
    assert graph.ancestors("age")


@pytest.mark.real_data
def test_told_that_nothing_causes_age_and_sex_nothing_does() -> None:
    path = np.full((len(COLUMNS), len(COLUMNS)), -1)
    path[:2] = 0
    np.fill_diagonal(path, -1)
    nothing = np.full(path.shape, -1)
    graph = health(PriorKnowledge(COLUMNS, path, nothing, np.full(path.shape, np.nan)))
    assert graph.ancestors("age") == graph.ancestors("male") == frozenset()
    assert {graph.order[0], graph.order[1]} == {0, 1}
    assert not graph.support[:2].any()
    assert "age" in graph.ancestors("sbp")
    assert "bmi" in graph.ancestors("waist_cm")
    assert graph.rows == 3000
