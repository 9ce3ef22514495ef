"""The graph of a plain table, of a described one without a label, and everything that is written beside it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from components.graph_files import read_graph
from components.synthetic import linear_sem
from flows.outcome import Outcome

WEIGHTS = [[0, 0, 0, 0], [0.8, 0, 0, 0], [0, -0.7, 0, 0], [0.5, 0, 0.6, 0]]
NAMES = ("rain", "soil", "pests", "yield")
Run = Callable[..., Outcome]


def written(folder: Path, rows: int = 600) -> Path:
    file = folder / "field trial.csv"
    pd.DataFrame(linear_sem(WEIGHTS, range(4), rows, "uniform", 0), columns=NAMES).to_csv(file, index=False)
    return file


@pytest.fixture(scope="module")
def plain(run_discover: Run, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = tmp_path_factory.mktemp("plain")
    source = {"specification": str(written(folder))}
    return run_discover(folder / "home", source=source, discovery={"replicates": 6}, target="pests")


def test_a_plain_table_of_numbers_gives_its_graph(plain: Outcome) -> None:
    lines = dict(plain.lines)
    assert lines["data"][0] == "600 rows, no label"
    assert "causes of pests: rain, soil" in lines["graph"]
    assert "effects of pests: yield" in lines["graph"]
    assert any(line.startswith("fit: chi2") for line in lines["graph"])


def test_the_graph_is_written_in_every_form(plain: Outcome) -> None:
    folder = Path(plain.folder)
    files = {file.name for file in folder.rglob("*")}
    forms = {f"graph.{suffix}" for suffix in ("png", "svg", "dot", "graphml", "json")}
    tables = {f"{name}.csv" for name in ("edges", "paths", "graphs", "total_effects", "noise", "dependences")}
    assert forms | tables <= files
    graph = read_graph(next(folder.rglob("graph.json")))
    assert graph.target == "pests"
    np.testing.assert_array_equal(graph.weights != 0, np.array(WEIGHTS) != 0)
    effects = pd.read_csv(next(folder.rglob("total_effects.csv")))
    assert set(effects.columns) == {"cause", "effect", "total_effect", "low", "high"}
    assert (effects["low"] <= effects["high"]).all()
    said = json.loads(next(folder.rglob("outcome.json")).read_text()) if list(folder.rglob("outcome.json")) else {}
    assert said.get("uri", "") == ""


def test_a_described_table_without_a_label_is_read_whole(run_discover: Run, tmp_path: Path) -> None:
    written(tmp_path)
    said = {
        "name": "trial",
        "source": {"kind": "csv", "path": "field trial.csv"},
        "columns": {name: {"description": f"{name} of a field"} for name in NAMES[:3]},
    }
    (tmp_path / "trial.yaml").write_text(yaml.safe_dump(said, sort_keys=False))
    (tmp_path / "known.yaml").write_text("exogenous: [soil]\n")
    source = {"specification": str(tmp_path / "trial.yaml"), "knowledge": str(tmp_path / "known.yaml")}
    lines = dict(run_discover(tmp_path / "home", source=source, discovery={"replicates": 2}).lines)
    assert lines["data"][0] == "600 rows, no label"
    assert any("600 complete rows" in line for line in lines["graph"])
    assert any(line.startswith("causes of pests") for line in lines["graph"])
    graph = read_graph(next((tmp_path / "home" / "runs").rglob("graph.json")))
    assert graph.ancestors("soil") == frozenset()
