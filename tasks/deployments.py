"""Deployments, automations and the work pool of a Prefect API, made to be as they are described."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from components.errors import InputError, OutsideError
from components.storage import scratch_folder
from tasks.settings import shown

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

PATIENCE_SECONDS = 180
LOG_LINES = 8
UNFINISHED = ("RUNNING", "PENDING", "CANCELLING")


def apply_deployments(file: Mapping[str, Any], root: Path, api_url: str, scratch: Path) -> dict[str, str]:
    """Make the deployments of ``file``, the contents of a ``prefect.yaml`` whose entrypoints lie in ``root``.

    Deployments of the same name are replaced, their schedules and automations too. Gives their ids by name.

    Raises:
        OutsideError: The API does not answer, or Prefect refuses them.
    """
    for pool in sorted({deployment["work_pool"]["name"] for deployment in file["deployments"]}):
        _ensure_pool(pool, api_url)
    with scratch_folder(scratch) as folder:
        path = folder / "prefect.yaml"
        path.write_text(yaml.safe_dump(dict(file), sort_keys=False), encoding="utf-8")
        _prefect(["--no-prompt", "deploy", "--all", "--prefect-file", str(path)], root, api_url)
    with _client(api_url) as client:
        return {deployment["name"]: _strict(client, deployment["name"]) for deployment in file["deployments"]}


def apply_automations(automations: Iterable[Mapping[str, Any]], api_url: str) -> None:
    """Make automations; those of the same name are replaced.

    Raises:
        InputError: One is not as Prefect wants it.
        OutsideError: The API does not answer.
    """
    from prefect.events.schemas.automations import AutomationCore
    from pydantic import ValidationError

    with _client(api_url) as client:
        for described in automations:
            try:
                wanted = AutomationCore.model_validate(described)
            except ValidationError as error:
                first = error.errors()[0]
                place = ".".join(map(str, first["loc"]))
                raise InputError(f"automation {described.get('name')!r}: {place}: {first['msg']}") from error
            for former in client.read_automations_by_name(wanted.name):
                client.delete_automation(former.id)
            client.create_automation(wanted)


def crash_unfinished(pool: str, api_url: str, message: str) -> int:
    """Mark the runs of a work pool as crashed that nobody works on any more; gives how many.

    Only for who knows that the pool has no worker. Runs that wait to be started go on waiting.

    Raises:
        OutsideError: The API does not answer.
    """
    from prefect.client.schemas.filters import FlowRunFilter, WorkPoolFilter
    from prefect.states import Crashed

    unfinished = FlowRunFilter.model_validate({"state": {"type": {"any_": UNFINISHED}}})
    here = WorkPoolFilter.model_validate({"name": {"any_": [pool]}})
    with _client(api_url) as client:
        found = client.read_flow_runs(flow_run_filter=unfinished, work_pool_filter=here)
        for run in found:
            client.set_flow_run_state(run.id, Crashed(message=message), force=True)
        return len(found)


def _ensure_pool(name: str, api_url: str) -> None:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists

    with _client(api_url) as client:
        try:
            client.create_work_pool(WorkPoolCreate(name=name, type="process"))
        except ObjectAlreadyExists:
            return


def _strict(client: "SyncPrefectClient", name: str) -> str:
    """Let the API refuse parameters that the flow does not have; by itself it takes them, and the run crashes."""
    found = client.read_deployment_by_name(f"{name}/{name}")
    schema = found.parameter_openapi_schema
    described = schema if isinstance(schema, dict) else schema.model_dump() if schema else {}
    answer = client.request(
        "PATCH",
        "/deployments/{id}",
        path_params={"id": found.id},
        json={"parameter_openapi_schema": conditions_first(described) | {"additionalProperties": False}},
    )
    answer.raise_for_status()
    return str(found.id)


def conditions_first(schema: Any) -> Any:
    """The same schema; where a choice is checked by conditions as well, those come before the choice.

    The API sorts a form's mistakes by their place in the order in which it finds them, and fails with an error of its
    own where one deep inside a choice comes after the one that says that nothing of the choice fits.
    """
    if isinstance(schema, dict):
        return {name: conditions_first(schema[name]) for name in sorted(schema, key=lambda name: name != "if")}
    return [conditions_first(each) for each in schema] if isinstance(schema, list) else schema


@contextmanager
def _client(api_url: str) -> Iterator["SyncPrefectClient"]:
    import httpx
    from prefect.client.orchestration import SyncPrefectClient

    try:
        with SyncPrefectClient(api=api_url) as client:
            yield client
    except httpx.HTTPError as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise OutsideError(f"the Prefect API {shown(api_url)} does not do what it is asked ({first})") from error


def _prefect(words: list[str], folder: Path, api_url: str) -> None:
    """A command of Prefect's own, in ``folder``."""
    environment = os.environ | {"PREFECT_API_URL": api_url, "PREFECT_LOGGING_LEVEL": "WARNING", "COLUMNS": "200"}
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and our own words
            [sys.executable, "-P", "-m", "prefect", *words],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE_SECONDS,
            check=False,
            text=True,
        )
    except subprocess.TimeoutExpired as error:
        raise OutsideError(f"prefect {words[1]} did not end within {PATIENCE_SECONDS} s") from error
    if done.returncode:
        lines = [line.strip(" │") for line in done.stdout.splitlines() if line.strip(" │╭╰─╮╯")]
        raise OutsideError(f"prefect {words[1]} failed: {' | '.join(lines[-LOG_LINES:]) or 'it said nothing'}")
