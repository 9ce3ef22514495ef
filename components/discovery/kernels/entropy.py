"""Entropies of regression residuals, two residuals in one pass, without a logarithm or a temporary in the inner loop.

The entropy of a standardised u is approximated by

    H(u) = (1 + ln 2 pi) / 2 - 79.047 (E ln cosh u - 0.37457)^2 - 7.4129 (E u exp(-u^2 / 2))^2

(Hyvarinen, New approximations of differential entropy for independent component analysis and projection pursuit, NIPS
1997). With ln cosh u = |u| + ln(1 + exp(-2 |u|)) - ln 2 the sum of logarithms is the logarithm of a product, taken once
a block; every factor lies in [1, 2], so neither large |u| nor many factors overflow.

Columns are held as rows of Z [p, n], each of mean zero and variance one.
"""

import math

import numpy as np

from components.contracts import FloatArray
from components.discovery.constraints import Indices
from components.discovery.kernels.compiled import compiled, compiled_in_lanes

BLOCK = 256
LN2, LN2PI = math.log(2.0), math.log(2 * math.pi)
GAUSSIAN = (1 + LN2PI) / 2
COSH_WEIGHT, COSH_OF_GAUSSIAN, EXP_WEIGHT = 79.047, 0.37457, 7.4129
# Below this exp(x) vanishes beside 1; it also bounds the argument of the polynomial.
LEAST = -40.0
# 1 - rho^2 below which the variance of a residual is summed up and not derived from rho.
CLOSE = 1e-4


@compiled_in_lanes
def exp_of_negative(x: float) -> float:
    """exp(x) of x <= 0 with an absolute error below 1e-15: a polynomial in x / 64, squared six times."""
    y = max(x, LEAST) * 0.015625
    high = 1 / 120 + y * (1 / 720 + y * (1 / 5040 + y * (1 / 40320)))
    power = 1.0 + y * (1.0 + y * (1 / 2 + y * (1 / 6 + y * (1 / 24 + y * high))))
    power *= power
    power *= power
    power *= power
    power *= power
    power *= power
    power *= power
    return power


@compiled
def entropy_of(cosh: float, exponential: float) -> float:
    """The approximation from E ln cosh u and E u exp(-u^2 / 2)."""
    return GAUSSIAN - COSH_WEIGHT * (cosh - COSH_OF_GAUSSIAN) ** 2 - EXP_WEIGHT * exponential**2


@compiled_in_lanes
def block_sums(
    x: FloatArray, y: FloatArray, own: float, other: float, start: int, stop: int
) -> tuple[float, float, float, float, float, float]:
    """Over one block, of u = own x + other y and of v = own y + other x: sums of |.|, of . exp(-.^2/2), products."""
    size_u, size_v, exp_u, exp_v, factors_u, factors_v = 0.0, 0.0, 0.0, 0.0, 1.0, 1.0
    for t in range(start, stop):
        u = own * x[t] + other * y[t]
        v = own * y[t] + other * x[t]
        size_u += abs(u)
        size_v += abs(v)
        exp_u += u * exp_of_negative(-0.5 * u * u)
        exp_v += v * exp_of_negative(-0.5 * v * v)
        factors_u *= 1.0 + exp_of_negative(-2.0 * abs(u))
        factors_v *= 1.0 + exp_of_negative(-2.0 * abs(v))
    return size_u, size_v, exp_u, exp_v, factors_u, factors_v


@compiled
def mixed_entropies(x: FloatArray, y: FloatArray, own: float, other: float) -> tuple[float, float]:
    """H(own x + other y) and H(own y + other x)."""
    n = len(x)
    cosh_u, cosh_v, exp_u, exp_v = 0.0, 0.0, 0.0, 0.0
    for start in range(0, n, BLOCK):
        sums = block_sums(x, y, own, other, start, min(n, start + BLOCK))
        cosh_u += sums[0] + np.log(sums[4])
        cosh_v += sums[1] + np.log(sums[5])
        exp_u += sums[2]
        exp_v += sums[3]
    return entropy_of(cosh_u / n - LN2, exp_u / n), entropy_of(cosh_v / n - LN2, exp_v / n)


@compiled_in_lanes
def dot(x: FloatArray, y: FloatArray) -> float:
    """Sum of products."""
    total = 0.0
    for t in range(len(x)):
        total += x[t] * y[t]
    return total


@compiled_in_lanes
def residual_power(x: FloatArray, y: FloatArray, slope: float) -> float:
    """Sum of squares of x - slope y."""
    total = 0.0
    for t in range(len(x)):
        rest = x[t] - slope * y[t]
        total += rest * rest
    return total


@compiled
def pair_entropies(Z: FloatArray, pairs: Indices, start: int, stop: int, out: FloatArray) -> None:
    """For pairs [m, 2] from ``start`` to ``stop``: out[., 0] = H(x_i | x_j), out[., 1] = H(x_j | x_i), standardised."""
    n = Z.shape[1]
    for place in range(start, stop):
        x, y = Z[pairs[place, 0]], Z[pairs[place, 1]]
        rho = dot(x, y) / n
        rest = 1.0 - rho * rho
        if rest < CLOSE:
            rest = residual_power(x, y, rho) / n
        own = 1.0 / np.sqrt(rest)
        out[place, 0], out[place, 1] = mixed_entropies(x, y, own, -rho * own)


@compiled
def entropies(Z: FloatArray, which: Indices, start: int, stop: int, out: FloatArray) -> None:
    """Write H of the rows ``which`` of Z into ``out``, from place ``start`` to ``stop``."""
    for place in range(start, stop):
        z = Z[which[place]]
        out[place] = mixed_entropies(z, z, 1.0, 0.0)[0]


@compiled_in_lanes
def standardise(z: FloatArray) -> float:
    """Give ``z`` mean zero and variance one in place; the standard deviation it had."""
    n = len(z)
    total = 0.0
    for t in range(n):
        total += z[t]
    mean = total / n
    power = 0.0
    for t in range(n):
        z[t] -= mean
        power += z[t] * z[t]
    deviation = math.sqrt(power / n)
    if deviation > 0:
        scale = 1.0 / deviation
        for t in range(n):
            z[t] *= scale
    return deviation


@compiled_in_lanes
def regress_out(Z: FloatArray, cause: int, which: Indices, start: int, stop: int, out: FloatArray) -> None:
    """Replace rows ``which`` of Z by their standardised residuals on row ``cause``; out = the deviations left."""
    n = Z.shape[1]
    z = Z[cause]
    for place in range(start, stop):
        x = Z[which[place]]
        rho = dot(x, z) / n
        for t in range(n):
            x[t] -= rho * z[t]
        out[place] = standardise(x)
