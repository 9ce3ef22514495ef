"""The class prior from how far the positives can be taken out of the unlabeled rows.

If the unlabeled rows are drawn from F = prior H + (1 - prior) G, where H is that of positives, then

    F + (z - 1) (F - H),  z = 1 / (1 - prior)

is G itself, and beyond it is no distribution any more. Means of a kernel's features show where: the distance d(z) of
that point from all mixtures of the rows is near zero up to z and grows from there on; it is convex. The prior is where
its slope passes a threshold that falls with the number of rows (gradient thresholding). The kernel compares the rows'
scores of being labeled: they keep the prior, and one number a row needs far fewer rows than many columns do.

Ramaswamy, Scott, Tewari, Mixture proportion estimation via kernel embedding of distributions, ICML 2016.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from components.contracts import FloatArray, LabelFrequency
from components.errors import InputError
from components.weak.best_bin import Scorer, check_scorer, cross_fitted_scores
from components.weak.class_prior import GRID, check_bounds, check_rows, share_of
from components.weak.nuisance.belief import belief_about_prior
from components.weak.nuisance.hull import nearest_in_hull

WIDTH = 0.5  # of the kernel, in median distances between rows
RANK = 20  # directions of the kernel's features kept; the rest carry no visible mass
CLOSE = 1e-2  # how exact squared distances are, in squares of the threshold
HIGHEST, STEPS = 0.98, 9  # of the prior, and bisections: a precision of 0.002


@dataclass(frozen=True)
class KernelMean:
    """Finds where the unlabeled rows without their positives stop to be a distribution.

    About half a second at the default sizes. The interval is of resampled rows with scores and kernel as they are; it
    is a little narrow: in simulations it held the truth in about 17 of 20 samples.

    Attributes:
        kind: Name of the method.
        scorer: What scores the rows, ``logistic`` regression or boosted ``trees``; each by a model of other folds.
        folds: Number of folds, 2 or more.
        slope: Threshold of the slope in standard errors of the kernel means, positive.
        replicates: Resamples for the interval, 2 or more.
        retain: Power of the previous belief, in [0, 1]; 1 keeps it whole.
        maximum_rows: Labeled and unlabeled rows used at most, of each, 20 or more; memory and time grow with the
            square.
        seed: Seed of the folds and of the drawn rows.
    """

    kind: Literal["kernel_mean"] = "kernel_mean"
    scorer: Scorer = "logistic"
    folds: int = 5
    slope: float = 1.5
    replicates: int = 20
    retain: float = 1.0
    maximum_rows: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        check_scorer(self.scorer, self.folds)
        if not 0 < self.slope < np.inf:
            raise InputError(f"slope must be positive, got {self.slope}")
        if self.replicates < 2:
            raise InputError(f"replicates must be at least 2, got {self.replicates}")
        check_bounds(self.retain, self.maximum_rows, self.seed, fewest=20)

    def estimate(
        self,
        features: FloatArray,
        labelled: NDArray[np.bool_],
        previous: LabelFrequency | None = None,
        oversampling: float = 1.0,
    ) -> LabelFrequency:
        """The belief after rows with ``features`` [n, d] and ``labelled`` [n]."""
        check_rows(features, labelled)
        generator = np.random.default_rng(self.seed)
        rows, count = self._drawn(labelled, generator)
        scores = cross_fitted_scores(features[rows], labelled[rows], self.scorer, self.folds, self.seed)
        every = kernel_features(scores[:, None])
        positive, unlabelled = every[:count], every[count:]
        value = kernel_mean_prior(positive, unlabelled, every, self.slope)
        again = [
            kernel_mean_prior(_resampled(positive, generator), _resampled(unlabelled, generator), every, self.slope)
            for _ in range(self.replicates)
        ]
        share = share_of(labelled, oversampling)
        prior, others = (share + (1 - share) * np.asarray(found) for found in (value, again))
        spread = float(np.log(others).std(ddof=1))
        density = belief_about_prior(float(prior), spread, share, previous, self.retain)
        return LabelFrequency(
            grid=GRID,
            density=density,
            source="kernel means",
            note="The largest share of positives that can be taken out of the unlabeled rows; it is the class prior "
            "only if some rows can be nothing but positive.",
        )

    def _drawn(self, labelled: NDArray[np.bool_], generator: np.random.Generator) -> tuple[NDArray[np.int64], int]:
        """Positions of the labeled rows that are used, then of the others, and the number of the former."""
        parts = [generator.permutation(np.flatnonzero(labelled == kind))[: self.maximum_rows] for kind in (True, False)]
        return np.concatenate(parts), len(parts[0])


def kernel_mean_prior(positive: FloatArray, unlabelled: FloatArray, points: FloatArray, slope: float) -> float:
    """Share of rows with features ``unlabelled`` [m, r] that can be drawn like ``positive`` [n, r], in [0, 0.98].

    Args:
        positive: [n, r] kernel features of known positives.
        unlabelled: [m, r] kernel features of unlabeled rows.
        points: [q, r] kernel features of the rows that mixtures are made of.
        slope: Threshold of the slope in standard errors of the means.
    """
    variance = sum(float(kind.var(axis=0).sum()) / len(kind) for kind in (positive, unlabelled))
    return steepening(points, positive.mean(axis=0), unlabelled.mean(axis=0), slope * variance**0.5)


def steepening(points: FloatArray, positive: FloatArray, unlabelled: FloatArray, threshold: float) -> float:
    """The prior at which the slope of the distance d(z) from mixtures of ``points`` [n, r] passes ``threshold``."""
    away, low, high = unlabelled - positive, 0.0, HIGHEST
    for _ in range(STEPS):
        prior = (low + high) / 2
        _, gap = nearest_in_hull(points, unlabelled + prior / (1 - prior) * away, CLOSE * threshold**2)
        distance = float(np.linalg.norm(gap))
        # The envelope theorem: moving the point moves the distance by the part of the move along the gap.
        steep = float(gap @ away) / distance if distance > 1e-9 else 0.0
        low, high = (low, prior) if steep > threshold else (prior, high)
    return (low + high) / 2


def kernel_features(points: FloatArray) -> FloatArray:
    """[n, r] coordinates of rows [n, d] in the leading directions of a Gaussian kernel of half the median distance."""
    from scipy.linalg import eigh
    from scipy.spatial.distance import cdist

    squares = cdist(points, points, "sqeuclidean")
    apart = squares[squares > 0]
    width = WIDTH**2 * float(np.median(apart)) if len(apart) else 1.0
    first = max(len(points) - RANK, 0)
    values, vectors = eigh(np.exp(-squares / (2 * width)), subset_by_index=(first, len(points) - 1))
    kept = values > 1e-10 * values[-1]
    return np.asarray(vectors[:, kept] * np.sqrt(values[kept]))


def _resampled(rows: FloatArray, generator: np.random.Generator) -> FloatArray:
    return np.asarray(rows[generator.integers(len(rows), size=len(rows))])
