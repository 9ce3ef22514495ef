"""What a language model said about pairs of variables, and the claims that follow from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from components.contracts import Evidence, FloatArray, Reliability, frozen
from components.errors import InputError

Kind = Literal["path", "edge"]
Claim = Literal["required path", "forbidden path", "required edge", "forbidden edge"]
REQUIRED: dict[Kind, Claim] = {"path": "required path", "edge": "required edge"}
FORBIDDEN: dict[Kind, Claim] = {"path": "forbidden path", "edge": "forbidden edge"}
CLAIMS = (*REQUIRED.values(), *FORBIDDEN.values())


@dataclass(frozen=True, eq=False)
class Elicited:
    """What a language model said, and what it is worth.

    Attributes:
        names: The p variables.
        probability: [effect, cause] probability of a path; NaN where no answer was accepted or nobody was asked.
        evidence: Claims beyond the thresholds.
        reliability: Result on the probe set; None where the model was not tested.
        asked: Questions about pairs that were answered, p (p - 1) for each kind or 0.
        rejected: Those of them whose answers said neither yes nor no, or not the same in both orders.
        note: What a reader must know.
        edge_probability: The same as ``probability`` for direct edges.
        remaining: Pairs that were not asked because the budget was spent or the model failed, with the reason.
        metrics: Numbers to log.
    """

    names: tuple[str, ...]
    probability: FloatArray
    evidence: tuple[Evidence, ...]
    reliability: Reliability | None
    asked: int
    rejected: int
    note: str
    edge_probability: FloatArray
    remaining: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "probability", frozen(self.probability))
        object.__setattr__(self, "edge_probability", frozen(self.edge_probability))


def check_thresholds(minimum_mass: float, required_above: float, forbidden_below: float) -> None:
    """The rules of the fields that every method of elicitation shares.

    Raises:
        InputError: A value breaks its rule.
    """
    if not 0 <= minimum_mass <= 1:
        raise InputError(f"minimum_mass must lie in [0, 1], got {minimum_mass}")
    if not 0.5 < required_above <= 1:
        raise InputError(f"required_above must lie in (0.5, 1], got {required_above}")
    if not 0 <= forbidden_below < 0.5:
        raise InputError(f"forbidden_below must lie in [0, 0.5), got {forbidden_below}")


def claims_beyond(
    names: Sequence[str], probability: FloatArray, kind: Kind, model: str, required_above: float, forbidden_below: float
) -> tuple[Evidence, ...]:
    """Claims of ``model``: required above the one threshold, forbidden below the other, nothing in between."""
    found = []
    for effect, cause in np.argwhere(np.isfinite(probability)):
        sure = float(probability[effect, cause])
        note = f"the model gives {'a path' if kind == 'path' else 'an edge'} a probability of {sure:.3f}"
        if sure > required_above:
            found.append(Evidence(names[effect], names[cause], REQUIRED[kind], model, sure, note))
        elif sure < forbidden_below:
            found.append(Evidence(names[effect], names[cause], FORBIDDEN[kind], model, 1 - sure, note))
    return tuple(found)


def told_remaining(cause: str, effect: str, kind: Kind, trouble: str) -> str:
    """One pair that was not asked, in words."""
    return f"{kind} {cause} -> {effect}: {trouble or 'the budget was spent'}"
