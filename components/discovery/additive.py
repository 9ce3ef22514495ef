"""Additive regression: y = a + f1(x1) + f2(x2) + ... with smooth curves, by one solve of normal equations.

Each curve is a sum of 20 uniform cubic B-splines over the range of its variable, with a penalty of 0.6 on squared
second differences of neighbouring coefficients, and a tiny ridge that settles which curve holds the constant. This is
the LinearGAM of pygam with its defaults, to rounding, where there are more rows than coefficients. Bases are made once
a variable and their products once a pair of variables, so that a fit costs far less than a pass over the rows.

Eilers and Marx, Flexible smoothing with B-splines and penalties, Statistical Science 11, 1996.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from components.contracts import FloatArray

if TYPE_CHECKING:
    from components.discovery.kernels.splines import Places

SPLINES = 20
SMOOTHNESS = 0.6
RIDGE = float(np.sqrt(np.finfo(np.float64).eps))


@dataclass(frozen=True, eq=False)
class AdditiveRegression:
    """Additive regressions among the columns of one table.

    Attributes:
        values: [n, p] the table.
    """

    values: FloatArray
    _bases: "dict[int, tuple[Places, FloatArray]]" = field(default_factory=dict, init=False, repr=False)
    _grams: dict[tuple[int, int], FloatArray] = field(default_factory=dict, init=False, repr=False)

    def residual(self, effect: int, causes: Sequence[int]) -> FloatArray:
        """[n] column ``effect`` without what the additive curves of the columns ``causes`` explain."""
        from components.discovery.kernels.splines import projections, subtract_curve

        column = np.ascontiguousarray(self.values[:, effect])
        if not causes:
            return column
        target = np.concatenate([projections(*self._basis(j), column, SPLINES) for j in causes] + [[column.sum()]])
        coefficients = _solve(self._normal_matrix(causes), target)
        residual: FloatArray = column - coefficients[-1]
        for place, cause in enumerate(causes):
            curve = coefficients[place * SPLINES : (place + 1) * SPLINES]
            subtract_curve(residual, *self._basis(cause), curve)
        return residual

    def _normal_matrix(self, causes: Sequence[int]) -> FloatArray:
        size = SPLINES * len(causes) + 1
        matrix = np.empty((size, size))
        for one, first in enumerate(causes):
            rows = slice(one * SPLINES, (one + 1) * SPLINES)
            for other, second in enumerate(causes):
                matrix[rows, other * SPLINES : (other + 1) * SPLINES] = self._gram(first, second)
            matrix[rows, rows] += PENALTY
            # The splines of a variable add up to one at every row.
            matrix[rows, -1] = matrix[-1, rows] = self._gram(first, first).sum(axis=1)
        matrix[-1, -1] = len(self.values)
        matrix[np.diag_indices(size)] += RIDGE
        return matrix

    def _basis(self, variable: int) -> "tuple[Places, FloatArray]":
        from components.discovery.kernels.splines import basis

        if variable not in self._bases:
            self._bases[variable] = basis(np.ascontiguousarray(self.values[:, variable]), SPLINES)
        return self._bases[variable]

    def _gram(self, first: int, second: int) -> FloatArray:
        from components.discovery.kernels.splines import cross_gram

        if (first, second) not in self._grams:
            gram = cross_gram(*self._basis(first), *self._basis(second), SPLINES)
            self._grams[first, second], self._grams[second, first] = gram, gram.T
        return self._grams[first, second]


def additive_residuals(values: FloatArray, edges: NDArray[np.bool_]) -> FloatArray:
    """[n, p] what additive curves of the parents in ``edges`` [effect, cause] leave of the columns of ``values``."""
    regression = AdditiveRegression(values)
    rest = [regression.residual(effect, np.flatnonzero(parents).tolist()) for effect, parents in enumerate(edges)]
    return np.stack(rest, axis=1)


def _penalty() -> FloatArray:
    differences = np.diff(np.eye(SPLINES), n=2, axis=0)
    return SMOOTHNESS * np.asarray(differences.T @ differences)


PENALTY = _penalty()


def _solve(matrix: FloatArray, target: FloatArray) -> FloatArray:
    """The solution of a positive definite system; of least norm where rounding has made it indefinite."""
    from scipy.linalg.lapack import dposv

    _, solution, failed = dposv(matrix, target)
    return np.asarray(np.linalg.lstsq(matrix, target, rcond=None)[0] if failed else solution)
