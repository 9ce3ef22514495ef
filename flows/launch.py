"""Run a flow from the command line: settings, the embedded Prefect API, and a summary for people."""

import importlib
import logging
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from components.storage import write_json
from flows.ending import end_children, end_on_termination, on_a_disk
from tasks.prefect_api import REMEDY, answering_api, while_it_answers
from tasks.servers import PrefectServer
from tasks.settings import Settings, load_settings, quiet_environment, shown

if TYPE_CHECKING:
    from flows.forms import Form
    from flows.outcome import Outcome

PLAIN_WIDTH = 140
HEAVY = ("torch", "mlflow", "matplotlib")

# Prefect's own words go to the run's page; on the terminal a person sees progress and one sentence on failure.
CONSOLE_LEVEL = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL", "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL"}
PATIENCE = {"PREFECT_CLIENT_MAX_RETRIES": "2"}  # a call to an API that is gone takes 6 s and not a minute


def launch(name: str, values: dict[str, Any], home: Path | None, llm: str = "none") -> None:
    """Run the flow called ``name`` and print its summary; ``llm`` empty asks whom the settings say."""
    from flows.configuration import PLANS

    with _prepared(PLANS[name], values, home, llm) as (form, settings):
        from flows.runner import runner

        chosen = getattr(importlib.import_module(f"flows.{name}"), name)
        flow = chosen.with_options(task_runner=runner(settings.runner))
        print_outcome(_without_heartbeat(lambda: flow(form)), settings)


def print_outcome(outcome: "Outcome", settings: Settings, console: Console | None = None) -> None:
    """The summary that closes a run, printed, and kept as ``outcome.json`` beside the pictures."""
    write_json(Path(outcome.folder) / "outcome.json", asdict(outcome))
    printer = console or Console()
    if not printer.is_terminal:
        printer.width = PLAIN_WIDTH
    for title, sentences in outcome.lines:
        printer.print(f"\n[bold]{title}[/bold]")
        for sentence in sentences:
            printer.print(Padding(Text(sentence), (0, 0, 0, 2)))
    for rows in (outcome.scores, outcome.ladder):
        if rows:
            printer.print()
            printer.print(_table(rows))
    seconds = sum(taken for _, taken in outcome.timings)
    stages = ", ".join(f"{stage} {taken:.0f}" for stage, taken in outcome.timings)
    printer.print(f"\n[bold]time[/bold]\n  {seconds:.0f} s in stages: {stages}", highlight=False)
    if outcome.uri:
        printer.print(f"\n[bold]model[/bold]     {outcome.uri}", highlight=False)
    if outcome.report:
        printer.print(f"[bold]report[/bold]    {outcome.report}", highlight=False, soft_wrap=True)
    printer.print(f"[bold]pictures[/bold]  {outcome.folder}", highlight=False, soft_wrap=True)
    printer.print("\n[bold]open the pages[/bold]")
    for command in page_commands(settings):
        printer.print(f"  {command}", markup=False, highlight=False, soft_wrap=True)


def page_commands(settings: Settings) -> tuple[str, ...]:
    """How to look at the runs in a browser."""
    commands = []
    if not settings.prefect_api_url:
        prefect = f"PREFECT_HOME={shlex.quote(str(settings.prefect))} {_command('prefect')} server start"
        commands.append(f"{prefect}   # then http://127.0.0.1:4200")
    if settings.tracking_uri:
        commands.append(shown(settings.tracking_uri))
    else:
        store = shlex.quote(f"sqlite:///{settings.database}")
        commands.append(f"{_command('mlflow')} server --backend-store-uri {store}   # then http://127.0.0.1:5000")
    return tuple(commands)


def _command(name: str) -> str:
    """How a person calls a program of this environment: by name where that finds it, else by its path."""
    own = Path(sys.executable).with_name(name)
    return name if shutil.which(name) == str(own) or not own.exists() else shlex.quote(os.path.relpath(own))


def _table(rows: tuple[tuple[str, ...], ...]) -> Table:
    header, *body = rows
    table = Table(header_style="bold", box=None, pad_edge=False)
    for index, name in enumerate(header):
        table.add_column(Text(name), justify="left" if index == 0 else "right", no_wrap=True)
    for row in body:
        table.add_row(*map(Text, row), style="bold yellow" if row[0] in ("kintsugi", "+ tune") else "")
    return table


@contextmanager
def _prepared(plan: type, values: dict[str, Any], home: Path | None, llm: str) -> Iterator[tuple["Form", Settings]]:
    """A checked form and a Prefect API that answers.

    The embedded API needs some seconds to come up; meanwhile the inputs are read and the heavy libraries loaded.
    Prefect itself is imported after its address is known.
    """
    from tasks.tracking import open_tracking

    quiet_environment()
    logging.raiseExceptions = False  # a line of a log that cannot be sent is not told on the terminal
    os.environ |= CONSOLE_LEVEL
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    settings = settings_of(home, llm)
    os.environ |= {
        "PREFECT_HOME": str(settings.prefect),
        "PREFECT_LOCAL_STORAGE_PATH": str(settings.prefect / "storage"),
    }
    server = None if settings.prefect_api_url else PrefectServer(settings.home)
    if settings.prefect_api_url:
        os.environ["PREFECT_API_URL"] = answering_api(settings)
    end_on_termination()
    try:
        if server:
            server.start()
        form = _checked(plan, values)
        for library in HEAVY:
            importlib.import_module(library)
        open_tracking(settings, "Default")  # a store that is down, or has to be made, is found out while Prefect starts
        if server:
            os.environ["PREFECT_API_URL"] = server.wait()
        remedy = f"see {settings.prefect}/server.log, and run again" if server else REMEDY
        with on_a_disk(settings.home), while_it_answers(os.environ["PREFECT_API_URL"], remedy):
            yield form, settings
    finally:
        end_children()
        if server:
            _send_what_is_left()
            server.stop()


def _send_what_is_left() -> None:
    """Logs and events wait in queues that are sent now and then; they are sent before their receiver is stopped."""
    if "prefect" in sys.modules:
        from prefect.events.worker import EventsWorker
        from prefect.logging.handlers import APILogHandler

        APILogHandler().flush()
        EventsWorker.drain_all(timeout=5)


def _checked(plan: type, values: dict[str, Any]) -> "Form":
    """The form, with the files it names read once to find their mistakes before anything starts."""
    from flows.configuration import Classify
    from flows.forms import build, read_form
    from flows.inputs import check_model_name, graph_target, read_gates, read_inputs, read_labels

    form = read_form(plan, values)
    made = build(form)
    if isinstance(made, Classify):
        check_model_name(made.model)
        read_labels(made)
        return form
    trains = hasattr(made, "gates")
    if trains:
        check_model_name(made.model)
        read_gates(made.gates)
    inputs = read_inputs(made.source, graph_only=not trains)
    if not trains:
        graph_target(made.target, inputs.variables)
    return form


def settings_of(home: Path | None, llm: str = "") -> Settings:
    """The settings, with what a person gave on the command line."""
    if home is not None:
        os.environ["KINTSUGI_HOME"] = str(home)
    if llm:
        os.environ["KINTSUGI_LLM"] = llm
    return load_settings()


def _without_heartbeat(run: "Callable[[], Outcome]") -> "Outcome":
    """A flow that this process waits for needs no heartbeat, and saves the second that stopping it takes."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        return run()
