"""A new batch into the champion: only it is learnt from, and what was there before stays there."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.errors import InputError
from components.state import State
from flows.outcome import Outcome
from tasks.registry import load_predictor
from tasks.settings import Settings
from tasks.tracking import Tracking, open_tracking

MODEL = "kintsugi-toy"
NEW = ((2016, 2017, 2018, 2019, 2020), (350, 350, 350, 900, 700))


@dataclass(frozen=True)
class Updated:
    """The home folder after the update, and what it said."""

    home: Path
    specification: Path
    outcome: Outcome
    tracking: Tracking

    def state(self, version: str) -> State:
        return State.load(load_predictor(self.tracking, f"models:/{MODEL}/{version}"))


@pytest.fixture(scope="module")
def updated(
    home: Path, outcome: Outcome, run_update: Any, toy: Any, tmp_path_factory: pytest.TempPathFactory
) -> Updated:
    folder = tmp_path_factory.mktemp("updated")
    mine = toy.copied(home, folder / "kintsugi")
    specification = toy.write(folder / "table", toy.visits(*NEW))
    said = run_update(mine, specification)
    return Updated(mine, specification, said, open_tracking(Settings(home=mine), MODEL))


def test_only_the_new_batch_is_absorbed(updated: Updated) -> None:
    assert updated.outcome.ladder[0] == ("log loss", "2020", "all")
    lines = dict(updated.outcome.lines)["updates"]
    assert [line.split(":")[0] for line in lines if "shift" in line] == ["2020"]
    assert lines[-1].endswith("of 1 batches")
    before, after = updated.state("1"), updated.state("2")
    assert after.absorbed == (*before.absorbed, "2020")


def test_the_lineage_of_the_posterior_grows(updated: Updated) -> None:
    before = updated.state("1").predictor.posterior
    after = updated.state("2").predictor.posterior
    assert after.lineage[: len(before.lineage)] == before.lineage
    assert after.lineage[len(before.lineage)].endswith(":2020")
    assert after.digest != before.digest
    assert updated.state("2").initial.digest == updated.state("1").initial.digest


def test_the_rows_of_the_new_batch_are_added_to_the_evidence(updated: Updated) -> None:
    before = updated.state("1").predictor.posterior
    after = updated.state("2").predictor.posterior
    assert 0.7 * before.rows < after.rows < before.rows + 700
    assert after.precision.mean() > 0.7 * before.precision.mean()


def test_version_two_is_registered_and_the_champion_is_what_the_outcome_says(updated: Updated) -> None:
    client = updated.tracking.client
    assert {str(version.version) for version in client.search_model_versions(f"name='{MODEL}'")} == {"1", "2"}
    assert str(client.get_model_version_by_alias(MODEL, "challenger").version) == "2"
    assert updated.outcome.uri == f"models:/{MODEL}@champion"
    assert str(client.get_model_version_by_alias(MODEL, "champion").version) == "2"
    assert str(client.get_model_version_by_alias(MODEL, "previous").version) == "1"
    assert client.get_model_version(MODEL, "2").tags["batches"] == "2016, 2017, 2018, 2019, 2020"


def test_the_former_champion_is_scored_beside_the_new_model(updated: Updated) -> None:
    models = [row[0] for row in updated.outcome.scores]
    assert models[:2] == ["held rows", "kintsugi"]
    assert "champion" in models


def test_an_update_is_tracked_stage_by_stage(updated: Updated) -> None:
    found = updated.tracking.client.search_runs(
        [updated.tracking.experiment_id], filter_string="tags.`kintsugi.flow` = 'update'"
    )
    assert [run.info.status for run in found] == ["FINISHED"]
    parent = found[0].info.run_id
    stages = updated.tracking.client.search_runs(
        [updated.tracking.experiment_id], filter_string=f"tags.`mlflow.parentRunId` = '{parent}'"
    )
    names = {"ingest", "update", "tune", "evaluate", "register", "report"}
    assert {run.info.run_name for run in stages} == names
    assert {run.info.status for run in stages} == {"FINISHED"}
    assert {stage for stage, _ in updated.outcome.timings} == names
    assert f"{MODEL}, version 2" in Path(updated.outcome.report).read_text(encoding="utf-8")


def test_nothing_new_is_an_orderly_end_and_registers_nothing(updated: Updated, run_update: Any) -> None:
    said = run_update(updated.home, updated.specification)
    assert (said.uri, said.report, said.scores) == ("", "", ())
    told = dict(said.lines)["updates"]
    assert told[0].endswith("absorbed all of 2016, 2017, 2018, 2019, 2020")
    assert told[1] == f"{MODEL}, version 2, stays champion; no version was made"
    assert len(updated.tracking.client.search_model_versions(f"name='{MODEL}'")) == 2


def test_an_update_that_fails_a_gate_leaves_the_champion(
    home: Path, outcome: Outcome, run_update: Any, toy: Any, updated: Updated, tmp_path: Path
) -> None:
    mine = toy.copied(home, tmp_path / "mine")
    gates = updated.specification.with_name(toy.impossible)
    said = run_update(mine, updated.specification, gates=str(gates))
    client = open_tracking(Settings(home=mine), MODEL).client
    assert said.uri == f"models:/{MODEL}@challenger"
    assert str(client.get_model_version_by_alias(MODEL, "champion").version) == "1"
    assert str(client.get_model_version_by_alias(MODEL, "challenger").version) == "2"


def test_without_a_champion_there_is_nothing_to_update(
    run_update: Any, specification: Path, empty_store: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    shutil.copy(empty_store, tmp_path / "empty" / "mlflow.db")
    with pytest.raises(InputError, match=f"model '{MODEL}' must have a champion to update.*kintsugi run"):
        run_update(tmp_path / "empty", specification)
    assert not list((tmp_path / "empty").glob("datasets/*"))


@pytest.mark.parametrize("flow", ["run_update", "run_pipeline"])
def test_a_champion_of_other_columns_is_refused_before_anything_is_read(
    flow: str, request: pytest.FixtureRequest, home: Path, outcome: Outcome, toy: Any, tmp_path: Path
) -> None:
    mine = toy.copied(home, tmp_path / "mine")
    columns = {name: column for name, column in toy.specification["columns"].items() if name != "marker"}
    frame = toy.visits((2019,), (120,)).drop(columns="marker")
    other = toy.write(tmp_path / "table", frame, columns=columns)
    with pytest.raises(InputError, match=r"reads features these data do not declare \(marker\).*--model"):
        request.getfixturevalue(flow)(mine, other)
    assert not list(mine.glob("datasets/*"))
