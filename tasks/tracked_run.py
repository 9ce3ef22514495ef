"""One tracked run while it goes on: its parameters, metrics, files and end."""

import json
import logging
import math
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from components.contracts import Column, Dataset
from components.errors import OutsideError
from components.secrets import masked, shown, speakable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from mlflow import MlflowClient

FLUSH_SECONDS = 2.0
METRICS_KEPT = 500
METRICS_PER_CALL = 1000  # the API's limit
PARAMETERS_PER_CALL = 100  # the API's limit
LONGEST_PARAMETER = 6000
LONGEST_TAG = 5000
SERVER_FAULTS = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")
COLUMN_TYPES = {"number": "double", "flag": "double", "category": "string", "time": "datetime"}


_stopped: set[str] = set()  # ids of runs of this process that a person or the machine has stopped


class TrackedRun:
    """One run while it goes on, and the report to lend to what it does.

    Metrics are kept and sent together, at the latest two seconds after the next one arrives and at the end. When the
    run with the id ``parent`` has been stopped, the next report stops this one too: a signal reaches the main thread
    only, and the stages that go on in others would be waited for.
    """

    def __init__(self, client: "MlflowClient", uri: str, run_id: str, parent: str = "") -> None:
        self.run_id, self._parent = run_id, parent
        self._client, self._uri = client, uri
        self._kept: list[tuple[str, float, int, int]] = []
        self._lock = threading.Lock()
        self._sent = time.monotonic()
        self._wall, self._cpu = time.monotonic(), _cpu_seconds()
        self._begun = _milliseconds()

    def __call__(self, step: int, total: int, metrics: Mapping[str, float]) -> None:
        """Keep the metrics of one step; a store that does not answer is tried again later.

        Raises:
            KeyboardInterrupt: The run that this one is a part of has been stopped.
        """
        del total
        if self._parent in _stopped:
            raise KeyboardInterrupt
        self._keep(step, metrics)

    def _keep(self, step: int, metrics: Mapping[str, float]) -> None:
        now = _milliseconds()
        with self._lock:
            self._kept += [(safe(name), float(value), now, step) for name, value in metrics.items()]
            due = len(self._kept) >= METRICS_KEPT or time.monotonic() - self._sent > FLUSH_SECONDS
        if due:
            self.flush(final=False)

    def metrics(self, values: Mapping[str, float]) -> None:
        """Metrics of the run as a whole."""
        self._keep(0, values)

    def flush(self, final: bool = True) -> None:
        """Send what is kept.

        Raises:
            OutsideError: ``final``, and the store does not answer.
        """
        from mlflow.entities import Metric

        with self._lock:
            kept, self._kept, self._sent = self._kept, [], time.monotonic()
        try:
            for start in range(0, len(kept), METRICS_PER_CALL):
                batch = [Metric(*each) for each in kept[start : start + METRICS_PER_CALL]]
                with answering(self._uri):
                    self._client.log_batch(self.run_id, metrics=batch)
        except OutsideError:
            # A metric that arrives twice is stored once, so everything can be sent again.
            with self._lock:
                self._kept = kept + self._kept
            if final:
                raise

    def parameters(self, method: object | None) -> None:
        """Log the fields of a frozen method, nested ones as ``outer.inner``."""
        from mlflow.entities import Param

        flat = [Param(safe(name), value[:LONGEST_PARAMETER]) for name, value in flatten(method).items()]
        for start in range(0, len(flat), PARAMETERS_PER_CALL):
            with answering(self._uri):
                self._client.log_batch(self.run_id, params=flat[start : start + PARAMETERS_PER_CALL])

    def tags(self, values: Mapping[str, str]) -> None:
        """Set tags."""
        from mlflow.entities import RunTag

        with answering(self._uri):
            batch = [RunTag(safe(name), value[:LONGEST_TAG]) for name, value in values.items()]
            self._client.log_batch(self.run_id, tags=batch)

    def artifact(self, path: Path, folder: str = "") -> None:
        """Upload one file."""
        with answering(self._uri):
            self._client.log_artifact(self.run_id, str(path), folder or None)

    def artifacts(self, folder: Path, under: str = "") -> None:
        """Upload everything in a folder."""
        with answering(self._uri):
            self._client.log_artifacts(self.run_id, str(folder), under or None)

    def table(self, frame: "pd.DataFrame", name: str) -> None:
        """Upload a table as ``name``.csv, which the tracking page shows as a table."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"{name}.csv")
            frame.to_csv(path, index=False)
            self.artifact(path)

    def figure(self, figure: "Figure", name: str) -> None:
        """Upload a picture as ``name``.png."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"{name}.png")
            figure.savefig(path, dpi=120)
            self.artifact(path)

    def dataset(self, dataset: Dataset, context: str) -> None:
        """Record which data the run used and for what; name, digest, place and columns, no values."""
        from mlflow.entities import Dataset as Recorded
        from mlflow.entities import DatasetInput, InputTag

        recorded = Recorded(
            name=dataset.path.name,
            digest=dataset.digest[:16],
            source_type="local",
            source=json.dumps({"uri": dataset.path.absolute().as_uri()}),
            schema=json.dumps({"mlflow_colspec": [_colspec(column) for column in dataset.columns]}),
            profile=json.dumps({"num_rows": dataset.rows, "num_batches": len(dataset.batches)}),
        )
        used = DatasetInput(recorded, [InputTag("mlflow.data.context", context)])
        with answering(self._uri):
            twice_if_new(lambda: self._client.log_inputs(self.run_id, [used]))

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        """Another process gets a run of its own to log to; what is kept here is sent from here."""
        return reopened, (self._uri, self.run_id)

    def __enter__(self) -> "TrackedRun":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, Exception):
            _stopped.add(self.run_id)
        try:
            seconds = time.monotonic() - self._wall
            self.metrics({"wall_seconds": seconds, "cpu_seconds": _cpu_seconds() - self._cpu})
            self.flush()
            if error is not None:
                self.tags({"exception": masked(f"{type(error).__name__}: {error}")})
            status = "FINISHED" if error is None else "FAILED" if isinstance(error, Exception) else "KILLED"
            with answering(self._uri):
                # Not by the clock, which may have been set meanwhile: nothing takes less than no time.
                self._client.set_terminated(self.run_id, status, self._begun + round(1000 * seconds))
        except OutsideError as lost:
            if error is None:
                raise
            error.add_note(f"and tracking could not be told: {lost}")


def reopened(uri: str, run_id: str) -> TrackedRun:
    """A run that goes on elsewhere, to log to from here."""
    return TrackedRun(client_of(uri), uri, run_id)


@lru_cache
def client_of(uri: str) -> "MlflowClient":
    """The client of this process for the store at ``uri``."""
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):  # they announce every table they create
        logging.getLogger(name).setLevel(logging.WARNING)
    # It prints a page before it raises what becomes one sentence here.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@contextmanager
def answering(uri: str) -> Iterator[None]:
    """Turn a store that does not answer into one sentence; what the store refuses passes as it is.

    Raises:
        OutsideError: The block found that the store at ``uri`` does not answer.
    """
    import sqlalchemy.exc
    from mlflow.exceptions import MlflowException, RestException

    try:
        yield
    except RestException as error:
        if error.error_code in SERVER_FAULTS:
            raise unanswered(uri, error) from speakable(error)
        raise
    except MlflowException as error:
        causes = ("API request to", "OperationalError", "Max retries")
        if any(cause in str(error) for cause in causes):
            raise unanswered(uri, error) from speakable(error)
        raise
    except (OSError, sqlalchemy.exc.OperationalError) as error:
        raise unanswered(uri, error) from speakable(error)


def flatten(value: object, name: str = "") -> dict[str, str]:
    """The fields of a dataclass as text, those of nested dataclasses under ``outer.inner``; nothing for None."""
    if is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: getattr(value, field.name) for field in fields(value)}
    elif isinstance(value, Mapping):
        parts = {str(key): part for key, part in value.items()}
    elif isinstance(value, Sequence) and any(is_dataclass(part) for part in value):
        parts = {str(index): part for index, part in enumerate(value)}
    else:
        return {name: str(value)} if name else {}
    flat: dict[str, str] = {}
    for key, part in parts.items():
        flat |= flatten(part, f"{name}.{key}" if name else key)
    return flat


def twice_if_new(call: Callable[[], object]) -> None:
    """Call again when somebody else has made the same new thing in the same moment.

    MLflow looks a thing up and then inserts it. Of two who find none, the second is refused by the database; when it
    looks again, it finds what the first has made.
    """
    from mlflow.exceptions import MlflowException

    try:
        call()
    except MlflowException as error:
        if "unique" not in str(error).lower():
            raise
        call()


def unanswered(uri: str, error: Exception) -> OutsideError:
    """The sentence for a store that does not answer."""
    said = masked(error)
    driver = re.search(r"^\(?[\w.]+Error\) (.+)$", said, re.MULTILINE)  # as SQLAlchemy quotes it
    system = re.search(r"\[Errno -?\d+\] ([\w ]+)", said)  # at the end of a long line of MLflow's
    found = driver or system
    first = found[1] if found else (said.splitlines() or [type(error).__name__])[0]
    remedy = (
        "see whether its folder is there, has room and can be written, or set KINTSUGI_HOME"
        if uri.startswith("sqlite")
        else "start it, or unset KINTSUGI_TRACKING_URI to track in a file of the home folder"
    )
    return OutsideError(f"the tracking store {shown(uri)} does not answer ({first[:200]}); {remedy}")


def safe(name: str) -> str:
    """A name that MLflow takes: what it forbids becomes an underscore."""
    return re.sub(r"[^\w\-. /:]", "_", name)


def _colspec(column: Column) -> dict[str, object]:
    return {"name": column.name, "type": COLUMN_TYPES[column.kind], "required": False}


def _milliseconds() -> int:
    """The time as MLflow writes it."""
    return time.time_ns() // 1_000_000


def _cpu_seconds() -> float:
    """CPU seconds of this process and of the children that have ended."""
    return math.fsum(os.times()[:4])
