"""Run a flow from the command line: settings, the embedded Prefect API, and a summary for people."""

import importlib
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

from components.errors import InputError
from components.storage import write_json
from tasks.servers import PrefectServer
from tasks.settings import Settings, load_settings, quiet_environment, shown

if TYPE_CHECKING:
    import pandas as pd

    from flows.forms import Form
    from flows.outcome import Outcome

PLAIN_WIDTH = 140
HEAVY = ("torch", "mlflow", "matplotlib")

# Prefect's own words go to the run's page; on the terminal a person sees progress and one sentence on failure.
CONSOLE_LEVEL = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"}


def launch_pipeline(values: dict[str, Any], home: Path | None, llm: str) -> None:
    """Run the pipeline and print its summary."""
    from flows.configuration import Pipeline

    with _prepared(Pipeline, values, home, llm) as (form, settings):
        from flows.pipeline import pipeline
        from flows.runner import runner

        print_outcome(
            _without_heartbeat(lambda: pipeline.with_options(task_runner=runner(settings.runner))(form)), settings
        )


def launch_discover(values: dict[str, Any], home: Path | None, llm: str) -> None:
    """Find the causal graph and print where it is."""
    from flows.configuration import Discover

    with _prepared(Discover, values, home, llm) as (form, settings):
        from flows.discover import discover
        from flows.runner import runner

        print_outcome(
            _without_heartbeat(lambda: discover.with_options(task_runner=runner(settings.runner))(form)), settings
        )


def launch_update(values: dict[str, Any], home: Path | None) -> None:
    """Absorb new batches and print the summary."""
    from flows.configuration import Update

    with _prepared(Update, values, home, "none") as (form, settings):
        from flows.runner import runner
        from flows.update import update

        print_outcome(
            _without_heartbeat(lambda: update.with_options(task_runner=runner(settings.runner))(form)), settings
        )


def launch_predict(table: Path, model: str, output: Path | None, home: Path | None) -> None:
    """Score a file and write the predictions beside it."""
    quiet_environment()
    settings = _settings(home, "")
    frame = read_table(table)
    target = output or table.with_name(f"{table.stem}.predictions.csv")
    if target.suffix not in (".csv", ".parquet"):
        raise InputError(f"--output must end in .csv or .parquet, got {target}")
    if not target.parent.is_dir():
        raise InputError(f"--output must lie in a folder that exists, got {target}")
    from components.predictor import Predictor
    from tasks.registry import load_predictor
    from tasks.tracking import open_tracking

    named = model if "@" in model or "/" in model else f"{model}@champion"
    uri = named if named.startswith("models:/") else f"models:/{named}"
    predictor = Predictor.load(load_predictor(open_tracking(settings, "Default"), uri))
    scored = frame.join(predictor.predict(frame))
    part = target.with_name(f".{target.name}.part")
    if target.suffix == ".csv":
        scored.to_csv(part, index=False)
    else:
        scored.to_parquet(part, index=False)
    part.replace(target)
    outside = int(scored["outside_support"].sum())
    console = Console()
    console.print(f"{len(scored):,} rows scored by {uri}: mean probability {scored['probability'].mean():.3f}")
    console.print(f"{outside:,} rows are unlike all training rows (outside_support); do not trust their probability")
    console.print(f"written to {target}", soft_wrap=True)


def read_table(path: Path) -> "pd.DataFrame":
    """A CSV file, a Parquet file, or a folder of Parquet files.

    Raises:
        InputError: It is missing, empty, or no such file.
    """
    import pandas as pd

    if not path.exists():
        raise InputError(f"table must be a file or folder that exists, got {path}")
    try:
        if path.suffix.lower() in (".csv", ".gz", ".tsv"):
            frame = pd.read_csv(path, sep="\t" if ".tsv" in path.name.lower() else ",")
        else:
            frame = pd.read_parquet(path).reset_index(drop=True)
    except (ValueError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"table must be readable as CSV or Parquet, {path} is not: {reason}") from error
    if frame.empty:
        raise InputError(f"table must have at least one row, {path} has none")
    reserved = [name for name in ("probability", "uncertainty", "outside_support") if name in frame]
    if reserved:
        raise InputError(f"table must not have a column called {reserved[0]} already; rename or drop it in {path}")
    return frame


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
    os.environ |= CONSOLE_LEVEL
    settings = _settings(home, llm)
    os.environ |= {
        "PREFECT_HOME": str(settings.prefect),
        "PREFECT_LOCAL_STORAGE_PATH": str(settings.prefect / "storage"),
    }
    server = None if settings.prefect_api_url else PrefectServer(settings.home)
    try:
        if server:
            server.start()
        form = _checked(plan, values)
        for library in HEAVY:
            importlib.import_module(library)
        open_tracking(settings, "Default")  # a store that is down, or has to be made, is found out while Prefect starts
        os.environ["PREFECT_API_URL"] = server.wait() if server else settings.prefect_api_url
        yield form, settings
    finally:
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
    from flows.forms import build, read_form
    from flows.inputs import check_model_name, read_gates, read_inputs

    form = read_form(plan, values)
    made = build(form)
    if hasattr(made, "gates"):
        check_model_name(made.model)
        read_gates(made.gates)
    read_inputs(made.source)
    return form


def _settings(home: Path | None, llm: str) -> Settings:
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
