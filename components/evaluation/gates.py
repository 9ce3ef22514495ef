"""Conditions a model must meet before it becomes champion, and the sentences that say why it does or does not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from components.contracts import Score, Scorecard
from components.errors import InputError
from components.evaluation.metrics import METRICS
from components.evaluation.scorecard import OURS, Difference

_SECTIONS = ("model", "aliases", "gates")
_At = Literal["estimate", "bound"]
_Truth = Literal["true", "weak", "any"]


@dataclass(frozen=True)
class Gate:
    """One condition on ``kintsugi``, over all batches that were scored.

    Attributes:
        metric: Name of a metric that is better lower or better higher.
        against: ``value`` for a fixed limit, ``champion``, or the name of a baseline.
        limit: With ``value``: the worst metric allowed.
        margin: With another model: how much worse ours may be. Negative: it must be better by that much.
        at: Compare the ``estimate``, or the unfavourable ``bound`` of its 95 % interval (paired with another model).
        slice: ``all``, ``column=value``, or ``each`` for every group.
        minimum_rows: With ``each``: smaller groups are not judged.
        truth: Judge only where truth is an evaluation label (``true``), only where it is ``weak``, or ``any``.
        why: Why the gate is there, in plain words.
    """

    metric: str
    against: str = "value"
    limit: float | None = None
    margin: float | None = None
    at: _At = "estimate"
    slice: str = "all"
    minimum_rows: int = 200
    truth: _Truth = "true"
    why: str = ""

    def __post_init__(self) -> None:
        allowed = [name for name, metric in METRICS.items() if metric.better != "zero"]
        if self.metric not in allowed:
            raise InputError(f"metric of a gate must be one of {', '.join(allowed)}, got {self.metric!r}")
        if not isinstance(self.against, str) or self.against in ("", OURS):
            raise InputError(f"against must be value, champion or a baseline's name, got {self.against!r}")
        needed, other = ("limit", "margin") if self.against == "value" else ("margin", "limit")
        if not _finite(getattr(self, needed)) or getattr(self, other) is not None:
            raise InputError(
                f"{needed} must be a number and {other} left out when against is {self.against!r}, "
                f"got {needed} {getattr(self, needed)!r} and {other} {getattr(self, other)!r}"
            )
        for name, choices in (("at", get_args(_At)), ("truth", get_args(_Truth))):
            if getattr(self, name) not in choices:
                raise InputError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        if not isinstance(self.slice, str) or (self.slice not in ("all", "each") and "=" not in self.slice):
            raise InputError(f"slice must be all, each or column=value, got {self.slice!r}")
        if isinstance(self.minimum_rows, bool) or not isinstance(self.minimum_rows, int) or self.minimum_rows < 1:
            raise InputError(f"minimum_rows must be a whole number of at least 1, got {self.minimum_rows!r}")
        if not isinstance(self.why, str):
            raise InputError(f"why must be text, got {self.why!r}")


@dataclass(frozen=True)
class GateResult:
    """What a gate says of a model.

    Attributes:
        gate: The condition.
        passed: True when it is met, or when it does not apply.
        judged: False when it does not apply (no champion, another kind of truth, no group large enough).
        sentence: Why, with the numbers.
    """

    gate: Gate
    passed: bool
    judged: bool
    sentence: str


def decide(
    scorecard: Scorecard, gates: Sequence[Gate], differences: Sequence[Difference] = ()
) -> tuple[GateResult, ...]:
    """Judge every gate, in order; a model is promoted when all have passed.

    A gate against a champion passes when there is no champion; a gate against a baseline that was not scored, or on
    a metric that is not defined, fails.
    """
    return tuple(_judge(gate, scorecard, differences) for gate in gates)


def load_gates(path: Path) -> tuple[Gate, ...]:
    """The ``gates`` of a registry file (YAML; its other sections are ``model`` and ``aliases``).

    Raises:
        InputError: The file is missing, is not YAML, or a gate breaks a rule; the message says which.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"registry file must be readable, got {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"registry file must be valid YAML, got {path}: {reason}") from error
    if not isinstance(content, dict) or not isinstance(content.get("gates"), list):
        raise InputError(f"registry file must hold a list under 'gates', got none in {path}")
    _known(content, _SECTIONS, f"{path}")
    return tuple(_gate(entry, f"gate {number} of {path}") for number, entry in enumerate(content["gates"], start=1))


def _gate(entry: object, where: str) -> Gate:
    if not isinstance(entry, dict):
        raise InputError(f"{where} must be a mapping of keys to values, got {entry!r}")
    _known(entry, [field.name for field in fields(Gate)], where)
    if "metric" not in entry:
        raise InputError(f"metric must be given in {where}")
    try:
        return Gate(**entry)
    except InputError as error:
        raise InputError(f"{error} ({where})") from error


def _known(entry: Mapping[Any, object], allowed: Sequence[str], where: str) -> None:
    from difflib import get_close_matches

    for key in entry:
        if key not in allowed:
            close = get_close_matches(str(key), allowed, n=1)
            meant = f"; did you mean {close[0]!r}?" if close else ""
            raise InputError(f"keys must be among {', '.join(allowed)}, got {key!r} in {where}{meant}")


def _judge(gate: Gate, scorecard: Scorecard, differences: Sequence[Difference]) -> GateResult:
    if gate.truth != "any" and (gate.truth == "weak") != scorecard.weak:
        kind = "no evaluation label exists" if scorecard.weak else "an evaluation label exists"
        return GateResult(gate, True, False, f"{_title(gate)} is not judged: {kind}.")
    if gate.against == "value":
        found: list[Score | Difference] = [
            s for s in scorecard.scores if s.model == OURS and s.batch == "all" and _applies(gate, s)
        ]
    else:
        found = [d for d in differences if d.against == gate.against and _applies(gate, d)]
    if found:
        worst = max(found, key=lambda entry: _order(gate, entry))
        return GateResult(gate, _excess(gate, worst) <= 0, True, _sentence(gate, worst, len(found)))
    missing = gate.against != "value" and all(s.model != gate.against for s in scorecard.scores)
    if gate.against == "champion" and missing:
        return GateResult(gate, True, False, f"{_title(gate)} is not judged: there is no champion yet.")
    if gate.slice == "each" and not missing:
        return GateResult(gate, True, False, f"{_title(gate)} is not judged: no group has {gate.minimum_rows} rows.")
    of = "" if gate.against == "value" else f" against {gate.against}"
    on = "" if gate.slice == "all" else f" on {gate.slice}"
    return GateResult(gate, False, True, f"{_title(gate)}{of}{on} was not computed, so the gate cannot be met.")


def _applies(gate: Gate, entry: Score | Difference) -> bool:
    if entry.metric != gate.metric:
        return False
    if gate.slice == "each":
        return entry.slice != "all" and entry.rows >= gate.minimum_rows and not np.isnan(_excess(gate, entry))
    return entry.slice == gate.slice


def _excess(gate: Gate, entry: Score | Difference) -> float:
    """How far beyond what is allowed, in the metric's units; at most 0 passes, NaN does not."""
    higher = METRICS[gate.metric].better == "higher"
    allowed = gate.limit if gate.limit is not None else gate.margin
    assert allowed is not None
    if gate.at == "bound":
        value = entry.low if higher else entry.high
    else:
        value = entry.value if isinstance(entry, Score) else entry.estimate
    if isinstance(entry, Score):
        return allowed - value if higher else value - allowed
    return (-value if higher else value) - allowed


def _order(gate: Gate, entry: Score | Difference) -> float:
    excess = _excess(gate, entry)
    return float("inf") if np.isnan(excess) else excess


def _sentence(gate: Gate, entry: Score | Difference, count: int) -> str:
    higher = METRICS[gate.metric].better == "higher"
    on = "" if entry.slice == "all" else f" on {entry.slice}"
    of = f" (the worst of {count} groups)" if gate.slice == "each" else ""
    end = "its lower end" if higher else "its upper end"
    judged = (end if gate.at == "bound" else "the estimate") + (" must be at least" if higher else " must be at most")
    if isinstance(entry, Score):
        return (
            f"{_title(gate)}{on}{of} is {entry.value:.4f} [{entry.low:.4f}, {entry.high:.4f}]; {judged} {gate.limit:g}."
        )
    numbers = f"is {entry.estimate:+.4f} [{entry.low:+.4f}, {entry.high:+.4f}]"
    margin = (gate.margin or 0.0) * (-1 if higher else 1)
    allowed = f"{margin:+g}" if margin else "0"
    return f"{_title(gate)}{on}{of} minus that of {gate.against} {numbers}; {judged} {allowed}."


def _title(gate: Gate) -> str:
    title = METRICS[gate.metric].title.partition(" (")[0]
    return title[0].upper() + title[1:]


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
