"""A stage as a Prefect task: tracked, shown, timed, and never worked out twice on the same inputs."""

import inspect
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed

from components.contracts import Dataset
from components.ports import Report
from components.storage import scratch_folder
from tasks.artifacts import publish_markdown, publish_picture, publish_table
from tasks.compute import compute_in_one_thread
from tasks.stage_store import FILES, Entry, Kept, Shown, entry_of
from tasks.tables import rows_of
from tasks.tracked_run import TrackedRun
from tasks.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(eq=False)
class Stage:
    """One stage while it goes on, and what it shows.

    Attributes:
        work: The surroundings of the run.
        run: Its nested tracked run.
        report: Takes the metrics of its steps: tracked and shown.
        folder: For the files it makes; in the end they lie in the run's folder.
    """

    work: Workspace
    run: TrackedRun
    report: Report
    folder: Path
    _metrics: dict[str, float] = field(default_factory=dict)
    _run_metrics: dict[str, float] = field(default_factory=dict)
    _tags: dict[str, str] = field(default_factory=dict)
    _datasets: list[tuple[Dataset, str, bool]] = field(default_factory=list)
    _page: list[tuple[str, str, Any, str]] = field(default_factory=list)
    _files: list[str] = field(default_factory=list)

    def metrics(self, values: Mapping[str, float], of_run: bool = False) -> None:
        """Metrics of the stage as a whole, and of the whole run if they speak for it."""
        self._metrics |= {name: float(value) for name, value in values.items()}
        if of_run:
            self._run_metrics |= {name: float(value) for name, value in values.items()}

    def tags(self, values: Mapping[str, str]) -> None:
        """Tags of the stage."""
        self._tags |= values

    def dataset(self, dataset: Dataset, context: str, of_run: bool = False) -> None:
        """Which data were read, and for what."""
        self._datasets.append((dataset, context, of_run))

    def table(self, frame: "pd.DataFrame", name: str) -> None:
        """Track a table as ``name``.csv."""
        frame.to_csv(self.folder / f"{name}.csv", index=False)
        self._files.append(f"{name}.csv")

    def file(self, name: str) -> None:
        """Track a file that was put into the folder."""
        self._files.append(name)

    def page_table(self, key: str, frame: "pd.DataFrame", caption: str) -> None:
        """Show a table on the run's page."""
        rows = [
            {name: getattr(value, "item", lambda v=value: v)() for name, value in row.items()} for row in rows_of(frame)
        ]
        self._page.append(("table", key, rows, caption))

    def page_text(self, key: str, text: str, caption: str) -> None:
        """Show text on the run's page."""
        self._page.append(("text", key, text, caption))

    def page_picture(self, name: str, caption: str) -> None:
        """Show a PNG file of the folder on the run's page."""
        self._page.append(("picture", Path(name).stem, name, caption))

    def shown(self) -> Shown:
        """All of it."""
        return Shown(
            self._metrics, self._run_metrics, self._tags, tuple(self._datasets), tuple(self._page), tuple(self._files)
        )


@dataclass(frozen=True)
class Keeping:
    """How the result of a stage is kept.

    Attributes:
        also: What it depends on beside its arguments, from the settings and the arguments; None where that cannot be
            known, and the stage is then worked out anew.
        whole: Whether a kept result can still be used.
    """

    also: Callable[..., object] = lambda *_: ""
    whole: Callable[[Any], bool] = lambda _: True


def stage(
    name: str, keeping: Keeping | None = None
) -> Callable[[Callable[Concatenate[Stage, P], R]], "Task[Concatenate[Workspace, P], R]"]:
    """Make a Prefect task of a function of a :class:`Stage` and its inputs; the task takes a workspace instead.

    With ``keeping`` the result is kept by content and taken from there the next time. An argument called ``method``
    gives the tracked run its parameters.
    """

    def decorate(function: Callable[Concatenate[Stage, P], R]) -> "Task[Concatenate[Workspace, P], R]":
        names = list(inspect.signature(function).parameters)[1:]

        def run(work: Workspace, *args: Any) -> Any:
            given = dict(zip(names, args, strict=True))
            method = given.get("method")
            entry = _entry(name, keeping, given, work)
            if entry is None:
                return _made(name, function, args, method, None, work)
            with entry.locked():
                kept = entry.find()
                if kept is not None and keeping is not None and keeping.whole(kept.result):
                    return _reused(name, entry, kept, method, work)
                return _made(name, function, args, method, entry, work)

        update_wrapper(run, function)
        # Prefect reads the signature to name a task's parameters; ours differs from the function's in the first one.
        own = inspect.signature(function)
        first = inspect.Parameter("work", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        run.__signature__ = own.replace(parameters=[first, *list(own.parameters.values())[1:]])  # type: ignore[attr-defined]
        return cast("Task[Concatenate[Workspace, P], R]", task(name=name, cache_policy=NO_CACHE)(run))

    return decorate


def _entry(name: str, keeping: Keeping | None, given: Mapping[str, Any], work: Workspace) -> Entry | None:
    if keeping is None or not work.settings.reuse:
        return None
    also = keeping.also(work.settings, *given.values())
    return None if also is None else entry_of(name, (tuple(given.values()), also), work.settings.stages)


def _made(
    name: str, function: Callable[..., Any], args: tuple[Any, ...], method: object, entry: Entry | None, work: Workspace
) -> Any:
    with work.stage(name, method) as (run, report), scratch_folder(work.settings.stages) as folder:
        current = Stage(work, run, report, folder)
        compute_in_one_thread()
        result = function(current, *args)
        shown = current.shown()
        _show(shown, current.folder, run, work)
        if entry is not None:
            entry.keep(Kept(result, shown, run.run_id), current.folder)
        _hand_out(current.folder, work.folder)
        return result


def _reused(name: str, entry: Entry, kept: Kept, method: object, work: Workspace) -> Any:
    with work.stage(name, method, reused=True) as (run, _):
        run.tags({"kintsugi.reused_from": kept.run_id})
        _show(kept.shown, entry.folder / FILES, run, work)
        _hand_out(entry.folder / FILES, work.folder)
    return Completed(name="Cached", message=f"worked out before, in run {kept.run_id}", data=kept.result)


def _show(shown: Shown, folder: Path, run: TrackedRun, work: Workspace) -> None:
    run.metrics(shown.metrics)
    if shown.tags:
        run.tags(shown.tags)
    for dataset, context, of_run in shown.datasets:
        for each in (run, work.run) if of_run else (run,):
            each.dataset(dataset, context)
    for name in shown.files:
        run.artifact(folder / name)
    if shown.run_metrics:
        work.run.metrics(shown.run_metrics)
        work.run.flush()
    for kind, key, content, caption in shown.page:
        if kind == "table":
            publish_table(key, content, caption)
        elif kind == "text":
            publish_markdown(key, content, caption)
        else:
            publish_picture(key, folder / content, caption)


def _hand_out(files: Path, folder: Path) -> None:
    for file in files.iterdir():
        shutil.copy2(file, folder / file.name)
