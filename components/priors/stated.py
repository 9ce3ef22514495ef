"""One claim as a person writes it down, in either kind of file."""

from difflib import get_close_matches
from typing import cast

from components.contracts import PERSON, Evidence
from components.errors import InputError
from components.priors.elicited import CLAIMS, Claim


def stated(
    cause: str, effect: str, claim: Claim, note: str = "stated", probability: float = 1.0, source: str = ""
) -> Evidence:
    """A claim of a person, who may be less than certain and may name where they have it from."""
    told = f"{note}, from {source}" if source else note
    return Evidence(effect, cause, claim, PERSON, probability, told)


def read_claim(text: str, where: str) -> Claim:
    """The claim that ``text`` names.

    Raises:
        InputError: It names none.
    """
    words = " ".join(text.lower().split())
    if words not in CLAIMS:
        near = get_close_matches(words, CLAIMS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"claim of {where} must be one of {', '.join(CLAIMS)}, got {text!r}{hint}")
    return words


def read_probability(value: object, where: str) -> float:
    """How sure a person is; nothing means certain.

    Raises:
        InputError: It is no number in (0.5, 1].
    """
    if value is None or value == "":
        return 1.0
    try:
        number = float(cast("str", value)) if isinstance(value, str | int | float) else float("nan")
    except ValueError:
        number = float("nan")
    if isinstance(value, bool) or not 0.5 < number <= 1:
        raise InputError(
            f"probability of {where} must lie in (0.5, 1], got {value!r}; below one half, claim the opposite"
        )
    return number
