"""What runs that were killed have left behind, and who uses a home folder right now."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from components.errors import OutsideError
from tasks.locks import ALONE, SHARED, lock, try_lock
from tasks.settings import Settings
from tasks.tracked_run import answering
from tasks.tracking import Tracking

OWNER = "kintsugi.owner"
UNFINISHED = ".unfinished-*"


def owner(settings: Settings) -> str:
    """Machine and home folder: runs that say so, and were not ended, died when nobody uses the folder."""
    return f"{socket.gethostname()}:{settings.home}"


@contextmanager
def in_use(settings: Settings, tracking: Tracking) -> Iterator[None]:
    """Mark the home folder as used while the block runs; who comes when nobody else is there tidies up first.

    The mark is a lock that the kernel lifts when this process ends, however it ends.
    """
    with (settings.home / ".in-use").open("ab") as file:
        if try_lock(file, ALONE):
            sweep(settings, tracking)
        lock(file, SHARED)
        yield


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Nobody uses the home folder while the block runs.

    Raises:
        OutsideError: Somebody does.
    """
    settings.home.mkdir(parents=True, exist_ok=True)
    with (settings.home / ".in-use").open("ab") as file:
        if not try_lock(file, ALONE):
            raise OutsideError(f"a run is using {settings.home}; wait until it has ended")
        yield


def sweep(settings: Settings, tracking: Tracking) -> None:
    """End the tracked runs of processes that died, and remove their half-made folders. Only for who is alone."""
    for folder in (settings.stages, settings.datasets, settings.runs):
        for left in folder.glob(UNFINISHED):
            shutil.rmtree(left, ignore_errors=True)
    with answering(tracking.uri):
        found = tracking.client.search_runs(
            [tracking.experiment_id],
            filter_string=f"attributes.status = 'RUNNING' and tags.`{OWNER}` = '{owner(settings)}'",
        )
        for run in found:
            tracking.client.set_terminated(run.info.run_id, "KILLED")
    if os.environ.get("PREFECT_HOME") == str(settings.prefect):
        _sweep_prefect()


def _sweep_prefect() -> None:
    """Mark flow runs of our own Prefect database as crashed that nobody works on any more."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter
    from prefect.client.schemas.objects import State
    from prefect.runtime import flow_run
    from prefect.states import Crashed

    with get_client(sync_client=True) as client:
        # Runs of a deployment are their worker's to end: one that has just begun may not have marked the folder yet.
        ours = {"state": {"type": {"any_": ["RUNNING"]}}, "deployment_id": {"is_null_": True}}
        running = FlowRunFilter.model_validate(ours)
        for each in client.read_flow_runs(flow_run_filter=running):
            if str(each.id) != str(flow_run.id):
                crashed: State[object] = Crashed(message="its process ended without a word")
                client.set_flow_run_state(each.id, crashed, force=True)
