"""A person's hand on the registry: make a version champion, go back to the one before, look at them all."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from components.errors import InputError
from tasks.ledger import ABSENT, FORCED, ROLLED_BACK, Kind, Ledger, ledger_of, unknown, versions_of
from tasks.registry import BY_GATES, CHALLENGER, DIGEST, JUDGED_AGAINST, load_predictor, version_at
from tasks.tracked_run import answering
from tasks.tracking import Tracking

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

PASSED, UNJUDGED = "passed", "not judged"
SHORT = 10


@dataclass(frozen=True)
class Moved:
    """What became of the champion.

    Attributes:
        name: The model.
        was: The version that reigned before, empty for none.
        now: The version that reigns.
    """

    name: str
    was: str
    now: str


@dataclass(frozen=True)
class VersionRow:
    """One version, as texts for a table.

    Attributes:
        version: Its number.
        aliases: What it is called.
        gates: Whether it passed them, and what people did about it.
        log_loss: On held rows.
        data: Digest of the data.
        batches: What it has absorbed.
        digest: Of the predictor.
        when: It was made.
    """

    version: str
    aliases: str
    gates: str
    log_loss: str
    data: str
    batches: str
    digest: str
    when: str


def promote(tracking: Tracking, name: str, version: str = "", because: str = "") -> Moved:
    """Make a version the champion, by default the challenger; nothing happens when it reigns already.

    Without ``because`` its gates must have passed, in comparison with the champion that reigns now; with it, a person
    answers for the promotion, and the version says who, when and why.

    Raises:
        InputError: There is no such version, its gates do not let it pass, or its files are damaged.
        OutsideError: The registry does not answer, or somebody else promoted another version at the same time.
    """
    ledger = ledger_of(tracking, name)
    chosen = _chosen(tracking, name, version)
    before, wanted = ledger.reign(), str(chosen.version)
    if before.champion == wanted:
        return Moved(name, wanted, wanted)
    if not because:
        _refuse_unjudged(chosen, before.champion)
    load_predictor(tracking, f"models:/{name}/{wanted}")
    kind: Kind = "forced" if because else "promoted"
    ledger.crown(before, wanted, kind, because or BY_GATES)
    return Moved(name, before.champion, wanted)


def roll_back(tracking: Tracking, name: str, because: str = "") -> Moved:
    """Make the champion before this one the champion again; twice goes two back.

    One that was killed is finished and not made again.

    Raises:
        InputError: There is no champion, none before it, or the one before is damaged.
        OutsideError: The registry does not answer, or somebody else moved the champion at the same time.
    """
    ledger = ledger_of(tracking, name)
    before = ledger.reign()
    if before.finished and before.last is not None and before.last.kind == "rolled back":
        return Moved(name, before.last.former, before.champion)
    if not before.champion:
        raise InputError(f"model {name!r} must have a champion to go back from, it has none")
    kept = _kept(ledger, before.chain[:-1])
    if not kept:
        raise InputError(
            f"model {name!r} must have had a champion before version {before.champion} to go back to, there is none; "
            f"promote another version: kintsugi promote {name} --version N"
        )
    load_predictor(tracking, f"models:/{name}/{kept[-1]}")
    if not ledger.decide(before, kept[-1], kept, "rolled back", because):
        raise ledger.overtaken(ledger.reign())
    return Moved(name, before.champion, kept[-1])


def model_names(tracking: Tracking) -> tuple[str, ...]:
    """Every model of the registry.

    Raises:
        OutsideError: The registry does not answer.
    """
    with answering(tracking.uri):
        return tuple(sorted(model.name for model in tracking.client.search_registered_models()))


def version_rows(tracking: Tracking, name: str) -> tuple[VersionRow, ...]:
    """The versions of a model, newest first.

    Raises:
        InputError: There is no such model.
        OutsideError: The registry does not answer.
    """
    from mlflow.exceptions import MlflowException

    with answering(tracking.uri):
        try:
            named = tracking.client.get_registered_model(name).aliases
        except MlflowException as error:
            if error.error_code in ABSENT:
                raise unknown(name) from error
            raise
    aliases: dict[str, list[str]] = {}
    for alias, version in sorted(named.items()):
        aliases.setdefault(str(version), []).append(alias)
    return tuple(_row(found, aliases) for found in reversed(versions_of(tracking, name)))


def _chosen(tracking: Tracking, name: str, version: str) -> "ModelVersion":
    asked = f"models:/{name}/{version}" if version else f"models:/{name}@{CHALLENGER}"
    found = version_at(tracking, asked)
    if found is None or found.status != "READY":
        there = ", ".join(str(each.version) for each in versions_of(tracking, name)) or "none"
        what = f"version {version}" if version else "a challenger"
        raise InputError(f"model {name!r} must have {what} to promote; its versions: {there}")
    return found


def _refuse_unjudged(chosen: "ModelVersion", reigning: str) -> None:
    which, tags = f"version {chosen.version} of model {chosen.name!r}", chosen.tags
    force = 'with --force --because "..." it is promoted all the same'
    gates = tags.get("gates", UNJUDGED)
    if gates != PASSED:
        raise InputError(f"{which} must have passed its gates, but: {gates.rstrip('.')}; {force}")
    against = tags.get(JUDGED_AGAINST, "")
    if against != reigning:
        compared = f"version {against}" if against else "no champion"
        now = f"version {reigning} reigns now" if reigning else "nobody reigns now"
        raise InputError(
            f"{which} must have been judged against the champion, it was compared with {compared}, but {now}; "
            f"run the pipeline again, or {force}"
        )


def _kept(ledger: Ledger, chain: tuple[str, ...]) -> list[str]:
    there = {str(each.version) for each in versions_of(ledger.tracking, ledger.name)}
    return [version for version in chain if version in there]


def _row(found: "ModelVersion", aliases: dict[str, list[str]]) -> VersionRow:
    tags, version = found.tags, str(found.version)
    gates = tags.get("gates", "")
    verdict = gates if gates in ("", PASSED) or gates.startswith(UNJUDGED) else "failed"
    marks = [mark for tag, mark in ((FORCED, "forced"), (ROLLED_BACK, "rolled back")) if tag in tags]
    made = datetime.fromtimestamp(found.creation_timestamp / 1000).astimezone()
    return VersionRow(
        version=version,
        aliases=", ".join(aliases.get(version, [])),
        gates=", ".join([verdict, *marks] if verdict else marks),
        log_loss=tags.get("log_loss", ""),
        data=tags.get("dataset", "")[:SHORT],
        batches=_range(tags.get("batches", "")),
        digest=tags.get(DIGEST, "")[:SHORT],
        when=made.strftime("%Y-%m-%d %H:%M"),
    )


def _range(batches: str) -> str:
    labels = re.split(r",\s*", batches)
    return batches if len(labels) < 3 else f"{labels[0]} to {labels[-1]}"
