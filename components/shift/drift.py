"""What changed between the rows a model was made from and a new batch.

Three looks: the features at once (relative Pearson divergence, permutation p-value), each column by itself
(Kolmogorov-Smirnov, Holm), and the model's scores (Kolmogorov-Smirnov).

Liu, Yamada, Collier, Sugiyama, Change-point detection in time-series data by relative density-ratio estimation, 2013.
Lipton, Wang, Smola, Detecting and correcting for label shift with black box predictors, ICML 2018.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from components.contracts import ColumnDrift, DriftAction, DriftKind, DriftReport, FloatArray
from components.errors import InputError
from components.shift.rulsif import (
    check_samples,
    divergence,
    draw,
    gram,
    kernel,
    median_distance,
    squared_distances,
)


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows and what a model says of them.

    Attributes:
        features: [n, d] finite, standardised as for training.
        scores: [n] score of each row.
        labelled: Number of labeled rows among them.
    """

    features: FloatArray
    scores: FloatArray
    labelled: int = 0

    def __post_init__(self) -> None:
        if self.scores.shape != self.features.shape[:1]:
            raise InputError(
                f"scores must hold one number for each row, got {self.scores.shape} for {self.features.shape}"
            )
        if not np.isfinite(self.scores).all():
            raise InputError("scores must be finite, found NaN or infinity")
        if not 0 <= self.labelled <= len(self.scores):
            raise InputError(f"labelled must lie between 0 and the {len(self.scores)} rows, got {self.labelled}")


@dataclass(frozen=True)
class DriftTest:
    """Two-sample tests on at most ``maximum_rows`` rows a side, so that only shifts of some size count.

    The kind is read in this order: too many rows outside the training support is ``support``; moved features are
    ``covariate``; moved scores or a moved share of labeled rows with features at rest are ``label``. The looks (all
    features, each feature, scores, labeled rows) are judged together by Holm's rule, so that a batch that has not moved
    raises an alarm with probability ``level`` at most. Under label shift the features move as well, if less, so a
    strong one is reported as ``covariate``. A ``concept`` shift, new labels for
    the same features, leaves no trace in features and scores and is never reported here: it takes true labels.

    Attributes:
        kind: Name of the method.
        permutations: Number of permutations, 1 or more; the smallest p-value is 1 / (permutations + 1), and with fewer
            than 4 / level the features as a whole raise no alarm by themselves.
        level: Probability of an alarm over a batch that has not moved, in (0, 1).
        support: Share of rows outside the training support above which labels are asked for, in [0, 1].
        alpha: Share of the new batch in the denominator of the ratio, in [0, 1).
        regularisation: Ridge of the ratio, positive.
        centres: Number of kernel centres at most, 1 or more.
        maximum_rows: Rows drawn from each side at most, 3 or more.
        seed: Seed of the drawn rows, the centres and the permutations.
    """

    kind: Literal["two_sample"] = "two_sample"
    permutations: int = 500
    level: float = 0.01
    support: float = 0.1
    alpha: float = 0.1
    regularisation: float = 0.1
    centres: int = 100
    maximum_rows: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise InputError(f"level must lie in (0, 1), got {self.level}")
        if not 0 <= self.support <= 1:
            raise InputError(f"support must lie in [0, 1], got {self.support}")
        if not 0 <= self.alpha < 1:
            raise InputError(f"alpha must lie in [0, 1), got {self.alpha}")
        for name, least in (("permutations", 1), ("centres", 1), ("maximum_rows", 3), ("seed", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not self.regularisation > 0:
            raise InputError(f"regularisation must be positive, got {self.regularisation}")

    def examine(
        self,
        batch: str,
        names: Sequence[str],
        samples: tuple[Sample, Sample],
        priors: tuple[float, float],
        outside: float,
    ) -> DriftReport:
        """Compare a new batch with the reference.

        Args:
            batch: Label of the batch.
            names: [d] names of the columns.
            samples: Reference rows and new rows.
            priors: Class prior before and after, for the record.
            outside: Share of new rows outside the training support, in [0, 1].

        Raises:
            InputError: Samples and names disagree.
        """
        check_samples(samples[0].features, samples[1].features)
        if len(names) != samples[0].features.shape[1]:
            raise InputError(f"names must hold one name a column, got {len(names)} of {samples[0].features.shape[1]}")
        rng = np.random.default_rng(self.seed)
        reference, new = (_draw(sample, self.maximum_rows, rng) for sample in samples)
        statistic, p_value = self._permute(reference.features, new.features, rng)
        columns = _columns(names, reference.features, new.features)
        score_statistic, score_p_value = kolmogorov_smirnov(reference.scores, new.scores)
        nearest = min(column.p_value for column in columns)
        looks = holm(np.array([p_value, nearest, score_p_value, _proportions(*samples)])) <= self.level
        kind, action = self._verdict(outside, bool(looks[:2].any()), bool(looks[2:].any()))
        return DriftReport(
            batch=batch,
            kind=kind,
            statistic=max(0.0, statistic),
            p_value=p_value,
            score_statistic=score_statistic,
            score_p_value=score_p_value,
            outside=outside,
            prior_before=priors[0],
            prior_after=priors[1],
            columns=tuple(column for column in columns if column.p_value <= self.level),
            action=action,
        )

    def _verdict(self, outside: float, features: bool, rest: bool) -> tuple[DriftKind, DriftAction]:
        if outside > self.support:
            return "support", "ask for labels"
        if features:
            return "covariate", "update and forget"
        return ("label", "update and forget") if rest else ("none", "update")

    def _permute(self, reference: FloatArray, new: FloatArray, rng: np.random.Generator) -> tuple[float, float]:
        pooled, cut = np.vstack([reference, new]), len(reference)
        # Centres and width come from both samples alike: under no shift every permutation is then equally likely.
        centres = draw(pooled, self.centres, rng)
        values = kernel(squared_distances(pooled, centres), median_distance(pooled, rng))
        observed = self._statistic(values[:cut], values[cut:])
        reached = 1
        for _ in range(self.permutations):
            shuffled = values[rng.permutation(len(values))]
            reached += self._statistic(shuffled[:cut], shuffled[cut:]) >= observed
        return observed, reached / (self.permutations + 1)

    def _statistic(self, phi: FloatArray, psi: FloatArray) -> float:
        ridge = self.regularisation * np.eye(phi.shape[1])
        coefficients = np.linalg.solve(gram(phi, psi, self.alpha) + ridge, psi.mean(axis=0))
        return divergence(phi @ coefficients, psi @ coefficients, self.alpha)


def kolmogorov_smirnov(first: FloatArray, second: FloatArray) -> tuple[float, float]:
    """Largest distance between the two empirical distributions and its asymptotic p-value."""
    from scipy.stats import ks_2samp

    result = ks_2samp(first, second, method="asymp")
    return float(result.statistic), float(result.pvalue)


def _proportions(first: Sample, second: Sample) -> float:
    """p-value of equal shares of labeled rows, by Fisher's exact test."""
    from scipy.stats import fisher_exact

    table = [[part.labelled, len(part.scores) - part.labelled] for part in (first, second)]
    return float(fisher_exact(table).pvalue)


def holm(p_values: FloatArray) -> FloatArray:
    """[k] p-values adjusted so that all decisions at one level hold together."""
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def _columns(names: Sequence[str], reference: FloatArray, new: FloatArray) -> list[ColumnDrift]:
    tests = [kolmogorov_smirnov(old, fresh) for old, fresh in zip(reference.T, new.T, strict=True)]
    adjusted = holm(np.array([p_value for _, p_value in tests]))
    drifts = [ColumnDrift(name, test[0], float(p)) for name, test, p in zip(names, tests, adjusted, strict=True)]
    return sorted(drifts, key=lambda drift: (-drift.statistic, drift.name))


def _draw(sample: Sample, maximum: int, rng: np.random.Generator) -> Sample:
    if len(sample.scores) <= maximum:
        return sample
    rows = rng.choice(len(sample.scores), maximum, replace=False)
    return Sample(sample.features[rows], sample.scores[rows])
