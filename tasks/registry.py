"""Versions of models, and which of them is the champion."""

import hashlib
import importlib
import importlib.metadata
import shutil
import tempfile
import threading
import urllib.request
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import components
from components.errors import InputError
from tasks.settings import shown
from tasks.tracked_run import answering
from tasks.tracking import Tracking

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS = "previous"
NEEDED_TO_SERVE = ("mlflow", "numpy", "pandas", "pyarrow", "safetensors", "scikit-learn", "scipy", "torch")
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")

# Saving runs the model's file and leaves what it found in a global of MLflow's.
_saving = threading.Lock()


@dataclass(frozen=True)
class RegisteredModel:
    """One version of a model in the registry.

    Attributes:
        name: Name of the model.
        version: Its number, from 1.
        alias: What the registry called it when it was looked up: ``champion``, ``challenger`` or empty.
        digest: SHA-256 of the saved predictor; equal predictors have equal digests.
        run_id: The run that made it.
        uri: Address that MLflow loads it from.
    """

    name: str
    version: str
    alias: str
    digest: str
    run_id: str
    uri: str


@dataclass(frozen=True)
class Candidate:
    """A saved predictor to be registered.

    Attributes:
        folder: Where ``Predictor.save`` has put it.
        example: A few rows of input; they are stored with the model.
        description: For a person who looks at the version.
        tags: What its version says about itself (dataset digest, log loss, correction, verdict of each gate).
    """

    folder: Path
    example: "pd.DataFrame"
    description: str
    tags: Mapping[str, str]


def register(
    tracking: Tracking, run_id: str, name: str, candidate: Candidate, promote: bool, judged_against: str | None = None
) -> RegisteredModel:
    """Make a new version of the model ``name``: the challenger, or the champion when it is promoted.

    With ``judged_against``, the version of the champion it was compared with (empty for none), it stays challenger
    when another one reigns by now.

    The version is made last, when all its files are in place; when anything fails before, there is none.

    Raises:
        OutsideError: The registry does not answer.
        InputError: The predictor cannot be loaded or does not predict its own example.
    """
    client, digest = tracking.client, folder_digest(candidate.folder)
    with answering(tracking.uri):
        logged = client.create_logged_model(tracking.experiment_id, name, source_run_id=run_id, tags={"digest": digest})
        try:
            _upload(tracking, logged, run_id, candidate)
            client.finalize_logged_model(logged.model_id, "READY")
            _ensure_model(tracking, name)
            made = client.create_model_version(
                name,
                # The place itself and not models:/<id>, which a file store looks up in MLflow's global store.
                source=logged.artifact_location,
                run_id=run_id,
                model_id=logged.model_id,
                tags=dict(candidate.tags) | {"digest": digest},
                description=candidate.description,
            )
        except BaseException:
            with suppress(Exception):  # the reason of the failure matters more than its traces
                client.delete_logged_model(logged.model_id)
            raise
        client.set_registered_model_alias(name, CHALLENGER, made.version)
    challenger = RegisteredModel(name, str(made.version), CHALLENGER, digest, run_id, f"models:/{name}/{made.version}")
    if promote and judged_against is not None:
        reigning = champion(tracking, name)
        promote = (reigning.version if reigning else "") == judged_against
    return promote_to_champion(tracking, challenger) if promote else challenger


def promote_to_champion(tracking: Tracking, model: RegisteredModel) -> RegisteredModel:
    """Make a version the champion and remember the former one as ``previous``.

    The alias is moved by one transaction: a reader finds the former champion or the new one, never none.

    Raises:
        OutsideError: The registry does not answer.
    """
    former = champion(tracking, model.name)
    with answering(tracking.uri):
        if former is not None and former.version != model.version:
            tracking.client.set_registered_model_alias(model.name, PREVIOUS, former.version)
        tracking.client.set_registered_model_alias(model.name, CHAMPION, model.version)
    return _described(tracking, model.name, model.version, CHAMPION)


def champion(tracking: Tracking, name: str, alias: str = CHAMPION) -> RegisteredModel | None:
    """The version that has ``alias``, None when no version has it.

    Raises:
        OutsideError: The registry does not answer.
    """
    found = _found(tracking, f"models:/{name}@{alias}")
    return None if found is None else _registered(found, alias)


def load_predictor(tracking: Tracking, uri: str) -> Path:
    """The folder of the saved predictor behind ``models:/name/version`` or ``models:/name@alias``.

    Files of a server are downloaded into a folder that is the caller's to delete; local ones stay where they are.

    Raises:
        OutsideError: The registry or its artifact store does not answer.
        InputError: There is no such model.
    """
    found = _found(tracking, uri)
    if found is None:
        raise InputError(f"model must be in the registry {shown(tracking.uri)}, got {uri}")
    place = f"{found.source}/artifacts/predictor"
    if place.startswith("file://"):
        return Path(urllib.request.url2pathname(place.removeprefix("file://")))
    from mlflow.artifacts import download_artifacts

    # Not by its models:/ address, which MLflow looks up in its global store.
    with answering(tracking.uri):
        return Path(download_artifacts(artifact_uri=place, tracking_uri=tracking.uri))


def tag_version(tracking: Tracking, model: RegisteredModel, tags: Mapping[str, str]) -> None:
    """Add to what a version says about itself.

    Raises:
        OutsideError: The registry does not answer.
    """
    with answering(tracking.uri):
        for key, value in tags.items():
            tracking.client.set_model_version_tag(model.name, model.version, key, value)


def folder_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of all files in a folder.

    Raises:
        InputError: It holds no file.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise InputError(f"folder of the predictor must hold its files, got {folder}")
    sha = hashlib.sha256()
    for path in files:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        sha.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return sha.hexdigest()


def quiet_pyfunc() -> ModuleType:
    """MLflow's ``pyfunc``, without the warning about its own type hints that importing it prints."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType", UserWarning)
        return importlib.import_module("mlflow.pyfunc")


def requirements() -> list[str]:
    """What a server needs to serve a model, in the versions it was made with."""
    return [f"{name}=={importlib.metadata.version(name).partition('+')[0]}" for name in NEEDED_TO_SERVE]


def _upload(tracking: Tracking, logged: Any, run_id: str, candidate: Candidate) -> None:
    pyfunc = quiet_pyfunc()
    from mlflow.models import Model, infer_signature

    signature = infer_signature(candidate.example, _predict_example(candidate), params=None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model")
        # MLflow stores a folder under the folder's own name.
        predictor = shutil.copytree(candidate.folder, Path(folder, "predictor"))
        with _saving, warnings.catch_warnings():
            # MLflow compares column names with a range, which pandas 3 still does but promises not to.
            warnings.filterwarnings("ignore", "Operation with range is deprecated", DeprecationWarning)
            pyfunc.save_model(
                path=str(path),
                mlflow_model=Model(
                    artifact_path=logged.artifact_location,
                    run_id=run_id,
                    model_uuid=logged.model_id,
                    model_id=logged.model_id,
                ),
                python_model=str(Path(__file__).with_name("serving_model.py")),
                artifacts={"predictor": str(predictor)},
                code_paths=[str(Path(components.__file__).parent)],
                signature=signature,
                input_example=candidate.example,
                pip_requirements=requirements(),
            )
        for cache in list(path.rglob("__pycache__")):
            shutil.rmtree(cache)
        tracking.client.log_model_artifacts(logged.model_id, str(path))


def _predict_example(candidate: Candidate) -> "pd.DataFrame":
    from components.predictor import Predictor

    try:
        return Predictor.load(candidate.folder).predict(candidate.example)
    except (KeyError, OSError, TypeError) as error:
        raise InputError(
            f"folder must hold a predictor that predicts its example, got {candidate.folder}: {error}"
        ) from error


def _found(tracking: Tracking, uri: str) -> "ModelVersion | None":
    from mlflow.exceptions import MlflowException

    name, at, alias = uri.removeprefix("models:/").partition("@")
    with answering(tracking.uri):
        try:
            if at:
                return tracking.client.get_model_version_by_alias(name, alias)
            name, _, version = name.rpartition("/")
            return tracking.client.get_model_version(name, version)
        except MlflowException as error:
            if error.error_code in ABSENT:
                return None
            raise


def _ensure_model(tracking: Tracking, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        tracking.client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _described(tracking: Tracking, name: str, version: str, alias: str) -> RegisteredModel:
    with answering(tracking.uri):
        return _registered(tracking.client.get_model_version(name, version), alias)


def _registered(found: "ModelVersion", alias: str) -> RegisteredModel:
    return RegisteredModel(
        name=found.name,
        version=str(found.version),
        alias=alias,
        digest=found.tags.get("digest", ""),
        run_id=found.run_id or "",
        uri=f"models:/{found.name}/{found.version}",
    )
