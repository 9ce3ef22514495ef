"""What a person gave, read and checked before any work starts."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import components
from components.contracts import Column, Evidence
from components.errors import InputError
from components.evaluation import Gate, load_gates
from components.ingestion import Specification, check, load_specification
from components.priors import load_knowledge
from flows.configuration import Source

REGISTRY_FILE = "registry.yaml"


@dataclass(frozen=True, eq=False)
class Inputs:
    """Checked inputs.

    Attributes:
        specification: The data, source path replaced where a person gave another.
        variables: Columns of the causal graph, the weak label last.
        person: What a person knows of them.
    """

    specification: Specification
    variables: tuple[Column, ...]
    person: tuple[Evidence, ...]


def read_inputs(source: Source) -> Inputs:
    """The specification and the knowledge file, and whatever can be known of the table without reading it all.

    Raises:
        InputError: Something in them breaks a rule.
    """
    specification = load_specification(source.specification)
    if source.path:
        specification = specification.with_source_path(Path(source.path).expanduser().absolute())
    check(specification)
    chosen = variables(specification.declared)
    if len(chosen) < 2:
        raise InputError("columns must hold at least one feature of kind number or flag, the causal graph needs it")
    file = Path(source.knowledge).expanduser() if source.knowledge else specification.knowledge
    names = tuple(column.name for column in chosen)
    declared = tuple(column.name for column in specification.declared)
    return Inputs(specification, chosen, load_knowledge(file, names, declared) if file else ())


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
    return (*features, next(column for column in columns if column.role == "weak_label"))
