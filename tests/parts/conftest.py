"""The chain on the parts of a production site: PostgreSQL, servers in processes of their own, an object store.

Everything listens on 127.0.0.1 on a free port and is stopped by its pid by the fixture that started it. The runs are
processes too: they talk to the servers by their addresses and share nothing else, as workers on two machines would.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from tasks.processes import HOST, Process, free_port
from tasks.servers import MlflowServer, PrefectServer, answers

ROOT = Path(__file__).parents[2]
PATIENCE = 90.0
# Every sign that would have to be escaped in an address: the password must never travel in one.
PASSWORD = "k@in:t/su%gi ?#&"
USER = "kintsugi"
BUCKET = "kintsugi"
KEYS = {"AWS_ACCESS_KEY_ID": "tracking", "AWS_SECRET_ACCESS_KEY": "server-only", "AWS_DEFAULT_REGION": "eu-central-1"}
SPECIFICATION: dict[str, Any] = {
    "name": "shop",
    "source": {"kind": "csv", "path": "shop.csv"},
    "label_frequency": {"value": 0.6, "low": 0.5, "high": 0.7, "source": "the world"},
    "columns": {
        "month": {"role": "time", "kind": "number"},
        "left": {"role": "weak_label", "kind": "flag"},
        "audited": {"role": "evaluation_label", "kind": "flag"},
        "calls": {"description": "calls"},
        "price": {"description": "price"},
        "visits": {"description": "visits"},
    },
}
CONFIG: dict[str, Any] = {
    "discovery": {"replicates": 3},
    "training": {"head": {"kind": "linear"}, "features": "all", "rule": {"epochs": 6}},
    "update": {"rule": {"rule": {"epochs": 4}}, "drift": {"permutations": 20}},
    "tuning": {"rounds": 1},
    "evaluation": {"resamples": 20},
}
# A consumer knows MLflow and the columns, nothing else of Kintsugi.
CONSUMER = """
import sys, mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
answer = model.predict(pandas.read_csv(sys.argv[2])[["calls", "price", "visits"]].head(50))
answer.to_csv(sys.argv[3], index=False)
"""
GATES = {"gates": [{"metric": "log_loss", "limit": 0.69}]}


@dataclass
class Cluster:
    """A PostgreSQL cluster in a folder of its own, with a password that is asked for on every connection."""

    programs: Path
    folder: Path
    owner: pwd.struct_passwd
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def create(self) -> None:
        os.chown(self.folder, self.owner.pw_uid, self.owner.pw_gid)
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        os.chown(secret, self.owner.pw_uid, self.owner.pw_gid)
        words = ["--username", USER, "--auth", "scram-sha-256", "--pwfile", str(secret), "--encoding", "UTF8"]
        self._run([str(self.programs / "initdb"), "-D", str(self.folder / "data"), "--no-sync", *words])
        secret.unlink()

    def start(self) -> None:
        command = [str(self.programs / "postgres"), "-D", str(self.folder / "data"), "-h", HOST, "-p", str(self.port)]
        with (self.folder / "postgres.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "-k", "", "-F"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._owned()
            )
        deadline = time.monotonic() + PATIENCE
        while not self._accepts():
            assert self.process.poll() is None, (self.folder / "postgres.log").read_text()
            assert time.monotonic() < deadline, "PostgreSQL does not accept connections"
            time.sleep(0.05)

    def stop(self) -> None:
        """Fast shutdown (SIGINT): connections are closed, what was committed is kept."""
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(20)

    def sql(self, database: str, *statements: str) -> list[Any]:
        """The first column of the answer of the last statement."""
        import psycopg2

        connection = psycopg2.connect(host=HOST, port=self.port, user=USER, password=PASSWORD, dbname=database)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return [row[0] for row in cursor.fetchall()] if cursor.description else []
        finally:
            connection.close()

    def url(self, driver: str, database: str) -> str:
        """Address without a password: both drivers take that from PGPASSWORD."""
        return f"postgresql+{driver}://{USER}@{HOST}:{self.port}/{database}"

    def _accepts(self) -> bool:
        from psycopg2 import OperationalError

        with suppress(OperationalError):
            return self.sql("postgres", "select 1") == [1]
        return False

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False, **self._owned())
        assert done.returncode == 0, done.stderr

    def _owned(self) -> dict[str, Any]:
        """PostgreSQL refuses to run as root; where we are not root it runs as us."""
        here: dict[str, Any] = {"cwd": self.folder}
        if os.geteuid() != 0:
            return here
        return here | {"user": self.owner.pw_uid, "group": self.owner.pw_gid, "extra_groups": []}


def postgres_programs() -> Path | None:
    """The newest PostgreSQL of this machine: Debian keeps its programs off the PATH."""
    found = [Path(path).resolve().parent for path in [shutil.which("initdb")] if path]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    whole = [folder for folder in found if (folder / "initdb").is_file() and (folder / "postgres").is_file()]
    return whole[-1] if whole else None


def owner() -> pwd.struct_passwd | None:
    """Who runs PostgreSQL: ourselves, or an unprivileged user when we are root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return known.get("postgres") or known.get("nobody")


@pytest.fixture(scope="session")
def database() -> Iterator[Cluster | None]:
    """A running cluster with the databases that deploy/ makes; None where PostgreSQL is not installed."""
    programs, runs_it = postgres_programs(), owner()
    if programs is None or runs_it is None:
        yield None
        return
    # Below /tmp itself: pytest's own folders are closed to every other user.
    folder = Path(tempfile.mkdtemp(prefix="kintsugi-postgres-"))
    cluster = Cluster(programs, folder, runs_it)
    try:
        cluster.create()
        cluster.start()
        statements = (ROOT / "deploy" / "kubernetes" / "databases.sql").read_text().split(";")
        cluster.sql("postgres", *(each for each in statements if each.strip()))
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(database: Cluster | None) -> Cluster:
    """The same, for tests that are about nothing else."""
    if database is None:
        pytest.skip("PostgreSQL is not installed (initdb below /usr/lib/postgresql); make system installs it")
    return database


def environment(**more: str) -> dict[str, str]:
    """What a process of a test sees: nothing of the developer's own settings."""
    ours = ("KINTSUGI_", "PREFECT_", "MLFLOW_", "AWS_", "PG")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return (
        kept
        | {
            "DO_NOT_TRACK": "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "OMP_NUM_THREADS": "1",
        }
        | more
    )


class ObjectStore(Process):
    """A store that speaks S3 and forgets everything at its end."""

    called = "object store"

    @property
    def url(self) -> str:
        return self.address.url

    def _command(self) -> list[str]:
        return ["moto.server", "--host", self.address.host, "--port", str(self.port)]

    def _environment(self) -> dict[str, str]:
        return environment()

    def _ready(self) -> bool:
        return answers(f"{self.url}/moto-api/")


@contextmanager
def knowing(variables: Mapping[str, str]) -> Iterator[None]:
    """What is started in the block finds these variables, and nobody after it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


def write_world(folder: Path) -> Path:
    """A table of three months whose truth is known, its specification, configuration and gates."""
    random = np.random.default_rng(11)
    rows = 900
    calls, price = random.exponential(1, rows), random.uniform(-1, 1, rows)
    visits = 0.7 * calls + random.laplace(0, 0.5, rows)
    audited = random.uniform(size=rows) < 1 / (1 + np.exp(-(1.5 * calls - 1.5 - 2 * price)))
    left = audited & (random.uniform(size=rows) < 0.6)
    table = {"month": np.repeat([1, 2, 3], rows // 3), "left": left.astype(int), "audited": audited.astype(int)}
    folder.mkdir(parents=True)
    frame = pd.DataFrame(table | {"calls": calls, "price": price, "visits": visits})
    frame.to_csv(folder / "shop.csv", index=False)
    for name, content in (("shop", SPECIFICATION), ("config", CONFIG), ("gates", GATES)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return folder


@dataclass(frozen=True)
class Site:
    """Servers, the world whose model was learnt with them, and two runs that began in the same moment.

    Attributes:
        folder: Where the homes of the runs, ``one`` and ``two``, and the logs of the servers lie.
        world: Folder of table, specification, configuration and gates.
        prefect: The Prefect API.
        mlflow: The tracking server.
        store: The object store.
    """

    folder: Path
    world: Path
    prefect: PrefectServer
    mlflow: MlflowServer
    store: ObjectStore

    @property
    def client(self) -> Any:
        """A client of the tracking server."""
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.mlflow.url, registry_uri=self.mlflow.url)

    def start(self, home: str) -> subprocess.Popen[str]:
        """A run of the whole chain in a process, as ``kintsugi run`` from a shell."""
        files = ["--data", str(self.world / "shop.yaml"), "--config", str(self.world / "config.yaml")]
        code = "from flows.cli import main; main()"
        return self.process(home, "-c", code, "run", *files, "--set", f"gates={self.world / 'gates.yaml'}")

    def process(self, home: str, *words: str) -> subprocess.Popen[str]:
        """Python with the settings of this site, which hold no password and no key."""
        settings = {
            "KINTSUGI_HOME": str(self.folder / home),
            "KINTSUGI_LLM": "none",
            "KINTSUGI_MAP": "inline",
            "KINTSUGI_PREFECT_API_URL": self.prefect.url,
            "KINTSUGI_TRACKING_URI": self.mlflow.url,
            "MLFLOW_TRACKING_URI": self.mlflow.url,
        }
        return subprocess.Popen(
            [sys.executable, *words],
            env=environment(**settings),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def consume(self, uri: str) -> pd.DataFrame:
        """The answers of a registered model to fifty rows, from a process that only knows the tracking server."""
        answer = self.folder / "answer.csv"
        finish(self.process("nowhere", "-c", CONSUMER, uri, str(self.world / "shop.csv"), str(answer)))
        assert not (self.folder / "nowhere").exists()
        return pd.read_csv(answer)


@pytest.fixture(scope="session")
def site(database: Cluster | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The chain, run twice at once on empty databases and an empty bucket."""
    folder = tmp_path_factory.mktemp("site")
    prefect, mlflow = PrefectServer(folder), MlflowServer(folder, artifacts=f"s3://{BUCKET}/files")
    secret = KEYS | {"PGPASSWORD": PASSWORD}
    if database is not None:
        prefect.database_url, mlflow.store_uri = database.url("asyncpg", "prefect"), database.url("psycopg2", "mlflow")
    store = ObjectStore(folder / "store.log")
    with ExitStack() as stack:
        for server in (store, prefect, mlflow):
            stack.callback(server.stop)
        store.start()
        with knowing(secret):
            prefect.start()
        bucket(store.wait())
        with knowing(secret | {"MLFLOW_S3_ENDPOINT_URL": store.url}):
            mlflow.start()
        ready = Site(folder, write_world(folder / "world"), prefect, mlflow, store)
        for server in (prefect, mlflow):
            server.wait()
        runs = [ready.start("one"), ready.start("two")]
        for run in runs:
            stack.callback(run.kill)
        for run in runs:
            finish(run)
        yield ready


@pytest.fixture
def objects(site: Site) -> Any:
    """The bucket of the site."""
    return bucket(site.store.url)


def bucket(url: str) -> Any:
    """The one bucket of the store at ``url``; made when it is not there."""
    import boto3

    names = {"AWS_ACCESS_KEY_ID": "aws_access_key_id", "AWS_SECRET_ACCESS_KEY": "aws_secret_access_key"}
    keys = {name: KEYS[variable] for variable, name in names.items()}
    found = boto3.resource("s3", endpoint_url=url, region_name=KEYS["AWS_DEFAULT_REGION"], **keys).Bucket(BUCKET)
    if found.creation_date is None:
        found.create(CreateBucketConfiguration={"LocationConstraint": KEYS["AWS_DEFAULT_REGION"]})
    return found


def finish(process: subprocess.Popen[str], seconds: float = 240) -> str:
    """What a process has said, once it has ended well."""
    try:
        said, _ = process.communicate(timeout=seconds)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    assert process.returncode == 0, said
    return said


@pytest.fixture(scope="session")
def secrets() -> tuple[str, ...]:
    """What only the servers may know."""
    return PASSWORD, KEYS["AWS_SECRET_ACCESS_KEY"]
