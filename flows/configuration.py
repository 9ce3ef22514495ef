"""The parameters of the flows: the methods' own fields, gathered stage by stage."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import yaml

from components.classifier.training import ClassifierTraining
from components.discovery import DirectLingam, Discovery
from components.errors import InputError
from components.evaluation import Bootstrapped, Evaluation
from components.learner import Training
from components.priors import Elicitation, YesNo
from components.tuning import PosteriorTuning
from components.updating import Updating
from components.weak import PriorUnknown
from flows.forms import Form, form_of


@dataclass(frozen=True)
class Source:
    """Which data, and what people know of them.

    Attributes:
        specification: A built-in data specification (``nhanes``, ``nhanes-cdc``, ``nhanes-cycles``) or the path
            of a YAML file. For a causal graph alone the path of a CSV or Parquet table will do.
        path: File, folder or glob that replaces the one the specification names; empty keeps it.
        knowledge: YAML or CSV file of a person's causal knowledge; empty takes the specification's own.
        seed: Decides which rows are fitted, which tune and which are held back for evaluation.
        columns: Columns of a plain table to use; empty takes all. A specification names its own.
    """

    specification: str = "nhanes"
    path: str = ""
    knowledge: str = ""
    seed: int = 0
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise InputError(f"seed must not be negative, got {self.seed}")


@dataclass(frozen=True)
class Discover:
    """A causal graph from data and prior knowledge, and nothing more.

    Attributes:
        source: The data.
        elicitation: How a language model is asked.
        discovery: How the graph is found.
        target: The variable whose causes and effects are told, and to which paths are counted; empty takes the weak
            label, or the last column of a table without one.
    """

    source: Source = Source()
    elicitation: Elicitation = YesNo()
    discovery: Discovery = DirectLingam()
    target: str = ""


@dataclass(frozen=True)
class Pipeline:
    """The whole chain, from a table to a registered model and a report.

    Attributes:
        source: The data.
        elicitation: How a language model is asked.
        discovery: How the causal graph is found.
        training: How the first posterior is learnt.
        update: How later batches are absorbed.
        tuning: How the posterior is tuned on rows kept for it.
        evaluation: How models are scored.
        gates: YAML file of the gates a challenger must pass; empty takes the shipped ones.
        model: Name in the registry; empty makes ``kintsugi-<name of the data>``.
    """

    source: Source = Source()
    elicitation: Elicitation = YesNo()
    discovery: Discovery = DirectLingam()
    training: Training = Training()
    update: Updating = Updating()
    tuning: PosteriorTuning = PosteriorTuning()
    evaluation: Evaluation = Bootstrapped()
    gates: str = ""
    model: str = ""


@dataclass(frozen=True)
class Classify:
    """A classifier from labels that say only part of the truth, whatever part that is.

    Attributes:
        source: The data. The column of role observed_label is learnt from, or the weak label where there is none.
        training: What the labels are, and how a classifier is learnt from them.
        batches: Number of batches, the latest ones, to learn from and to score on; 0: all.
        model: Name in the registry; empty makes ``kintsugi-<name of the data>-classifier``.
    """

    source: Source = Source()
    training: ClassifierTraining = ClassifierTraining(PriorUnknown())
    batches: int = 0
    model: str = ""

    def __post_init__(self) -> None:
        if self.batches < 0:
            raise InputError(f"batches must be at least 0, got {self.batches}")


@dataclass(frozen=True)
class Update:
    """Absorb new batches into the registered champion.

    Attributes:
        source: The data; batches the champion has already absorbed are skipped.
        update: How a batch is absorbed.
        tuning: How the posterior is tuned afterwards.
        evaluation: How models are scored.
        gates: YAML file of the gates a challenger must pass; empty takes the shipped ones.
        model: Name in the registry; empty makes ``kintsugi-<name of the data>``.
    """

    source: Source = Source()
    update: Updating = Updating()
    tuning: PosteriorTuning = PosteriorTuning()
    evaluation: Evaluation = Bootstrapped()
    gates: str = ""
    model: str = ""


@dataclass(frozen=True)
class Tune:
    """Tune the registered champion on the tuning rows of batches it has absorbed.

    Attributes:
        source: The data; only batches the champion has absorbed are used.
        tuning: How the posterior is tuned.
        evaluation: How models are scored.
        gates: YAML file of the gates a challenger must pass; empty takes the shipped ones.
        model: Name in the registry; empty makes ``kintsugi-<name of the data>``.
    """

    source: Source = Source()
    tuning: PosteriorTuning = PosteriorTuning()
    evaluation: Evaluation = Bootstrapped()
    gates: str = ""
    model: str = ""


if TYPE_CHECKING:
    PipelineForm: TypeAlias = Form
    DiscoverForm: TypeAlias = Form
    UpdateForm: TypeAlias = Form
    TuneForm: TypeAlias = Form
    ClassifyForm: TypeAlias = Form
else:
    PipelineForm, DiscoverForm, UpdateForm = map(form_of, (Pipeline, Discover, Update))
    TuneForm, ClassifyForm = map(form_of, (Tune, Classify))

PLANS: dict[str, type] = {
    "pipeline": Pipeline,
    "update": Update,
    "discover": Discover,
    "tune": Tune,
    "classify": Classify,
}


def read_values(file: Path | None, assignments: list[str]) -> dict[str, Any]:
    """Nested values from a YAML file and from ``a.b=value`` assignments, which win.

    Raises:
        InputError: The file is missing or no YAML mapping, or an assignment has no ``=``.
    """
    values: dict[str, Any] = read_mapping(file, "--config") if file is not None else {}
    for assignment in assignments:
        place, sign, text = assignment.partition("=")
        if not sign or not place:
            raise InputError(f"--set must look like training.head.hidden=8, got {assignment!r}")
        here = values
        *outer, last = place.split(".")
        for part in outer:
            here = here.setdefault(part, {})
            if not isinstance(here, dict):
                raise InputError(f"--set {place} must lie below a mapping, but {part} is {here!r}")
        try:
            here[last] = yaml.safe_load(text) if text else ""
        except yaml.YAMLError as error:
            raise InputError(f"--set {place} must have a YAML value, got {text!r}") from error
    return values


def read_mapping(file: Path, named: str) -> dict[str, Any]:
    """What a YAML file holds; ``named`` says in a message what the file is for.

    Raises:
        InputError: It is missing, or no YAML mapping.
    """
    if not file.is_file():
        raise InputError(f"{named} must name a YAML file, there is none at {file}")
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{named} must be YAML in UTF-8, {file} is not: {str(error).splitlines()[0]}") from error
    if not isinstance(values, dict):
        raise InputError(f"{named} must hold a mapping of names to values, {file} holds a {type(values).__name__}")
    return values
