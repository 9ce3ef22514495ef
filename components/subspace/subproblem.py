"""The exact minimiser of a small quadratic model in a ball, from its eigendecomposition.

A step u minimises g^T u + u^T H u / 2 over |u| <= radius exactly when a multiplier m >= 0 satisfies

    (H + m I) u = -g        H + m I is positive semidefinite        m (radius - |u|) = 0

and m is found by bisection on |u(m)| = radius. In the hard case, where g has no part along the lowest curvature
and that curvature is negative, the step is completed to the boundary along its eigenvector.

More and Sorensen, Computing a Trust Region Step, SIAM J. Sci. Stat. Comput. 4, 1983.
"""

from dataclasses import dataclass

import numpy as np

from components.contracts import FloatArray

ROUNDING = 1e-14


@dataclass(frozen=True, eq=False)
class Model:
    """A quadratic model in k coordinates, with its Hessian diagonalised once for all radii.

    Attributes:
        gradient: [k] gradient.
        curvature: [k] eigenvalues of the Hessian, increasing.
        directions: [k, k] their eigenvectors, one a column.
    """

    gradient: FloatArray
    curvature: FloatArray
    directions: FloatArray

    @classmethod
    def of(cls, gradient: FloatArray, hessian: FloatArray) -> "Model":
        """The model with this gradient and (symmetrised) Hessian."""
        curvature, directions = np.linalg.eigh((hessian + hessian.T) / 2)
        return cls(gradient, curvature, directions)

    @property
    def lowest(self) -> float:
        """Lowest curvature."""
        return float(self.curvature[0])

    def decrease(self, step: FloatArray) -> float:
        """How far the model falls by ``step`` [k]; positive is down."""
        along = self.directions.T @ step
        return float(-self.gradient @ step - 0.5 * (self.curvature * along) @ along)

    def minimiser(self, radius: float) -> tuple[FloatArray, float]:
        """The [k] step of least model value within ``radius``, and its multiplier."""
        slope: FloatArray = np.asarray(self.directions.T @ self.gradient)
        slope = np.where(np.abs(slope) <= ROUNDING * np.abs(slope).max(initial=0.0), 0.0, slope)
        base = max(0.0, -self.lowest)
        stiffness = np.maximum(self.curvature + base, 0.0)
        stiffness[stiffness <= ROUNDING * np.abs(self.curvature).max(initial=0.0)] = 0.0
        along = _step(slope, stiffness, 0.0)
        shift = 0.0
        if not np.linalg.norm(along) <= radius:
            shift = _shift(slope, stiffness, radius)
            along = _step(slope, stiffness, shift)
        elif self.lowest < 0:
            along[0] = np.sqrt(max(radius**2 - float(along @ along), 0.0))
        return self.directions @ along, base + shift


def _step(slope: FloatArray, stiffness: FloatArray, shift: float) -> FloatArray:
    with np.errstate(divide="ignore", over="ignore"):
        return np.asarray(np.where(slope == 0, 0.0, -slope / np.where(slope == 0, 1.0, stiffness + shift)))


def _shift(slope: FloatArray, stiffness: FloatArray, radius: float) -> float:
    """The shift in (0, |slope| / radius] at which the step is ``radius`` long, by bisection of its logarithm."""
    low, high = np.log(np.finfo(float).tiny), np.log(np.linalg.norm(slope)) - np.log(radius)
    for _ in range(100):
        middle = (low + high) / 2
        if np.linalg.norm(_step(slope, stiffness, float(np.exp(middle)))) > radius:
            low = middle
        else:
            high = middle
    return float(np.exp(high))
