"""Metrics of predicted probabilities against 0/1 truth, computed for many weightings of the rows at once.

A bootstrap resample is a vector of counts, one a row. Ties share their rank, and the bins of the calibration error
have exactly equal mass (a row that lies across an edge is divided), so no metric depends on the order of the rows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from components.contracts import FloatArray

CLIP = 1e-12
BINS = 15


@dataclass(frozen=True, eq=False)
class Weighted:
    """Predictions with R weightings of their rows.

    Attributes:
        truth: [n] 0 or 1.
        probability: [n] predicted probability of 1.
        counts: [R, n] how often each weighting holds each row.
        order: [n] positions of the rows by increasing probability, where they are known already; None: to be sorted.
    """

    truth: FloatArray
    probability: FloatArray
    counts: FloatArray
    order: NDArray[np.int64] | None = None

    @cached_property
    def total(self) -> FloatArray:
        """[R] mass of each weighting."""
        return np.asarray(self.counts.sum(axis=1))

    @cached_property
    def positives(self) -> FloatArray:
        """[R] mass of the rows whose truth is 1."""
        return self.counts @ self.truth

    @cached_property
    def ranked(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Distinct probabilities [g] in increasing order, and the mass [R, g] of positives and of negatives at each."""
        order = sorted_by(self.probability) if self.order is None else self.order
        values = self.probability[order]
        starts = np.flatnonzero(np.concatenate([[True], np.diff(values) > 0]))
        counts = self.counts[:, order]
        mass = np.add.reduceat(counts, starts, axis=1)
        positive = np.add.reduceat(counts * self.truth[order], starts, axis=1)
        return values[starts], positive, mass - positive

    def mean(self, loss: FloatArray) -> FloatArray:
        """[R] weighted mean of a loss [n]."""
        return np.asarray(self.counts @ loss / self.total)

    def chosen(self, rows: NDArray[np.bool_]) -> "Weighted":
        """The weightings that a mask [R] picks."""
        return Weighted(self.truth, self.probability, self.counts[rows], self.order)


def sorted_by(probability: FloatArray) -> NDArray[np.int64]:
    """[n] positions of the rows by increasing probability, ties as they come."""
    return np.argsort(probability, kind="stable")


@dataclass(frozen=True)
class Metric:
    """One metric, called with truth [n] and probabilities [n].

    Attributes:
        name: Its key in ``METRICS``.
        title: What axes and tables call it, with its unit.
        better: Which direction is better; ``zero`` for signed errors.
        needs_both_classes: True when it is not defined (NaN) on rows of one class.
        description: In plain words.
        compute: [R] values on weightings where it is defined.
    """

    name: str
    title: str
    better: Literal["lower", "higher", "zero"]
    needs_both_classes: bool
    description: str
    compute: Callable[[Weighted], FloatArray]

    def __call__(self, truth: FloatArray, probability: FloatArray) -> float:
        """The metric with every row counted once; NaN without rows or where it is not defined."""
        once = np.ones((1, len(truth)))
        return float(self.weighted(Weighted(np.asarray(truth, float), np.asarray(probability, float), once))[0])

    def weighted(self, predictions: Weighted) -> FloatArray:
        """[R] values, NaN where the metric is not defined."""
        defined = predictions.total > 0
        if self.needs_both_classes:
            defined &= (predictions.positives > 0) & (predictions.positives < predictions.total)
        values = np.full(len(defined), np.nan)
        if defined.all() and len(defined):
            return self.compute(predictions)
        if defined.any():
            values[defined] = self.compute(predictions.chosen(defined))
        return values


def _log_loss(predictions: Weighted) -> FloatArray:
    given_truth = np.where(predictions.truth > 0, predictions.probability, 1 - predictions.probability)
    return predictions.mean(-np.log(np.maximum(given_truth, CLIP)))


def _brier(predictions: Weighted) -> FloatArray:
    return predictions.mean((predictions.probability - predictions.truth) ** 2)


def _calibration_error(predictions: Weighted) -> FloatArray:
    values, positive, negative = predictions.ranked
    mass = positive + negative
    start = np.zeros((len(mass), 1))
    reached = np.hstack([start, np.cumsum(mass, axis=1)])
    gap = np.hstack([start, np.cumsum(mass * values - positive, axis=1)])
    edges = np.linspace(0, 1, BINS + 1)
    at_edges = np.stack([np.interp(edges * r[-1], r, g) for r, g in zip(reached, gap, strict=True)])
    return np.asarray(np.abs(np.diff(at_edges, axis=1)).sum(axis=1) / predictions.total)


def _prevalence_bias(predictions: Weighted) -> FloatArray:
    return predictions.mean(predictions.probability - predictions.truth)


def _prevalence_error(predictions: Weighted) -> FloatArray:
    return np.abs(_prevalence_bias(predictions))


def _auc(predictions: Weighted) -> FloatArray:
    _, positive, negative = predictions.ranked
    below = np.cumsum(negative, axis=1) - negative / 2
    return np.asarray((positive * below).sum(axis=1) / (positive.sum(axis=1) * negative.sum(axis=1)))


def _average_precision(predictions: Weighted) -> FloatArray:
    _, positive, negative = predictions.ranked
    found = np.cumsum(positive[:, ::-1], axis=1)
    taken = np.cumsum((positive + negative)[:, ::-1], axis=1)
    precision = np.divide(found, taken, out=np.zeros_like(found), where=taken > 0)
    return np.asarray((positive[:, ::-1] * precision).sum(axis=1) / found[:, -1])


_ALL = (
    Metric(
        "log_loss",
        "log loss (nats)",
        "lower",
        False,
        f"Mean negative log probability of the truth, probabilities clipped at {CLIP:g}.",
        _log_loss,
    ),
    Metric("brier", "Brier score", "lower", False, "Mean squared distance of probability and truth.", _brier),
    Metric(
        "calibration_error",
        "calibration error",
        "lower",
        False,
        f"Expected calibration error over {BINS} bins of equal mass; biased upwards on few rows.",
        _calibration_error,
    ),
    Metric(
        "prevalence_error",
        "prevalence error",
        "lower",
        False,
        "Distance of the mean probability to the share of positives.",
        _prevalence_error,
    ),
    Metric(
        "prevalence_bias",
        "prevalence bias",
        "zero",
        False,
        "Mean probability minus the share of positives; below zero the model predicts too few.",
        _prevalence_bias,
    ),
    Metric(
        "auc",
        "area under the ROC curve",
        "higher",
        True,
        "Chance that a positive row ranks above a negative one; ties count half.",
        _auc,
    ),
    Metric(
        "average_precision",
        "average precision",
        "higher",
        True,
        "Area under the precision-recall curve, as a step function.",
        _average_precision,
    ),
)

METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _ALL})
