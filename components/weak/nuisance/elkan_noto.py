"""The label frequency as the mean score of known positives.

Where labels are given to positives at random, P(labeled | x) = c P(positive | x), and a row that is surely positive has
the score c. If all known positives were, their mean score would be c,

    one sample:   c = mean of P(labeled | x) over labeled rows,  prior = P(labeled) / c
    two samples:  with equal masses  c = 1 / (1 + prior),        prior = (1 - c) / c

Scores are of rows the model has not seen. Where classes overlap positives have lower scores, and the prior comes out
too large, often by far.

Elkan and Noto, Learning classifiers from only positive and unlabeled data, KDD 2008.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from components.contracts import FloatArray, LabelFrequency
from components.errors import InputError
from components.weak.best_bin import Scorer, check_scorer, cross_fitted_scores
from components.weak.class_prior import GRID, check_bounds, check_rows, draw_rows, share_of
from components.weak.nuisance.belief import belief_about_prior

Sampling = Literal["one_sample", "two_samples"]
LEAST = 1e-6  # a prior


@dataclass(frozen=True)
class ElkanNoto:
    """Believes in the mean score of the known positives; a baseline, for comparison.

    Attributes:
        kind: Name of the method.
        sampling: ``one_sample``: some positives of one sample are labeled. ``two_samples``: positives and unlabeled
            rows were drawn apart, so that their numbers say nothing.
        scorer: What scores the rows: ``logistic`` regression or boosted ``trees``.
        folds: Number of folds; each row is scored by a model that has not seen it, 2 or more.
        retain: Power of the previous belief, in [0, 1]; 1 keeps it whole.
        maximum_rows: Rows used at most, 100 or more.
        seed: Seed of the folds and of the drawn rows.
    """

    kind: Literal["elkan_noto"] = "elkan_noto"
    sampling: Sampling = "one_sample"
    scorer: Scorer = "logistic"
    folds: int = 5
    retain: float = 1.0
    maximum_rows: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.sampling not in get_args(Sampling):
            raise InputError(f"sampling must be one of {', '.join(get_args(Sampling))}, got {self.sampling!r}")
        check_scorer(self.scorer, self.folds)
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
        scores = cross_fitted_scores(features[rows], known, self.scorer, self.folds, self.seed)
        share = share_of(labelled, oversampling)
        prior, spread = mean_score_prior(scores, known, self.sampling, drawn)
        if self.sampling == "two_samples":  # from the prior of the unlabeled rows to that of all
            among_all = share + (1 - share) * prior
            prior, spread = among_all, spread * (1 - share) * prior / among_all
        density = belief_about_prior(max(prior, share), spread, share, previous, self.retain)
        return LabelFrequency(
            grid=GRID,
            density=density,
            source=f"Elkan-Noto, {self.sampling.replace('_', ' ')}",
            note="Takes every known positive for a row that can be nothing else; where classes overlap the class prior "
            "is smaller than this. The interval is of the drawn rows only.",
        )


def mean_score_prior(
    scores: FloatArray, labelled: NDArray[np.bool_], sampling: Sampling, oversampling: float = 1.0
) -> tuple[float, float]:
    """The prior (of all rows; of the unlabeled ones with two samples), and the standard error of its logarithm.

    Args:
        scores: [n] log odds of being labeled, of rows the model has not seen.
        labelled: [n] the row is a known positive.
        sampling: How the rows came about.
        oversampling: How many times as likely a labeled row is to be among these rows as any other.
    """
    from scipy.special import expit

    count = int(labelled.sum())
    odds = count / (len(labelled) - count) if sampling == "two_samples" else oversampling
    reached = expit(scores[labelled] - np.log(odds))
    mean = float(reached.mean())
    error = float(reached.std() / mean) / np.sqrt(count)
    # Beyond the spread of the scores: even if all positives were sure, how many there are of each kind is chance.
    if sampling == "one_sample":
        return share_of(labelled, oversampling) / mean, float(np.hypot(error, np.sqrt((1 - mean) / count)))
    prior = float(np.clip((1 - mean) / mean, LEAST, 1.0))
    chance = np.sqrt((1 - prior) / ((len(labelled) - count) * prior))
    return prior, float(np.hypot(error * (1 + prior) / prior, chance))
