"""Versions of models: making them, looking them up, loading them."""

import os
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.errors import InputError, OutsideError
from components.integrity import folder_digest, refuse_damaged
from components.storage import scratch_folder
from tasks.ledger import ABSENT, CHAMPION, OvertakenError, ledger_of, move_alias, versions_of
from tasks.locks import locked_file
from tasks.packaging import Candidate, packed
from tasks.settings import load_settings, shown
from tasks.tracked_run import answering
from tasks.tracking import Tracking

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

CHALLENGER = "challenger"
DIGEST, JUDGED_AGAINST = "digest", "judged_against"
BY_GATES = "its gates passed"


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


def register(
    tracking: Tracking, run_id: str, name: str, candidate: Candidate, promote: bool, judged_against: str | None = None
) -> RegisteredModel:
    """The version of the model ``name`` that holds the candidate: the challenger, or the champion when promoted.

    With ``judged_against``, the version of the champion it was compared with (empty for none), it stays challenger
    when another one reigns by now. A version with the same predictor that was judged against the same champion is
    taken as it is, so that a run that was killed here and begins again makes no second one; one from which people
    went back is not promoted again.

    A version is made last, when all its files are in place; when anything fails before, there is none.

    Raises:
        OutsideError: The registry does not answer.
        InputError: The predictor cannot be loaded or does not predict its own example.
    """
    digest = folder_digest(candidate.folder)
    found = _twin(tracking, name, digest, judged_against or "")
    made = found or _made(tracking, run_id, name, candidate, {DIGEST: digest, JUDGED_AGAINST: judged_against or ""})
    ledger, version = ledger_of(tracking, name), str(made.version)
    before = ledger.reign()
    if before.champion == version:
        return _registered(made, CHAMPION)
    move_alias(tracking, name, CHALLENGER, version)
    if promote and not ledger.was_rolled_back(version):
        with suppress(OvertakenError):  # it was judged against another champion than the one that reigns now
            ledger.crown(before, version, "promoted", BY_GATES, judged_against)
            return _registered(made, CHAMPION)
    return _registered(made, CHALLENGER)


def champion(tracking: Tracking, name: str, alias: str = CHAMPION) -> RegisteredModel | None:
    """The version that has ``alias``, None when no version has it.

    Raises:
        OutsideError: The registry does not answer.
    """
    found = version_at(tracking, f"models:/{name}@{alias}")
    return None if found is None else _registered(found, alias)


def opponent_of(tracking: Tracking, name: str, digest: str) -> RegisteredModel | None:
    """Whom a candidate with this digest has to be compared with: the champion.

    When the champion is this very predictor, it is the one that the champion was compared with itself, so that a
    second run on the same inputs makes the same comparison and not one of a model with itself. None: nobody.

    Raises:
        OutsideError: The registry does not answer.
    """
    found = version_at(tracking, f"models:/{name}@{CHAMPION}")
    if found is None or found.tags.get(DIGEST) != digest:
        return None if found is None else _registered(found, CHAMPION)
    earlier = found.tags.get(JUDGED_AGAINST, "")
    before = version_at(tracking, f"models:/{name}/{earlier}") if earlier else None
    return None if before is None else _registered(before, "")


def registered_at(tracking: Tracking, uri: str) -> RegisteredModel:
    """The version behind ``models:/name/version`` or ``models:/name@alias``.

    Raises:
        OutsideError: The registry does not answer.
        InputError: There is none.
    """
    found = version_at(tracking, uri)
    if found is None:
        raise InputError(f"model must be in the registry {shown(tracking.uri)}, got {uri}")
    return _registered(found, uri.partition("@")[2])


def load_predictor(tracking: Tracking, uri: str) -> Path:
    """The folder of the saved predictor behind ``models:/name/version`` or ``models:/name@alias``, found undamaged.

    Files of a server are kept below the home folder, by their digest; local ones stay where they are.

    Raises:
        OutsideError: The registry or its artifact store does not answer.
        InputError: There is no such model, or its files are not those that were registered.
    """
    found = version_at(tracking, uri)
    if found is None:
        raise InputError(f"model must be in the registry {shown(tracking.uri)}, got {uri}")
    digest = found.tags.get(DIGEST, "")
    if not digest:
        raise InputError(f"model must be one that kintsugi has registered, version {found.version} of {uri} is not")
    place = f"{found.source}/artifacts/predictor"
    if place.startswith("file://"):
        folder = Path(urllib.request.url2pathname(place.removeprefix("file://")))
        refuse_damaged(folder, digest, found.name, str(found.version))
        return folder
    return _downloaded(tracking, place, found, load_settings().home / "models" / digest)


def tag_version(tracking: Tracking, model: RegisteredModel, tags: Mapping[str, str]) -> None:
    """Add to what a version says about itself.

    Raises:
        OutsideError: The registry does not answer.
    """
    with answering(tracking.uri):
        for key, value in tags.items():
            tracking.client.set_model_version_tag(model.name, model.version, key, value)


def version_at(tracking: Tracking, uri: str) -> "ModelVersion | None":
    """What the registry says of ``models:/name/version`` or ``models:/name@alias``; None when there is no such thing.

    Raises:
        OutsideError: The registry does not answer.
    """
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


def _twin(tracking: Tracking, name: str, digest: str, judged_against: str) -> "ModelVersion | None":
    """The oldest version that is complete, undamaged, and says the same."""
    wanted = {DIGEST: digest, JUDGED_AGAINST: judged_against}
    for found in versions_of(tracking, name):
        if found.status == "READY" and wanted.items() <= found.tags.items():
            with suppress(InputError):
                load_predictor(tracking, f"models:/{name}/{found.version}")
                return found
    return None


def _made(tracking: Tracking, run_id: str, name: str, candidate: Candidate, about: Mapping[str, str]) -> "ModelVersion":
    client = tracking.client
    with answering(tracking.uri):
        logged = client.create_logged_model(tracking.experiment_id, name, source_run_id=run_id, tags=dict(about))
    identity = {"artifact_path": logged.artifact_location, "run_id": run_id}
    identity |= {"model_uuid": logged.model_id, "model_id": logged.model_id}
    try:
        with packed(candidate, {"model": name, DIGEST: about[DIGEST]}, identity) as folder, answering(tracking.uri):
            client.log_model_artifacts(logged.model_id, str(folder))
        with answering(tracking.uri):
            client.finalize_logged_model(logged.model_id, "READY")
            _ensure_model(tracking, name)
            return client.create_model_version(
                name,
                # The place itself and not models:/<id>, which a file store looks up in MLflow's global store.
                source=logged.artifact_location,
                run_id=run_id,
                model_id=logged.model_id,
                tags=dict(candidate.tags) | dict(about),
                description=candidate.description,
            )
    except BaseException:
        with suppress(Exception):  # the reason of the failure matters more than its traces
            client.delete_logged_model(logged.model_id)
        raise


def _ensure_model(tracking: Tracking, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        tracking.client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _downloaded(tracking: Tracking, place: str, found: "ModelVersion", kept: Path) -> Path:
    from mlflow.artifacts import download_artifacts

    digest, named = kept.name, (found.name, str(found.version))
    try:
        with locked_file(kept.parent / ".lock"), scratch_folder(kept.parent) as scratch:
            with suppress(InputError):  # absent, or damaged here: it is fetched again
                refuse_damaged(kept, digest, *named)
                os.utime(kept)  # what was used lately is not pruned
                return kept
            # Not by its models:/ address, which MLflow looks up in its global store.
            with answering(tracking.uri):
                fetched = download_artifacts(artifact_uri=place, dst_path=str(scratch), tracking_uri=tracking.uri)
            refuse_damaged(Path(fetched), digest, *named)
            if kept.exists():
                kept.rename(scratch / "damaged")
            Path(fetched).rename(kept)
    except OSError as error:
        raise OutsideError(f"model {found.name!r} cannot be kept below {kept.parent}: {error}") from error
    return kept


def _registered(found: "ModelVersion", alias: str) -> RegisteredModel:
    return RegisteredModel(
        name=found.name,
        version=str(found.version),
        alias=alias,
        digest=found.tags.get(DIGEST, ""),
        run_id=found.run_id or "",
        uri=f"models:/{found.name}/{found.version}",
    )
