"""A server is not there when a run starts, or goes away in the middle of it: one sentence, and the next run goes on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.processes import family, kill_all
from tasks.servers import MlflowServer, PrefectServer, asked, free_port

# What the run does at its worst moment; a test kills the server then and lets the run go on.
WAIT = """
import os, sys, time
def wait():
    if not os.path.exists("go"):
        print("now", file=sys.stderr, flush=True)
    while not os.path.exists("go"):
        time.sleep(0.05)
"""
IN_TRAINING = f"""
{WAIT}
from tasks.tracked_run import TrackedRun
reported = TrackedRun.__call__
def report(run, *step):
    if run._client.get_run(run.run_id).info.run_name == "train":
        wait()
        TrackedRun.__call__ = reported
    reported(run, *step)
TrackedRun.__call__ = report
"""
BEFORE_A_CALL = f"""
{WAIT}
from mlflow import MlflowClient
called = MlflowClient.CALL
def call(*arguments, **named):
    wait()
    return called(*arguments, **named)
MlflowClient.CALL = call
"""
MOMENTS = {
    "train": IN_TRAINING,
    "register": BEFORE_A_CALL.replace("CALL", "create_model_version"),  # all its files are there by then
}
KEPT = ("ingest", "elicit", "discover", "train", "update", "tune", "evaluate")
WHOLE = dict.fromkeys(KEPT, "reused") | {"register": "done", "report": "done"}


def kill(server: MlflowServer | PrefectServer) -> None:
    assert server.pid is not None
    kill_all(family(server.pid))
    server.stop()


@pytest.fixture
def tracking(home: Path) -> Iterator[MlflowServer]:
    """A tracking server on the home folder's own store, at a port that stays."""
    server = MlflowServer(home, free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture
def prefect(home: Path) -> Iterator[PrefectServer]:
    """A Prefect server for this test only, at a port that stays."""
    server = PrefectServer(home, free_port())
    server.start()
    yield server
    server.stop()


def test_a_tracking_server_that_goes_away_costs_one_stage(
    kintsugi: Any, table: Any, home: Path, tracking: MlflowServer, untouched: tuple[str, str]
) -> None:
    kintsugi.environment["KINTSUGI_TRACKING_URI"] = tracking.url
    reused = 0
    for stage, prelude in MOMENTS.items():
        tracking.wait()
        going = kintsugi.start(*table.words(), prelude=prelude).said("now\n")
        kill(tracking)
        (going.folder / "go").touch()
        ended = going.end()
        assert ended.code == 1
        assert f"the tracking store {tracking.url} does not answer (Connection refused); start it" in ended.sentence
        before = (*KEPT, "register").index(stage)
        stages = dict.fromkeys(KEPT[:reused], "reused") | dict.fromkeys(KEPT[reused:before], "done")
        assert ended.stages == stages | {stage: "failed"}
        assert kintsugi.digests(home) == []
        assert not list(home.rglob(".unfinished-*"))
        assert going.left() == []
        reused = before
    kept = sorted(path for path in home.rglob("*") if path.is_file())
    down = kintsugi.run(*table.words())
    assert (down.code, down.stages) == (1, {})
    assert f"the tracking store {tracking.url} does not answer (Connection refused); start it" in down.sentence
    assert "KINTSUGI_TRACKING_URI" in down.sentence
    assert kept == sorted(path for path in home.rglob("*") if path.is_file())
    tracking.wait()
    again = kintsugi.run(*table.words())
    assert (again.code, again.stages) == (0, WHOLE)
    assert (kintsugi.digests(home), again.summary) == ([untouched[0]], untouched[1])
    assert sorted(set(kintsugi.statuses(home))) == ["FINISHED", "KILLED"]  # the next run ended what could not be told


def test_a_run_goes_on_without_a_prefect_api_that_went_away_and_says_so(
    kintsugi: Any, table: Any, home: Path, prefect: PrefectServer, untouched: tuple[str, str]
) -> None:
    kintsugi.environment |= {"KINTSUGI_PREFECT_API_URL": prefect.wait(), "PREFECT_CLIENT_MAX_RETRIES": "0"}
    going = kintsugi.start(*table.words(), prelude=IN_TRAINING).said("now\n")
    kill(prefect)
    (going.folder / "go").touch()
    ended = going.end()
    sentence = f"kintsugi: the Prefect API {prefect.url} does not answer ([Errno 111] Connection refused); start it"
    assert (ended.code, ended.out) == (1, "")
    assert ended.sentence.startswith(sentence)
    assert ended.stages == dict.fromkeys(WHOLE, "done")
    assert kintsugi.digests(home) == [untouched[0]]
    assert going.left() == []
    down = kintsugi.run(*table.words())
    assert (down.code, down.stages) == (1, {})
    assert f"the Prefect API {prefect.url} does not answer" in down.sentence
    assert "KINTSUGI_PREFECT_API_URL" in down.sentence
    prefect.wait()
    again = kintsugi.run(*table.words())
    assert (again.code, again.stages) == (0, WHOLE)
    assert (kintsugi.digests(home), again.summary) == ([untouched[0]], untouched[1])
    states = [run["state_type"] for run in asked(f"{prefect.url}/flow_runs/filter", {"sort": "START_TIME_ASC"})]
    assert states == ["CRASHED", "COMPLETED"]
