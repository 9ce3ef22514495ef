"""Registered models in use, from the command line: score tables with them, promote, roll back, list."""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.errors import InputError
from flows.inputs import check_model_name
from flows.launch import PLAIN_WIDTH, settings_of
from tasks.settings import Settings, quiet_environment

if TYPE_CHECKING:
    import pandas as pd

    from tasks.promotion import Moved
    from tasks.scoring_parts import Tally
    from tasks.tracking import Tracking

TABLES = (".csv", ".parquet")


def predict(table: Path, model: str, output: Path | None, home: Path | None) -> None:
    """Score a file into a file beside it, or a folder of Parquet files part by part into another folder."""
    quiet_environment()
    settings = settings_of(home)
    named = model if "@" in model or "/" in model else f"{model}@champion"
    uri = named if named.startswith("models:/") else f"models:/{named}"
    if table.is_dir() and (output is None or output.suffix not in TABLES):
        _predict_folder(table, uri, output or table.with_name(f"{table.name}.predictions"), settings)
    else:
        _predict_file(table, uri, output or table.with_name(f"{table.stem}.predictions.csv"), settings)


def promote(model: str, version: str, because: str, home: Path | None) -> None:
    """Make a version the champion and say what was and what is."""
    from tasks.promotion import promote as move

    check_model_name(model)
    _say(move(_tracking(home), model, version, because))


def roll_back(model: str, because: str, home: Path | None) -> None:
    """Make the champion before this one the champion again and say what was and what is."""
    from tasks.promotion import roll_back as move

    check_model_name(model)
    _say(move(_tracking(home), model, because))


def show(model: str, home: Path | None) -> None:
    """A table of the versions of one model, or of all."""
    from tasks.promotion import VersionRow, model_names, version_rows

    tracking = _tracking(home)
    check_model_name(model)
    printer = _printer()
    names = (model,) if model else model_names(tracking)
    if not names:
        printer.print("no model is registered yet; make one with: kintsugi run", highlight=False)
    headers = [field.name.replace("_", " ") for field in fields(VersionRow)]
    for name in names:
        table = Table(*headers, title=Text(name), title_justify="left", header_style="bold", box=None, pad_edge=False)
        for row in version_rows(tracking, name):
            style = "bold yellow" if "champion" in row.aliases else ""
            table.add_row(*(Text(str(getattr(row, field.name))) for field in fields(VersionRow)), style=style)
        printer.print(table)
        printer.print()


def read_table(path: Path) -> "pd.DataFrame":
    """A CSV file, a Parquet file, or a folder of Parquet files, whole.

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
    return frame


def _predict_file(table: Path, uri: str, target: Path, settings: Settings) -> None:
    frame = read_table(table)
    if target.suffix not in TABLES:
        raise InputError(f"--output must end in .csv or .parquet, got {target}")
    _in_a_folder(target)
    from components.predicting import saved_predictor
    from tasks.registry import load_predictor
    from tasks.scoring_parts import Tally
    from tasks.tracking import open_tracking

    predictor = saved_predictor(load_predictor(open_tracking(settings, "Default"), uri))
    reserved = [name for name in predictor.added if name in frame]
    if reserved:
        raise InputError(f"table must not have a column called {reserved[0]} already; rename or drop it in {table}")
    found = predictor.predict(frame)
    scored = frame.join(found)
    part = target.with_name(f".{target.name}.part")
    if target.suffix == ".csv":
        scored.to_csv(part, index=False)
    else:
        scored.to_parquet(part, index=False)
    part.replace(target)
    _say_scored(f"{len(scored):,} rows", uri, Tally.of(found, predictor.classes), target)


def _predict_folder(table: Path, uri: str, output: Path, settings: Settings) -> None:
    _in_a_folder(output)
    from components.predicting import saved_predictor
    from tasks.progress import Progress
    from tasks.registry import load_predictor, registered_at
    from tasks.scoring import Scorer, score_folder
    from tasks.tracking import open_tracking

    tracking = open_tracking(settings, "Default")
    found = registered_at(tracking, uri)
    scorer = Scorer(saved_predictor(load_predictor(tracking, found.uri)), table, output)
    with Progress().stage("predict") as report:
        made = score_folder(scorer, found.digest, found.uri, settings, report)
    before = f", {made.kept} of them scored before" if made.kept else ""
    what = f"{made.tally.rows:,} rows in {made.parts} parts{before}"
    _say_scored(what, found.uri, made.tally, output)


def _in_a_folder(target: Path) -> None:
    if not target.absolute().parent.is_dir():
        raise InputError(f"--output must lie in a folder that exists, got {target}")


def _say_scored(what: str, uri: str, tally: "Tally", target: Path) -> None:
    printer = _printer()
    printer.print(f"{what} scored by {uri}: {tally.sentence}", markup=False)  # classes may be called anything
    printer.print(
        f"{tally.outside:,} rows are unlike all training rows (outside_support); do not trust their probability"
    )
    printer.print(f"written to {target}", soft_wrap=True)


def _say(moved: "Moved") -> None:
    former = f"version {moved.was}" if moved.was else "nobody"
    change = f"was {former}, is version {moved.now}" if moved.was != moved.now else f"is version {moved.now} already"
    printer = _printer()
    printer.print(f"champion of {moved.name}: {change}", highlight=False)
    printer.print(f"models:/{moved.name}@champion", highlight=False)


def _tracking(home: Path | None) -> "Tracking":
    from tasks.tracking import open_tracking

    quiet_environment()
    return open_tracking(settings_of(home), "Default")


def _printer() -> Console:
    printer = Console()
    if not printer.is_terminal:
        printer.width = PLAIN_WIDTH
    return printer
