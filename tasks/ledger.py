"""Who reigned when: the numbered promotions of a model, which decide between promoters that race.

MLflow moves an alias without asking where it stood, so of two promoters at once the slower one would win unseen. A
parameter of a run, however, is written once: SQLite and servers alike refuse a second value. So every promotion is a
numbered parameter of one run, that of the model's first version. Whoever writes the next number has decided, the
aliases follow, and the next who looks finishes what a killed promoter left.
"""

import json
import os
import pwd
import socket
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from components.errors import InputError, OutsideError
from tasks.tracked_run import answering, safe, twice_if_new
from tasks.tracking import Tracking

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
PREVIOUS = "previous"
FORCED, ROLLED_BACK = "forced", "rolled_back"
PINNED = "kintsugi.promotions"
DECIDED, DONE = "promotion", "aliases moved"
LONGEST_CHAIN = 100
LONGEST_REASON = 500
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")

Kind = Literal["promoted", "forced", "rolled back"]


class OvertakenError(OutsideError):
    """Somebody else has moved the champion meanwhile."""


@dataclass(frozen=True)
class Promotion:
    """One decision about who reigns.

    Attributes:
        number: 1, 2, ... in the order of the decisions.
        version: Who reigns by it.
        former: Who reigned before, empty for nobody.
        chain: Who reigned and can be gone back to, oldest first; ``version`` is the last.
        kind: ``promoted`` when its gates passed, ``forced`` by a person, or ``rolled back``.
        because: The reason.
        who: User and machine.
        when: Date and time, for people; the number decides the order.
        token: Tells this decision from every other one of equal content.
    """

    number: int
    version: str
    former: str
    chain: tuple[str, ...]
    kind: Kind
    because: str
    who: str
    when: str
    token: str

    @property
    def sentence(self) -> str:
        """Who did it, when and why."""
        return f"{self.when} by {self.who}" + (f": {self.because}" if self.because else "")


@dataclass(frozen=True)
class Reign:
    """Where a model stands.

    Attributes:
        champion: The version that reigns, empty for none.
        chain: Those that can be gone back to, oldest first; the champion is the last.
        number: How many promotions there were.
        last: The last of them.
        finished: Whether the last one had been left half-done and was finished by this look.
    """

    champion: str
    chain: tuple[str, ...]
    number: int
    last: Promotion | None
    finished: bool = False


@dataclass(frozen=True)
class Ledger:
    """The promotions of one model.

    Attributes:
        tracking: The store.
        name: The model.
        run_id: The run whose parameters they are.
    """

    tracking: Tracking
    name: str
    run_id: str

    def promotions(self) -> tuple[Promotion, ...]:
        """All of them, in order."""
        return self._read()[0]

    def reign(self) -> Reign:
        """Where the model stands; a promotion that was left half-done is finished first."""
        found, done = self._read()
        last = found[-1] if found else None
        finished = last is not None and last.number not in done
        if finished:
            last = self.settle()
        champion = self._holder(CHAMPION)
        if last is not None and champion == last.version:
            return Reign(champion, last.chain, last.number, last, finished)
        return Reign(champion, self._moved_by_hand(champion, last), last.number if last else 0, last, finished)

    def crown(self, before: Reign, version: str, kind: Kind, because: str, expected: str | None = None) -> None:
        """Make ``version`` the champion after ``before``; nothing happens when it is by now.

        Args:
            before: Where the model stood when its promoter looked.
            version: Who is to reign.
            kind: ``promoted`` or ``forced``.
            because: The reason.
            expected: Who must reign before, empty for nobody. None: whoever does.

        Raises:
            OvertakenError: Somebody else reigns than expected, or was promoted at the same time.
            OutsideError: The store does not answer.
        """
        if before.champion == version:
            return
        if expected is not None and before.champion != expected:
            raise self.overtaken(before)
        if not self.decide(before, version, (*before.chain, version), kind, because):
            now = self.reign()
            if now.champion != version:
                raise self.overtaken(now)

    def decide(self, reign: Reign, version: str, chain: Sequence[str], kind: Kind, because: str) -> bool:
        """Write the promotion that comes after ``reign``, and move the aliases; False when another came first.

        Each alias is moved by one transaction: a reader finds the former champion or the new one, never none.
        """
        from mlflow.exceptions import MlflowException

        made = Promotion(
            number=reign.number + 1,
            version=version,
            former=reign.champion,
            chain=tuple(chain)[-LONGEST_CHAIN:],
            kind=kind,
            because=because[:LONGEST_REASON],
            who=_who(),
            when=datetime.now().astimezone().isoformat(sep=" ", timespec="seconds"),
            token=uuid.uuid4().hex,
        )
        with answering(self.tracking.uri):
            try:
                self.tracking.client.log_param(self.run_id, self._key(DECIDED, made.number), json.dumps(asdict(made)))
            except MlflowException as error:
                if error.error_code not in ABSENT:
                    raise
                return False
        self.settle()
        return True

    def settle(self) -> Promotion:
        """Move the aliases to where the last promotion wants them, and give that promotion.

        Whoever moves them looks again afterwards: so the last move follows the last promotion, whatever the order in
        which several promoters come here.
        """
        while True:
            last = self.promotions()[-1]
            with answering(self.tracking.uri):
                self._follow(last)
            if self.promotions()[-1].number == last.number:
                with answering(self.tracking.uri):
                    self.tracking.client.log_param(self.run_id, self._key(DONE, last.number), "yes")
                return last

    def was_rolled_back(self, version: str) -> bool:
        """Whether the last that happened to ``version`` is that people went back from it."""
        for each in reversed(self.promotions()):
            if version in (each.version, each.former):
                return each.version != version and each.kind == "rolled back"
        return False

    def overtaken(self, reign: Reign) -> OvertakenError:
        """The sentence for who came too late, or judged against another champion."""
        now = f"version {reign.champion} reigns now" if reign.champion else "nobody reigns now"
        by = f" ({reign.last.sentence})" if reign.last and reign.last.version == reign.champion else ""
        return OvertakenError(
            f"somebody else was faster: of model {self.name!r} {now}{by}; nothing was changed. "
            f"Look again: kintsugi models {self.name}"
        )

    def _read(self) -> tuple[tuple[Promotion, ...], set[int]]:
        """The promotions in order, and the numbers of those whose aliases were moved."""
        with answering(self.tracking.uri):
            kept: dict[str, str] = self.tracking.client.get_run(self.run_id).data.params
        of_model, done_of_model = self._key(DECIDED), self._key(DONE)
        made = [json.loads(text) for key, text in kept.items() if key.startswith(of_model)]
        found = [Promotion(**{**each, "chain": tuple(each["chain"])}) for each in made]
        done = {int(key.removeprefix(done_of_model)) for key in kept if key.startswith(done_of_model)}
        return tuple(sorted(found, key=lambda each: each.number)), done

    def _key(self, what: str, number: int | None = None) -> str:
        return f"{what} of {safe(self.name)} : " + ("" if number is None else f"{number:05d}")

    def _holder(self, alias: str) -> str:
        from mlflow.exceptions import MlflowException

        with answering(self.tracking.uri):
            try:
                return str(self.tracking.client.get_model_version_by_alias(self.name, alias).version)
            except MlflowException as error:
                if error.error_code in ABSENT:
                    return ""
                raise

    def _moved_by_hand(self, champion: str, last: Promotion | None) -> tuple[str, ...]:
        """Whom one can go back to when the alias is not where the last promotion put it: a person's move counts."""
        if last is None:
            return tuple(version for version in (self._holder(PREVIOUS), champion) if version)
        if champion in last.chain:
            back = len(last.chain) - last.chain[::-1].index(champion)
            return last.chain[:back]
        return (*last.chain, champion) if champion else last.chain

    def _follow(self, last: Promotion) -> None:
        client = self.tracking.client
        there = {str(each.version): each.tags for each in versions_of(self.tracking, self.name)}
        if last.version not in there:  # deleted by hand since; there is nothing left to do
            return
        move_alias(self.tracking, self.name, CHAMPION, last.version)
        back = [version for version in last.chain[:-1] if version in there]
        if back:
            move_alias(self.tracking, self.name, PREVIOUS, back[-1])
        else:
            client.delete_registered_model_alias(self.name, PREVIOUS)
        if last.kind == "forced":
            client.set_model_version_tag(self.name, last.version, FORCED, last.sentence)
        if last.kind == "rolled back" and last.former in there:
            client.set_model_version_tag(self.name, last.former, ROLLED_BACK, last.sentence)
        if ROLLED_BACK in there[last.version]:
            client.delete_model_version_tag(self.name, last.version, ROLLED_BACK)


def ledger_of(tracking: Tracking, name: str) -> Ledger:
    """The promotions of the model ``name``.

    They are kept by the run that made its first version; the model has a tag that says which one that is. When that
    run was deleted, the next one that is left takes over.

    Raises:
        InputError: There is no such model, or none of its versions has a run.
        OutsideError: The store does not answer.
    """
    from mlflow.exceptions import MlflowException

    with answering(tracking.uri):
        try:
            pinned = tracking.client.get_registered_model(name).tags.get(PINNED, "")
        except MlflowException as error:
            if error.error_code in ABSENT:
                raise unknown(name) from error
            raise
        for run_id in dict.fromkeys([pinned, *(each.run_id or "" for each in versions_of(tracking, name))]):
            run = _run(tracking, run_id) if run_id else None
            if run is not None and run.info.lifecycle_stage == "active":
                if run_id != pinned:
                    tracking.client.set_registered_model_tag(name, PINNED, run_id)
                return Ledger(tracking, name, run_id)
    raise InputError(
        f"model {name!r} must have a version whose run is still there, to write the promotion down; "
        "register one with kintsugi run"
    )


def versions_of(tracking: Tracking, name: str) -> "list[ModelVersion]":
    """All versions of a model, oldest first; none when there is no such model.

    Raises:
        OutsideError: The store does not answer.
    """
    quote = '"' if "'" in name else "'"
    with answering(tracking.uri):
        found = tracking.client.search_model_versions(f"name = {quote}{name}{quote}")
    return sorted(found, key=lambda each: int(each.version))


def move_alias(tracking: Tracking, name: str, alias: str, version: str) -> None:
    """Give an alias to a version, in one transaction.

    Raises:
        OutsideError: The registry does not answer.
    """
    with answering(tracking.uri):
        twice_if_new(lambda: tracking.client.set_registered_model_alias(name, alias, version))


def unknown(name: str) -> InputError:
    """The sentence for a model that is not there."""
    return InputError(f"model must be one of the registry, it has none called {name!r}; list them: kintsugi models")


def _run(tracking: Tracking, run_id: str) -> "Run | None":
    from mlflow.exceptions import MlflowException

    try:
        return tracking.client.get_run(run_id)
    except MlflowException as error:
        if error.error_code in ABSENT:
            return None
        raise


def _who() -> str:
    try:
        user: Any = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run as a number that has no name
        user = os.getuid()
    return f"{user}@{socket.gethostname()}"
