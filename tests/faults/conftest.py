"""``kintsugi`` as people start it, in processes of their own, on a table small enough to break a run many times.

Importing torch, MLflow and lingam takes longer than everything a run here does. So one process imports them, and each
command is a fork of it: a real process with its own session, environment, signals and exit code. Prefect is not
among the imports, because it reads its settings when it is imported.
"""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from tasks.processes import free_port
from tasks.servers import MlflowServer, PrefectServer

MARK = "MARK_OF_A_TEST"  # servers are started without the variables of Kintsugi
PATIENCE = 120.0

FORKING = """
import json, os, signal, sys, traceback
import dask.dataframe, joblib, lingam, matplotlib.pyplot, mlflow, mlflow.pyfunc, pandas, pandera.pandas
import pydantic_settings
import scipy.stats, sklearn.ensemble, sqlalchemy, torch, typer, rich.progress
import components.learner, components.updating, components.assessment, components.ingestion
print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    if os.fork():
        os.wait()
        continue
    if os.fork():
        os._exit(0)  # so that the one who waits for the run is nobody's child
    child = os.fork()
    if child:
        place = os.path.join(order["folder"], "pid")
        open(place + ".new", "w").write(str(child))
        os.rename(place + ".new", place)
        _, status = os.waitpid(child, 0)
        place = os.path.join(order["folder"], "code")
        open(place + ".new", "w").write(str(os.waitstatus_to_exitcode(status)))
        os.rename(place + ".new", place)
        os._exit(0)
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(os.path.join(order["folder"], name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["kintsugi", *order["words"]]
    exec(order["prelude"])
    from flows.cli import main
    main()
    sys.exit()
"""


@dataclass(frozen=True)
class Ended:
    """How a command came out.

    Attributes:
        code: Its exit code; that of a process ended by a signal is the negative number of the signal.
        out: Its standard output.
        err: Its standard error.
    """

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one line that says what is wrong, after lines of progress."""
        assert "Traceback" not in self.out + self.err, self.err
        lines = [line for line in self.err.splitlines() if line.strip()]
        assert [line.startswith("kintsugi:") for line in lines].count(True) == 1, self.err
        assert lines[-1].startswith("kintsugi: "), self.err
        return lines[-1]

    @property
    def stages(self) -> dict[str, str]:
        """How each stage that ended came out: done, reused or failed."""
        return dict(re.findall(r"^(\w+): (done|reused|failed) in", self.err, re.MULTILINE))

    @property
    def summary(self) -> str:
        """What it said of the data and what it found, without places and times."""
        return self.out.partition("\ntime\n")[0]


@dataclass
class Going:
    """A command that goes on.

    Attributes:
        folder: Holds its output.
        mark: Stands in the environment of every process that it starts.
    """

    folder: Path
    mark: str

    @property
    def pid(self) -> int:
        """Of its process."""
        until(lambda: (self.folder / "pid").exists())
        return int((self.folder / "pid").read_text())

    def said(self, words: str) -> "Going":
        """Wait until its standard error holds ``words``."""
        until(lambda: words in self._read("err") or (self.folder / "code").exists())
        assert words in self._read("err"), self._read("err")
        return self

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def end(self) -> Ended:
        """Wait for its end."""
        until(lambda: (self.folder / "code").exists())
        return Ended(int((self.folder / "code").read_text()), self._read("out"), self._read("err"))

    def left(self) -> list[str]:
        """Processes that it started and that still run some seconds after its end."""
        deadline = time.monotonic() + 15
        while found := self._running():
            if time.monotonic() > deadline:
                return found
            time.sleep(0.1)
        return []

    def _running(self) -> list[str]:
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                fields = (place / "stat").read_text().rpartition(")")[2].split()
                marked = self.mark.encode() in (place / "environ").read_bytes()
                if fields[0] != "Z" and (marked or int(fields[3]) == self.pid):
                    found.append((place / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
        return found

    def _read(self, name: str) -> str:
        place = self.folder / name
        return place.read_text(errors="replace") if place.exists() else ""


def until(true: Callable[[], bool], within: float = PATIENCE) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@dataclass
class Kintsugi:
    """Starts commands.

    Attributes:
        process: The one that is forked.
        folder: For their output.
        environment: What each of them finds.
    """

    process: "subprocess.Popen[str]"
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, *words: object, prelude: str = "", **environment: object) -> Going:
        """Start a command; ``prelude`` is run before it, in its process."""
        mark = uuid.uuid4().hex
        going = Going(self.folder / mark, mark)
        going.folder.mkdir()
        given = {name: str(value) for name, value in environment.items() if value is not None}
        order = {
            "words": [str(word) for word in words],
            "folder": str(going.folder),
            "environment": self.environment | given | {MARK: mark},
            "prelude": prelude,
        }
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return going

    def run(self, *words: object, **environment: object) -> Ended:
        """Run a command to its end."""
        return self.start(*words, **environment).end()

    @staticmethod
    def statuses(home: Path) -> list[str]:
        """Of all tracked runs in the store of a home folder."""
        with closing(sqlite3.connect(home / "mlflow.db")) as database:
            return [status for (status,) in database.execute("select status from runs")]

    @staticmethod
    def digests(home: Path) -> list[str]:
        """Of all versions of models in the store of a home folder."""
        with closing(sqlite3.connect(home / "mlflow.db")) as database:
            asked = "select t.value from model_versions v left join model_version_tags t"
            joined = "on t.name = v.name and t.version = v.version and t.key = 'digest'"
            return [digest for (digest,) in database.execute(f"{asked} {joined}")]


@pytest.fixture(scope="session")
def _forking(tmp_path_factory: pytest.TempPathFactory) -> Iterator["subprocess.Popen[str]"]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KINTSUGI_", "PREFECT_"))}
    environment |= {"MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", FORKING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=tmp_path_factory.mktemp("forking"),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        assert process.stdout.readline() == "ready\n"
        yield process
    process.wait()


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A Prefect API for all runs that do not break it."""
    server = PrefectServer(tmp_path_factory.mktemp("prefect"))
    server.wait()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory, prefect_server: PrefectServer) -> Iterator[MlflowServer]:
    """A tracking server, for the runs that use one."""
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"), free_port())
    server.start()
    server.wait()
    yield server
    server.stop()


@pytest.fixture
def kintsugi(_forking: "subprocess.Popen[str]", prefect_server: PrefectServer, home: Path, tmp_path: Path) -> Kintsugi:
    """The command line; it uses the shared Prefect API, and tracks in its own home folder."""
    return _command_line(_forking, prefect_server, home, tmp_path)


def _command_line(
    forking: "subprocess.Popen[str]", prefect_server: PrefectServer, home: Path, folder: Path
) -> Kintsugi:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("KINTSUGI_", "PREFECT_"))}
    (folder / "commands").mkdir()
    own = {
        "KINTSUGI_HOME": str(home),
        "KINTSUGI_LLM": "none",
        "KINTSUGI_MAP": "inline",
        "KINTSUGI_RUNNER": "inline",
        "KINTSUGI_PREFECT_API_URL": prefect_server.url,
        "OMP_NUM_THREADS": "1",
    }
    return Kintsugi(forking, folder / "commands", inherited | own)


@pytest.fixture(scope="session")
def _tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracking store that has its tables: to make them takes seconds, to copy them does not."""
    from tasks.settings import Settings
    from tasks.tracking import open_tracking

    settings = Settings(home=tmp_path_factory.mktemp("store"))
    open_tracking(settings, "Default")
    return settings.database


@pytest.fixture(scope="session")
def untouched(
    _forking: "subprocess.Popen[str]",
    prefect_server: PrefectServer,
    _tables: Path,
    table: "Table",
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, str]:
    """Digest of the model and summary of a run of the whole chain that nothing happened to."""
    folder = tmp_path_factory.mktemp("untouched")
    home = _new_home(folder, _tables)
    kintsugi = _command_line(_forking, prefect_server, home, folder)
    ended = kintsugi.run(*table.words())
    assert ended.code == 0, ended.err
    (digest,) = kintsugi.digests(home)
    return digest, ended.summary


@pytest.fixture
def home(tmp_path: Path, _tables: Path) -> Path:
    """A home folder in which nothing has happened yet."""
    return _new_home(tmp_path, _tables)


def _new_home(folder: Path, tables: Path) -> Path:
    home = folder / "home"
    home.mkdir()
    shutil.copy(tables, home / "mlflow.db")
    return home


def world(rows: int = 600, seed: int = 5) -> pd.DataFrame:
    """Two years of numbers in which dose makes pressure, and pressure makes people ill, of whom some are told."""
    random = np.random.default_rng(seed)
    year = np.repeat([2019, 2020], rows // 2)
    dose = random.exponential(1.0, rows)
    pressure = 0.8 * dose + random.laplace(0, 0.5, rows)
    ill = random.uniform(size=rows) < 1 / (1 + np.exp(1.5 - 1.5 * pressure))
    told = ill & (random.uniform(size=rows) < 0.6)
    columns = {"visit": np.arange(rows), "year": year, "told": told.astype(int), "ill": ill.astype(int)}
    return pd.DataFrame(columns | {"dose": dose.round(4), "pressure": pressure.round(4)})


SAID: dict[str, Any] = {
    "name": "tiny",
    "source": {"kind": "csv", "path": "visits.csv"},
    "label_frequency": {"value": 0.6, "low": 0.55, "high": 0.65, "source": "the world"},
    "columns": {
        "visit": {"role": "id"},
        "year": {"role": "time"},
        "told": {"role": "weak_label", "kind": "flag"},
        "ill": {"role": "evaluation_label", "kind": "flag"},
        "dose": {},
        "pressure": {},
    },
}
SMALL: dict[str, Any] = {
    "discovery": {"replicates": 2},
    "training": {"head": {"kind": "linear"}, "features": "all", "rule": {"epochs": 1}},
    "update": {"rule": {"rule": {"epochs": 1}}, "drift": {"permutations": 5}},
    "tuning": {"rounds": 1},
    "evaluation": {"resamples": 20},
}


@dataclass(frozen=True)
class Table:
    """A specification with its table.

    Attributes:
        specification: The YAML file.
        config: A configuration that takes seconds.
    """

    specification: Path
    config: Path

    def words(self, command: str = "run") -> list[object]:
        """Of a command on it."""
        small = ["--config", self.config] if command == "run" else ["--set", "discovery.replicates=2"]
        return [command, "--data", self.specification, *small]


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """The table of all runs, never changed."""
    folder = tmp_path_factory.mktemp("table")
    world().to_csv(folder / "visits.csv", index=False)
    specification, config = folder / "tiny.yaml", folder / "small.yaml"
    specification.write_text(yaml.safe_dump(SAID, sort_keys=False), encoding="utf-8")
    config.write_text(yaml.safe_dump(SMALL), encoding="utf-8")
    return Table(specification, config)
