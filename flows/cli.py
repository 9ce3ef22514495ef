"""The command line: ``kintsugi --help`` lists its commands.

Heavy libraries are imported inside the commands, so that ``--help`` answers at once.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from components.errors import InputError, OutsideError

USER, OUTSIDE, INTERRUPTED, TERMINATED = 2, 1, 130, 143

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
        help="A built-in data specification ([bold]nhanes[/bold]; [bold]nhanes-cdc[/bold], eleven cycles downloaded "
        "from the CDC; [bold]nhanes-cycles[/bold], the same from a file that you have) or the path of a YAML file that "
        "names the source and the role of each column. Default: nhanes.",
    ),
]
GraphData = Annotated[
    str,
    typer.Option(
        "--data",
        help="A CSV or Parquet table of numbers; or a built-in data specification ([bold]nhanes[/bold], "
        "[bold]nhanes-cdc[/bold], [bold]nhanes-cycles[/bold]); or a YAML file that says what each column is, whose "
        "descriptions a language model reads. Default: nhanes.",
    ),
]
Target = Annotated[
    str, typer.Option(help="Variable whose causes and effects are told. Default: the weak label, or the last column.")
]
SourcePath = Annotated[
    str,
    typer.Option("--source", help="File, folder or glob to read instead of the one the specification names."),
]
Knowledge = Annotated[
    str,
    typer.Option(
        help="Causal knowledge: a YAML file (tiers, exogenous, sinks, required, forbidden) or a CSV file "
        "(cause, effect, claim, probability)."
    ),
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
Environment = Annotated[
    str,
    typer.Option(
        help="Whose parameters the deployments get: [bold]local[/bold], [bold]production[/bold] (folders of "
        "deploy/params), or the path of a folder like these.",
    ),
]
Model = Annotated[str, typer.Option(help="Name in the registry. Default: kintsugi-<name of the data>.")]
ClassifierModel = Annotated[
    str, typer.Option("--model", help="Name in the registry. Default: kintsugi-<name of the data>-classifier.")
]
Llm = Annotated[
    str,
    typer.Option(
        help="Who is asked for causal knowledge: [bold]embedded[/bold] (a small local model), [bold]endpoint[/bold] "
        "(KINTSUGI_LLM_BASE_URL), [bold]transcript[/bold] (KINTSUGI_LLM_TRANSCRIPT, answers of an earlier run) or "
        "[bold]none[/bold]. Default: KINTSUGI_LLM or embedded.",
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

      kintsugi run --data nhanes-cdc
    """
    from flows.launch import launch

    launch("pipeline", _values(data, source, knowledge, model, config, assign), home, llm)


@app.command()
def discover(
    data: GraphData = "",
    source: SourcePath = "",
    target: Target = "",
    knowledge: Knowledge = "",
    config: Config = None,
    assign: Assign = None,
    llm: Llm = "",
    home: Home = None,
) -> None:
    """Find the causal graph of a table: edges with support, hidden causes, total effects, fit, checks, a picture.

    Writes tables (edges, paths, total effects, residuals), the picture as PNG and SVG, and the graph as DOT, GraphML
    and JSON, and prints where they are.

    [bold]Examples[/bold]:
      kintsugi discover --data measurements.csv --target yield --llm none
      kintsugi discover --set discovery.kind=cam_uv --set discovery.replicates=20
    """
    from flows.launch import launch

    values = _values(data, source, knowledge, "", config, assign)
    launch("discover", values | ({"target": target} if target else {}), home, llm)


@app.command()
def classify(
    data: Data = "",
    source: SourcePath = "",
    model: ClassifierModel = "",
    config: Config = None,
    assign: Assign = None,
    home: Home = None,
) -> None:
    """Learn a classifier from labels that say only part of the truth, and register it.

    Say what the labels are, [bold]--set training.setting.kind=...[/bold]: positives and unlabeled rows, sets of known
    composition, pairs, confidences, labels wrong by habit, labels of classes a row is not of, candidates, shares in
    bags. What they leave open is estimated where that is possible. The epoch is chosen by the weak labels alone, and
    the classifier judged by them too where the data have no true ones.

    The label is the column of role observed_label; with no options it is diagnosed diabetes in NHANES 2017-2018, whose
    class prior is estimated. docs/weak.md tells which setting when, [bold]kintsugi methods classify[/bold] lists all.

    [bold]Examples[/bold]

      kintsugi classify

      kintsugi classify --data photos.yaml --set training.setting.kind=noisy_labels_estimated

      kintsugi classify --data visits.yaml --config complementary.yaml --set training.epochs=60
    """
    from flows.launch import launch

    launch("classify", _values(data, source, "", model, config, assign), home)


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
    from flows.launch import launch

    launch("update", _values(data, source, "", model, config, assign), home)


@app.command()
def tune(
    data: Data = "",
    source: SourcePath = "",
    model: Model = "",
    config: Config = None,
    assign: Assign = None,
    home: Home = None,
) -> None:
    """Tune the registered champion on rows kept for it; no new batch is learnt from.

    Rows that were used for tuning before are skipped. The result is registered as a challenger and becomes champion
    when the gates pass; where no step is for the better, no version is made.

    [bold]Example[/bold]: kintsugi tune --data my-table.yaml --set tuning.window=6
    """
    from flows.launch import launch

    launch("tune", _values(data, source, "", model, config, assign), home)


@app.command()
def predict(
    table: Annotated[Path, typer.Argument(help="CSV or Parquet file, or a folder of Parquet files.")],
    model: Annotated[
        str, typer.Option(help="Name in the registry, with @champion (default), @challenger or /<version>.")
    ] = "kintsugi-nhanes",
    output: Annotated[
        Path | None,
        typer.Option(
            help="CSV or Parquet file to write, or a folder for a folder. Default: <table>.predictions.csv beside the "
            "table, <folder>.predictions beside the folder."
        ),
    ] = None,
    home: Home = None,
) -> None:
    """Score a table: probability, its uncertainty, and a flag for rows unlike all training rows.

    A folder is scored part by part, side by side, and never in memory whole. A scoring that was killed goes on with
    the parts that are left when the same command is run again; KINTSUGI_MAP=ray spreads the parts over a cluster.

    [bold]Examples[/bold]

      kintsugi predict patients.csv --model kintsugi-nhanes@champion

      kintsugi predict visits/ --output scored/ --model kintsugi-nhanes/3
    """
    from flows.models import predict as score

    score(table, model, output, home)


@app.command()
def models(
    model: Annotated[str, typer.Argument(help="Name in the registry. Default: all models.")] = "",
    home: Home = None,
) -> None:
    """List the versions of registered models: aliases, gates, log loss, data, digest.

    [bold]Example[/bold]: kintsugi models kintsugi-nhanes
    """
    from flows.models import show

    show(model, home)


@app.command()
def promote(
    model: Annotated[str, typer.Argument(help="Name in the registry.")] = "kintsugi-nhanes",
    version: Annotated[str, typer.Option(help="Number of the version. Default: the challenger.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Whatever its gates said; needs --because.")] = False,
    because: Annotated[str, typer.Option(help="The reason for --force; it is kept with the version.")] = "",
    home: Home = None,
) -> None:
    """Make a version the champion, which consumers load.

    Its gates must have passed, against the champion that reigns now. With --force a person answers for it: name,
    time and reason are kept with the version.

    [bold]Examples[/bold]

      kintsugi promote kintsugi-nhanes

      kintsugi promote kintsugi-nhanes --version 3 --force --because "the ward asked for it"
    """
    if force != bool(because.strip()):
        raise InputError("--force and --because belong together: a promotion against the gates needs a reason")
    from flows.models import promote as move

    move(model, version, because.strip(), home)


@app.command()
def rollback(
    model: Annotated[str, typer.Argument(help="Name in the registry.")] = "kintsugi-nhanes",
    because: Annotated[str, typer.Option(help="The reason; it is kept with the version that is left.")] = "",
    home: Home = None,
) -> None:
    """Make the champion before this one the champion again. Twice goes two back.

    A version that was rolled back is not promoted again by a run that makes the same model once more.

    [bold]Example[/bold]: kintsugi rollback kintsugi-nhanes --because "alarms in the ward"
    """
    from flows.models import roll_back

    roll_back(model, because.strip(), home)


@app.command()
def ui(
    environment: Environment = "local",
    prefect_port: Annotated[int, typer.Option(help="Port of the Prefect server; 0 takes any free one.")] = 4200,
    mlflow_port: Annotated[int, typer.Option(help="Port of the MLflow server; 0 takes any free one.")] = 5000,
    host: Annotated[
        str,
        typer.Option(
            help="Address the servers listen on. Others than this machine's own open them to the network: anybody who "
            "reaches them can order runs.",
        ),
    ] = "127.0.0.1",
    home: Home = None,
) -> None:
    """Start the pages to operate it: schedules, run forms, events, results; Ctrl-C stops everything.

    Starts a Prefect server, an MLflow server and a worker on this machine, applies the deployments pipeline (weekly),
    update (daily), discover, tune and classify, and prints the addresses. Runs are started by a form in the pages, by
    the API, by their schedule, or by a drift event. Everything is kept in the home folder and is there again the next
    time.

    [bold]Examples[/bold]

      kintsugi ui

      kintsugi ui --environment production --prefect-port 0 --mlflow-port 0
    """
    from flows.operate import Site, operate

    operate(Site(environment, host, prefect_port, mlflow_port), home)


@app.command()
def deploy(environment: Environment = "production", home: Home = None) -> None:
    """Apply the deployments and automations to a Prefect server that runs elsewhere (KINTSUGI_PREFECT_API_URL).

    All parameters are checked first; when one is wrong, nothing is changed. What was deployed before is replaced.

    [bold]Example[/bold]: KINTSUGI_PREFECT_API_URL=http://prefect:4200/api kintsugi deploy --environment production
    """
    from flows.operate import deploy as apply

    apply(environment, home)


@app.command()
def gc(
    days: Annotated[float, typer.Option(help="What was used within so many days is kept.")] = 30.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
    home: Home = None,
) -> None:
    """Make room: remove results and datasets that no run has used for long.

    A run that needs one of them again makes it again. Runs and their reports, answers of language models, downloads
    and registered models stay. Nothing is removed while a run uses the home folder.

    [bold]Examples[/bold]

      kintsugi gc --dry-run

      kintsugi gc --days 7
    """
    from flows.prune import collect

    collect(days, dry_run, home)


@app.command()
def methods(
    stage: Annotated[
        str, typer.Argument(help="One stage only: elicitation, discovery, training, update, ...; or classify.")
    ] = "",
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
        from flows.ending import send_or_forget

        _say(error)
        send_or_forget()
        sys.exit(OUTSIDE)
    except (KeyboardInterrupt, SystemExit) as stop:
        # Typer turns Ctrl-C into an exit code of its own.
        code = stop.code if isinstance(stop, SystemExit) else INTERRUPTED
        if code not in (INTERRUPTED, TERMINATED):
            raise
        typer.secho("kintsugi: stopped", fg="yellow", err=True)
        sys.exit(code)


def _say(error: Exception) -> None:
    typer.secho(f"kintsugi: {error}", fg="red", err=True)
