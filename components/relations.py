"""Chains of causes: what follows from relations between variables.

Every matrix is indexed [effect, cause] and holds strengths: 0 is no relation, infinity is beyond doubt. A chain
is as strong as its weakest link, so the widest chain between two variables is the best case that can be made for
a path between them.
"""

import numpy as np

from components.contracts import FloatArray


def widest(strength: FloatArray) -> FloatArray:
    """[p, p] strength of the strongest chain from each cause to each effect, 0 where there is none, in O(p^3).

    A positive diagonal entry tells of a cycle through that variable.
    """
    reach = strength.copy()
    for middle in range(len(reach)):
        np.maximum(reach, np.minimum.outer(reach[:, middle], reach[middle, :]), out=reach)
    return reach


def chain(strength: FloatArray, cause: int, effect: int, least: float = 0.0) -> tuple[int, ...]:
    """Variables on a shortest chain from ``cause`` to ``effect`` whose links are all positive and >= ``least``.

    Both ends are part of it; equal ends give a cycle. Empty where there is no such chain. Ties go to the lowest
    index.
    """
    links = (strength > 0) & (strength >= least)
    before: dict[int, int] = {}
    frontier = [cause]
    while frontier and effect not in before:
        following: list[int] = []
        for here in frontier:
            for there in map(int, np.flatnonzero(links[:, here])):
                if there not in before:
                    before[there] = here
                    following.append(there)
        frontier = following
    if effect not in before:
        return ()
    steps = [effect, before[effect]]
    while steps[-1] != cause:
        steps.append(before[steps[-1]])
    return tuple(reversed(steps))
