"""The deployments as their files describe them, with the parameters of one environment, checked before use."""

import difflib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import components
from components.errors import InputError
from flows.configuration import PLANS, read_mapping
from flows.forms import build, read_form
from flows.inputs import check_model_name

PACKAGE = Path(components.__file__).parents[1]
FOLDER = "deploy"
DEPLOYMENTS, AUTOMATIONS, PARAMETERS = "prefect.yaml", "automations.yaml", "params"


@dataclass(frozen=True)
class Deployments:
    """What is to be deployed.

    Attributes:
        file: Contents of a ``prefect.yaml``, parameters included.
        automations: Those that belong to no deployment.
        root: Folder that the entrypoints are seen from: the one that holds the package.
        environment: Whose parameters they are.
    """

    file: dict[str, Any]
    automations: tuple[dict[str, Any], ...]
    root: Path
    environment: str

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the deployments."""
        return tuple(deployment["name"] for deployment in self.file["deployments"])


def read_deployments(environment: str) -> Deployments:
    """The shipped deployments with the parameters of ``environment``: a folder of ``deploy/params``, or any other.

    Raises:
        InputError: There is no such folder, a file is missing or names no deployment, or a value breaks a rule.
    """
    place = _place()
    folder = _environment(environment, place / PARAMETERS)
    file = read_mapping(place / DEPLOYMENTS, "the deployments")
    names = [deployment["name"] for deployment in file["deployments"]]
    for given in sorted(folder.glob("*.y*ml")):
        if given.stem not in names:
            near = "".join(f"; did you mean {close}?" for close in difflib.get_close_matches(given.stem, names, n=1))
            raise InputError(f"{given} must be named after a deployment ({', '.join(names)}){near}")
    deployments = [each | {"parameters": _parameters(each["name"], folder)} for each in file["deployments"]]
    automations = read_mapping(place / AUTOMATIONS, "the automations")["automations"]
    return Deployments(file | {"deployments": deployments}, tuple(automations), PACKAGE, environment)


def _parameters(name: str, folder: Path) -> dict[str, Any]:
    """The parameters of one deployment, once they are found to be right.

    A stage of which something is said is written out in full. The run form would fill the rest of it with the defaults
    of its parts, which are not always those of the stage, and a run would silently be another one than the schedule's.
    """
    path = folder / f"{name}.yaml"
    values = read_mapping(path, f"the parameters of {name}")
    try:
        form = read_form(PLANS[name], values)
        made = build(form)
        check_model_name(getattr(made, "model", ""))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return {"config": form.model_dump(mode="json", exclude_unset=True)}


def _environment(environment: str, shipped: Path) -> Path:
    for folder in (shipped / environment, Path(environment).expanduser().absolute()):
        if folder.is_dir():
            return folder
    names = sorted(folder.name for folder in shipped.iterdir() if folder.is_dir())
    near = "".join(f"; did you mean {close}?" for close in difflib.get_close_matches(environment, names, n=1))
    raise InputError(
        f"--environment must be one of {', '.join(names)} or a folder with a file of parameters for each deployment, "
        f"got {environment!r}{near}"
    )


def _place() -> Path:
    """The folder of the deployments: in the checkout, or in the data of an installed package."""
    places = (PACKAGE / FOLDER, Path(sys.prefix) / "share" / "kintsugi" / FOLDER)
    for place in places:
        if (place / DEPLOYMENTS).is_file():
            return place
    raise InputError(
        f"{DEPLOYMENTS} must be installed with the package, it is in none of {', '.join(map(str, places))}"
    )
