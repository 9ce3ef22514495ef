"""Residuals of least squares among the columns of one table, from their covariance matrix."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from components.contracts import FloatArray
from components.discovery.hsic import Kernel, Width, p_value
from components.discovery.refitting import refitted
from components.discovery.residuals import Residual, ResidualTests

# Rows up to which the p-value of Shapiro and Wilk's test is calibrated; more are thinned to as many order statistics.
SHAPIRO_ROWS = 5000


@dataclass(frozen=True, eq=False)
class LeastSquares:
    """Linear regressions among the columns of one table.

    Attributes:
        values: [n, p] the table.
    """

    values: FloatArray
    _weights: dict[Residual, FloatArray] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def centred(self) -> FloatArray:
        """[n, p] the table with columns of mean zero."""
        return np.asarray(self.values - self.values.mean(axis=0))

    @cached_property
    def products(self) -> FloatArray:
        """[p, p] n times the covariance matrix."""
        return np.asarray(self.centred.T @ self.centred)

    def residual(self, effect: int, causes: Sequence[int]) -> FloatArray:
        """[n] column ``effect`` without what a line in the columns ``causes`` explains."""
        if not causes:
            return np.ascontiguousarray(self.values[:, effect])
        return np.asarray(self.centred @ self.weights(Residual(effect, frozenset(causes))))

    def slopes(self, effect: int, causes: Sequence[int]) -> FloatArray:
        """Coefficients of ``causes``, in their order."""
        return -self.weights(Residual(effect, frozenset(causes)))[list(causes)]

    def weights(self, residual: Residual) -> FloatArray:
        """[p] the residual is this combination of the centred columns."""
        if residual not in self._weights:
            weights = np.zeros(len(self.products))
            causes = sorted(residual.given)
            if causes:
                inner = self.products[np.ix_(causes, causes)]
                weights[causes] = -np.linalg.lstsq(inner, self.products[causes, residual.variable], rcond=None)[0]
            weights[residual.variable] = 1.0
            self._weights[residual] = weights
        return self._weights[residual]


@dataclass(frozen=True, eq=False)
class LinearTests:
    """Tests of independence, correlation and shape for linear residuals of one table; all answers are kept.

    Attributes:
        regression: The regressions.
        residuals: Tests of independence between their residuals.
    """

    regression: LeastSquares
    residuals: ResidualTests
    _correlations: dict[tuple[Residual, Residual], float] = field(default_factory=dict, init=False, repr=False)
    _refitted: dict[tuple[Residual, ...], float] = field(default_factory=dict, init=False, repr=False)
    _shapes: dict[Residual, float] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, values: FloatArray, width: Width = "median") -> "LinearTests":
        """Tests between the columns of ``values`` [n, p]."""
        regression = LeastSquares(values)
        return cls(regression, ResidualTests(regression, width))

    def independence(self, first: Residual, *second: Residual) -> float:
        """P-value of HSIC."""
        return self.residuals.independence(first, *second)

    def refitted(self, effect: Residual, causes: tuple[Residual, ...]) -> float:
        """Least p-value of HSIC between each of ``causes`` and ``effect`` less the slopes that make it largest."""
        key = (effect, *causes)
        if key not in self._refitted:
            regressors = [self.residuals.values(cause) for cause in causes]
            centred = np.stack([values - values.mean() for values in regressors])
            column = self.residuals.values(effect)
            rest = Kernel.of(refitted(column - column.mean(), centred, self.residuals.width), self.residuals.width)
            kernels = [Kernel.of(values, self.residuals.width) for values in regressors]
            self._refitted[key] = min(p_value(rest, kernel) for kernel in kernels)
        return self._refitted[key]

    def correlation(self, first: Residual, second: Residual) -> float:
        """Two-sided p-value of Pearson's correlation."""
        from scipy.special import betainc

        key = (first, second)
        if key not in self._correlations:
            products, one, other = (
                self.regression.products,
                self.regression.weights(first),
                self.regression.weights(second),
            )
            half = len(self.regression.values) / 2 - 1
            scale = np.sqrt((one @ products @ one) * (other @ products @ other))
            share = min(abs(one @ products @ other) / scale, 1.0) if scale > 0 else 0.0
            self._correlations[key] = self._correlations[key[::-1]] = float(2 * betainc(half, half, (1 - share) / 2))
        return self._correlations[key]

    def shape(self, residual: Residual) -> float:
        """P-value of Shapiro and Wilk's test of a Gaussian shape; 1 for a residual without spread."""
        from scipy.stats import shapiro

        if residual not in self._shapes:
            ordered = np.sort(self.residuals.values(residual))
            if len(ordered) > SHAPIRO_ROWS:
                ordered = ordered[((np.arange(SHAPIRO_ROWS) + 0.5) * len(ordered) / SHAPIRO_ROWS).astype(np.intp)]
            spread = ordered[-1] > ordered[0]
            self._shapes[residual] = float(shapiro(ordered).pvalue) if spread else 1.0
        return self._shapes[residual]
