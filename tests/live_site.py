"""``kintsugi ui`` as a process, on the small world: what people open, and what tests ask it."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
PATIENCE = 150.0
COMMAND = "from flows.cli import main; main()"


@dataclass
class Site:
    """Servers and worker that ``kintsugi ui`` has started.

    Attributes:
        home: Their home folder.
        specification: Of the data of all deployments.
        process: The command.
        api: Address of the Prefect API.
        tracking: Address of the MLflow server.
        ids: Name of a deployment to its id.
    """

    home: Path
    specification: Path
    process: "subprocess.Popen[bytes]"
    api: str
    tracking: str
    ids: dict[str, str] = field(default_factory=dict)

    def ask(self, path: str, **question: Any) -> Any:
        return httpx.post(f"{self.api}{path}", json=question, timeout=30).raise_for_status().json()

    def order(self, name: str, **parameters: Any) -> httpx.Response:
        """Order a run of a deployment, as its form does."""
        place = f"{self.api}/deployments/{self.ids[name]}/create_flow_run"
        return httpx.post(place, json={"parameters": parameters}, timeout=30)

    def run(self, run: str) -> Any:
        return httpx.get(f"{self.api}/flow_runs/{run}", timeout=30).raise_for_status().json()

    def runs(self, name: str) -> list[Any]:
        """Runs of a deployment, but not those that its shipped schedule has planned."""
        mine = self.ask("/flow_runs/filter", deployments={"id": {"any_": [self.ids[name]]}})
        soon = datetime.now(UTC) + timedelta(minutes=10)
        return [run for run in mine if datetime.fromisoformat(run["expected_start_time"]) < soon]

    def tell(self, **labels: str) -> None:
        """Report drift, as a monitor outside would."""
        event = {
            "event": "kintsugi.drift.detected",
            "id": str(uuid.uuid4()),
            "occurred": datetime.now(UTC).isoformat(),
            "resource": {"prefect.resource.id": "kintsugi.dataset.toy", **labels},
            "payload": {"batch": "2020", "kind": "covariate"},
        }
        httpx.post(f"{self.api}/events", json=[event], timeout=30).raise_for_status()


def wait_for(found: Callable[[], Any], what: str) -> Any:
    """What ``found`` gives, once it gives something."""
    deadline = time.monotonic() + PATIENCE
    while not (answer := found()):
        assert time.monotonic() < deadline, f"{what} did not happen within {PATIENCE:g} s"
        time.sleep(0.5)
    return answer


def ended(site: Site, run: str) -> Any:
    """A run, once it has ended."""
    return wait_for(lambda: (at := site.run(run))["state_type"] in FINAL and at, f"the end of run {run}")


def write_environment(folder: Path, specification: Path, small: dict[str, Any]) -> Path:
    """Parameters of all deployments for the toy data."""
    folder.mkdir()
    common = {"source": {"specification": str(specification)}}
    judged = common | {"gates": str(specification.with_name("gates.yaml"))}
    chosen = {
        "pipeline": judged | small,
        "update": judged | {stage: small[stage] for stage in ("update", "tuning", "evaluation")},
        "discover": common | {"discovery": small["discovery"]},
        "tune": judged | {stage: small[stage] for stage in ("tuning", "evaluation")},
        "classify": common | {"training": {"epochs": 3}},
    }
    for name, values in chosen.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    return folder


def stop(process: "subprocess.Popen[bytes]") -> int:
    if process.poll() is None:
        process.terminate()
    return process.wait(60)


@pytest.fixture(scope="module")
def site(toy: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    specification = toy.write(folder / "table", toy.visits())
    environment = write_environment(folder / "mine", specification, toy.small)
    home, said = folder / "kintsugi", folder / "said.txt"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("KINTSUGI_", "PREFECT_"))}
    surroundings = {"KINTSUGI_DATA_FOLDERS": str(folder), "KINTSUGI_LLM": "none", "KINTSUGI_MAP": "inline"}
    surroundings |= {  # nobody waits longer than for the work itself
        "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "2",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "3",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
    }
    words = ["ui", "--environment", str(environment), "--prefect-port", "0", "--mlflow-port", "0", "--home", str(home)]
    with said.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, *words],
            env=clean | surroundings,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
    try:
        wait_for(lambda: process.poll() is not None or "Ctrl-C" in said.read_text(), "the start of kintsugi ui")
        assert process.poll() is None, said.read_text()
        told = dict(pair.split("=", 1) for pair in said.read_text().split() if pair.startswith("KINTSUGI_"))
        made = Site(home, specification, process, told["KINTSUGI_PREFECT_API_URL"], told["KINTSUGI_TRACKING_URI"])
        made.ids = {each["name"]: each["id"] for each in made.ask("/deployments/filter")}
        yield made
    finally:
        stop(process)
