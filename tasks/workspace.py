"""What every stage of a run shares: settings, tracking, progress, a folder, and how long each stage took."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd

from components.errors import OutsideError
from components.ports import Report
from tasks.compute import ray_where_wanted
from tasks.leftovers import OWNER, in_use, owner
from tasks.progress import Progress, combine
from tasks.settings import Settings, quiet_environment
from tasks.tracked_run import TrackedRun
from tasks.tracking import Tracking, open_tracking

TIMINGS = "timings.jsonl"


@dataclass(frozen=True, eq=False)
class Workspace:
    """The surroundings of one run; they can be handed to any process that sees the same home folder.

    Attributes:
        settings: Where it happens.
        tracking: The experiment it is tracked in.
        run: Its parent run.
        progress: What a person sees of it.
        folder: For its report, pictures and models.
    """

    settings: Settings
    tracking: Tracking
    run: TrackedRun
    progress: Progress
    folder: Path

    @contextmanager
    def stage(
        self, name: str, method: object | None = None, reused: bool = False
    ) -> Iterator[tuple[TrackedRun, Report]]:
        """A stage of the run: a nested tracked run with the method's fields, a bar for who waits, and its time."""
        begin = time.monotonic()
        with (
            self.progress.stage(name, "reused" if reused else "done") as shown,
            self.tracking.stage(name, method, self.run.run_id, {OWNER: owner(self.settings)}) as run,
        ):
            yield run, combine(run, shown)
        line = json.dumps({"stage": name, "seconds": time.monotonic() - begin, "reused": reused})
        with (self.folder / TIMINGS).open("a", encoding="utf-8") as file:  # one write: stages may end at once
            file.write(line + "\n")

    def timing_table(self) -> pd.DataFrame:
        """One row a finished stage: its name, its seconds (tracking and artifacts included), whether it was reused."""
        file = self.folder / TIMINGS
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return pd.DataFrame([json.loads(line) for line in lines], columns=["stage", "seconds", "reused"])

    def seconds(self) -> tuple[tuple[str, float], ...]:
        """Name and seconds of every finished stage."""
        table = self.timing_table()
        return tuple(zip(table["stage"], table["seconds"].astype(float), strict=True))


@contextmanager
def open_workspace(flow: str, name: str, settings: Settings, parameters: object) -> Iterator[Workspace]:
    """The surroundings of one run of ``flow`` on the data called ``name``.

    Raises:
        OutsideError: The tracking store or Ray does not answer, or the home folder cannot be written.
    """
    quiet_environment()
    moment = datetime.now().astimezone().strftime("%Y-%m-%d %H.%M.%S")
    try:
        settings.runs.mkdir(parents=True, exist_ok=True)
        settings.stages.mkdir(exist_ok=True)
    except OSError as error:
        raise OutsideError(
            f"home folder {settings.home} must be writable ({error.strerror}); set KINTSUGI_HOME"
        ) from error
    tracking = open_tracking(settings, f"kintsugi-{name}")
    tags = {"kintsugi.flow": flow, OWNER: owner(settings)}
    with ray_where_wanted(settings), in_use(settings, tracking), tracking.tracked_run(f"{flow} {moment}", tags) as run:
        run.parameters(parameters)
        folder = settings.runs / re.sub(r"[^\w.-]+", "-", f"{flow} {name} {moment} {run.run_id[:6]}")
        folder.mkdir()
        yield Workspace(settings, tracking, run, Progress(), folder)
