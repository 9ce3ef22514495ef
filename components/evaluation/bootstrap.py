"""Percentile intervals by the multinomial bootstrap, with the same resamples for every model.

Rows are drawn with replacement; a resample is kept as counts a row and every metric is computed from the counts.
Because all models see the same resamples, the difference of two models is a paired one.

Efron, Bootstrap methods: another look at the jackknife, Annals of Statistics 7, 1979.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from components.contracts import FloatArray
from components.evaluation.metrics import METRICS, Weighted, sorted_by

MANY = 200_000  # rows; of more than these, as many are resampled
_CELLS = 300_000  # counts held at once, so that memory does not grow with rows times resamples


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval.

    Attributes:
        estimate: From the rows as they are; NaN where it is not defined.
        low: Lower end, at most the estimate.
        high: Upper end, at least the estimate.
    """

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Resamples:
    """Every metric of every model on the rows and on R shared resamples of them.

    Attributes:
        models: The M names.
        metrics: The K names.
        estimates: [M, K] on the rows as they are.
        replicates: [M, K, R] on the resamples.
    """

    models: tuple[str, ...]
    metrics: tuple[str, ...]
    estimates: FloatArray
    replicates: FloatArray

    def interval(self, model: str, metric: str) -> Interval:
        """A metric of a model."""
        at = self.models.index(model), self.metrics.index(metric)
        return _percentiles(float(self.estimates[at]), self.replicates[at])

    def paired_difference(self, first: str, second: str, metric: str) -> Interval:
        """A metric of ``first`` minus the same of ``second``, row by row on the same resamples."""
        one, two, of = self.models.index(first), self.models.index(second), self.metrics.index(metric)
        between = self.replicates[one, of] - self.replicates[two, of]
        return _percentiles(float(self.estimates[one, of] - self.estimates[two, of]), between)


class Measurable(Protocol):
    """Predictions of several models for the same n rows, and the metrics that are asked of them."""

    @property
    def models(self) -> tuple[str, ...]:
        """The M names."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The K names."""

    def __len__(self) -> int:
        """Number of rows."""

    def values(self, counts: FloatArray) -> FloatArray:
        """[M, K, R] every metric of every model where rows count as ``counts`` [R, n] says."""

    def chosen(self, rows: NDArray[np.int64]) -> Self:
        """The same for the rows at some positions."""


@dataclass(frozen=True, eq=False)
class Binary:
    """Probabilities of 1, against 0/1 truth.

    Attributes:
        truth: [n] 0 or 1.
        probabilities: Model to [n] predicted probabilities.
        metrics: Names out of ``METRICS``.
    """

    truth: FloatArray
    probabilities: Mapping[str, FloatArray]
    metrics: tuple[str, ...]

    @property
    def models(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self.probabilities)

    def __len__(self) -> int:
        return len(self.truth)

    @cached_property
    def _orders(self) -> dict[str, NDArray[np.int64]]:
        return {name: sorted_by(probability) for name, probability in self.probabilities.items()}

    def values(self, counts: FloatArray) -> FloatArray:
        """[M, K, R] every metric of every model where rows count as ``counts`` [R, n] says."""
        seen = (Weighted(self.truth, p, counts, self._orders[name]) for name, p in self.probabilities.items())
        return np.stack([[METRICS[metric].weighted(each) for metric in self.metrics] for each in seen])

    def chosen(self, rows: NDArray[np.int64]) -> Self:
        """The same for the rows at some positions."""
        return replace(
            self,
            truth=self.truth[rows],
            probabilities={name: values[rows] for name, values in self.probabilities.items()},
        )


def resample(
    truth: FloatArray,
    probabilities: Mapping[str, FloatArray],
    resamples: int,
    seed: int,
    metrics: Sequence[str] = tuple(METRICS),
    weights: FloatArray | None = None,
) -> Resamples:
    """Compute ``metrics`` of every model on the rows and on ``resamples`` resamples; see ``resampled``.

    Args:
        truth: [n] 0 or 1.
        probabilities: Model to [n] predicted probabilities.
        resamples: Number of resamples.
        seed: Equal seeds draw equal rows whatever the models are.
        metrics: Names out of ``METRICS``.
        weights: [n] nonnegative sample weights; each row then stands for that many. None: one each.
    """
    return resampled(Binary(truth, probabilities, tuple(metrics)), resamples, seed, weights)


def resampled(data: Measurable, resamples: int, seed: int, weights: FloatArray | None = None) -> Resamples:
    """Every metric of every model of ``data`` on its rows and on ``resamples`` resamples of them.

    Time O(models * resamples * n); memory does not grow with ``resamples``. Of more than 200,000 rows n only m =
    200,000, drawn at random, are resampled: each replicate then lies sqrt(m / n) times as far from the estimate on all
    rows as it lies from that on the m rows, which is how the spread of a mean shrinks (Politis, Romano, Wolf,
    Subsampling, 1999).

    Args:
        data: What is measured.
        resamples: Number of resamples.
        seed: Equal seeds draw equal rows whatever is measured.
        weights: [n] nonnegative sample weights; each row then stands for that many. None: one each.
    """
    rows = len(data)
    mass = np.ones(rows) if weights is None else weights
    if rows <= MANY:
        joined = _values(data, mass, _counts(rows, resamples, seed))
    else:
        few = np.sort(np.random.default_rng([seed, 1]).choice(rows, MANY, replace=False))
        drawn = _values(data.chosen(few), mass[few], _counts(MANY, resamples, seed))
        whole = _values(data, mass, iter([np.ones((1, rows))]))
        joined = np.concatenate([whole, whole + (drawn[:, :, 1:] - drawn[:, :, :1]) * np.sqrt(MANY / rows)], axis=2)
    return Resamples(data.models, data.metrics, joined[:, :, 0], joined[:, :, 1:])


def _values(data: Measurable, mass: FloatArray, drawn: Iterator[FloatArray]) -> FloatArray:
    """[M, K, R] every metric of every model for the counts [., n] that ``drawn`` gives, R in all."""
    return np.concatenate([data.values(counts * mass) for counts in drawn], axis=2)


def _counts(rows: int, resamples: int, seed: int) -> Iterator[FloatArray]:
    yield np.ones((1, rows))
    generator = np.random.default_rng(seed)
    step = max(1, _CELLS // max(rows, 1))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = generator.integers(max(rows, 1), size=(size, rows)) + rows * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * rows).reshape(size, rows).astype(np.float64)


def _percentiles(estimate: float, replicates: FloatArray) -> Interval:
    defined = replicates[np.isfinite(replicates)]
    if not len(defined) or not np.isfinite(estimate):
        return Interval(estimate, float("nan"), float("nan"))
    low, high = np.percentile(defined, (2.5, 97.5))
    # Errors that cannot be negative are larger on resamples than on the rows; the interval is widened to hold both.
    return Interval(estimate, min(float(low), estimate), max(float(high), estimate))
