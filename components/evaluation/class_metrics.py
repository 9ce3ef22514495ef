"""Metrics of predicted probabilities of several classes against the true class, for many weightings of the rows.

Each is a metric of 0/1 truth, or a mean, of what it looks at in a row: the probability of the true class, the likeliest
class and whether it is right, or, of two classes, the probability of the first.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from components.contracts import FloatArray
from components.evaluation.metrics import METRICS, Metric, Weighted, sorted_by

Classes = NDArray[np.int64]
Looks = Callable[[Classes, FloatArray], tuple[FloatArray, FloatArray]]  # class [n], probabilities [n, K] -> two [n]


def _likeliest_is_wrong(truth: Classes, probabilities: FloatArray) -> tuple[FloatArray, FloatArray]:
    return np.zeros(len(truth)), (probabilities.argmax(axis=1) != truth).astype(np.float64)


def _squares(truth: Classes, probabilities: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The sum over the classes of squared distances, which is |p|^2 - 2 p_true + 1."""
    true = _of_true(probabilities, truth)
    return np.zeros(len(truth)), (probabilities**2).sum(axis=1) - 2 * true + 1


def _true_class(truth: Classes, probabilities: FloatArray) -> tuple[FloatArray, FloatArray]:
    return np.ones(len(truth)), _of_true(probabilities, truth)


def _likeliest_is_right(truth: Classes, probabilities: FloatArray) -> tuple[FloatArray, FloatArray]:
    return (probabilities.argmax(axis=1) == truth).astype(np.float64), probabilities.max(axis=1)


def _first_class(truth: Classes, probabilities: FloatArray) -> tuple[FloatArray, FloatArray]:
    return (truth == 0).astype(np.float64), probabilities[:, 0]


def _of_true(probabilities: FloatArray, truth: Classes) -> FloatArray:
    return np.asarray(probabilities[np.arange(len(truth)), truth])


def _mean(rows: Weighted) -> FloatArray:
    return rows.mean(rows.probability)


@dataclass(frozen=True)
class ClassMetric:
    """One metric of predicted probabilities of classes, called with classes [n] and probabilities [n, K].

    Attributes:
        metric: Its name, title and direction, and how it is computed from what it looks at.
        looks: What it looks at in each row: 0 or 1, and a probability or a loss.
        of_two: Whether it is one of two classes only.
    """

    metric: Metric
    looks: Looks
    of_two: bool = False

    def __call__(self, truth: Classes, probabilities: FloatArray) -> float:
        """The metric with every row counted once; NaN where it is not defined."""
        return self.metric(*self.looks(np.asarray(truth), np.asarray(probabilities, float)))


_ALL = (
    ClassMetric(
        Metric(
            "error",
            "error rate",
            "lower",
            False,
            "Share of the rows whose likeliest class is not the true one; of equally likely ones the first counts.",
            _mean,
        ),
        _likeliest_is_wrong,
    ),
    ClassMetric(METRICS["log_loss"], _true_class),
    ClassMetric(
        replace(
            METRICS["brier"],
            description="Mean over the rows of the sum over the classes of squared distances, 0 to 2.",
            compute=_mean,
        ),
        _squares,
    ),
    ClassMetric(METRICS["calibration_error"], _likeliest_is_right),
    ClassMetric(METRICS["auc"], _first_class, of_two=True),
    ClassMetric(METRICS["average_precision"], _first_class, of_two=True),
)

CLASS_METRICS: Mapping[str, ClassMetric] = MappingProxyType({entry.metric.name: entry for entry in _ALL})

WEAK_METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "validation_error": Metric(
            "validation_error",
            "weak error rate",
            "lower",
            False,
            "The error rate as weak labels alone tell it; right on average, but chance can put it below 0.",
            _mean,
        ),
        "validation_surprise": Metric(
            "validation_surprise",
            "surprise at labels (nats)",
            "lower",
            False,
            "Mean negative log probability of what was observed.",
            _mean,
        ),
    }
)
CLASS_SCORES: Mapping[str, Metric] = MappingProxyType(
    {**WEAK_METRICS, **{name: entry.metric for name, entry in CLASS_METRICS.items()}}
)
"""Every metric that the scorecard of a classifier can hold."""


@dataclass(frozen=True, eq=False)
class Classified:
    """Probabilities of classes, against the true class, to be resampled.

    Attributes:
        truth: [n] number of the true class.
        probabilities: Model to [n, K] predicted probabilities.
    """

    truth: Classes
    probabilities: Mapping[str, FloatArray]

    @property
    def models(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self.probabilities)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names out of ``CLASS_METRICS``: all that are defined for so many classes."""
        two = next(iter(self.probabilities.values())).shape[1] == 2
        return tuple(name for name, entry in CLASS_METRICS.items() if two or not entry.of_two)

    def __len__(self) -> int:
        return len(self.truth)

    def values(self, counts: FloatArray) -> FloatArray:
        """[M, K, R] every metric of every model where rows count as ``counts`` [R, n] says."""
        return np.stack([self._of_model(model, counts) for model in self.models])

    def chosen(self, rows: NDArray[np.int64]) -> Self:
        """The same for the rows at some positions."""
        return replace(
            self,
            truth=self.truth[rows],
            probabilities={name: values[rows] for name, values in self.probabilities.items()},
        )

    @cached_property
    def _seen(self) -> dict[str, dict[Looks, tuple[FloatArray, FloatArray, NDArray[np.int64]]]]:
        """Model and way of looking to what is seen, and the order of the rows by it."""
        seen: dict[str, dict[Looks, tuple[FloatArray, FloatArray, NDArray[np.int64]]]] = {}
        for model, probabilities in self.probabilities.items():
            seen[model] = {}
            for looks in dict.fromkeys(CLASS_METRICS[name].looks for name in self.metrics):
                event, probability = looks(self.truth, probabilities)
                seen[model][looks] = event, probability, sorted_by(probability)
        return seen

    def _of_model(self, model: str, counts: FloatArray) -> FloatArray:
        rows = {
            looks: Weighted(event, probability, counts, order)
            for looks, (event, probability, order) in self._seen[model].items()
        }
        chosen = (CLASS_METRICS[name] for name in self.metrics)
        return np.stack([entry.metric.weighted(rows[entry.looks]) for entry in chosen])
