"""A run that is killed goes on where it stopped; runs at the same moment share their work; nothing is made twice."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.registry import champion
from tasks.settings import Settings
from tasks.tracking import open_tracking

STAGES = ("ingest", "elicit", "discover", "train", "update", "tune", "evaluate", "register", "report")
KEPT = STAGES[:7]

# The worst moment: the stage has done all its work, and nobody has kept it yet.
RUN = """
import os, signal, sys
doomed = sys.argv.pop(1)
from tasks import stage
made = stage._made
def dying(name, *rest):
    if name == doomed:
        stage._show = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    return made(name, *rest)
stage._made = dying
from flows.cli import main
main()
"""


class Runs:
    """Runs of the command line in processes of their own, on one home folder."""

    def __init__(self, home: Path, specification: Path, small: dict[str, Any], url: str) -> None:
        self.home = home
        config = specification.with_name("small.yaml")
        given = {"source": {"specification": str(specification)}, "gates": str(specification.with_name("gates.yaml"))}
        config.write_text(yaml.safe_dump(small | given), encoding="utf-8")
        self.arguments = ["run", "--config", str(config), "--home", str(home)]
        self.environment = os.environ | {
            "KINTSUGI_LLM": "none",
            "KINTSUGI_MAP": "inline",
            "KINTSUGI_RUNNER": "inline",
            "KINTSUGI_PREFECT_API_URL": url,
            "KINTSUGI_HOME": str(home),
        }

    def start(self, doomed: str = "") -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-c", RUN, doomed, *self.arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, doomed: str = "") -> tuple[int, dict[str, str]]:
        """Exit code, and how each stage came out."""
        return self.end(self.start(doomed))

    def end(self, process: "subprocess.Popen[str]") -> tuple[int, dict[str, str]]:
        out, err = process.communicate(timeout=240)
        assert process.returncode in (0, -signal.SIGKILL), out + err
        return process.returncode, dict(re.findall(r"^(\w+): (done|reused) in", err, re.MULTILINE))

    def digest(self) -> str:
        found = champion(open_tracking(Settings(home=self.home), "kintsugi-toy"), "kintsugi-toy")
        assert found is not None
        return found.digest

    def versions(self) -> int:
        client = open_tracking(Settings(home=self.home), "kintsugi-toy").client
        return len(client.search_model_versions("name = 'kintsugi-toy'"))

    def unfinished(self) -> list[str]:
        """Tracked runs that nobody ended."""
        tracking = open_tracking(Settings(home=self.home), "kintsugi-toy")
        found = tracking.client.search_runs([tracking.experiment_id], "attributes.status = 'RUNNING'")
        return [run.info.run_name for run in found]


def test_a_run_killed_in_any_stage_resumes_there_with_the_same_model(
    tmp_path: Path, specification: Path, toy: Any, prefect_url: str
) -> None:
    untouched = Runs(tmp_path / "untouched", specification, toy.small, prefect_url)
    assert untouched.run() == (0, dict.fromkeys(STAGES, "done"))
    killed = Runs(tmp_path / "killed", specification, toy.small, prefect_url)
    for number, doomed in enumerate(STAGES):
        code, came_out = killed.run(doomed)
        assert code == -signal.SIGKILL
        # What was killed before is done now, and what was done before that is reused.
        expected = dict.fromkeys(STAGES[: max(number - 1, 0)], "reused") | dict.fromkeys(STAGES[:number][-1:], "done")
        assert came_out == expected
        assert killed.unfinished()
    assert killed.run() == (0, dict.fromkeys(KEPT, "reused") | {"register": "done", "report": "done"})
    assert killed.unfinished() == []
    assert killed.digest() == untouched.digest()
    assert killed.versions() == 1
    assert not list(killed.home.rglob(".unfinished-*"))


def test_a_second_run_repeats_nothing_and_registers_nothing(
    tmp_path: Path, specification: Path, toy: Any, prefect_url: str
) -> None:
    runs = Runs(tmp_path / "home", specification, toy.small, prefect_url)
    both = [runs.start(), runs.start()]
    told = [runs.end(process) for process in both]
    assert [code for code, _ in told] == [0, 0]
    for stage in KEPT:  # two runs at once: one works, the other waits for it
        assert sorted(came_out[stage] for _, came_out in told) == ["done", "reused"], stage
    assert runs.versions() == 1
    before = runs.digest()
    assert runs.run() == (0, dict.fromkeys(KEPT, "reused") | {"register": "done", "report": "done"})
    assert (runs.digest(), runs.versions()) == (before, 1)
    assert runs.unfinished() == []


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_dataset_that_is_not_whole_is_read_again(
    tmp_path: Path, specification: Path, toy: Any, prefect_url: str, damage: str
) -> None:
    runs = Runs(tmp_path / "home", specification, toy.small, prefect_url)
    runs.run()
    part = next(iter((runs.home / "datasets").rglob("part-*.parquet")))
    whole = part.read_bytes()
    part.unlink() if damage == "gone" else part.write_bytes(whole[: len(whole) // 2])
    code, came_out = runs.run()
    assert code == 0
    assert came_out["ingest"] == "done"
    assert all(came_out[stage] == "reused" for stage in KEPT[1:])
    assert part.read_bytes() == whole
