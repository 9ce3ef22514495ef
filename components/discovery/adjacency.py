"""Direct effects under a causal order: adaptive lasso on all predecessors, then least squares on the survivors.

The weights of the lasso are the least-squares coefficients, the penalty is chosen by the BIC with the noise variance of
the full regression (Zou, The adaptive lasso and its oracle properties, JASA 101, 2006). The table enters once, by a
triangular factor R with X = Q R: R has the lengths and angles of X in p rows, and no precision is lost to squaring.
"""

from collections.abc import Sequence

import numpy as np

from components.contracts import FloatArray
from components.discovery.constraints import BoolArray

ROWS_AT_ONCE = 16_384


def adjacency(values: FloatArray, order: Sequence[int], forbidden: BoolArray | None = None) -> FloatArray:
    """[effect, cause] direct effects, in units of the effect per unit of the cause. Costs O(n p^2 + p^4).

    Args:
        values: [n, p] table, n > p.
        order: Indices of the columns, causes first.
        forbidden: [effect, cause] edges that must not be.
    """
    size, rows = values.shape[1], len(values)
    R, scale = triangular(values, order)
    weights = np.zeros((size, size))
    G = R.T @ R
    for place in range(1, size):
        effect = order[place]
        allowed = np.array([k for k in range(place) if forbidden is None or not forbidden[effect, order[k]]], dtype=int)
        if len(allowed):
            kept, slopes = _survivors(R[: place + 1], G, allowed, place, rows)
            causes = [order[k] for k in kept]
            weights[effect, causes] = slopes * scale[place] / scale[kept]
    return weights


def triangular(values: FloatArray, order: Sequence[int]) -> tuple[FloatArray, FloatArray]:
    """R [p, p] of the standardised columns in ``order``, times sqrt(n), and the [p] standard deviations."""
    chosen = list(order)
    mean, scale = values.mean(axis=0)[chosen], values.std(axis=0)[chosen]
    R = np.zeros((0, len(chosen)))
    for start in range(0, len(values), ROWS_AT_ONCE):
        block = (values[start : start + ROWS_AT_ONCE][:, chosen] - mean) / scale
        R = np.asarray(np.linalg.qr(np.concatenate([R, block]), mode="r"))
    return R, scale


def _survivors(
    R: FloatArray, G: FloatArray, allowed: FloatArray, target: int, rows: int
) -> tuple[FloatArray, FloatArray]:
    """Places of the causes that the lasso keeps, and their least-squares slopes, of one target."""
    from components.discovery.kernels.lars import best_corner

    y = R[:, target]
    full, noise = _regress(R[:, allowed], y)
    noise = max(noise / (rows - len(allowed) - 1), np.finfo(float).tiny)
    corner = best_corner(G[np.ix_(allowed, allowed)], G[allowed, target], np.abs(full), G[target, target], noise, rows)
    kept = allowed[corner != 0]
    return kept, _regress(R[:, kept], y)[0] if len(kept) else np.empty(0)


def _regress(X: FloatArray, y: FloatArray) -> tuple[FloatArray, float]:
    """Least-squares slopes of y on X, and the sum of squared residuals."""
    slopes = np.asarray(np.linalg.lstsq(X, y, rcond=None)[0], dtype=np.float64)
    rest = y - X @ slopes
    return slopes, float(rest @ rest)
