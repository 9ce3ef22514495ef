"""The mixture of given points that comes nearest to another point.

A few points are kept whose nearest affine mixture is a true mixture. The point furthest towards the target joins, and
those whose weights would turn negative leave, until no point lies further that way: then the mixture is the nearest.

Wolfe, Finding the nearest point in a polytope, Mathematical Programming 11, 1976.
"""

import numpy as np

from components.contracts import FloatArray

EXACT = 1e-12  # of the largest squared distance
ROUNDS = 1000
NOTHING = 1e-12  # a weight


def nearest_in_hull(points: FloatArray, target: FloatArray, enough: float = 0.0) -> tuple[FloatArray, FloatArray]:
    """Weights [n], not negative and of sum one, of ``points`` [n, r], and the gap [r] left to ``target`` [r].

    Args:
        points: [n, r].
        target: [r].
        enough: How much larger the squared gap may be than the smallest; 0: as exact as numbers are.
    """
    away = points - target
    squares = np.einsum("nr,nr->n", away, away)
    enough = max(enough, EXACT * float(squares.max()))
    weights: FloatArray = np.zeros(len(points))
    weights[int(squares.argmin())] = 1.0
    for _ in range(ROUNDS):
        held = np.flatnonzero(weights)
        gap = weights[held] @ away[held]
        towards = away @ gap
        joining = int(towards.argmin())
        if towards[joining] >= gap @ gap - enough or joining in held:
            break
        weights = _rebalanced(away, weights, np.append(held, joining))
    return weights, -np.asarray(weights @ away)


def _rebalanced(away: FloatArray, weights: FloatArray, held: np.ndarray) -> FloatArray:  # type: ignore[type-arg]
    """The best weights [n] of the points ``held`` or of some of them, starting from ``weights`` [n]."""
    weights = weights.copy()
    while True:
        aim = _affine(away[held])
        if (aim > NOTHING).all():
            weights[held] = aim
            return weights
        falling = aim <= NOTHING
        step = np.min(weights[held][falling] / np.maximum(weights[held][falling] - aim[falling], NOTHING))
        moved = np.maximum(weights[held] + min(step, 1.0) * (aim - weights[held]), 0.0)
        kept = ~falling | (moved > NOTHING)
        if kept.all():  # rounding: the one that falls first has fallen
            kept[int(np.where(falling, moved, np.inf).argmin())] = False
        weights[held] = 0.0
        held, moved = held[kept], moved[kept]
        weights[held] = moved / moved.sum()


def _affine(away: FloatArray) -> FloatArray:
    """[k] weights of sum one, of any sign, that bring ``away`` [k, r] nearest to zero."""
    gram = away @ away.T
    scale = float(np.trace(gram)) or 1.0
    found = np.linalg.lstsq(gram / scale + 1.0, np.ones(len(gram)), rcond=1e-13)[0]
    return np.asarray(found / found.sum())
