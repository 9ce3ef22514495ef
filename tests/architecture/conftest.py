"""What the manifests in deploy/ are checked with: the programs they start, and the settings these know."""

import importlib
import importlib.metadata
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
# Read by drivers, clients and images and not by anything that could be asked for the names it knows.
KNOWN_ELSEWHERE = {
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "DO_NOT_TRACK",
    "HOME",
    "MLFLOW_S3_ENDPOINT_URL",
    "PATH",
    "PGDATA",
    "PGPASSWORD",
    "POSTGRES_INITDB_ARGS",
    "POSTGRES_PASSWORD",
    "POSTGRES_USER",
    "PREFECT_UI_API_URL",
    "PROBE",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONUNBUFFERED",
    "RAY_AUTH_MODE",
    "RAY_AUTH_TOKEN",
    "RAY_AUTH_TOKEN_PATH",
    "RAY_USAGE_STATS_ENABLED",
    "UV_COMPILE_BYTECODE",
    "UV_LINK_MODE",
    "UV_NO_CACHE",
    "VIRTUAL_ENV",
}


@cache
def mlflow_cli() -> Any:
    """MLflow's commands; importing them warns of a type hint of MLflow's own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("mlflow.cli").cli


@cache
def settings() -> frozenset[str]:
    """Every variable that Kintsugi, Prefect and MLflow read."""
    from prefect.settings import Settings as PrefectSettings
    from prefect.settings.legacy import _get_settings_fields

    from tasks.settings import PREFIX, Settings

    options = mlflow_cli().commands["server"].params
    known = importlib.import_module("mlflow.environment_variables")
    by_option = {name for option in options for name in [option.envvar] if isinstance(name, str)}
    return frozenset(
        {PREFIX + name.upper() for name in Settings.model_fields}
        | set(_get_settings_fields(PrefectSettings))
        | {name for name in vars(known) if name.startswith("MLFLOW_")}
        | by_option
        | KNOWN_ELSEWHERE
    )


def unknown_variables(names: Mapping[str, object]) -> list[str]:
    return [f"{name} is read by nobody" for name in names if name not in settings()]


@cache
def programs() -> frozenset[str]:
    """Commands that an installed Kintsugi brings."""
    return frozenset(entry.name for entry in importlib.metadata.entry_points(group="console_scripts"))


def unknown_command(words: Sequence[str]) -> list[str]:
    """Why a command would be refused, as the program itself sees it; its flags are parsed and nothing is run."""
    import ray.scripts.scripts
    from cyclopts import CycloptsError
    from prefect.cli._app import _app
    from typer.main import get_command

    from flows.cli import app

    groups: dict[str, Any] = {
        "kintsugi": get_command(app),
        "mlflow": mlflow_cli(),
        "ray": ray.scripts.scripts.cli,
    }
    program, *rest = words
    if program not in programs():
        return [f"{program} is no command of the image"]
    try:
        if program == "prefect":
            _app.parse_args(rest, exit_on_error=False, print_error=False)
        elif program in groups:
            command = groups[program].commands[rest[0]]
            command.make_context(rest[0], list(rest[1:]))
    except KeyError:
        return [f"{program} has no command {rest[0]}"]
    except CycloptsError as error:
        return [f"{' '.join(words)}: {error}"]
    except Exception as error:  # Typer brings a click of its own, whose errors only have the name in common
        if "UsageError" not in {kind.__name__ for kind in type(error).__mro__}:
            raise
        return [f"{' '.join(words)}: {error}"]
    return []


def unpinned(image: str) -> list[str]:
    """Why an image may be another one tomorrow."""
    name, _, tag = image.rpartition(":")
    return [] if name and "/" not in tag and tag not in ("", "latest") else [f"image {image} is not pinned"]


class Manifests:
    """The checks, for tests that read the manifests."""

    root = ROOT
    unknown_variables: Callable[[Mapping[str, object]], list[str]] = staticmethod(unknown_variables)
    unknown_command: Callable[[Sequence[str]], list[str]] = staticmethod(unknown_command)
    unpinned: Callable[[str], list[str]] = staticmethod(unpinned)
    # A name of the form that holds something nobody may read.
    secret = re.compile(r"PASSWORD|SECRET|TOKEN|_KEY\b|KEY_ID|API_KEY")


@pytest.fixture(scope="session")
def manifests() -> type[Manifests]:
    return Manifests
