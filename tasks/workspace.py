"""What every stage of a run shares: settings, tracking, progress, a folder, and how long each stage took."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pandas as pd

from components.errors import OutsideError
from components.ports import Report
from tasks.progress import Progress, combine
from tasks.settings import Settings, quiet_environment
from tasks.tracked_run import TrackedRun
from tasks.tracking import Tracking, open_tracking


@dataclass(frozen=True)
class Stage:
    """One stage while it goes on.

    Attributes:
        run: Its nested tracked run.
        report: Takes the metrics of its steps: tracked and shown.
        folder: For what it makes.
    """

    run: TrackedRun
    report: Report
    folder: Path


@dataclass(frozen=True)
class Timing:
    """How long a stage took.

    Attributes:
        stage: Its name.
        seconds: Wall seconds, tracking and artifacts included.
        work: Wall seconds between the start and the end of its tracked run.
    """

    stage: str
    seconds: float
    work: float


@dataclass(frozen=True, eq=False)
class Workspace:
    """The surroundings of one run.

    Attributes:
        settings: Where it happens.
        tracking: The experiment it is tracked in.
        run: Its parent run.
        progress: What a person sees of it.
        folder: For its report, pictures and models.
        timings: One entry a finished stage.
    """

    settings: Settings
    tracking: Tracking
    run: TrackedRun
    progress: Progress
    folder: Path
    timings: list[Timing] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str, method: object | None = None) -> Iterator[Stage]:
        """A stage of the run: a nested tracked run with the method's fields, and a bar for the person who waits."""
        begin = time.monotonic()
        with self.progress.stage(name) as shown, self.tracking.stage(name, method, self.run.run_id) as run:
            started = time.monotonic()
            yield Stage(run, combine(run, shown), self.folder)
            worked = time.monotonic() - started
        self.timings.append(Timing(name, time.monotonic() - begin, worked))

    def seconds(self) -> tuple[tuple[str, float], ...]:
        """Name and seconds of every finished stage."""
        return tuple((timing.stage, timing.seconds) for timing in self.timings)

    def timing_table(self) -> pd.DataFrame:
        """One row a finished stage."""
        return pd.DataFrame([{"stage": timing.stage, "seconds": timing.seconds} for timing in self.timings])


@contextmanager
def open_workspace(flow: str, name: str, settings: Settings, parameters: object) -> Iterator[Workspace]:
    """The surroundings of one run of ``flow`` on the data called ``name``.

    Raises:
        OutsideError: The tracking store does not answer, or the home folder cannot be written.
    """
    quiet_environment()
    moment = datetime.now().astimezone().strftime("%Y-%m-%d %H.%M.%S")
    try:
        settings.runs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutsideError(
            f"home folder {settings.home} must be writable ({error.strerror}); set KINTSUGI_HOME"
        ) from error
    tracking = open_tracking(settings, f"kintsugi-{name}")
    with tracking.tracked_run(f"{flow} {moment}", {"kintsugi.flow": flow}) as run:
        run.parameters(parameters)
        folder = settings.runs / re.sub(r"[^\w.-]+", "-", f"{flow} {name} {moment} {run.run_id[:6]}")
        folder.mkdir()
        yield Workspace(settings, tracking, run, Progress(), folder)
