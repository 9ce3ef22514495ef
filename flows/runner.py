"""Where the stages of a flow run."""

from typing import Any, Literal, cast

from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

Runner = TaskRunner[PrefectFuture[Any]]


def runner(kind: Literal["inline", "threads"] = "threads") -> Runner:
    """A task runner in this process: stages that do not wait for each other share it, or take turns."""
    return cast(Runner, ThreadPoolTaskRunner(max_workers=1 if kind == "inline" else 2))
