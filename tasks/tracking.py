"""One tracked run a flow run, one nested run a stage, safe to use from many threads at once.

Runs are named by their id in every call: MLflow's own active run is a stack per thread, which a task runner's
worker threads would not share with the flow.
"""

import os
import sqlite3
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from components.errors import InputError, OutsideError
from components.secrets import filled, shown, speakable
from tasks.locks import locked_file
from tasks.secrets import secret
from tasks.settings import Settings
from tasks.tracked_run import TrackedRun, answering, client_of, safe, unanswered

if TYPE_CHECKING:
    from mlflow import MlflowClient

PATIENCE = {  # a server that is down is known within seconds, not after MLflow's own 7 tries of 120 s each
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}  # its page opens on runs, not on chat traces
KNOCK_SECONDS = 4.0


@dataclass(frozen=True)
class Tracking:
    """An experiment in a tracking store. Small and picklable: it can be handed to any thread or process.

    Attributes:
        uri: Address of the store, an http(s) or sqlite URL.
        experiment: Name of the experiment.
        experiment_id: Its id in the store.
    """

    uri: str = field(repr=False)
    experiment: str
    experiment_id: str

    @property
    def client(self) -> "MlflowClient":
        """The client of this process for this store."""
        return client_of(self.uri)

    @contextmanager
    def tracked_run(self, name: str, tags: Mapping[str, str] | None = None) -> Iterator[TrackedRun]:
        """A run that stages can be nested in; FINISHED when the block ends, FAILED when it raises.

        Raises:
            OutsideError: The store does not answer.
        """
        with self._run(name, dict(tags or {})) as run:
            yield run

    @contextmanager
    def stage(
        self, name: str, method: object | None, parent: str, tags: Mapping[str, str] | None = None
    ) -> Iterator[TrackedRun]:
        """A run nested in the run with the id ``parent``, with the fields of ``method`` as its parameters.

        Raises:
            OutsideError: The store does not answer.
        """
        with self._run(name, {"mlflow.parentRunId": parent, **(tags or {})}) as run:
            run.parameters(method)
            yield run

    def run_url(self, run_id: str) -> str:
        """Where a person can see a run in a browser; empty for a store that is a file."""
        if not self.uri.startswith("http"):
            return ""
        return f"{shown(self.uri).rstrip('/')}/#/experiments/{self.experiment_id}/runs/{run_id}"

    @contextmanager
    def _run(self, name: str, tags: dict[str, str]) -> Iterator[TrackedRun]:
        tags |= {"mlflow.source.name": "kintsugi", "mlflow.source.type": "LOCAL"}
        with answering(self.uri):
            created = self.client.create_run(self.experiment_id, tags=tags, run_name=name)
        with TrackedRun(self.client, self.uri, created.info.run_id, tags.get("mlflow.parentRunId", "")) as run:
            yield run


def open_tracking(settings: Settings, experiment: str) -> Tracking:
    """The tracking store of ``settings``, found to answer, with an experiment to log to.

    Raises:
        OutsideError: The store does not answer.
        InputError: The experiment was deleted in the store.
    """
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    uri = filled("KINTSUGI_TRACKING_URI", settings.tracking_uri, secret) or f"sqlite:///{settings.database}"
    if uri.startswith("http"):
        _knock(uri)
    elif not settings.tracking_uri:
        _prepare(settings)
    with answering(uri), _making_tables(settings):
        return Tracking(uri, experiment, _experiment_id(uri, experiment, settings.artifacts))


@contextmanager
def _making_tables(settings: Settings) -> Iterator[None]:
    """Who opens a store in a file first makes its tables; a second process would stumble over half of them."""
    if settings.tracking_uri:
        yield
    else:
        with locked_file(settings.home / ".tracking-lock"):
            yield


def _experiment_id(uri: str, name: str, artifacts: Path) -> str:
    from mlflow.exceptions import MlflowException

    client = client_of(uri)
    found = client.get_experiment_by_name(name)
    if found is None:
        # A server decides itself where artifacts go; a file store would put them below the working directory.
        place = None if uri.startswith("http") else (artifacts / safe(name).replace("/", "-")).as_uri()
        try:
            return str(client.create_experiment(name, artifact_location=place, tags=EXPERIMENT_TAGS))
        except MlflowException as error:
            found = client.get_experiment_by_name(name)  # somebody else was faster
            if found is None:
                raise error
    if found.lifecycle_stage != "active":
        raise InputError(f"experiment {name!r} was deleted in MLflow; restore it or choose another name")
    return str(found.experiment_id)


def _prepare(settings: Settings) -> None:
    # MLflow itself would try a file that cannot be opened for 100 s.
    try:
        settings.artifacts.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(settings.database)) as database:
            database.execute("pragma schema_version")
    except (OSError, sqlite3.Error) as error:
        raise OutsideError(
            f"the tracking store {settings.database} cannot be opened ({error}); mend it or set KINTSUGI_HOME"
        ) from error


def _knock(uri: str) -> None:
    try:
        # The health page wants no user, and urllib would take one for a part of the host.
        with urllib.request.urlopen(f"{shown(uri).rstrip('/')}/health", timeout=KNOCK_SECONDS):  # noqa: S310 - http(s) only
            return
    except (OSError, ValueError) as error:
        raise unanswered(uri, error) from speakable(error)
