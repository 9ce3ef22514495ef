"""Bring a person's and a language model's claims together into knowledge that can be true.

What a person is certain of always stands. Of all other claims, the least (by |logit| of their probability) is given up
so that required paths form no cycle, then wherever required paths add up to a forbidden one the weaker side is given
up. What is given up becomes unknown, never the opposite.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from components.causal_order import broken, causal_order
from components.contracts import Evidence, FloatArray, PriorKnowledge, Reliability
from components.errors import InputError
from components.priors.claims import Claims, arrow, certain, check_names, check_person, confidence
from components.relations import chain, widest

Names = tuple[str, ...]
NO_PATH = "follows from the forbidden path"


def combine(
    names: Names,
    person: Sequence[Evidence],
    elicited: Sequence[Evidence] = (),
    probability: FloatArray | None = None,
    reliability: Reliability | None = None,
) -> PriorKnowledge:
    """Knowledge without contradictions: acyclic, transitively closed, every certain claim of the person kept.

    Args:
        names: The p variables.
        person: Claims of people, ``source`` "person"; those with probability 1 outweigh everything else, the others
            count by their probability.
        elicited: Claims of a language model. Ignored when ``reliability`` gives them no strength.
        probability: [effect, cause] elicited probability of a path; None when nobody was asked.
        reliability: How far the model can be trusted.

    Raises:
        InputError: A person's certain claims contradict each other, or a claim is about an unknown variable or about a
            variable and itself.
    """
    if reliability is not None and reliability.strength == 0:
        elicited = ()
    for claims in (person, elicited):
        check_names(names, [name for claim in claims for name in (claim.cause, claim.effect)], "claims")
    for claim in (*person, *elicited):
        if claim.cause == claim.effect:
            raise InputError(f"claims must be about two different variables, got {claim.cause!r} twice")
    check_person(names, person)
    firm = [claim for claim in person if certain(claim)]
    unsure = [claim for claim in person if not certain(claim)]
    claimed = {(claim.effect, claim.cause, claim.claim) for claim in firm}
    fresh = [claim for claim in (*unsure, *elicited) if (claim.effect, claim.cause, claim.claim) not in claimed]
    kept = repaired(names, firm, fresh)
    given_up = [claim for claim in fresh if claim not in set(kept)]
    standing = Claims.of(names, [*firm, *kept])
    conflicts = tuple(_regret(names, standing, claim) for claim in given_up)
    asked = np.full((len(names), len(names)), np.nan) if probability is None else probability
    return _knowledge(names, [*firm, *kept], asked, conflicts, reliability)


def repaired(names: Names, person: Sequence[Evidence], elicited: Sequence[Evidence]) -> tuple[Evidence, ...]:
    """Those of the ``elicited`` claims, in their order, that agree with the ``person``'s certain ones and each other.

    No claim that is left out could be added again. Cost: O(2^p p) for the largest cycle of up to 16 variables.
    """
    firm = Claims.of(names, person)
    agreeing = [claim for claim in elicited if firm.also(names, claim).contradiction(names) is None]
    agreeing = _without_cycles(names, person, agreeing)
    kept = set(_without_clashes(names, person, agreeing))
    standing = Claims.of(names, [*person, *kept])
    for claim in sorted(elicited, key=confidence, reverse=True):
        more = standing if claim in kept else standing.also(names, claim)
        if more is not standing and more.contradiction(names) is None:
            kept.add(claim)
            standing = more
    return tuple(claim for claim in elicited if claim in kept)


def _without_cycles(names: Names, person: Sequence[Evidence], elicited: list[Evidence]) -> list[Evidence]:
    required = Claims.of(names, [*person, *elicited]).required
    against = broken(required, causal_order(required))
    return [claim for claim in elicited if not (_requires(claim) and against[_cell(names, claim)] > 0)]


def _without_clashes(names: Names, person: Sequence[Evidence], elicited: list[Evidence]) -> list[Evidence]:
    """Give up the weaker side of the strongest clash until none is left."""
    said: dict[tuple[int, int], list[Evidence]] = {}
    for claim in (*person, *elicited):
        said.setdefault(_cell(names, claim), []).append(claim)
    claims, given_up = Claims.of(names, [*person, *elicited]), set[Evidence]()
    while (lost := _weaker_side(claims)) is not None:
        cell, requires = lost
        dropped = [claim for claim in said[cell] if not certain(claim) and _requires(claim) == requires]
        said[cell] = [claim for claim in said[cell] if claim not in dropped]
        given_up |= set(dropped)
        claims = claims.restated(cell, said[cell])
    return [claim for claim in elicited if claim not in given_up]


def _weaker_side(claims: Claims) -> tuple[tuple[int, int], bool] | None:
    """The cell to give up claims of, and whether those that require or those that forbid; None without a clash."""
    reach = widest(claims.required)
    path = np.where((reach > 0) & (claims.forbidden > 0), np.maximum(reach, claims.forbidden), 0.0)
    both = np.minimum(claims.required_edge, claims.forbidden_edge) > 0
    edge = np.where(both, np.maximum(claims.required_edge, claims.forbidden_edge), 0.0)
    worst = np.maximum(path, edge)
    if not worst.any():
        return None
    effect, cause = map(int, np.unravel_index(int(worst.argmax()), worst.shape))
    if edge[effect, cause]:
        required, forbidden = claims.required_edge[effect, cause], claims.forbidden_edge[effect, cause]
        steps: tuple[int, ...] = (cause, effect)
    else:
        required, forbidden = reach[effect, cause], claims.forbidden[effect, cause]
        steps = chain(claims.required, cause, effect, least=float(required))
    if forbidden <= required:
        return (effect, cause), False
    return min(((there, here) for here, there in pairwise(steps)), key=lambda link: claims.required[link]), True


def _requires(claim: Evidence) -> bool:
    return claim.claim.startswith("required")


def _cell(names: Names, claim: Evidence) -> tuple[int, int]:
    return names.index(claim.effect), names.index(claim.cause)


def _regret(names: Names, standing: Claims, claim: Evidence) -> str:
    reason = standing.also(names, claim).contradiction(names)
    return (
        f"{claim.claim} {claim.cause} -> {claim.effect} ({claim.source}, probability {claim.probability:.2f}) "
        f"was given up and is unknown: with it {reason}"
    )


def _knowledge(
    names: Names,
    claimed: Sequence[Evidence],
    probability: FloatArray,
    conflicts: tuple[str, ...],
    reliability: Reliability | None,
) -> PriorKnowledge:
    evidence = _with_consequences(names, claimed)
    marks = {word: np.full((len(names), len(names)), -1, dtype=np.int8) for word in ("path", "edge")}
    for claim in evidence:
        verdict, word = claim.claim.split()
        marks[word][_cell(names, claim)] = int(verdict == "required")
    return PriorKnowledge(names, marks["path"], marks["edge"], probability, evidence, conflicts, reliability)


def _with_consequences(names: Names, claimed: Sequence[Evidence]) -> tuple[Evidence, ...]:
    """One claim for each cell: the given ones, then what follows from them."""
    found: dict[tuple[str, str, str], Evidence] = {}
    for claim in sorted(claimed, key=confidence, reverse=True):
        found.setdefault((claim.effect, claim.cause, claim.claim), claim)
    claims = Claims.of(names, claimed)
    reach = widest(claims.required)
    for effect, cause in np.argwhere(reach > 0):
        key = (names[effect], names[cause], "required path")
        if key not in found:
            found[key] = _along(names, found, chain(claims.required, int(cause), int(effect), reach[effect, cause]))
    for effect, cause in np.argwhere(claims.forbidden > 0):
        reason = found[names[effect], names[cause], "forbidden path"]
        edge = Evidence(reason.effect, reason.cause, "forbidden edge", reason.source, reason.probability, NO_PATH)
        found.setdefault((reason.effect, reason.cause, "forbidden edge"), edge)
    return tuple(found.values())


def _along(names: Names, found: dict[tuple[str, str, str], Evidence], steps: tuple[int, ...]) -> Evidence:
    """The required path that a chain adds up to, as sure as its weakest link."""
    links = [
        found.get((names[there], names[here], "required path")) or found[names[there], names[here], "required edge"]
        for here, there in pairwise(steps)
    ]
    weakest = min(links, key=confidence)
    note = f"follows from {arrow(names, steps)}"
    return Evidence(names[steps[-1]], names[steps[0]], "required path", weakest.source, weakest.probability, note)
