"""Claims about pairs of variables, and whether they can all be true at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from components.contracts import Evidence, FloatArray
from components.errors import InputError
from components.priors.relations import chain, widest

PERSON = "person"
SUREST = 1e-9


def confidence(claim: Evidence) -> float:
    """Strength of a claim: infinite for a person's, |logit| of the probability for anyone else's, in (0, 21]."""
    if claim.source == PERSON:
        return float("inf")
    sure = min(max(claim.probability, SUREST), 1 - SUREST)
    return max(abs(float(np.log(sure / (1 - sure)))), SUREST)


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
        size = (len(names), len(names))
        required, forbidden, required_edge, forbidden_edge = (np.zeros(size) for _ in range(4))
        matrices = {
            "required path": (required,),
            "required edge": (required, required_edge),
            "forbidden path": (forbidden, forbidden_edge),
            "forbidden edge": (forbidden_edge,),
        }
        for claim in evidence:
            cell, strength = (index[claim.effect], index[claim.cause]), confidence(claim)
            for matrix in matrices[claim.claim]:
                matrix[cell] = max(matrix[cell], strength)
        return cls(required, forbidden, required_edge, forbidden_edge)


def contradiction(names: tuple[str, ...], evidence: Sequence[Evidence]) -> str | None:
    """Why the claims cannot all be true, in words; None when they can.

    They cannot when required paths form a cycle, when they add up to a forbidden path, or when an edge is both
    required and forbidden.
    """
    claims = Claims.of(names, evidence)
    edges = np.argwhere((claims.required_edge > 0) & (claims.forbidden_edge > 0))
    if len(edges):
        effect, cause = map(int, edges[0])
        return f"the edge {arrow(names, (cause, effect))} is both required and forbidden"
    reach = widest(claims.required)
    cycles = np.flatnonzero(np.diag(reach) > 0)
    if len(cycles):
        loops = [chain(claims.required, int(start), int(start)) for start in cycles]
        return f"the required {arrow(names, min(loops, key=len))} is a cycle"
    clashes = np.argwhere((reach > 0) & (claims.forbidden > 0))
    if len(clashes):
        steps = min((chain(claims.required, int(cause), int(effect)) for effect, cause in clashes), key=len)
        return f"{arrow(names, steps)} is required but a path {arrow(names, (steps[0], steps[-1]))} is forbidden"
    return None


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
    """Refuse what a person claims when it cannot all be true.

    Raises:
        InputError: With the cycle or the pair at fault.
    """
    reason = contradiction(names, person)
    if reason is not None:
        raise InputError(f"knowledge must not contradict itself, but {reason}; take one of these claims out")
