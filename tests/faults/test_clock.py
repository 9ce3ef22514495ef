"""Somebody sets the clock in the middle of a run, by a day: nothing takes less than no time, and nothing clashes."""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

DAY = 86_400

# All of Python's clocks but the one that only goes forward; two runs begin in the same second.
CLOCK = """
import datetime, time
import tasks.workspace
from tasks.tracked_run import TrackedRun
moment, clock, clock_ns, reported = datetime.datetime(2030, 1, 1, 12), time.time, time.time_ns, TrackedRun.__call__
ahead = moment.timestamp() - clock()
class Moment(datetime.datetime):
    now = classmethod(lambda cls, tz=None: moment)
tasks.workspace.datetime = Moment
time.time = lambda: clock() + ahead
time.time_ns = lambda: clock_ns() + int(1e9 * ahead)
def report(*step):
    global ahead
    TrackedRun.__call__ = reported
    ahead += JUMP
    reported(*step)
TrackedRun.__call__ = report
"""


@pytest.mark.parametrize("jump", [-DAY, DAY])
def test_a_clock_that_is_set_during_a_run_changes_nothing(
    kintsugi: Any, table: Any, home: Path, untouched: tuple[str, str], jump: int
) -> None:
    going = [kintsugi.start(*table.words(), prelude=f"JUMP = {jump}\n{CLOCK}") for _ in range(2)]
    both = [each.end() for each in going]
    assert [ended.code for ended in both] == [0, 0], both
    assert {ended.summary for ended in both} == {untouched[1]}
    assert kintsugi.digests(home) == [untouched[0]]
    shown = [float(seconds) for ended in both for seconds in re.findall(r"-?[\d.]+(?= s$)", ended.err, re.MULTILINE)]
    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        tracked = [seconds for (seconds,) in database.execute("select (end_time - start_time) / 1e3 from runs")]
    folders = list((home / "runs").iterdir())
    lines = [line for folder in folders for line in (folder / "timings.jsonl").read_text().splitlines()]
    timed = [json.loads(line)["seconds"] for line in lines]
    assert len(folders) == len({folder.name for folder in folders}) == 2
    assert (len(shown), len(timed), len(tracked)) == (18, 18, 20)
    assert all(0 <= seconds < 600 for seconds in (*shown, *timed, *tracked))
