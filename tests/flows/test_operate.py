"""What ``kintsugi ui`` starts it stops, whatever ends it; servers and worker are stand-ins that only listen."""

import io
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from rich.console import Console

from components.errors import InputError, OutsideError
from flows import operate
from flows.operate import Site
from tasks import deployments
from tasks.processes import HOST, Address, Process
from tasks.servers import MlflowServer, PrefectServer, Worker, answers

ANYWHERE = Site(prefect_port=0, mlflow_port=0)
LISTEN = ["http.server", "--bind", HOST]


class Remembered(Process):
    """A process that remembers its like: what was started, what was stopped, in which order."""

    begun: ClassVar[list[tuple[str, int]]] = []
    stopped: ClassVar[list[str]] = []

    def start(self) -> None:
        super().start()
        if self.pid and (self.called, self.pid) not in self.begun:
            self.begun.append((self.called, self.pid))

    def stop(self) -> None:
        if self.pid:
            self.stopped.append(self.called)
        super().stop()


class Prefect(Remembered, PrefectServer):
    def _prepare(self) -> None:
        pass

    def _command(self) -> list[str]:
        return [*LISTEN, str(self.port)]

    def _ready(self) -> bool:
        return answers(self.page)


class Mlflow(Remembered, MlflowServer):
    def _command(self) -> list[str]:
        return [*LISTEN, str(self.port)]

    def _ready(self) -> bool:
        return answers(self.url)


class Hand(Remembered, Worker):
    def __init__(self, home: Path, api_url: str, tracking_uri: str) -> None:
        super().__init__(home, api_url, tracking_uri)
        self.address = Address()

    def _prepare(self) -> None:
        pass

    def _command(self) -> list[str]:
        return [*LISTEN, str(self.port)]

    def _ready(self) -> bool:
        return answers(self.address.url)


class Broken(Mlflow):
    def _command(self) -> list[str]:
        return [*LISTEN, "--nonsense"]


class Page(io.StringIO):
    """What a person sees; something happens when a word appears."""

    def __init__(self, word: str, then: Callable[[], None]) -> None:
        super().__init__()
        self._word, self._then, self._done = word, then, False

    def write(self, text: str) -> int:
        written = super().write(text)
        if not self._done and self._word in self.getvalue():
            self._done = True
            threading.Timer(0.2, self._then).start()
        return written


def page(word: str = "Ctrl-C", then: Callable[[], None] = lambda: os.kill(os.getpid(), signal.SIGTERM)) -> Console:
    return Console(file=Page(word, then), width=140)


def text(console: Console) -> str:
    return str(console.file.getvalue())  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def applied(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str]]]:
    """Stand-ins for the servers; what would be applied to the Prefect API is only noted."""
    notes: list[tuple[str, str]] = []
    for name, kind in (("PrefectServer", Prefect), ("MlflowServer", Mlflow), ("Worker", Hand)):
        monkeypatch.setattr(operate, name, kind)

    def noted(name: str, url: int) -> Callable[..., None]:
        return lambda *given: notes.append((given[2] if name == "crash_unfinished" else name, given[url]))

    for name, url in (("crash_unfinished", 1), ("apply_deployments", 2), ("apply_automations", 1)):
        monkeypatch.setattr(deployments, name, noted(name, url))
    Remembered.begun.clear()
    Remembered.stopped.clear()
    before, environment = {sign: signal.getsignal(sign) for sign in operate.STOPPING}, dict(os.environ)
    yield notes
    os.environ.clear()
    os.environ.update(environment)
    assert {sign: signal.getsignal(sign) for sign in operate.STOPPING} == before
    assert [pid for _, pid in Remembered.begun if Path(f"/proc/{pid}").exists()] == []


@pytest.mark.parametrize("sign", operate.STOPPING, ids=lambda sign: sign.name)
def test_a_signal_stops_everything_the_last_one_first(
    sign: signal.Signals, tmp_path: Path, applied: list[tuple[str, str]]
) -> None:
    shown = page(then=lambda: os.kill(os.getpid(), sign))
    operate.operate(ANYWHERE, tmp_path, shown)
    assert [called for called, _ in Remembered.begun] == ["Prefect server", "MLflow server", "worker"]
    assert Remembered.stopped == ["worker", "MLflow server", "Prefect server"]
    url = applied[0][1]
    # Runs that were left over are ended before anything is deployed, and those of the worker when it is gone.
    notes = [operate.ENDED_BEFORE, "apply_deployments", "apply_automations", operate.ENDED_WITH_US]
    assert applied == [(note, url) for note in notes]
    assert text(shown).rstrip().endswith("stopped")


def test_the_addresses_and_what_is_there_are_told(tmp_path: Path) -> None:
    shown = page()
    operate.operate(ANYWHERE, tmp_path, shown)
    said = text(shown)
    assert "pipeline, update, discover, tune, classify: open one, then Run, Custom run" in said
    for where in ("/deployments", "/automations", "/#/experiments", "/#/models"):
        (line,) = [line for line in said.splitlines() if where in line]
        assert "http://127.0.0.1:" in line
    assert "export KINTSUGI_PREFECT_API_URL=http://127.0.0.1:" in said


def test_one_that_ends_by_itself_is_named_and_the_rest_is_stopped(tmp_path: Path) -> None:
    def kill() -> None:
        os.kill(dict(Remembered.begun)["MLflow server"], signal.SIGTERM)

    with pytest.raises(OutsideError, match=r"the MLflow server ended by itself; its log .*mlflow\.log ends: "):
        operate.operate(ANYWHERE, tmp_path, page(then=kill))
    assert Remembered.stopped == ["worker", "MLflow server", "Prefect server"]


def test_one_that_does_not_come_up_is_named_and_the_rest_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, applied: list[tuple[str, str]]
) -> None:
    monkeypatch.setattr(operate, "MlflowServer", Broken)
    with pytest.raises(OutsideError, match=r"the MLflow server ended before it was ready.*--nonsense"):
        operate.operate(ANYWHERE, tmp_path, Console(file=io.StringIO()))
    assert Remembered.stopped[-1] == "Prefect server"
    assert applied == []


def test_a_signal_while_it_starts_is_an_end_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, applied: list[tuple[str, str]]
) -> None:
    class Slow(Mlflow):
        def _ready(self) -> bool:
            return False

    monkeypatch.setattr(operate, "MlflowServer", Slow)
    operate.operate(ANYWHERE, tmp_path, page("MLflow server: starting"))
    assert Remembered.stopped == ["MLflow server", "Prefect server"]
    assert applied == []


def test_an_impatient_second_signal_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(Hand):
        def stop(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)
            super().stop()

    monkeypatch.setattr(operate, "Worker", Slow)
    operate.operate(ANYWHERE, tmp_path, page())
    assert Remembered.stopped == ["worker", "MLflow server", "Prefect server"]


@pytest.mark.parametrize(("option", "name"), [("prefect_port", "--prefect-port"), ("mlflow_port", "--mlflow-port")])
def test_a_taken_port_is_refused_before_anything_starts(option: str, name: str, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        ports = {"prefect_port": 0, "mlflow_port": 0, option: taken.getsockname()[1]}
        with pytest.raises(InputError, match=rf"{name}: port {taken.getsockname()[1]} of 127\.0\.0\.1 must be free"):
            operate.operate(Site(**ports), tmp_path, Console(file=io.StringIO()))  # type: ignore[arg-type]
    assert Remembered.begun == []


def test_two_servers_cannot_share_a_port() -> None:
    with pytest.raises(InputError, match="--prefect-port and --mlflow-port must differ, both are 4200"):
        Site(mlflow_port=4200)


@pytest.mark.parametrize("name", ["KINTSUGI_TRACKING_URI", "KINTSUGI_PREFECT_API_URL"])
def test_servers_elsewhere_are_not_ignored(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "http://me:secret@elsewhere:80/api")
    with pytest.raises(InputError, match=rf"{name} must not be set for kintsugi ui.*kintsugi deploy") as refused:
        operate.operate(ANYWHERE, tmp_path, Console(file=io.StringIO()))
    assert "secret" not in str(refused.value)
    assert Remembered.begun == []


def test_a_home_is_operated_once_at_a_time(tmp_path: Path) -> None:
    seen: list[str] = []

    def second() -> None:
        try:
            operate.operate(ANYWHERE, tmp_path, Console(file=io.StringIO()))
        except OutsideError as error:
            seen.append(str(error))
        os.kill(os.getpid(), signal.SIGTERM)

    operate.operate(ANYWHERE, tmp_path, page(then=second))
    assert seen == [f"kintsugi ui runs in {tmp_path} already; stop it, or choose another --home"]
    assert len(Remembered.begun) == 3


def test_a_wrong_parameter_is_found_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="the parameters of pipeline must name a YAML file"):
        operate.operate(Site(str(tmp_path / "mine"), HOST, 0, 0), tmp_path, Console(file=io.StringIO()))
    assert Remembered.begun == []


def test_databases_come_from_the_settings_and_the_worker_does_not_see_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, applied: list[tuple[str, str]]
) -> None:
    monkeypatch.setenv("KINTSUGI_PREFECT_DATABASE", "postgresql+asyncpg://me:secret@db/prefect")
    monkeypatch.setenv("KINTSUGI_MLFLOW_STORE", "postgresql://me:secret@db/mlflow")
    monkeypatch.setenv("KINTSUGI_MLFLOW_ARTIFACTS", "s3://bucket/files")
    seen: dict[str, Any] = {}
    former = Remembered.start

    def start(self: Process) -> None:
        seen[self.called] = (self._environment(), self._command())
        former(self)  # type: ignore[arg-type]

    monkeypatch.setattr(Remembered, "start", start)
    shown = page()
    operate.operate(ANYWHERE, tmp_path, shown)
    prefect, mlflow, worker = (seen[name][0] for name in ("Prefect server", "MLflow server", "worker"))
    assert prefect["PREFECT_API_DATABASE_CONNECTION_URL"] == "postgresql+asyncpg://me:secret@db/prefect"
    assert mlflow["MLFLOW_BACKEND_STORE_URI"] == "postgresql://me:secret@db/mlflow"
    assert mlflow["MLFLOW_ARTIFACTS_DESTINATION"] == "s3://bucket/files"
    assert mlflow["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert "secret" not in " ".join(worker.values())
    assert "secret" not in " ".join(word for _, words in seen.values() for word in words)
    assert "secret" not in text(shown)
    # Others may work on the runs of a database that is shared: they are not ended here.
    assert [note for note, _ in applied] == ["apply_deployments", "apply_automations"]
