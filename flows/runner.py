"""Where the stages of a flow run."""

from typing import Any, Literal, cast

from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from tasks.settings import load_settings

Runner = TaskRunner[PrefectFuture[Any]]


def runner(kind: Literal["inline", "threads", "ray"] | None = None) -> Runner:
    """The task runner that the settings name, or another: one after the other, in threads, or on Ray."""
    chosen = kind or load_settings().runner
    if chosen == "ray":
        from tasks.compute import prepare_ray

        prepare_ray(load_settings())
        from tasks.ray_runner import RayRunner

        return cast(Runner, RayRunner())
    return cast(Runner, ThreadPoolTaskRunner(max_workers=1 if chosen == "inline" else 2))
