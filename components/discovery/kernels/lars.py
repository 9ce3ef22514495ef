"""The path of the adaptive lasso, corner by corner, and the corner the BIC prefers.

Minimises |y - X b|^2 / 2 + lambda sum_k |b_k| / w_k for falling lambda by least-angle steps with the lasso's deletions
(Efron et al., Least angle regression, Annals of Statistics 32, 2004). Everything is known from cross products, so
nothing here has n rows; and the weights stay outside of the matrix that is factored, which keeps it as well conditioned
as X.
"""

import numpy as np

from components.contracts import FloatArray
from components.discovery.constraints import Indices
from components.discovery.kernels.compiled import compiled

# Correlations below this (a float32's rounding) end the path, and so does the 500th corner: scikit-learn's defaults.
SMALLEST, MOST_CORNERS = 1.1920929e-07, 500
# A coefficient counts as a degree of freedom above this, in the units of the weighted regression.
COUNTS = 2.220446049250313e-16


@compiled
def best_corner(G: FloatArray, c: FloatArray, w: FloatArray, power: float, noise: float, rows: int) -> FloatArray:
    """[k] coefficients at the corner of least BIC.

    Args:
        G: [k, k] X'X.
        c: [k] X'y.
        w: [k] positive weights; 0 leaves a variable out.
        power: y'y.
        noise: Variance of the noise, by which the BIC measures the fit.
        rows: n, of which both G and c are sums.
    """
    k = len(c)
    b, best = np.zeros(k), np.zeros(k)
    active, inside = np.empty(k, dtype=np.int64), np.zeros(k, dtype=np.bool_)
    signs, L = np.zeros(k), np.zeros((k, k))
    rest = c.copy()
    size, deleted, penalty = 0, -1, np.log(rows)
    criterion, alpha_before = power / noise, np.inf
    for _ in range(MOST_CORNERS):
        strongest, strength = -1, 0.0
        for j in range(k):
            if not inside[j] and j != deleted and abs(rest[j]) * w[j] > strength:
                strongest, strength = j, abs(rest[j]) * w[j]
        height = strength
        for place in range(size):
            height = max(height, abs(rest[active[place]]) * w[active[place]])
        if height / rows <= SMALLEST or height > alpha_before * (1 + 1e-9):
            break
        alpha_before = height
        if deleted < 0:
            if strongest < 0 or not append(L, G, active, size, strongest):
                break
            active[size], inside[strongest] = strongest, True
            signs[size] = np.sign(rest[strongest])
            size += 1
        direction = solve(L, active, signs, w, size)
        # rest falls by gamma * fall, and that of active variables so that all |rest| w shrink alike.
        fall = np.zeros(k)
        for place in range(size):
            a = active[place]
            for j in range(k):
                fall[j] += G[j, a] * direction[place]
        gamma = height
        for j in range(k):
            if inside[j] or w[j] == 0.0:
                continue
            # The one that has just left is still as strong as those inside; it may come back with the other sign only.
            if j != deleted or rest[j] < 0.0:
                gamma = meeting(gamma, height - rest[j] * w[j], 1.0 - fall[j] * w[j])
            if j != deleted or rest[j] > 0.0:
                gamma = meeting(gamma, height + rest[j] * w[j], 1.0 + fall[j] * w[j])
        crossing = -1
        for place in range(size):
            if direction[place] != 0.0:
                zero = -b[active[place]] / direction[place]
                if 0.0 < zero < gamma:
                    gamma, crossing = zero, place
        for place in range(size):
            b[active[place]] += gamma * direction[place]
        for j in range(k):
            rest[j] -= gamma * fall[j]
        deleted = -1
        if crossing >= 0:
            deleted = active[crossing]
            b[deleted] = 0.0
            inside[deleted] = False
            remove(L, active, signs, size, crossing)
            size -= 1
        now = bic(b, c, rest, w, power, noise, penalty)
        if now < criterion:
            criterion = now
            best[:] = b
    return best


@compiled
def meeting(gamma: float, gap: float, speed: float) -> float:
    """The step at which a variable outside becomes as strong as those inside, if that is before ``gamma``."""
    if speed != 0.0:
        step = gap / speed
        if 0.0 < step < gamma:
            return step
    return gamma


@compiled
def append(L: FloatArray, G: FloatArray, active: Indices, size: int, new: int) -> bool:
    """Add a row to the Cholesky factor of the active block; False where the variable is a combination of the others."""
    power = 0.0
    for row in range(size):
        total = G[new, active[row]]
        for column in range(row):
            total -= L[row, column] * L[size, column]
        L[size, row] = total / L[row, row]
        power += L[size, row] * L[size, row]
    left = G[new, new] - power
    if left <= 1e-14 * G[new, new]:
        return False
    L[size, size] = np.sqrt(left)
    return True


@compiled
def solve(L: FloatArray, active: Indices, signs: FloatArray, w: FloatArray, size: int) -> FloatArray:
    """The direction d with G_AA d = sign / w on the active block."""
    d = np.empty(size)
    for row in range(size):
        total = signs[row] / w[active[row]]
        for column in range(row):
            total -= L[row, column] * d[column]
        d[row] = total / L[row, row]
    for row in range(size - 1, -1, -1):
        d[row] /= L[row, row]
        for column in range(row):
            d[column] -= L[row, column] * d[row]
    return d


@compiled
def remove(L: FloatArray, active: Indices, signs: FloatArray, size: int, place: int) -> None:
    """Take one variable out of the factor by plane rotations."""
    for row in range(place, size - 1):
        active[row], signs[row] = active[row + 1], signs[row + 1]
        for column in range(row + 2):
            L[row, column] = L[row + 1, column]
    for column in range(place, size - 1):
        radius = np.hypot(L[column, column], L[column, column + 1])
        cosine, sine = L[column, column] / radius, L[column, column + 1] / radius
        for row in range(column, size - 1):
            one, two = L[row, column], L[row, column + 1]
            L[row, column], L[row, column + 1] = cosine * one + sine * two, cosine * two - sine * one
    L[size - 1, :] = 0.0


@compiled
def bic(
    b: FloatArray, c: FloatArray, rest: FloatArray, w: FloatArray, power: float, noise: float, penalty: float
) -> float:
    """Residual sum of squares over the variance of the noise, and log n for each coefficient."""
    squares, count = power, 0
    for j in range(len(b)):
        squares -= b[j] * (c[j] + rest[j])
        if abs(b[j]) > COUNTS * w[j]:
            count += 1
    return squares / noise + penalty * count
