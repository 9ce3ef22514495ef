"""What a person gave, read and checked before any work starts."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import components
from components.classification import coding_of
from components.confinement import Folders
from components.contracts import Column, Evidence
from components.errors import InputError
from components.evaluation import Gate, load_gates
from components.ingestion import BUILT_IN, Specification, check, confine, inferred, is_table, load_specification
from components.priors import load_knowledge
from flows.configuration import Classify, Source
from tasks.secrets import secret
from tasks.settings import load_settings, ordered_by_another

REGISTRY_FILE = "registry.yaml"


@dataclass(frozen=True, eq=False)
class Inputs:
    """Checked inputs.

    Attributes:
        specification: The data, source path replaced where a person gave another.
        variables: Columns of the causal graph, the weak label last where there is one.
        person: What a person knows of them.
    """

    specification: Specification
    variables: tuple[Column, ...]
    person: tuple[Evidence, ...]


def read_inputs(source: Source, *, graph_only: bool = False) -> Inputs:
    """The specification and the knowledge file, and whatever can be known of the table without reading it all.

    Args:
        source: What a person gave.
        graph_only: No label is needed, and a plain table will do instead of a specification.

    Raises:
        InputError: Something in them breaks a rule.
    """
    specification = read_specification(source, graph_only=graph_only)
    if not graph_only:
        specification.check_labelled()
    check(specification)
    chosen = variables(specification.declared)
    if len(chosen) < 2:
        raise InputError(
            "columns must hold at least one feature of kind number or flag beside the label, two without a label: the "
            "causal graph needs them"
        )
    file = specification.knowledge
    names = tuple(column.name for column in chosen)
    declared = tuple(column.name for column in specification.declared)
    return Inputs(specification, chosen, load_knowledge(file, names, declared) if file else ())


@dataclass(frozen=True, eq=False)
class LabelInputs:
    """Checked inputs of a classifier.

    Attributes:
        specification: The data.
        classes: Names of the classes.
    """

    specification: Specification
    classes: tuple[str, ...]


def read_labels(plan: Classify) -> LabelInputs:
    """The specification, whose label is found to fit the setting, and what the classes are called.

    Classes are called as the evaluation label calls them, where it names as many; else as the label does.

    Raises:
        InputError: Something in them breaks a rule.
    """
    specification = read_specification(plan.source)
    coding = coding_of(specification.observed, plan.training.setting)
    check(specification)
    true = specification.one("evaluation_label")
    count = coding.setting.class_count
    if true is not None and true.values and len(true.values) != count:
        raise InputError(
            f"values of evaluation label {true.name!r} must be the {count} classes of {coding.setting.kind}, got "
            f"{', '.join(true.values)}"
        )
    return LabelInputs(specification, true.values if true is not None and true.values else coding.classes)


def read_specification(source: Source, *, graph_only: bool = False) -> Specification:
    """The specification with the path and knowledge file given beside it, found to read nothing that it may not.

    What a person types at their own command line may lie anywhere. What another person's form names, and what a
    specification names wherever folders are set, must lie in those folders; see ``Settings.readable``.

    Raises:
        InputError: A path leads out, or the specification breaks a rule.
    """
    shipped = BUILT_IN.get(source.specification)
    check_place("source.specification", "" if shipped else source.specification)
    check_place("source.path", source.path)
    check_place("source.knowledge", source.knowledge)
    specification = _loaded(source, graph_only).with_secrets(secret)
    if source.path:
        specification = specification.with_source_path(Path(source.path).expanduser().absolute())
    if source.knowledge:
        specification = specification.model_copy(update={"knowledge": Path(source.knowledge).expanduser()})
    if (folders := load_settings().readable) is not None:
        by_hand = not ordered_by_another()
        beside = shipped or (Path(source.specification).absolute() if by_hand else None)
        allowed = Folders((*folders.allowed, beside.parent) if beside else folders.allowed)
        typed = {"source.path": source.path, "knowledge": source.knowledge} if by_hand else {}
        confine(specification, allowed, [field for field, text in typed.items() if text])
    return specification.with_downloads_in(load_settings().downloads)


def _loaded(source: Source, graph_only: bool) -> Specification:
    plain = is_table(source.specification)
    if plain and not graph_only:
        raise InputError(
            "source.specification must describe the table in YAML where a model is trained, got "
            f"{source.specification!r}; kintsugi discover alone takes a plain table"
        )
    if source.columns and not plain:
        raise InputError(f"source.columns is for plain tables; {source.specification!r} names its own columns")
    if plain:
        return inferred(Path(source.specification).expanduser().absolute(), source.columns)
    return load_specification(source.specification)


def check_place(field: str, path: str) -> None:
    """Refuse a path in a form that another person filled in, where it leads out of the folders they may reach.

    Raises:
        InputError: It does.
    """
    folders = load_settings().readable
    if folders is not None and path and ordered_by_another():
        folders.check_pattern(field, path)


def check_model_name(name: str) -> None:
    """Refuse a name that the registry would refuse when all the work is done.

    Raises:
        InputError: It holds a slash, a colon or an at sign.
    """
    if any(sign in name for sign in "/:@"):
        raise InputError(f"model must be a name without '/', ':' and '@', got {name!r}")


def read_gates(path: str) -> tuple[Gate, ...]:
    """The gates of ``path``; empty takes the shipped ones.

    Raises:
        InputError: The file is missing or breaks a rule.
    """
    if path:
        check_place("gates", path)
        return load_gates(Path(path).expanduser())
    roots = (Path(components.__file__).parents[1] / "mlflow", Path(sys.prefix) / "share" / "kintsugi")
    for root in roots:
        if (root / REGISTRY_FILE).is_file():
            return load_gates(root / REGISTRY_FILE)
    raise InputError(
        f"gates must name a YAML file: the shipped {REGISTRY_FILE} is in none of {', '.join(map(str, roots))}"
    )


def variables(columns: Sequence[Column]) -> tuple[Column, ...]:
    """The columns a graph can speak of: numeric features and the weak label, which stands for the target."""
    features = [column for column in columns if column.role == "feature" and column.kind in ("number", "flag")]
    return (*features, *(column for column in columns if column.role == "weak_label"))


def graph_target(target: str, chosen: Sequence[Column]) -> str:
    """The variable in the middle of a graph over ``chosen``: ``target``, or the last one.

    Raises:
        InputError: It is none of them.
    """
    names = [column.name for column in chosen]
    if target and target not in names:
        raise InputError(f"target must be a variable of the graph, got {target!r}; they are {', '.join(names)}")
    return target or names[-1]
