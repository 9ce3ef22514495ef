"""How good predicted probabilities are, told from weak labels alone, and how far chance can have moved the answer.

The score is the error rate where the setting can be inverted, else minus the mean log likelihood of what was observed.
Either is a sum over the rows, so its spread follows from what each row adds. Rows drawn by source are compared with
their own source only, since how many there are of each was decided beforehand; where the label of a row is chance, so
are the numbers of rows with each label, and what these do to the weights counts too: the infinitesimal jackknife.

Efron, The jackknife, the bootstrap and other resampling plans, 1982.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from components.contracts import FloatArray
from components.errors import InputError
from components.evaluation import Interval
from components.weak import Evidence, Forward, Setting, WeakRisk
from components.weak.observed import Marks
from components.weak.risk import shares_of

if TYPE_CHECKING:
    import torch

ERROR, SURPRISE = "validation_error", "validation_surprise"
NORMAL = 1.959964  # standard deviations to either end of a 95 % interval
TINY = 1e-12  # a probability of 0 has no logarithm
ROUNDS = 200  # of the search for the shares that make what was observed likeliest
NUDGE = 1e-6  # share of all rows by which a count is moved to see what the weights do

Made = TypeVar("Made")


def told(
    setting: Setting,
    counts: FloatArray,
    use: Callable[[WeakRisk], Made],
    dtype: "torch.dtype | None" = None,
    invert: bool = True,
) -> tuple[str, WeakRisk, Made]:
    """The error rate where the channel and every row can be inverted, else minus the log likelihood of the rows.

    Args:
        setting: What the labels are.
        counts: [S] rows of each source or label.
        use: Makes something of the risk and all rows, and refuses with ``InputError`` rows that cannot be inverted.
        dtype: Of the floating point numbers; None: float32.
        invert: Whether to try the error rate at all.

    Returns:
        Name of the score, the risk whose value it is, and what ``use`` made.

    Raises:
        InputError: Neither can be told of these rows.
    """
    if invert:
        try:
            risk = setting.risk(counts, dtype=dtype).validation()
            return ERROR, risk, use(risk)
        except InputError:
            pass
    risk = setting.risk(counts, rewrite=Forward(), dtype=dtype)
    return SURPRISE, risk, use(risk)


@dataclass(frozen=True, eq=False)
class WeakScores:
    """The weak score of several models on the same n rows.

    Attributes:
        name: ``validation_error`` or ``validation_surprise``.
        estimates: Model to its score, the lower the better; chance can put an error below 0.
        influences: Model to [n] how far each row has moved the score.
        strata: [n] number of the sample whose size was decided beforehand that each row is of.
    """

    name: str
    estimates: Mapping[str, float]
    influences: Mapping[str, FloatArray]
    strata: NDArray[np.int64]

    def interval(self, model: str) -> Interval:
        """The score of a model with its 95 % interval."""
        return self._interval(self.estimates[model], self.influences[model])

    def paired_difference(self, first: str, second: str) -> Interval:
        """The score of ``first`` minus that of ``second``, row by row."""
        gap = self.estimates[first] - self.estimates[second]
        return self._interval(gap, self.influences[first] - self.influences[second])

    def _interval(self, estimate: float, influence: FloatArray) -> Interval:
        rows = np.bincount(self.strata)
        squares = np.bincount(self.strata, influence**2)
        half = NORMAL * float(np.sqrt((squares * rows / np.maximum(rows - 1, 1)).sum()))
        return Interval(estimate, estimate - half, estimate + half)


def weak_scores(
    setting: Setting,
    marks: Marks,
    probabilities: Mapping[str, FloatArray],
    weights: FloatArray | None = None,
    invert: bool = True,
) -> WeakScores:
    """Score models by what was observed of the same rows.

    Args:
        setting: What the marks are, with the nuisances to use.
        marks: [n] or [n, K] what was observed.
        probabilities: Model to [n, K] probabilities of the classes in the population.
        weights: [n] nonnegative sample weights; None: one each.
        invert: Whether to try the error rate at all.

    Raises:
        InputError: Nothing can be told: a source has no row, or the nuisances do not fit the rows.
    """
    import torch

    name, risk, evidence = _of(setting, marks, weights, invert)
    mass = np.ones(len(marks)) if weights is None else np.asarray(weights, dtype=np.float64)
    kind = risk.channel.kind
    by_row = kind in ("set", "instance")  # each row has a channel of its own, and all are one sample
    groups = np.zeros(len(marks), dtype=np.int64) if by_row else np.asarray(marks, dtype=np.int64)
    totals = evidence.totals()
    counted = shares_of(evidence.inside, totals) @ risk.coefficients.T
    estimates, influences = {}, {}
    for model, probability in probabilities.items():
        logits = torch.tensor(np.array(probability), dtype=torch.float64).clamp_min(TINY).log()
        losses = risk.rewrite.losses(logits, evidence, risk.tilt, risk.loss)
        added = (counted * losses).sum(dim=1).numpy()
        influence = added - _shared(added, mass, groups)
        if kind == "label":
            influence += mass * _of_counts(setting, risk, (evidence.inside.T @ losses).numpy(), totals.numpy())[groups]
        estimates[model], influences[model] = float(added.sum()), influence
    strata = np.zeros(len(marks), dtype=np.int64) if kind == "label" else groups
    return WeakScores(name, estimates, influences, strata)


def weak_shares(setting: Setting, marks: Marks, weights: FloatArray | None = None) -> FloatArray:
    """[K] shares of the classes as weak labels tell them.

    Of all classifiers that say the same of every row, these shares have the lowest surprise, and the commonest class
    the lowest weak error.

    Raises:
        InputError: Nothing can be told, as in :func:`weak_scores`.
    """
    import torch

    name, risk, evidence = _of(setting, marks, weights, True)
    classes = setting.class_count
    if name == ERROR:
        ones = replace(risk, loss=lambda logits: torch.ones_like(logits))
        shares = ones.groups(torch.zeros(len(marks), classes, dtype=torch.float64), evidence).clamp_min(0)
        return np.asarray((shares / shares.sum()).numpy())
    assert evidence.log_likelihood is not None
    mass = evidence.inside.sum(dim=1, keepdim=True)
    seen = torch.full((classes,), -np.log(classes), dtype=torch.float64)
    for _ in range(ROUNDS):
        belief = torch.softmax(seen + evidence.log_likelihood, dim=1)
        seen = ((mass * belief).sum(dim=0) / mass.sum()).clamp_min(TINY).log()
    return np.asarray(torch.softmax(seen if risk.tilt is None else seen - risk.tilt, dim=0).numpy())


def _of(setting: Setting, marks: Marks, weights: FloatArray | None, invert: bool) -> tuple[str, WeakRisk, Evidence]:
    import torch

    known, mass = torch.tensor(np.array(marks)), None if weights is None else torch.tensor(np.array(weights))
    counts = setting.counts(marks, weights)
    return told(setting, counts, lambda risk: risk.evidence(known, mass), torch.float64, invert)


def _shared(added: FloatArray, mass: FloatArray, groups: NDArray[np.int64]) -> FloatArray:
    """[n] what each row would add if all of its group were alike; 0 for a row that has no other to compare it with."""
    weight, rows = np.bincount(groups, mass), np.bincount(groups)
    mean = np.bincount(groups, added) / np.where(weight > 0, weight, 1.0)
    return np.where(rows > 1, mean, 0.0)[groups] * mass


def _of_counts(setting: Setting, risk: WeakRisk, sums: FloatArray, totals: FloatArray) -> FloatArray:
    """[S] how fast the score changes, through the weights of the labels, with the number of rows of each label."""
    means = sums / np.where(totals > 0, totals, 1.0)[:, None]

    def value(counts: FloatArray) -> float:
        return float((risk.rewrite.coefficients(setting.channel(counts)) * means.T).sum())

    here, step = value(totals), NUDGE * float(totals.sum())
    moved = [value(totals + step * one) for one in np.eye(len(totals))]
    return (np.array(moved) - here) / step
