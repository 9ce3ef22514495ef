"""What a person sees while a run works: bars on a terminal, a few plain lines elsewhere."""

import math
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from components.ports import Report

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

UPDATES = 5
SHOWN_METRICS = 3


class Progress:
    """Shows the stages of a run, from any thread.

    On a terminal every stage has a bar with its elapsed time and newest metrics. Elsewhere a stage prints a line
    when it starts, at most ``UPDATES`` lines in between and a line with its seconds when it ends.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._lock = threading.Lock()
        self._bars: Bars | None = None
        self._open = 0

    def __reduce__(self) -> tuple[object, tuple[()]]:
        """Another process shows on its own standard error."""
        return Progress, ()

    @contextmanager
    def stage(self, name: str, outcome: str = "done") -> Iterator[Report]:
        """Show a stage while the block runs, and how it came out; gives the report to lend to its work."""
        bars = self._enter()
        shown = _Bar(bars, name) if bars else _Lines(self, name)
        start = time.monotonic()
        try:
            yield shown
        except BaseException:
            shown.end("failed", time.monotonic() - start)
            raise
        else:
            shown.end(outcome, time.monotonic() - start)
        finally:
            self._leave()

    def say(self, line: str) -> None:
        """One plain line between or beside the stages."""
        with self._lock:
            if self._bars:
                self._bars.console.print(line, markup=False, highlight=False)
            else:
                print(line, file=self._stream, flush=True)

    def _enter(self) -> "Bars | None":
        with self._lock:
            self._open += 1
            if self._bars is None and self._stream.isatty():
                self._bars = _bars(self._stream)
                self._bars.start()
            return self._bars

    def _leave(self) -> None:
        with self._lock:
            self._open -= 1
            if self._bars and not self._open:
                self._bars.stop()
                self._bars = None


class _Lines:
    def __init__(self, progress: Progress, name: str) -> None:
        self._progress, self._name, self._told = progress, name, 0
        self._lock = threading.Lock()
        progress.say(f"{name}: started")

    def __call__(self, step: int, total: int, metrics: Mapping[str, float]) -> None:
        reached = min(step + 1, total) * (UPDATES + 1) // max(total, 1)
        with self._lock:
            due = self._told < reached <= UPDATES
            self._told = max(self._told, reached)
        if due:
            text = _metrics(metrics)
            self._progress.say(f"{self._name}: {step + 1} of {total}{', ' + text if text else ''}")

    def end(self, outcome: str, seconds: float) -> None:
        self._progress.say(f"{self._name}: {outcome} in {seconds:.1f} s")


class _Bar:
    def __init__(self, bars: "Bars", name: str) -> None:
        self._bars, self._name = bars, name
        self._row = bars.add_task(name, total=None, metrics="")

    def __call__(self, step: int, total: int, metrics: Mapping[str, float]) -> None:
        self._bars.update(self._row, completed=step + 1, total=total, metrics=_metrics(metrics))

    def end(self, outcome: str, seconds: float) -> None:
        del seconds  # the bar has a clock of its own
        self._bars.update(self._row, completed=1, total=1, description=f"{self._name}: {outcome}")
        self._bars.stop_task(self._row)


def combine(*reports: Report) -> Report:
    """One report that passes everything on to each of ``reports``, in their order."""

    def report(step: int, total: int, metrics: Mapping[str, float]) -> None:
        for each in reports:
            each(step, total, metrics)

    return report


def _metrics(metrics: Mapping[str, float]) -> str:
    finite = [(name, value) for name, value in metrics.items() if math.isfinite(value)]
    return ", ".join(f"{name} {value:.4g}" for name, value in finite[:SHOWN_METRICS])


def _bars(stream: TextIO) -> "Bars":
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    return Bars(
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("{task.fields[metrics]}", markup=False, style="dim"),
        console=Console(file=stream),
        refresh_per_second=4,
    )
