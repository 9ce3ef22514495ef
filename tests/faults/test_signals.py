"""SIGTERM and Ctrl-C in the middle of a stage: one word, an exit code that says which, and nothing left behind."""

import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}
MOMENTS = (
    ("discover", signal.SIGINT, {"ingest", "elicit"}),
    ("train", signal.SIGTERM, {"ingest", "elicit", "discover"}),
    ("evaluate", signal.SIGINT, {"ingest", "elicit", "discover", "train", "update", "tune"}),
)

# The stage is there when it reports its first step, and is not faster than a signal.
SLOW = """
import sys, time
from tasks.tracked_run import TrackedRun
reported = TrackedRun.__call__
def slow(run, *step):
    if run._client.get_run(run.run_id).info.run_name == DOOMED:
        print("in the middle of", DOOMED, file=sys.stderr, flush=True)
        time.sleep(1)
    reported(run, *step)
TrackedRun.__call__ = slow
"""


def test_a_signal_costs_the_stage_it_meets(kintsugi: Any, table: Any, home: Path, untouched: tuple[str, str]) -> None:
    kintsugi.environment["KINTSUGI_RUNNER"] = "threads"
    done: set[str] = set()
    for count, (stage, number, finished) in enumerate(MOMENTS, start=1):
        going = kintsugi.start(*table.words(), prelude=f"DOOMED = {stage!r}\n{SLOW}")
        going.said(f"in the middle of {stage}").send(number)
        ended = going.end()
        assert (ended.code, ended.sentence) == (CODES[number], "kintsugi: stopped")
        reused = done & finished
        assert ended.stages == dict.fromkeys(finished, "done") | dict.fromkeys(reused, "reused") | {stage: "failed"}
        assert going.left() == []
        assert not list(home.rglob(".unfinished-*"))
        told = Counter(kintsugi.statuses(home))
        assert (set(told), told["KILLED"]) == ({"FINISHED", "KILLED"}, 2 * count)  # the run and the stage
        assert kintsugi.digests(home) == []
        done |= finished
    again = kintsugi.run(*table.words())
    assert again.code == 0, again.err
    assert {stage for stage, how in again.stages.items() if how == "reused"} >= done
    assert (kintsugi.digests(home), again.summary) == ([untouched[0]], untouched[1])


@pytest.mark.parametrize("number", CODES)
def test_a_signal_ends_all_workers_and_servers_of_a_run(
    kintsugi: Any, table: Any, home: Path, number: signal.Signals
) -> None:
    """As people run it: worker processes, threads, a Prefect API of its own; and they are impatient."""
    for name in ("KINTSUGI_RUNNER", "KINTSUGI_MAP", "KINTSUGI_PREFECT_API_URL"):
        del kintsugi.environment[name]
    words = (*table.words("discover"), "--set", "discovery.replicates=400")
    going = kintsugi.start(*words).said(", edges ")
    going.send(number)
    ended = going.end()
    assert (ended.code, ended.sentence) == (CODES[number], "kintsugi: stopped")
    assert ended.stages["discover"] == "failed"
    assert going.left() == []
    assert not list(home.rglob(".unfinished-*"))
    assert sorted(kintsugi.statuses(home)) == ["FINISHED", "FINISHED", "KILLED", "KILLED"]
