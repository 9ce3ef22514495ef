"""The programs that people and runs talk to: a Prefect API, an MLflow server, a worker."""

import importlib.metadata
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tasks.processes import HOST, Address, Member, Process, family, send
from tasks.processes import free_port as free_port  # for those who start a server of their own
from tasks.settings import PREFIX

DATABASE = "prefect.db"
POOL = "kintsugi"
WRITERS_WAIT = "kintsugi_sqlite_writers"  # tasks.sqlite_writers, as its entry point calls it
DATABASE_ELSEWHERE = ("PREFECT_API_DATABASE_CONNECTION_URL", "PREFECT_SERVER_DATABASE_CONNECTION_URL")
SECRET_PLACES = (  # addresses of databases hold passwords; who does not need them does not get them
    "MLFLOW_BACKEND_STORE_URI",
    "MLFLOW_REGISTRY_STORE_URI",
    "PREFECT_API_DATABASE_CONNECTION_URL",
    "PREFECT_API_DATABASE_PASSWORD",
    "PREFECT_SERVER_DATABASE_CONNECTION_URL",
    "PREFECT_SERVER_DATABASE_PASSWORD",
    f"{PREFIX}MLFLOW_STORE",
    f"{PREFIX}PREFECT_DATABASE",
)
NO_TELEMETRY = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PYTHONUNBUFFERED": "1",
}


class PrefectServer(Process):
    """A Prefect API and its pages, with its state in a folder or a database of yours.

    It needs 3 s to answer, 9 s on an empty folder for its migrations.

    ``port`` 0 is any free one. ``database_url`` is an ``sqlite+aiosqlite`` or ``postgresql+asyncpg`` URL; empty takes
    the one in ``PREFECT_API_DATABASE_CONNECTION_URL``, or else a file in the folder.
    """

    called = "Prefect server"

    def __init__(self, home: Path, port: int = 0, host: str = HOST, database_url: str = "") -> None:
        self.folder, self.database_url = home / "prefect", database_url
        super().__init__(self.folder / "server.log", Address(port, host))

    @property
    def page(self) -> str:
        """Address of its pages; final once ``wait`` has returned."""
        return self.address.url

    @property
    def url(self) -> str:
        """Address of the API; final once ``wait`` has returned."""
        return f"{self.address.url}/api"

    def _prepare(self) -> None:
        if not self.database_url:
            _from_template(self.folder / DATABASE)

    def _command(self) -> list[str]:
        return ["prefect", "server", "start", "--host", self.address.host, "--port", str(self.port)]

    def _environment(self) -> dict[str, str]:
        inherited = _inherited("PREFECT_API_URL", "PREFECT_PROFILE")
        own = NO_TELEMETRY | {
            "PREFECT_HOME": str(self.folder),
            "PREFECT_LOCAL_STORAGE_PATH": str(self.folder / "storage"),
            "PREFECT_LOGGING_LEVEL": "WARNING",
            # The server's own pages need no other origin, and pages of other sites must not order runs here.
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": inherited.get("PREFECT_SERVER_CORS_ALLOWED_ORIGINS", self.page),
            "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            # Its newer pages ask amplitude.com at every visit, whatever is said of analytics.
            "PREFECT_SERVER_UI_V2_ENABLED": "false",
            "PREFECT_UI_API_URL": "/api",  # under whichever name the browser knows this machine
        }
        if self.database_url:
            own["PREFECT_API_DATABASE_CONNECTION_URL"] = self.database_url
        elif not any(inherited.get(name) for name in DATABASE_ELSEWHERE):
            file = f"sqlite+aiosqlite:///{self.folder.absolute() / DATABASE}"
            own["PREFECT_API_DATABASE_CONNECTION_URL"] = f"{file}?plugin={WRITERS_WAIT}"
        return inherited | own

    def _ready(self) -> bool:
        return answers(f"{self.url}/health")


class MlflowServer(Process):
    """An MLflow tracking server and registry, with its pages.

    It checks the host that a request names (``MLFLOW_SERVER_ALLOWED_HOSTS`` allows more than this machine's own), and
    hands artifacts on itself, so that a run needs no access to the place where they are kept.

    ``port`` 0 is any free one. ``store_uri`` is an SQLAlchemy URL, ``artifacts`` a folder or a URL such as
    ``s3://bucket/path``; empty takes MLflow's own ``MLFLOW_BACKEND_STORE_URI`` and ``MLFLOW_ARTIFACTS_DESTINATION``, or
    else the file and the folder in ``home`` that runs without a server use as well.
    """

    called = "MLflow server"

    def __init__(self, home: Path, port: int = 0, host: str = HOST, store_uri: str = "", artifacts: str = "") -> None:
        self.home, self.store_uri, self.artifacts = home, store_uri, artifacts
        super().__init__(home / "mlflow.log", Address(port, host))

    @property
    def url(self) -> str:
        """Address of its pages and its API; final once ``wait`` has returned."""
        return self.address.url

    def _command(self) -> list[str]:
        return ["mlflow", "server", "--host", self.address.host, "--port", str(self.port), "--workers", "1"]

    def _environment(self) -> dict[str, str]:
        inherited = _inherited("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
        own = NO_TELEMETRY | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # else it starts seven more processes
        for name, given, usual in (
            ("MLFLOW_BACKEND_STORE_URI", self.store_uri, f"sqlite:///{self.home / 'mlflow.db'}"),
            ("MLFLOW_ARTIFACTS_DESTINATION", self.artifacts, str(self.home / "artifacts")),
        ):
            # By the environment: what stands in a command can be read by all users of the machine.
            own[name] = given or inherited.get(name, usual)
        return inherited | own

    def _ready(self) -> bool:
        return answers(f"{self.url}/health")


class Worker(Process):
    """A worker of Prefect: runs what others order, each run in a process of its own.

    The runs use the Prefect API at ``api_url``, the MLflow server at ``tracking_uri`` and the folder ``home``.
    """

    called = "worker"

    def __init__(self, home: Path, api_url: str, tracking_uri: str, name: str = POOL, pool: str = POOL) -> None:
        self.home, self.api_url, self.tracking_uri, self.name, self.pool = home, api_url, tracking_uri, name, pool
        self._before: str | None = None
        super().__init__(home / "prefect" / "worker.log")

    def _prepare(self) -> None:
        self._before = self._heard()

    def _command(self) -> list[str]:
        return ["prefect", "worker", "start", "--pool", self.pool, "--name", self.name, "--type", "process"]

    def _environment(self) -> dict[str, str]:
        folder = self.home / "prefect"
        inherited = {
            name: value for name, value in os.environ.items() if name not in (*SECRET_PLACES, "PREFECT_PROFILE")
        }
        return (
            inherited
            | NO_TELEMETRY
            | {
                "KINTSUGI_HOME": str(self.home),
                "KINTSUGI_PREFECT_API_URL": self.api_url,
                "KINTSUGI_TRACKING_URI": self.tracking_uri,
                "MLFLOW_TRACKING_URI": self.tracking_uri,
                "PREFECT_API_URL": self.api_url,
                "PREFECT_HOME": str(folder),
                "PREFECT_LOCAL_STORAGE_PATH": str(folder / "storage"),
                # The pages show every line; the log is for the worker's own troubles, and must not grow for ever.
                "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
                "PREFECT_WORKER_QUERY_SECONDS": os.environ.get("PREFECT_WORKER_QUERY_SECONDS", "5"),
            }
        )

    def _ready(self) -> bool:
        """Whether the API has heard of it since it was started."""
        return self._heard() not in (None, self._before)

    def _heard(self) -> str | None:
        """When the API last heard of a worker of this name."""
        try:
            known = asked(f"{self.api_url}/work_pools/{self.pool}/workers/filter", {})
        except OSError:
            return self._before
        return next((str(worker["last_heartbeat_time"]) for worker in known if worker["name"] == self.name), None)

    def _end(self, process: "subprocess.Popen[bytes]") -> list[Member]:
        """A worker that is told to end goes on as long as its runs do; so the runs are told, and end as crashed."""
        process.send_signal(signal.SIGSTOP)  # it starts nothing between the look at its children and its end
        members = family(process.pid)
        process.kill()
        for member in members:
            if member.parent == process.pid:
                send(member, signal.SIGTERM)
        return members


def answers(url: str) -> bool:
    """Whether a server says 200 there."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own http address
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def asked(url: str, question: Mapping[str, object]) -> Any:
    """What a server answers to a question in JSON.

    Raises:
        OSError: It does not answer, or with an error.
    """
    request = urllib.request.Request(  # noqa: S310 - our own http address
        url, json.dumps(question).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
        return json.load(answer)


def template() -> Path:
    """Where an empty, migrated database for this version of Prefect is kept, if an install has made one."""
    return Path(sys.prefix) / "share" / "kintsugi" / f"prefect-{importlib.metadata.version('prefect')}.db"


def prepare_template() -> None:
    """Make the template: a hundred migrations once at the install and not at the first run of every home."""
    if template().exists():
        return
    template().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        with embedded_prefect(Path(home)):
            pass
        part = template().with_suffix(".part")
        with closing(sqlite3.connect(Path(home, "prefect", DATABASE))) as made, closing(sqlite3.connect(part)) as copy:
            made.backup(copy)
        part.replace(template())


@contextmanager
def embedded_prefect(home: Path) -> Iterator[str]:
    """A Prefect API with its state in ``home/prefect``; gives its URL and stops it at the end, whatever happens.

    Raises:
        OutsideError: It does not come up.
    """
    server = PrefectServer(home)
    try:
        server.wait()
        yield server.url
    finally:
        server.stop()


def _from_template(database: Path) -> None:
    if template().exists() and not database.exists():
        part = database.with_suffix(f".{os.getpid()}.part")
        shutil.copyfile(template(), part)
        part.replace(database)


def _inherited(*without: str) -> dict[str, str]:
    """The environment of a server: this process's, without what concerns runs only."""
    return {name: value for name, value in os.environ.items() if name not in without and not name.startswith(PREFIX)}
