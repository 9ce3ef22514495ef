"""Steps of the Bayesian learning rule on a Gaussian, in closed form.

With E[g] and E[H] the expected gradient and Hessian of the total loss (data and prior) under N(m, S^-1),

    natural   S' = (1 - rate) S + rate E[H]         b' = (1 - rate) b + rate (E[H] m - E[g])
    mean      S' = (1 - rate) S + rate E[H]         m' = m - rate S'^-1 E[g]
    improved  S' = (S + (S - rate G) S^-1 (S - rate G)) / 2,  G = S - E[H]      m' = m - rate S^-1 E[g]

The first two are the same step; on a conjugate model a rate of 1 is exact. The third keeps S positive definite under
any Hessian: S' >= S / 2. A precision is a matrix [P, P], or a vector [P] for independent parameters.

Khan and Rue, The Bayesian Learning Rule, JMLR 24, 2023.
Lin, Schmidt and Khan, Handling the Positive-Definite Constraint in the Bayesian Learning Rule, ICML 2020.
"""

import numpy as np

from components.contracts import FloatArray


def natural_step(
    shift: FloatArray, precision: FloatArray, gradient: FloatArray, hessian: FloatArray, rate: float
) -> tuple[FloatArray, FloatArray]:
    """The next (shift, precision)."""
    mean = _solved(precision, shift)
    moved = (1 - rate) * shift + rate * (_applied(hessian, mean) - gradient)
    return moved, (1 - rate) * precision + rate * hessian


def mean_step(
    mean: FloatArray, precision: FloatArray, gradient: FloatArray, hessian: FloatArray, rate: float
) -> tuple[FloatArray, FloatArray]:
    """The next (mean, precision); the same Gaussian as `natural_step` gives."""
    renewed = (1 - rate) * precision + rate * hessian
    return mean - rate * _solved(renewed, gradient), renewed


def improved_step(
    mean: FloatArray, precision: FloatArray, gradient: FloatArray, hessian: FloatArray, rate: float
) -> tuple[FloatArray, FloatArray]:
    """The next (mean, precision), the precision positive definite under any ``hessian``."""
    gap = precision - hessian
    correction = gap**2 / precision if precision.ndim == 1 else gap @ np.linalg.solve(precision, gap)
    renewed = precision - rate * gap + rate**2 / 2 * correction
    return mean - rate * _solved(precision, gradient), renewed


def _solved(matrix: FloatArray, vector: FloatArray) -> FloatArray:
    return np.asarray(vector / matrix if matrix.ndim == 1 else np.linalg.solve(matrix, vector))


def _applied(matrix: FloatArray, vector: FloatArray) -> FloatArray:
    return matrix * vector if matrix.ndim == 1 else matrix @ vector
