"""The command line: ``kintsugi run | discover | update | predict | methods | doctor``.

Heavy libraries are imported inside the commands, so that ``--help`` answers at once.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from components.errors import InputError, OutsideError

USER, OUTSIDE, INTERRUPTED = 2, 1, 130

app = typer.Typer(
    name="kintsugi",
    help="Dependable models from imperfect data.\n\n"
    "A table whose labels are partial, whose distribution moves and whose causes are unknown goes in; a causal graph, "
    "a Bayesian model corrected for all three, and a versioned entry in a model registry come out.\n\n"
    "Start with: kintsugi run",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

Data = Annotated[
    str,
    typer.Option(
        help="A built-in data specification ([bold]nhanes[/bold], [bold]nhanes-cycles[/bold]) or the path of a YAML "
        "file that names the source and the role of each column. Default: nhanes.",
    ),
]
SourcePath = Annotated[
    str,
    typer.Option("--source", help="File, folder or glob to read instead of the one the specification names."),
]
Knowledge = Annotated[
    str, typer.Option(help="YAML file of causal knowledge: tiers, exogenous, sinks, required, forbidden.")
]
Config = Annotated[
    Path | None,
    typer.Option(help="YAML file of stages and their fields; [bold]kintsugi methods[/bold] lists them all."),
]
Assign = Annotated[
    list[str] | None,
    typer.Option("--set", help="One field, as in [bold]--set training.head.hidden=8[/bold]; may be repeated."),
]
Home = Annotated[
    Path | None,
    typer.Option(help="Folder that holds everything: data sets, runs, models. Default: KINTSUGI_HOME or ~/kintsugi."),
]
Model = Annotated[str, typer.Option(help="Name in the registry. Default: kintsugi-<name of the data>.")]
Llm = Annotated[
    str,
    typer.Option(
        help="Who is asked for causal knowledge: [bold]embedded[/bold] (a small local model), [bold]endpoint[/bold] "
        "(KINTSUGI_LLM_BASE_URL) or [bold]none[/bold]. Default: KINTSUGI_LLM or embedded.",
    ),
]


@app.command()
def run(
    data: Data = "",
    source: SourcePath = "",
    knowledge: Knowledge = "",
    model: Model = "",
    config: Config = None,
    assign: Assign = None,
    llm: Llm = "",
    home: Home = None,
) -> None:
    """Run the whole chain and register a model.

    Ingest, elicit, discover, train, update, tune, evaluate, register, report. With no options it runs on the
    built-in demo: diagnosed diabetes in NHANES 2017-2018, where the undiagnosed are not labeled.

    [bold]Examples[/bold]

      kintsugi run

      kintsugi run --data my-table.yaml --set training.batches=4

      kintsugi run --data nhanes-cycles --source nhanes_adults.parquet --llm none
    """
    from flows.launch import launch_pipeline

    launch_pipeline(_values(data, source, knowledge, model, config, assign), home, llm)


@app.command()
def discover(
    data: Data = "",
    source: SourcePath = "",
    knowledge: Knowledge = "",
    config: Config = None,
    assign: Assign = None,
    llm: Llm = "",
    home: Home = None,
) -> None:
    """Find the causal graph only: ingest, elicit, discover.

    Writes the edge table and the picture, and prints where they are.

    [bold]Example[/bold]: kintsugi discover --set discovery.replicates=20
    """
    from flows.launch import launch_discover

    launch_discover(_values(data, source, knowledge, "", config, assign), home, llm)


@app.command()
def update(
    data: Data = "",
    source: SourcePath = "",
    model: Model = "",
    config: Config = None,
    assign: Assign = None,
    home: Home = None,
) -> None:
    """Absorb new batches into the registered champion; nothing is retrained.

    Batches that the champion has already learnt from are skipped. The result is registered as a challenger and
    becomes champion when the gates pass.

    [bold]Example[/bold]: kintsugi update --data my-table.yaml
    """
    from flows.launch import launch_update

    launch_update(_values(data, source, "", model, config, assign), home)


@app.command()
def predict(
    table: Annotated[Path, typer.Argument(help="CSV or Parquet file, or a folder of Parquet files.")],
    model: Annotated[
        str, typer.Option(help="Name in the registry, with @champion (default), @challenger or /<version>.")
    ] = "kintsugi-nhanes",
    output: Annotated[
        Path | None, typer.Option(help="CSV or Parquet file to write. Default: <table>.predictions.csv beside it.")
    ] = None,
    home: Home = None,
) -> None:
    """Score a table: probability, its uncertainty, and a flag for rows unlike all training rows.

    [bold]Example[/bold]: kintsugi predict patients.csv --model kintsugi-nhanes@champion
    """
    from flows.launch import launch_predict

    launch_predict(table, model, output, home)


@app.command()
def methods(
    stage: Annotated[str, typer.Argument(help="One stage only: elicitation, discovery, training, update, ...")] = "",
) -> None:
    """List every stage, its methods and their fields, with defaults.

    Each field can be set with --set <stage>.<field>=<value> or in the file given by --config.

    [bold]Example[/bold]: kintsugi methods training
    """
    from flows.catalogue import print_methods

    print_methods(stage)


@app.command()
def doctor(home: Home = None) -> None:
    """Check that everything a run needs is here and well; says what to do where it is not.

    Exit code 0 when all is well, 1 otherwise.

    [bold]Example[/bold]: kintsugi doctor
    """
    from flows.doctor import examine

    raise typer.Exit(0 if examine(home) else OUTSIDE)


def _values(
    data: str, source: str, knowledge: str, model: str, config: Path | None, assign: list[str] | None
) -> dict[str, Any]:
    """Options, file and assignments as one nested mapping; what is said more specifically wins."""
    from flows.configuration import read_values

    values = read_values(config, assign or [])
    asked = {"specification": data, "path": source, "knowledge": knowledge}
    given = {name: text for name, text in asked.items() if text}
    here = values.setdefault("source", {})
    if not isinstance(here, dict):
        raise InputError(f"source must be a mapping of specification, path, knowledge, seed; got {here!r}")
    here |= given
    if model:
        values["model"] = model
    return values


def main() -> None:
    """Run the command line; a refused input exits with 2, a fault outside with 1."""
    try:
        app()
    except InputError as error:
        _say(error)
        sys.exit(USER)
    except OutsideError as error:
        _say(error)
        sys.exit(OUTSIDE)
    except (KeyboardInterrupt, SystemExit) as stop:
        # Typer turns Ctrl-C into an exit code of its own.
        if isinstance(stop, SystemExit) and stop.code != INTERRUPTED:
            raise
        typer.secho("kintsugi: stopped", fg="yellow", err=True)
        sys.exit(INTERRUPTED)


def _say(error: Exception) -> None:
    typer.secho(f"kintsugi: {error}", fg="red", err=True)
