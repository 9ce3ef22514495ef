"""Claims about pairs of variables, and whether they can all be true at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from components.contracts import PERSON, Evidence, FloatArray
from components.errors import InputError
from components.relations import chain, widest

SUREST = 1e-9


def certain(claim: Evidence) -> bool:
    """Whether a claim always stands: a person is certain of it."""
    return claim.source == PERSON and claim.probability == 1


def confidence(claim: Evidence) -> float:
    """Strength of a claim: infinite for a certain person's, |logit| of the probability for any other, in (0, 21]."""
    if certain(claim):
        return float("inf")
    sure = min(max(claim.probability, SUREST), 1 - SUREST)
    return max(abs(float(np.log(sure / (1 - sure)))), SUREST)


def certainty(strength: float) -> float:
    """The probability of a claim of that strength, in [0.5, 1]."""
    return float(1 / (1 + np.exp(-strength)))


@dataclass(frozen=True, eq=False)
class Claims:
    """Strengths of all claims, [effect, cause], 0 where nothing is claimed.

    Attributes:
        required: Paths that must exist; a required edge is a required path too.
        forbidden: Paths that must not exist.
        required_edge: Edges that must exist.
        forbidden_edge: Edges that must not exist; a forbidden path is a forbidden edge too.
    """

    required: FloatArray
    forbidden: FloatArray
    required_edge: FloatArray
    forbidden_edge: FloatArray

    @classmethod
    def of(cls, names: tuple[str, ...], evidence: Sequence[Evidence]) -> "Claims":
        """The strongest claim of each kind on each pair of ``names``."""
        index = {name: position for position, name in enumerate(names)}
        claims = cls(*(np.zeros((len(names), len(names))) for _ in range(4)))
        for claim in evidence:
            claims._add((index[claim.effect], index[claim.cause]), claim)
        return claims

    def also(self, names: tuple[str, ...], claim: Evidence) -> "Claims":
        """These claims and one more, in O(p^2)."""
        more = Claims(*(matrix.copy() for matrix in vars(self).values()))
        more._add((names.index(claim.effect), names.index(claim.cause)), claim)
        return more

    def restated(self, cell: tuple[int, int], evidence: Sequence[Evidence]) -> "Claims":
        """These claims, but ``evidence`` instead of all that is said of ``cell``, in O(p^2)."""
        other = Claims(*(matrix.copy() for matrix in vars(self).values()))
        for matrix in vars(other).values():
            matrix[cell] = 0
        for claim in evidence:
            other._add(cell, claim)
        return other

    def _add(self, cell: tuple[int, int], claim: Evidence) -> None:
        matrices = {
            "required path": (self.required,),
            "required edge": (self.required, self.required_edge),
            "forbidden path": (self.forbidden, self.forbidden_edge),
            "forbidden edge": (self.forbidden_edge,),
        }
        strength = confidence(claim)
        for matrix in matrices[claim.claim]:
            matrix[cell] = max(matrix[cell], strength)

    def contradiction(self, names: tuple[str, ...]) -> str | None:
        """Why the claims cannot all be true, in words; None when they can.

        They cannot when required paths form a cycle, when they add up to a forbidden path, or when an edge is both
        required and forbidden.
        """
        edges = np.argwhere((self.required_edge > 0) & (self.forbidden_edge > 0))
        if len(edges):
            effect, cause = map(int, edges[0])
            return f"the edge {arrow(names, (cause, effect))} is both required and forbidden"
        reach = widest(self.required)
        cycles = np.flatnonzero(np.diag(reach) > 0)
        if len(cycles):
            loops = [chain(self.required, int(start), int(start)) for start in cycles]
            return f"the required {arrow(names, min(loops, key=len))} is a cycle"
        clashes = np.argwhere((reach > 0) & (self.forbidden > 0))
        if len(clashes):
            steps = min((chain(self.required, int(cause), int(effect)) for effect, cause in clashes), key=len)
            return f"{arrow(names, steps)} is required but a path {arrow(names, (steps[0], steps[-1]))} is forbidden"
        return None


def contradiction(names: tuple[str, ...], evidence: Sequence[Evidence]) -> str | None:
    """Why the claims cannot all be true, in words; None when they can."""
    return Claims.of(names, evidence).contradiction(names)


def arrow(names: tuple[str, ...], steps: Sequence[int]) -> str:
    """Names of a chain in words, causes first."""
    return " -> ".join(names[step] for step in steps)


def check_names(names: Sequence[str], claimed: Sequence[str], where: str) -> None:
    """Refuse a name that no variable has.

    Raises:
        InputError: With the nearest name there is.
    """
    for name in claimed:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the variables are {', '.join(names)}"
            raise InputError(f"{where} must name variables of the data set, got {name!r}; {hint}")


def check_person(names: tuple[str, ...], person: Sequence[Evidence]) -> None:
    """Refuse what a person is certain of when it cannot all be true.

    Raises:
        InputError: With the cycle or the pair at fault.
    """
    reason = contradiction(names, [claim for claim in person if certain(claim)])
    if reason is not None:
        raise InputError(f"knowledge must not contradict itself, but {reason}; take one of these claims out")
