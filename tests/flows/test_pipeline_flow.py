"""The whole chain on a small world whose truth is known: what a run leaves behind, place by place."""

import dataclasses
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from components.assessment import STEPS
from components.predictor import Predictor
from components.state import State
from flows.configuration import Pipeline
from flows.forms import build, read_form
from flows.outcome import Outcome
from tasks.packaging import quiet_pyfunc
from tasks.registry import champion, load_predictor
from tasks.report_page import PICTURES
from tasks.tracking import Tracking

STAGES = ("ingest", "elicit", "discover", "train", "update", "tune", "evaluate", "register", "report")
MODEL = "kintsugi-toy"
METHODS = {
    "elicit": "elicitation",
    "discover": "discovery",
    "train": "training",
    "update": "update",
    "tune": "tuning",
    "evaluate": "evaluation",
}


def runs_of(tracking: Tracking) -> dict[str, Any]:
    found = tracking.client.search_runs([tracking.experiment_id])
    # The shared run is the oldest: other tests add runs to the same home.
    parents = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    oldest = min(parents, key=lambda run: run.info.start_time)
    mine = [run for run in found if run.data.tags.get("mlflow.parentRunId") == oldest.info.run_id]
    return {"parent": oldest} | {run.info.run_name: run for run in mine}


def leaves(method: Any, place: str = "") -> dict[str, str]:
    """Every field of a method and of the methods in it, as text."""
    found: dict[str, str] = {}
    for name, value in vars(method).items():
        inner = dataclasses.is_dataclass(value)
        found |= leaves(value, f"{place}{name}.") if inner else {f"{place}{name}": str(value)}
    return found


@pytest.fixture(scope="module")
def runs(tracking: Tracking) -> dict[str, Any]:
    return runs_of(tracking)


@pytest.fixture(scope="module")
def predictor(tracking: Tracking) -> Predictor:
    return Predictor.load(load_predictor(tracking, f"models:/{MODEL}/1"))


def test_every_stage_is_a_finished_run_below_one_parent(runs: dict[str, Any]) -> None:
    assert set(runs) == {"parent", *STAGES}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert runs["parent"].data.tags["kintsugi.flow"] == "pipeline"


def test_every_field_of_a_method_is_a_parameter_of_its_stage(
    runs: dict[str, Any], specification: Path, toy: Any
) -> None:
    given = {"source": {"specification": str(specification)}, "gates": str(specification.with_name("gates.yaml"))}
    plan = build(read_form(Pipeline, toy.small | given))
    for stage, field in METHODS.items():
        assert runs[stage].data.params == leaves(getattr(plan, field)), stage
    assert runs["parent"].data.params == leaves(plan)
    assert runs["parent"].data.params["discovery.replicates"] == "5"


def test_the_data_of_a_run_are_known_by_their_digest(runs: dict[str, Any], home: Path, tracking: Tracking) -> None:
    (manifest,) = (json.loads(path.read_text()) for path in home.glob("datasets/*/manifest.json"))
    for stage, context in (("ingest", "ingested"), ("train", "training")):
        (used,) = runs[stage].inputs.dataset_inputs
        assert manifest["digest"].startswith(used.dataset.digest)
        assert len(used.dataset.digest) == 16
        assert {tag.value for tag in used.tags} == {context}
    version = tracking.client.get_model_version(MODEL, "1")
    assert manifest["digest"].startswith(version.tags["dataset"])


def test_a_stage_keeps_its_tables_and_pictures(runs: dict[str, Any], tracking: Tracking) -> None:
    kept = {stage: {file.path for file in tracking.client.list_artifacts(runs[stage].info.run_id)} for stage in STAGES}
    assert {"edges.csv", "graph.png", "graph.svg"} <= kept["discover"]
    assert {"drift.csv", "drift.png"} <= kept["update"]
    assert {"scorecard.csv", "ladder.csv", "gates.csv", "ladder.png", "calibration.png"} <= kept["evaluate"]
    assert {"batches.csv", "profile.csv"} <= kept["ingest"]
    assert runs["evaluate"].data.metrics["log_loss"] > 0
    assert runs["ingest"].data.metrics["rows"] == 1950


def test_the_model_is_version_one_and_champion_because_all_gates_passed(tracking: Tracking, outcome: Outcome) -> None:
    version = tracking.client.get_model_version(MODEL, "1")
    assert version.tags["gates"] == "passed"
    assert version.tags["batches"] == "2016, 2017, 2018, 2019"
    assert tracking.client.get_model_version_by_alias(MODEL, "champion").version == version.version
    assert tracking.client.get_model_version_by_alias(MODEL, "challenger").version == version.version
    assert outcome.uri == f"models:/{MODEL}@champion"
    (verdict,) = dict(outcome.lines)["gates"]
    assert verdict == "champion: 4 of 4 gates passed"


def test_the_registered_model_predicts_what_the_predictor_predicts(
    home: Path, predictor: Predictor, outcome: Outcome, toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
    monkeypatch.setattr(sys, "path", list(sys.path))
    frame = toy.visits().groupby("year").head(20)
    frame.loc[frame.index[:3], "pressure"] = [1e6, np.nan, -1e6]
    inputs = frame[list(toy.predictors)]
    scored = quiet_pyfunc().load_model(outcome.uri).predict(inputs)
    assert list(scored) == ["probability", "uncertainty", "outside_support"]
    pd.testing.assert_frame_equal(scored, predictor.predict(inputs))
    assert scored["probability"].between(0, 1).all()
    assert (scored["uncertainty"] > 0).all()
    assert scored["outside_support"].iloc[0]
    assert scored["outside_support"].mean() < 0.2


def test_probabilities_come_near_the_truth_of_the_world(predictor: Predictor, toy: Any) -> None:
    frame = toy.visits((2019,), (3000,), seed=99)
    logit = 1.5 * frame["pressure"] + 0.5 * frame["age"] - 1.2 * frame["marker"] + 0.6 * (frame["site"] == "home")
    truth = 1 / (1 + np.exp(-logit))
    error = (predictor.predict(frame)["probability"] - truth).abs().mean()
    naive = (0.6 * truth - truth).abs().mean()
    assert error < 0.11
    assert error < 0.7 * naive


def test_the_evaluation_label_is_in_no_table_that_training_reads(home: Path, toy: Any) -> None:
    files = sorted(home.glob("datasets/*/batch=*/*.parquet"))
    assert len(files) == 4
    truth = toy.visits().set_index("visit")["secret_truth"]
    for file in files:
        assert b"secret_truth" not in file.read_bytes()
        table = pq.ParquetFile(file).read().to_pandas().set_index("visit")
        for name in table.select_dtypes("number").columns:
            alike = np.corrcoef(table[name], truth[table.index])[0, 1] if table[name].nunique() > 1 else 0.0
            assert abs(alike) < 0.9, name


def test_the_evaluation_label_is_nowhere_in_the_model(tracking: Tracking) -> None:
    folder = load_predictor(tracking, f"models:/{MODEL}/1").parents[1]
    # Its card says to people what it was scored by.
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "card.md"]
    assert any(path.name == "predictor.json" for path in files)
    for path in files:
        assert b"secret_truth" not in path.read_bytes(), path


def test_no_file_of_the_model_is_a_pickle(tracking: Tracking) -> None:
    folder = load_predictor(tracking, f"models:/{MODEL}/1").parents[1]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".pyc")]
    # Every pickle of protocol 2 or later begins with this byte, and no text or safetensors file does.
    assert not [path for path in files if path.read_bytes()[:1] == b"\x80"]
    assert "python_model.py" not in {path.name for path in files}
    assert (folder / "serving_model.py").is_file()


def test_the_report_is_one_file_that_tells_every_stage(outcome: Outcome) -> None:
    page = Path(outcome.report).read_text(encoding="utf-8")
    addresses = re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)""", page)
    assert addresses
    assert not [address for address in addresses if not address.startswith(("#", "data:"))]
    assert "<script" not in page
    assert not re.findall(r"@import|url\(\s*['\"]?https?:", page)
    for section in ("data", "knowledge", "graph", "corrections", "drift", "scorecard", "gates", "limits", "use"):
        assert f'<h2 id="{section}">' in page
    assert f"{MODEL}, version 1" in page
    assert f"models:/{MODEL}@champion" in page
    for stage in STAGES[:-1]:
        assert re.search(rf"<t[dh][^>]*>\s*{stage}\s*</t[dh]>", page), stage
    assert page.count("data:image/png;base64,") == len(PICTURES)


def test_the_report_is_kept_with_the_run(runs: dict[str, Any], tracking: Tracking, outcome: Outcome) -> None:
    (kept,) = tracking.client.list_artifacts(runs["parent"].info.run_id)
    assert kept.path == "report.html"
    assert kept.file_size == Path(outcome.report).stat().st_size


@pytest.mark.parametrize("picture", sorted(PICTURES))
def test_every_picture_shows_something(outcome: Outcome, picture: str) -> None:
    with Image.open(Path(outcome.folder) / f"{picture}.png") as image:
        pixels = np.asarray(image.convert("L"), dtype=float)
    assert min(pixels.shape) >= 200
    assert pixels.std() > 5
    # Ink in each half: no picture is a title above nothing.
    assert all((half < 200).any() for half in np.array_split(pixels, 2, axis=1))
    assert all((half < 200).any() for half in np.array_split(pixels, 2, axis=0))


def artifacts_of(specification: Path) -> dict[str, Any]:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, FlowFilter, FlowFilterName

    with get_client(sync_client=True) as client:
        flow_runs = client.read_flow_runs(flow_filter=FlowFilter(name=FlowFilterName(any_=["pipeline"])))
        (mine,) = [
            run
            for run in flow_runs
            if run.parameters.get("config", {}).get("source", {}).get("specification") == str(specification)
            and run.state is not None
            and run.state.is_completed()
        ]
        chosen = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[mine.id]))
        return {artifact.key: artifact for artifact in client.read_artifacts(artifact_filter=chosen)}


def test_the_page_of_the_run_in_prefect_shows_what_came_out(
    prefect: str, outcome: Outcome, specification: Path
) -> None:
    shown = artifacts_of(specification)
    kinds = {key: artifact.type for key, artifact in shown.items()}
    assert kinds == {
        "batches": "table",
        "knowledge": "markdown",
        "edges": "table",
        "graph": "image",
        "correction": "markdown",
        "drift": "table",
        "scorecard": "table",
        "gates": "table",
        "ladder": "image",
        "links": "markdown",  # so Prefect stores a link
    }
    edges = pd.read_csv(Path(outcome.folder) / "edges.csv")
    rows = json.loads(shown["edges"].data)
    assert [(row["cause"], row["effect"]) for row in rows] == list(zip(edges["cause"], edges["effect"], strict=True))
    assert {row["model"] for row in json.loads(shown["scorecard"].data)} == {
        "kintsugi",
        "logistic regression",
        "gradient boosting",
    }
    assert str(shown["graph"].data).startswith("data:image/png;base64,")
    assert Path(outcome.report).as_uri() in str(shown["links"].data)


def test_the_ladder_has_every_step_on_every_later_batch(outcome: Outcome) -> None:
    header, *rows = outcome.ladder
    assert header == ("log loss", "2017", "2018", "2019", "all")
    steps = {name: [float(cell) for cell in cells] for name, *cells in rows}
    assert list(steps) == [*STEPS, "logistic regression", "gradient boosting"]
    assert np.isfinite(list(steps.values())).all()
    assert steps["+ tune"][-1] < steps["naive"][-1]
    ours = next(row for row in outcome.scores if row[0] == "kintsugi")
    assert ours[1] == f"{steps['+ tune'][2]:.4f}"


def test_the_knowledge_of_a_person_is_honoured(outcome: Outcome) -> None:
    edges = pd.read_csv(Path(outcome.folder) / "edges.csv")
    assert not edges["effect"].isin(["age", "dose"]).any()
    assert "told" not in set(edges["cause"])
    assert {("age", "pressure"), ("dose", "marker")} <= set(zip(edges["cause"], edges["effect"], strict=True))
    assert dict(outcome.lines)["graph"][2] == "effects of told: none"


def test_every_stage_is_timed(outcome: Outcome) -> None:
    timings = dict(outcome.timings)
    assert set(timings) == set(STAGES)
    assert len(outcome.timings) == len(STAGES)
    assert all(seconds > 0 for seconds in timings.values())


def test_the_state_in_the_registry_can_be_updated(tracking: Tracking) -> None:
    state = State.load(load_predictor(tracking, f"models:/{MODEL}/1"))
    assert state.absorbed == ("2016", "2017", "2018", "2019")
    assert len(state.predictor.posterior.lineage) >= 4


@pytest.fixture(scope="module")
def again(
    run_pipeline: Any, outcome: Outcome, toy: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Outcome]:
    """The same data and configuration in another home, against gates that nothing can pass."""
    folder = tmp_path_factory.mktemp("again")
    path = toy.write(folder / "table", toy.visits())
    return folder / "home", run_pipeline(folder / "home", path, gates=str(path.with_name(toy.impossible)))


def test_equal_data_and_configuration_give_equal_models(
    again: tuple[Path, Outcome], tracking: Tracking, outcome: Outcome
) -> None:
    (saved,) = (path.parent for path in again[0].glob("runs/*/model/state.json"))
    first = State.load(load_predictor(tracking, f"models:/{MODEL}/1")).predictor.posterior
    assert State.load(saved).predictor.posterior.digest == first.digest
    assert again[1].scores == outcome.scores
    assert again[1].ladder == outcome.ladder


def test_a_model_that_fails_a_gate_is_a_challenger_and_says_why(again: tuple[Path, Outcome]) -> None:
    from tasks.settings import Settings
    from tasks.tracking import open_tracking

    other = open_tracking(Settings(home=again[0]), MODEL)
    assert champion(other, MODEL) is None
    assert other.client.get_model_version_by_alias(MODEL, "challenger").version == 1
    assert "must be at most 0" in other.client.get_model_version(MODEL, "1").tags["gates"]
    assert again[1].uri == f"models:/{MODEL}@challenger"
    verdict, reason = dict(again[1].lines)["gates"]
    assert verdict == "challenger: 0 of 1 gates passed"
    assert reason.startswith("Log loss is 0.")
