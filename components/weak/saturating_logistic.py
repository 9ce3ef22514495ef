"""The label frequency from the height at which the labeling probability levels off.

If the class depends on the features through a logistic curve that comes near one somewhere, then

    P(labeled | x) = c sigmoid(b'phi(x))

saturates at c and not at one, and the likelihood of the labels tells c. The likelihood is profiled over c: for each c
the coefficients b are fitted by L-BFGS, from those of the neighbouring c.

Jaskie, Elkan, Spanias, A modified logistic regression for positive and unlabeled learning, Asilomar 2019.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from components.contracts import FloatArray, LabelFrequency
from components.errors import InputError
from components.weak.best_bin import cross_fitted_scores, largest_prior
from components.weak.class_prior import GRID, check_bounds, check_rows, draw_rows, share_of, update_belief

CLIP = 4.0  # standard deviations; beyond them a quadratic would follow single rows


@dataclass(frozen=True)
class SaturatingLogistic:
    """Profiles the likelihood of c under a logistic curve, within the interval the data allow.

    About one second for 13,000 rows of 20 columns.

    Attributes:
        kind: Name of the method.
        grid: Number of values of c at which the likelihood is computed, 4 or more; between them it is interpolated.
        lowest: Smallest value of c considered, in (0, 1).
        quadratic: Whether squares and products of columns enter the curve.
        products: Number of columns, the most predictive ones, whose pairwise products enter, 0 or more.
        ridge: Precision of the Gaussian prior on each standardised coefficient, positive.
        retain: Power of the previous belief, in [0, 1]; 1 keeps it whole.
        maximum_rows: Rows used at most, 100 or more.
        seed: Seed of the folds and of the drawn rows.
    """

    kind: Literal["saturating_logistic"] = "saturating_logistic"
    grid: int = 24
    lowest: float = 0.1
    quadratic: bool = True
    products: int = 8
    ridge: float = 1.0
    retain: float = 1.0
    maximum_rows: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.grid < 4:
            raise InputError(f"grid must be at least 4, got {self.grid}")
        if not 0 < self.lowest < 1:
            raise InputError(f"lowest must lie in (0, 1), got {self.lowest}")
        if self.products < 0:
            raise InputError(f"products must be at least 0, got {self.products}")
        if not self.ridge > 0:
            raise InputError(f"ridge must be positive, got {self.ridge}")
        check_bounds(self.retain, self.maximum_rows, self.seed)

    def estimate(
        self,
        features: FloatArray,
        labelled: NDArray[np.bool_],
        previous: LabelFrequency | None = None,
        oversampling: float = 1.0,
    ) -> LabelFrequency:
        """The belief after rows with ``features`` [n, d] and ``labelled`` [n]."""
        check_rows(features, labelled)
        rows, drawn = draw_rows(labelled, oversampling, self.maximum_rows, self.seed)
        known = labelled[rows]
        design = expand(features[rows], known, self.quadratic, self.products)
        scores = cross_fitted_scores(design, known, "logistic", 5, self.seed)
        bound = largest_prior(scores, known, delta=0.05, gamma=0.01, oversampling=drawn)
        share = share_of(known, drawn)
        smallest = min(max(self.lowest, share / bound.high), 0.9)
        values = np.linspace(smallest, 1.0, self.grid, dtype=np.float64)
        likelihood = _interpolate(values, profile(design, known, values, self.ridge, drawn))
        return LabelFrequency(
            grid=GRID,
            density=update_belief(likelihood, previous, self.retain, share_of(labelled, oversampling)),
            source="saturating logistic",
            note="Assumes that the class follows a logistic curve of the features that comes near one. Without it "
            f"every class prior from {share:.3f} to {bound.high:.3f} is compatible with this batch.",
        )


def expand(features: FloatArray, labelled: NDArray[np.bool_], quadratic: bool, products: int) -> FloatArray:
    """[n, p] standardised, clipped columns, and their squares and products where ``quadratic``."""
    linear = np.clip(_standardise(features), -CLIP, CLIP)
    if not quadratic:
        return linear
    curved = [column**2 for column in linear.T if len(np.unique(column)) > 2]
    strength = np.abs(linear.T @ (labelled - labelled.mean()))
    strongest = np.argsort(-strength, kind="stable")[:products]
    pairs = [linear[:, i] * linear[:, j] for at, i in enumerate(strongest) for j in strongest[:at]]
    return np.column_stack([linear, _standardise(np.column_stack(curved + pairs))]) if curved or pairs else linear


def profile(
    design: FloatArray, labelled: NDArray[np.bool_], values: FloatArray, ridge: float, oversampling: float = 1.0
) -> FloatArray:
    """[g] penalised log likelihood of the labels, the coefficients at their best, for each c in ``values``."""
    from scipy.optimize import minimize

    full = np.column_stack([np.ones(len(design)), design])
    penalty = np.r_[1e-6, np.full(design.shape[1], ridge)]
    # In coordinates in which the curvature is near the identity L-BFGS needs tens of steps, not hundreds.
    share = labelled.mean()
    curvature = share * (1 - share) * full.T @ full + np.diag(penalty)
    turn = np.linalg.inv(np.linalg.cholesky(curvature)).T
    turned, at = full @ turn, np.zeros(full.shape[1])
    heights = np.empty(len(values))
    for index in np.argsort(values)[::-1]:
        found = minimize(
            _cost, at, (turned, turn, penalty, labelled, float(values[index]), oversampling), "L-BFGS-B", jac=True,
            options={"maxiter": 300, "ftol": 1e-9, "gtol": 1e-3, "maxcor": 20},
        )  # fmt: skip
        at, heights[index] = found.x, -found.fun
    return heights


def _cost(
    at: FloatArray,
    turned: FloatArray,
    turn: FloatArray,
    penalty: FloatArray,
    labelled: NDArray[np.bool_],
    c: float,
    oversampling: float = 1.0,
) -> tuple[float, FloatArray]:
    """Minus the log likelihood of the labels given that labeled rows are oversampled, and its slope.

    A row drawn at a rate that is r times as high when it is labeled is labeled with probability r p / (1 + (r - 1) p).
    """
    from scipy.special import expit, log_expit

    z, coefficients = turned @ at, turn @ at
    above, below = expit(z), expit(-z)
    missed = np.maximum(1 - c + c * below, 1e-300)
    value = -np.where(labelled, np.log(c) + log_expit(z), np.log(missed)).sum()
    slope = np.where(labelled, -below, c * above * below / missed)
    if oversampling != 1:
        extra = (oversampling - 1) * c * above
        value += np.log1p(extra).sum() - labelled.sum() * np.log(oversampling)
        slope += extra * below / (1 + extra)
    shrunk = penalty * coefficients
    return float(value + 0.5 * coefficients @ shrunk), np.asarray(turned.T @ slope + turn.T @ shrunk)


def _interpolate(values: FloatArray, heights: FloatArray) -> FloatArray:
    from scipy.interpolate import PchipInterpolator

    inside = (values[0] <= GRID) & (values[-1] >= GRID)
    likelihood = np.full(len(GRID), -np.inf)
    likelihood[inside] = PchipInterpolator(values, heights)(GRID[inside])
    return likelihood


def _standardise(columns: FloatArray) -> FloatArray:
    deviation = columns.std(axis=0)
    moving = deviation > 1e-12 * (1 + np.abs(columns).max(axis=0, initial=0.0))
    return np.asarray((columns[:, moving] - columns[:, moving].mean(axis=0)) / deviation[moving])
