"""The chain against Prefect and MLflow on one PostgreSQL cluster, twice at once."""

import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tasks.settings import Settings
from tasks.tracking import open_tracking

pytestmark = pytest.mark.server
STAGES = {"ingest", "elicit", "discover", "train", "update", "tune", "evaluate", "register", "report"}
MODEL = "kintsugi-shop"


def test_both_runs_are_finished_with_all_their_stages(postgres: Any, site: Any) -> None:
    experiment = site.client.get_experiment_by_name(MODEL)
    runs = site.client.search_runs([experiment.experiment_id])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len(parents) == 2
    for parent in parents:
        mine = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
        assert {run.info.run_name for run in mine} == STAGES
        assert len(mine) == len(STAGES)


def test_both_databases_are_those_of_postgresql(postgres: Any, site: Any) -> None:
    # Asked beside the servers: a server that had fallen back to a file of its own would answer just as well.
    name = f"pipeline {site.world / 'shop.yaml'}"
    assert postgres.sql("prefect", f"select state_type::text from flow_run where name = '{name}'") == ["COMPLETED"] * 2
    assert set(postgres.sql("prefect", "select state_type::text from task_run")) == {"COMPLETED"}
    mine = f"experiment_id = (select experiment_id from experiments where name = '{MODEL}')"
    assert postgres.sql("mlflow", f"select status from runs where {mine}") == ["FINISHED"] * 2 * (1 + len(STAGES))
    assert sorted(postgres.sql("mlflow", "select version from model_versions")) == [1, 2]
    assert [path for path in site.folder.glob("**/*.db") if "one" not in path.parts and "two" not in path.parts] == []


def test_each_run_registered_a_version_and_one_of_them_reigns(postgres: Any, site: Any) -> None:
    versions = {int(each.version): each for each in site.client.search_model_versions(f"name = '{MODEL}'")}
    assert set(versions) == {1, 2}
    assert {each.tags["gates"] for each in versions.values()} == {"passed"}
    # Equal data and configuration: the numbers do not depend on who ran beside whom.
    assert len({each.tags["digest"] for each in versions.values()}) == 1
    for alias in ("champion", "challenger"):
        assert int(site.client.get_model_version_by_alias(MODEL, alias).version) in versions


def test_the_report_of_each_run_comes_through_the_server(postgres: Any, site: Any, tmp_path: Path) -> None:
    reports = {path.read_bytes() for path in site.folder.glob("*/runs/*/report.html")}
    assert len(reports) == 2
    experiment = site.client.get_experiment_by_name(MODEL)
    runs = site.client.search_runs([experiment.experiment_id], filter_string="tags.`kintsugi.flow` = 'pipeline'")
    places = [tmp_path / run.info.run_id for run in runs]
    for run, place in zip(runs, places, strict=True):
        place.mkdir()
        site.client.download_artifacts(run.info.run_id, "report.html", str(place))
    assert {(place / "report.html").read_bytes() for place in places} == reports


def test_the_pages_of_prefect_hold_the_tables_and_pictures_of_both_runs(postgres: Any, site: Any) -> None:
    keys = postgres.sql("prefect", "select key from artifact")
    assert {keys.count(key) for key in ("edges", "graph", "gates", "scorecard", "ladder")} == {2}


def test_a_consumer_loads_the_champion(site: Any) -> None:
    answer = site.consume(f"models:/{MODEL}@champion")
    assert list(answer) == ["probability", "uncertainty", "outside_support"]
    assert len(answer) == 50
    assert answer["probability"].between(0, 1).all()
    assert np.ptp(answer["probability"]) > 0.2


def test_no_secret_of_the_servers_is_in_a_log_or_on_a_command_line(
    postgres: Any, site: Any, secrets: tuple[str, ...]
) -> None:
    for secret in map(str.encode, secrets):
        assert secret in Path(f"/proc/{site.mlflow.pid}/environ").read_bytes()
        for server in (site.prefect, site.mlflow):
            assert secret not in server.log.read_bytes()
            assert secret not in Path(f"/proc/{server.pid}/cmdline").read_bytes()


def test_runs_that_meet_new_data_in_the_same_moment_all_record_it(site: Any) -> None:
    # MLflow looks the data up and then inserts it; who comes second is refused by the database.
    tracking = open_tracking(Settings(tracking_uri=site.mlflow.url), "at once")
    meeting = Barrier(6)

    def record(number: int) -> int:
        with tracking.tracked_run(f"run {number}") as run:
            for name in ("first", "second", "third"):
                met = SimpleNamespace(path=Path(name), digest="0" * 64, columns=(), rows=1, batches=())
                meeting.wait(30)
                run.dataset(met, "training")
            return len(tracking.client.get_run(run.run_id).inputs.dataset_inputs)

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(record, range(6))) == [3] * 6


def test_servers_find_a_database_again_that_was_restarted(postgres: Any, site: Any) -> None:
    postgres.stop()
    postgres.start()
    assert site.client.get_model_version(MODEL, "1").tags["gates"] == "passed"
    # Each connection in Prefect's pool may have ended with the old server; a client asks again, and so does this one.
    for _ in range(20):
        try:
            with urllib.request.urlopen(f"{site.prefect.url}/flows/name/pipeline", timeout=20) as answer:
                assert answer.status == 200
                return
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise
    pytest.fail("Prefect did not find the database again")
