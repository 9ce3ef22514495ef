"""Everything that people operate, on this machine: servers, deployments, a worker, until they say stop."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.errors import InputError, OutsideError
from flows.deployments import Deployments, read_deployments
from flows.launch import PLAIN_WIDTH, settings_of
from tasks.locks import ALONE, try_lock
from tasks.processes import HOST, Process
from tasks.servers import DATABASE_ELSEWHERE, POOL, MlflowServer, PrefectServer, Worker
from tasks.settings import Settings, quiet_environment, shown

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WATCH_SECONDS = 0.5
ENDED_BEFORE = "Its process ended without a word, before kintsugi ui was started again."
ENDED_WITH_US = "It was stopped with kintsugi ui."


@dataclass(frozen=True)
class Site:
    """Where the servers listen, and what is deployed.

    Attributes:
        environment: Whose parameters the deployments have.
        host: Address the servers listen on.
        prefect_port: Port of the Prefect server, 0 for any free one.
        mlflow_port: Port of the MLflow server, 0 for any free one.
    """

    environment: str = "local"
    host: str = HOST
    prefect_port: int = 4200
    mlflow_port: int = 5000

    def __post_init__(self) -> None:
        if self.prefect_port and self.prefect_port == self.mlflow_port:
            raise InputError(f"--prefect-port and --mlflow-port must differ, both are {self.prefect_port}")


def operate(site: Site, home: Path | None, console: Console | None = None) -> None:
    """Start everything, say where it is, and stop it all on Ctrl-C or SIGTERM.

    Raises:
        InputError: A port is taken, a parameter is wrong, or a server elsewhere is set.
        OutsideError: Something does not come up, or ends by itself; the rest is stopped.
    """
    quiet_environment()
    settings, deployments = settings_of(home), read_deployments(site.environment)
    _refuse_other_servers(settings)
    printer = console or Console()
    if not printer.is_terminal:
        printer.width = PLAIN_WIDTH
    with _alone(settings), _stopped_by_signals(printer) as started:
        prefect, mlflow = _servers(site, settings)
        for server in (prefect, mlflow):
            started.append(server)
            server.start()
        for server in (prefect, mlflow):
            printer.print(f"{server.called}: starting", highlight=False)
            server.wait()
        printer.print(f"deployments: applying those of {site.environment}", highlight=False)
        _deploy(deployments, prefect, settings)
        worker = Worker(settings.home, prefect.url, mlflow.url)
        started.append(worker)
        printer.print("worker: starting", highlight=False)
        worker.wait()
        _tell(prefect, mlflow, deployments, printer)
        _watch(started)


def deploy(environment: str, home: Path | None, console: Console | None = None) -> None:
    """Make the deployments and automations of an environment in the Prefect API of the settings.

    Raises:
        InputError: A parameter is wrong, or no API is set.
        OutsideError: The API does not answer.
    """
    quiet_environment()
    settings, deployments = settings_of(home), read_deployments(environment)
    if not settings.prefect_api_url:
        raise InputError(
            "KINTSUGI_PREFECT_API_URL must name the Prefect API to deploy to, it is not set; "
            "kintsugi ui starts one on this machine and deploys to it"
        )
    _apply(deployments, settings.prefect_api_url, settings)
    printer = console or Console()
    address = shown(settings.prefect_api_url)
    printer.print(f"deployed for {environment} to {address}: {', '.join(deployments.names)}", highlight=False)
    printer.print(f"a worker runs them where their data are: prefect worker start --pool {POOL}", highlight=False)


def _refuse_other_servers(settings: Settings) -> None:
    for name, value in (("TRACKING_URI", settings.tracking_uri), ("PREFECT_API_URL", settings.prefect_api_url)):
        if value:
            raise InputError(
                f"KINTSUGI_{name} must not be set for kintsugi ui, which starts servers of its own, got "
                f"{shown(value)}; unset it, or use kintsugi deploy and a worker with the servers that run"
            )


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        file = (settings.home / ".ui").open("ab")
    except OSError as error:
        raise OutsideError(
            f"home folder {settings.home} must be writable ({error.strerror}); set KINTSUGI_HOME"
        ) from error
    with file:
        if not try_lock(file, ALONE):
            raise OutsideError(f"kintsugi ui runs in {settings.home} already; stop it, or choose another --home")
        yield


@contextmanager
def _stopped_by_signals(printer: Console) -> Iterator[list[Process]]:
    """Lends a list for what is started; all of it is stopped at the end, the last one first. A signal is an end too."""
    watched = [sign for sign in STOPPING if signal.getsignal(sign) is not signal.SIG_IGN]  # nohup ignores one
    former = {sign: signal.signal(sign, signal.default_int_handler) for sign in watched}
    started: list[Process] = []
    try:
        with suppress(KeyboardInterrupt):
            yield started
    finally:
        for sign in watched:
            signal.signal(sign, signal.SIG_IGN)  # an impatient second one must not leave a process behind
        _stop(started, printer)
        for sign, handler in former.items():
            signal.signal(sign, handler)


def _stop(started: list[Process], printer: Console) -> None:
    printer.print("\nstopping", highlight=False)
    while started:
        each = started.pop()
        each.stop()
        if isinstance(each, Worker):
            with suppress(OutsideError):  # what cannot be said now is found out at the next start
                _end_left_over(started[0], ENDED_WITH_US)
    printer.print("stopped", highlight=False)


def _servers(site: Site, settings: Settings) -> tuple[PrefectServer, MlflowServer]:
    prefect = PrefectServer(settings.home, site.prefect_port, site.host, settings.prefect_database.get_secret_value())
    mlflow = MlflowServer(
        settings.home, site.mlflow_port, site.host, settings.mlflow_store.get_secret_value(), settings.mlflow_artifacts
    )
    for server, option in ((prefect, "--prefect-port"), (mlflow, "--mlflow-port")):
        try:
            server.address.choose()
        except InputError as error:
            raise InputError(f"{option}: {error}") from error
    return prefect, mlflow


def _deploy(deployments: Deployments, prefect: PrefectServer, settings: Settings) -> None:
    # As for a run from the command line: Prefect reads them when it is imported, which is not before now.
    os.environ |= {"PREFECT_HOME": str(prefect.folder), "PREFECT_API_URL": prefect.url}
    _end_left_over(prefect, ENDED_BEFORE)
    _apply(deployments, prefect.url, settings)


def _apply(deployments: Deployments, api_url: str, settings: Settings) -> None:
    from tasks.deployments import apply_automations, apply_deployments

    apply_deployments(deployments.file, deployments.root, api_url, settings.prefect)
    apply_automations(deployments.automations, api_url)


def _end_left_over(prefect: Process, message: str) -> None:
    """Mark runs as crashed whose worker is gone, where nobody else can have a worker on the runs of this server."""
    elsewhere = any(os.environ.get(name) for name in DATABASE_ELSEWHERE)
    if isinstance(prefect, PrefectServer) and prefect.running and not prefect.database_url and not elsewhere:
        from tasks.deployments import crash_unfinished

        crash_unfinished(POOL, prefect.url, message)


def _watch(started: list[Process]) -> None:
    while True:
        for each in started:
            if not each.running:
                raise OutsideError(f"the {each.called} ended by itself; its log {each.log} ends: {each.last_words()}")
        time.sleep(WATCH_SECONDS)


def _tell(prefect: PrefectServer, mlflow: MlflowServer, deployments: Deployments, printer: Console) -> None:
    names = ", ".join(deployments.names)
    rows = (
        ("runs", f"{prefect.page}/deployments", f"{names}: open one, then Run, Custom run for its form"),
        ("events", f"{prefect.page}/automations", "what starts an update, and what ends runs that fell silent"),
        ("results", f"{mlflow.url}/#/experiments", "switch to Model training; a table of runs for each data set"),
        ("models", f"{mlflow.url}/#/models", "versions, their model cards, and which is champion"),
    )
    table = Table(header_style="bold", box=None, pad_edge=False)
    for name in ("for", "open", "what is there"):
        table.add_column(name, no_wrap=name == "open")
    for row in rows:
        table.add_row(*map(Text, row))
    printer.print()
    printer.print(table)
    printer.print(
        f"\nfor other shells:  export KINTSUGI_PREFECT_API_URL={prefect.url} KINTSUGI_TRACKING_URI={mlflow.url}",
        highlight=False,
        soft_wrap=True,
    )
    printer.print(f"logs:              {prefect.folder}, {mlflow.log}", highlight=False, soft_wrap=True)
    printer.print("\nCtrl-C stops everything.", highlight=False)
