"""Stages on workers of Ray."""

from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from prefect_ray import RayTaskRunner

from tasks.compute import ray_session
from tasks.settings import load_settings


class RayRunner(RayTaskRunner):  # type: ignore[misc]  # prefect_ray is not typed
    """Prefect's runner on Ray, on the Ray that the settings name.

    It is joined or started here and not by Prefect, so that the maps inside the stages share it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._session = ExitStack()

    def duplicate(self) -> Self:
        """A runner of the same settings."""
        return type(self)()

    def __enter__(self) -> Self:
        self._session.enter_context(ray_session(load_settings()))
        super().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Any:
        with self._session:
            return super().__exit__(kind, error, trace)
