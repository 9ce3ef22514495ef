"""Ray's processes are killed in the middle of a bootstrap: equal numbers, or one sentence and a run that goes on."""

from pathlib import Path
from typing import Any

from tasks.processes import family, kill_all

MANY = ("--set", "discovery.replicates=2000")  # long enough to kill something in the middle


def members(pid: int, name: str) -> list[Any]:
    """Processes below one that have ``name`` in their command."""
    found = []
    for member in family(pid):
        try:
            if name in Path(f"/proc/{member.pid}/cmdline").read_text():
                found.append(member)
        except OSError:
            continue
    return found


def test_a_bootstrap_survives_a_worker_and_the_next_run_a_head_that_was_killed(
    kintsugi: Any, table: Any, home: Path
) -> None:
    kintsugi.environment |= {"KINTSUGI_RUNNER": "threads", "KINTSUGI_WORKERS": "2"}
    words = (*table.words("discover"), *MANY)
    plain = kintsugi.run(*words, KINTSUGI_HOME=home.with_name("plain"), KINTSUGI_MAP="processes")
    assert plain.code == 0, plain.err
    kintsugi.environment["KINTSUGI_MAP"] = "ray"
    headless = kintsugi.start(*words).said(", edges ")
    heads = members(headless.pid, "gcs_server")
    assert heads
    kill_all(heads)
    told = headless.end()
    assert told.code == 1
    assert "Ray's head at 127.0.0.1:" in told.sentence
    assert "finished stages are not repeated" in told.sentence
    going = kintsugi.start(*words).said(", edges ")
    workers = members(going.pid, "ray::_call")
    assert workers
    kill_all(workers[:1])
    ended = going.end()
    assert ended.code == 0, ended.err
    assert ended.stages == {"ingest": "reused", "elicit": "reused", "discover": "done"}
    assert ended.summary.endswith(plain.summary)  # Ray's own words about the worker come first
    assert not list(home.rglob(".unfinished-*"))
    assert "RUNNING" not in kintsugi.statuses(home)
    assert headless.left() == []  # neither the run nor what it had started of Ray
