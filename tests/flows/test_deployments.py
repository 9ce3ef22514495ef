"""``kintsugi ui`` for real: runs by the API, by a schedule and by an event, and what is refused before it runs."""

import sqlite3
import uuid
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from flows.deployments import read_deployments
from tasks.deployments import apply_automations
from tasks.processes import Member, family
from tasks.settings import Settings
from tasks.tracking import open_tracking
from tests.live_site import Site, ended, stop, wait_for

pytestmark = pytest.mark.server

STAGES = ["ingest", "elicit", "discover", "train", "update", "tune", "evaluate", "register", "report"]


@pytest.fixture(scope="module")
def ordered(site: Site) -> dict[str, str]:
    """Runs that go on side by side while the first tests wait for them."""
    soon = {"interval": 3600, "anchor_date": (datetime.now(UTC) + timedelta(seconds=15)).isoformat()}
    place = f"{site.api}/deployments/{site.ids['discover']}/schedules"
    httpx.post(place, json=[{"schedule": soon, "active": True}], timeout=30).raise_for_status()
    tied = {"source": {"specification": str(site.specification)}, "update": {"rule": {"retain": 0.5}}}
    orders = {"pipeline": site.order("pipeline"), "tied": site.order("update", config=tied)}
    assert {order.status_code for order in orders.values()} == {201}
    return {name: order.json()["id"] for name, order in orders.items()}


def test_everything_that_is_described_is_there(site: Site) -> None:
    assert set(site.ids) == {"pipeline", "update", "discover", "tune", "classify"}
    automations = {each["name"] for each in site.ask("/automations/filter")}
    assert automations == {"update on drift", "crash runs that fell silent"}
    (pool,) = site.ask("/work_pools/filter")
    assert (pool["name"], pool["type"]) == ("kintsugi", "process")


WRONG = {
    "out of range": (
        {"config": {"training": {"rule": {"epochs": 0}}}},
        "'config.training.rule.epochs'",
        "minimum of 1",
    ),
    "out of range in a choice": (
        {"config": {"training": {"head": {"kind": "mlp", "hidden": 0}}}},
        "'config.training.head.hidden'",
        "minimum of 1",
    ),
    "unknown kind": ({"config": {"training": {"head": {"kind": "linaer"}}}}, "'config.training.head'", "linaer"),
    "unknown choice": ({"config": {"training": {"target": "never"}}}, "'config.training.target'", "'never'"),
    "wrong type": ({"config": {"training": {"batches": "many"}}}, "'config.training.batches'", "'many'"),
    "unknown field": ({"config": {"trainnig": {}}}, "'config'", "'trainnig'"),
    "unknown field of a choice": (
        {"config": {"training": {"head": {"kind": "mlp", "hiden": 3}}}},
        "'config.training.head'",
        "'hiden'",
    ),
    "unknown parameter": ({"confg": {}}, "Validation failed", "'confg'"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_the_api_refuses_a_wrong_value_and_names_it(mistake: str, site: Site) -> None:
    parameters, place, named = WRONG[mistake]
    answer = site.order("pipeline", **parameters)
    assert answer.status_code == 409
    assert place in answer.json()["detail"]
    assert named in answer.json()["detail"]


def test_a_rule_that_only_the_method_knows_ends_the_run_with_its_sentence(site: Site, ordered: dict[str, str]) -> None:
    run = ended(site, ordered["tied"])
    assert run["state_type"] == "FAILED"
    assert "config.update.rule" in run["state"]["message"]
    assert "retain_after_drift must not exceed retain 0.5, got 0.7" in run["state"]["message"]


def test_a_run_by_the_api_goes_through_and_shows_itself(site: Site, ordered: dict[str, str]) -> None:
    run = ended(site, ordered["pipeline"])
    assert (run["state_name"], run["name"]) == ("Completed", f"pipeline {site.specification}")
    mine = {"flow_runs": {"id": {"any_": [run["id"]]}}}
    tasks = {task["name"].rpartition("-")[0]: task for task in site.ask("/task_runs/filter", **mine)}
    assert sorted(tasks) == sorted(STAGES)
    assert {task["state_type"] for task in tasks.values()} == {"COMPLETED"}
    # The graph of tasks on the run's page is drawn from these.
    assert tasks["train"]["task_inputs"]
    keys = {artifact["key"] for artifact in site.ask("/artifacts/filter", **mine)}
    assert {"batches", "knowledge", "edges", "graph", "correction", "scorecard", "gates", "links"} <= keys


def test_its_model_is_in_the_registry_of_the_mlflow_server_and_its_files_in_the_home_folder(
    site: Site, ordered: dict[str, str]
) -> None:
    ended(site, ordered["pipeline"])
    client = open_tracking(Settings(tracking_uri=site.tracking), "kintsugi-toy").client
    assert str(client.get_model_version_by_alias("kintsugi-toy", "champion").version) == "1"
    (experiment,) = (each for each in client.search_experiments() if each.name == "kintsugi-toy")
    assert experiment.artifact_location.startswith("mlflow-artifacts:")
    assert list((site.home / "artifacts").rglob("predictor"))
    assert list((site.home / "runs").glob("pipeline-toy-*"))


def test_a_schedule_starts_a_run(site: Site, ordered: dict[str, str]) -> None:
    (planned,) = wait_for(lambda: site.runs("discover"), "a planned run")
    assert planned["auto_scheduled"]
    assert ended(site, planned["id"])["state_name"] == "Completed"


def test_drift_that_a_monitor_reports_starts_one_update_and_no_more(
    site: Site, ordered: dict[str, str], toy: Any
) -> None:
    ended(site, ordered["pipeline"])
    before = {run["id"] for run in site.runs("update")}
    toy.write(site.specification.parent, toy.visits((*toy.years, 2020), (350, 350, 350, 900, 400)))
    site.tell(**{"kintsugi.absorbed": "yes"})
    site.tell(**{"kintsugi.absorbed": "no"})
    site.tell(**{"kintsugi.absorbed": "no"})  # the same drift once more: at most one update for it in ten minutes
    wait_for(lambda: len(site.runs("update")) > len(before), "the start of an update")
    (update,) = (run for run in site.runs("update") if run["id"] not in before)
    run = ended(site, update["id"])
    assert run["state_name"] == "Completed", run["state"]["message"]
    client = open_tracking(Settings(tracking_uri=site.tracking), "kintsugi-toy").client
    assert client.get_model_version("kintsugi-toy", "2").tags["batches"].endswith("2020")
    # Whatever drift pipeline and update have found themselves, they have learnt from it.
    told = site.ask("/events/filter", filter={"event": {"name": ["kintsugi.drift.detected"]}})["events"]
    own = [event for event in told if any(each.get("prefect.resource.role") == "flow" for each in event["related"])]
    assert {event["resource"]["kintsugi.absorbed"] for event in own} <= {"yes"}
    assert len(told) >= 3
    assert len(site.runs("update")) == len(before) + 1


def test_a_run_that_falls_silent_is_marked_as_crashed(site: Site) -> None:
    (shipped,) = read_deployments("local").automations
    at_once = shipped | {"name": "at once", "trigger": shipped["trigger"] | {"within": 10}}
    apply_automations([at_once], site.api)
    flow = site.ask("/flows/", name="quiet")["id"]
    running = {"type": "RUNNING", "name": "Running"}
    silent, over = (site.ask("/flow_runs/", flow_id=flow, state=running)["id"] for _ in range(2))
    place = f"{site.api}/events"

    def heard(run: str, what: str) -> None:
        now, resource = datetime.now(UTC).isoformat(), {"prefect.resource.id": f"prefect.flow-run.{run}"}
        event = {"event": f"prefect.flow-run.{what}", "id": str(uuid.uuid4()), "occurred": now, "resource": resource}
        httpx.post(place, json=[event], timeout=30).raise_for_status()

    heard(silent, "heartbeat")
    heard(over, "heartbeat")
    heard(over, "Completed")
    assert ended(site, silent)["state"]["message"] == shipped["actions"][0]["message"]
    assert site.run(over)["state_type"] == "RUNNING"  # its end was heard, so nothing is missing


def test_applying_them_again_changes_nothing(site: Site) -> None:
    before = sorted(each["name"] for each in site.ask("/automations/filter"))
    apply_automations(read_deployments("local").automations, site.api)
    assert sorted(each["name"] for each in site.ask("/automations/filter")) == before


def test_sigterm_ends_everything_and_the_run_that_went_on_is_marked(site: Site) -> None:
    long = {"source": {"specification": str(site.specification)}, "discovery": {"replicates": 100_000}}
    run = site.order("discover", config=long).json()["id"]
    wait_for(lambda: site.run(run)["state_type"] == "RUNNING", "the start of a long run")
    members: list[Member] = family(site.process.pid)
    assert len(members) >= 5  # itself, two servers, the worker, the run
    assert stop(site.process) == 0
    assert [member.pid for member in members if Path(f"/proc/{member.pid}").exists()] == []
    with closing(sqlite3.connect(site.home / "prefect" / "prefect.db")) as database:
        ((state,),) = database.execute("select state_type from flow_run where id = ?", (run,)).fetchall()
    assert state == "CRASHED"
