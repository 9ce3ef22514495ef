"""The largest class prior that the data allow, by best bin estimation.

Above any threshold t of any score, the share of all rows is at least the prior times the share of positives:

    prior <= q_all(t) / q_labeled(t)

and the threshold is chosen where the upper confidence bound of the ratio is smallest. The bound is the prior itself
when some region holds positives only (irreducibility); otherwise the prior is smaller.

Garg, Wu, Smola, Balakrishnan, Lipton, Mixture proportion estimation and PU learning: a modern approach, NeurIPS 2021.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from components.contracts import Estimate, FloatArray, LabelFrequency
from components.errors import InputError
from components.weak.class_prior import GRID, check_bounds, check_rows, draw_rows, share_of, update_belief

Scorer = Literal["logistic", "trees"]


@dataclass(frozen=True)
class BestBin:
    """Believes in the largest prior that needs no further assumption.

    Attributes:
        kind: Name of the method.
        delta: Chance that the bound fails, in (0, 1).
        gamma: Weight of the confidence term in the choice of the threshold beyond one, at least 0.
        scorer: What ranks the rows: ``logistic`` regression or boosted ``trees``.
        folds: Number of folds; each row is scored by a model that has not seen it, 2 or more.
        retain: Power of the previous belief, in [0, 1]; 1 keeps it whole.
        maximum_rows: Rows used at most, 100 or more.
        seed: Seed of the folds and of the drawn rows.
    """

    kind: Literal["best_bin"] = "best_bin"
    delta: float = 0.1
    gamma: float = 0.01
    scorer: Scorer = "logistic"
    folds: int = 5
    retain: float = 1.0
    maximum_rows: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.delta < 1:
            raise InputError(f"delta must lie in (0, 1), got {self.delta}")
        if not self.gamma >= 0:
            raise InputError(f"gamma must be at least 0, got {self.gamma}")
        check_scorer(self.scorer, self.folds)
        check_bounds(self.retain, self.maximum_rows, self.seed)

    def estimate(
        self,
        features: FloatArray,
        labelled: NDArray[np.bool_],
        previous: LabelFrequency | None = None,
        oversampling: float = 1.0,
    ) -> LabelFrequency:
        """The belief that the class prior is as large as rows with ``features`` [n, d], ``labelled`` [n] allow."""
        check_rows(features, labelled)
        rows, drawn = draw_rows(labelled, oversampling, self.maximum_rows, self.seed)
        scores = cross_fitted_scores(features[rows], labelled[rows], self.scorer, self.folds, self.seed)
        prior = largest_prior(scores, labelled[rows], self.delta, self.gamma, drawn)
        share = share_of(labelled, oversampling)
        spread = max(np.log(prior.high / prior.low) / 3.29, 1e-3)
        likelihood = -0.5 * ((np.log(share / GRID) - np.log(prior.value)) / spread) ** 2
        return LabelFrequency(
            grid=GRID,
            density=update_belief(likelihood, previous, self.retain, share),
            source="best bin estimation",
            note=f"The largest class prior compatible with the data without further assumption is {prior.value:.3f} "
            f"[{prior.low:.3f}, {prior.high:.3f}]; it is the prior only if some rows can be nothing but positive.",
        )


def largest_prior(
    scores: FloatArray, labelled: NDArray[np.bool_], delta: float, gamma: float, oversampling: float = 1.0
) -> Estimate:
    """The largest prior compatible with held-out ``scores`` [n], with the interval of its concentration bound.

    The upper end holds simultaneously over all thresholds, so it bounds the prior whatever the score. Where labeled
    rows are oversampled each of them counts less among all rows, whose number in the bound is then their effective one.
    """
    mass = np.where(labelled, 1 / oversampling, 1.0)
    order = np.argsort(scores, kind="stable")
    ranked, positives = scores[order], np.sort(scores[labelled])
    below = np.concatenate([[0.0], np.cumsum(mass[order])])
    thresholds = np.unique(positives)
    reached = 1 - below[np.searchsorted(ranked, thresholds)] / below[-1]
    caught = 1 - np.searchsorted(positives, thresholds) / len(positives)
    counts = below[-1] ** 2 / (mass**2).sum(), len(positives)
    slack_all, slack_labeled = (np.sqrt(np.log(4 / delta) / (2 * count)) for count in counts)
    slack = slack_all + slack_labeled
    best = int(np.argmin((reached + (1 + gamma) * slack) / caught))
    sure = caught > slack_labeled
    upper = np.min((reached[sure] + slack_all) / (caught[sure] - slack_labeled), initial=1.0)
    share = share_of(labelled, oversampling)
    value = float(np.clip(reached[best] / caught[best], share, 1.0))
    lower = (reached[best] - slack_all) / (caught[best] + slack_labeled)
    return Estimate(value, max(share, min(value, lower)), max(value, float(upper)), "best bin estimation")


def check_scorer(scorer: Scorer, folds: int) -> None:
    """The rules of the fields of every class prior that ranks rows by a model that has not seen them.

    Raises:
        InputError: A value breaks its rule.
    """
    if scorer not in get_args(Scorer):
        raise InputError(f"scorer must be one of {', '.join(get_args(Scorer))}, got {scorer!r}")
    if folds < 2:
        raise InputError(f"folds must be at least 2, got {folds}")


def cross_fitted_scores(
    features: FloatArray, labelled: NDArray[np.bool_], scorer: Scorer, folds: int, seed: int
) -> FloatArray:
    """[n] log odds of being labeled, each from a model that was fitted without the row."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fold = fold_numbers(labelled, folds, seed)
    scores = np.empty(len(labelled))
    for number in range(folds):
        held = fold == number
        if scorer == "trees":
            model = HistGradientBoostingClassifier(max_iter=60, learning_rate=0.08, random_state=seed)
        else:
            model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=2000))
        scores[held] = model.fit(features[~held], labelled[~held]).decision_function(features[held])
    return scores


def fold_numbers(labelled: NDArray[np.bool_], folds: int, seed: int) -> NDArray[np.int64]:
    """[n] fold of each row; every fold has the same share of labeled rows.

    Raises:
        InputError: There are fewer labeled or unlabeled rows than folds.
    """
    fewest = int(min(labelled.sum(), (~labelled).sum()))
    if fewest < folds:
        raise InputError(f"labelled must hold at least {folds} rows of each value, one a fold, got {fewest}")
    rng, fold = np.random.default_rng(seed), np.empty(len(labelled), dtype=np.int64)
    for value in (True, False):
        rows = rng.permutation(np.flatnonzero(labelled == value))
        fold[rows] = np.arange(len(rows)) % folds
    return fold
