"""One Prefect API and one run of the pipeline for all tests of the flows.

Prefect reads the address of its API when it is first imported, which happens before any server runs here, so every
call of a flow is wrapped in ``temporary_settings``.
"""

import importlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

# As the command line sets them before Prefect and MLflow are imported.
os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"

import pytest

from flows.forms import read_form
from flows.outcome import Outcome
from tasks.servers import embedded_prefect
from tasks.settings import Settings
from tasks.tracking import Tracking, open_tracking
from tests import toy_world

QUIET = {"KINTSUGI_LLM": "none", "KINTSUGI_MAP": "inline"}


@pytest.fixture(scope="session")
def prefect_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the one Prefect API of the session."""
    with embedded_prefect(tmp_path_factory.mktemp("prefect")) as url:
        yield url


@contextmanager
def connected(url: str) -> Iterator[None]:
    """Prefect talks to ``url`` while the block runs."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogHandler
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_LOCAL_STORAGE_PATH,
        temporary_settings,
    )

    with (
        TemporaryDirectory() as storage,  # Prefect pickles the exceptions of failed runs into it
        temporary_settings(
            {
                PREFECT_API_URL: url,
                PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
                PREFECT_LOCAL_STORAGE_PATH: Path(storage),
            }
        ),
    ):
        try:
            yield
        finally:
            # Logs and events wait in queues; what is left when the server is gone is tried again for a minute.
            APILogHandler().flush()
            EventsWorker.drain_all(timeout=5)


@pytest.fixture
def prefect(prefect_url: str) -> Iterator[str]:
    """Prefect talks to the API of the session during the test."""
    with connected(prefect_url):
        yield prefect_url


@contextmanager
def surroundings(home: Path) -> Iterator[None]:
    """The settings of a run in ``home``: no language model, no worker processes."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (QUIET | {"KINTSUGI_HOME": str(home)}).items():
            patch.setenv(name, value)
        yield


@dataclass(frozen=True)
class Said:
    """What a command said, and how it ended.

    Attributes:
        code: Its exit code.
        out: Its standard output.
        err: The lines of its standard error.
    """

    code: int
    out: str
    err: list[str]


class FakeServer:
    """Stands in for the Prefect server of the command line: it only remembers that it was started and stopped."""

    url = ""
    made: ClassVar[list["FakeServer"]] = []

    def __init__(self, home: Path) -> None:
        self.home, self.running, self.starts = home, False, 0
        self.made.append(self)

    def start(self) -> None:
        self.running, self.starts = True, self.starts + 1

    def wait(self) -> str:
        assert self.url, "a run began, although its input is wrong"
        return self.url

    def stop(self) -> None:
        self.running = False


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FakeServer]]:
    """The command line starts no server during the test; what it did instead is in ``made``."""
    from flows import launch

    FakeServer.made.clear()
    monkeypatch.setattr(launch, "PrefectServer", FakeServer)
    yield FakeServer
    assert not [server for server in FakeServer.made if server.running]


@pytest.fixture
def kintsugi(
    servers: type[FakeServer], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Said]]:
    """The command line in this process; what it leaves in the environment is taken out at the end."""
    from flows import cli

    before = dict(os.environ)

    def command(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["kintsugi", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
        said = capsys.readouterr()
        return Said(code, said.out, said.err.splitlines())

    yield command
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracking store without runs: making its tables takes seconds, copying them does not."""
    settings = Settings(home=tmp_path_factory.mktemp("store"))
    open_tracking(settings, "Default")
    return settings.database


@pytest.fixture
def kintsugi_with_prefect(
    kintsugi: Callable[..., Said],
    servers: type[FakeServer],
    prefect: str,
    empty_store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Said]:
    """The same, but a flow that is started finds the Prefect API of the session and a tracking store with tables."""
    (tmp_path / "kintsugi").mkdir()
    shutil.copy(empty_store, tmp_path / "kintsugi" / "mlflow.db")
    monkeypatch.setattr(servers, "url", prefect)
    monkeypatch.setenv("KINTSUGI_MAP", "inline")
    return kintsugi


Run = Callable[..., Outcome]


@pytest.fixture(scope="session")
def run_pipeline(prefect_url: str) -> Run:
    """Run the pipeline in a home folder on a specification, with the small configuration and what is given."""

    def run(home: Path, specification: Path, **values: Any) -> Outcome:
        from flows.configuration import Pipeline
        from flows.pipeline import pipeline

        given = {"source": {"specification": str(specification)}, "gates": str(specification.with_name("gates.yaml"))}
        form = read_form(Pipeline, toy_world.SMALL | given | values)
        with surroundings(home), connected(prefect_url):
            return pipeline(form)

    return run


def started_from_a_champion(name: str, stages: tuple[str, ...], prefect_url: str) -> Run:
    """The same for a flow that begins with the registered champion."""

    def run(home: Path, specification: Path, **values: Any) -> Outcome:
        from flows.configuration import PLANS

        flow = getattr(importlib.import_module(f"flows.{name}"), name)
        small = {stage: toy_world.SMALL[stage] for stage in stages}
        given = {"source": {"specification": str(specification)}, "gates": str(specification.with_name("gates.yaml"))}
        form = read_form(PLANS[name], small | given | values)
        with surroundings(home), connected(prefect_url):
            outcome: Outcome = flow(form)
            return outcome

    return run


@pytest.fixture(scope="session")
def run_discover(prefect_url: str) -> Callable[..., Outcome]:
    """Run the discovery flow in a home folder on whatever is given."""

    def run(home: Path, **values: Any) -> Outcome:
        from flows.configuration import Discover
        from flows.discover import discover

        with surroundings(home), connected(prefect_url):
            return discover(read_form(Discover, values))

    return run


@pytest.fixture(scope="session")
def run_update(prefect_url: str) -> Run:
    """Run the update flow."""
    return started_from_a_champion("update", ("update", "tuning", "evaluation"), prefect_url)


@pytest.fixture(scope="session")
def run_tune(prefect_url: str) -> Run:
    """Run the tuning flow."""
    return started_from_a_champion("tune", ("tuning", "evaluation"), prefect_url)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home folder of the shared run."""
    return tmp_path_factory.mktemp("shared") / "kintsugi"


@pytest.fixture(scope="session")
def specification(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The specification of the shared run."""
    return toy_world.write_toy(tmp_path_factory.mktemp("table"), toy_world.visits())


@pytest.fixture(scope="session")
def outcome(home: Path, run_pipeline: Run, specification: Path) -> Outcome:
    """The shared run of the whole pipeline."""
    return run_pipeline(home, specification)


@pytest.fixture(scope="session")
def tracking(home: Path, outcome: Outcome) -> Tracking:
    """The tracking store of the shared run."""
    return open_tracking(Settings(home=home), "kintsugi-toy")
