"""Settings that observe a confidence of two classes: of a positive, of a pair's likeness, of a pair's difference.

Each row carries its own weights. Both points of a pair carry the confidence of the pair.

Ishida, Niu, Sugiyama, Binary classification from positive-confidence data, 2018.
Cao et al., Learning from similarity-confidence data, 2021.
Wang et al., Binary classification with confidence difference, 2023.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike

from components.contracts import FloatArray
from components.errors import InputError
from components.weak.channel import Channel
from components.weak.correction import Absolute, RiskCorrection, Uncorrected
from components.weak.evidence import Evidence
from components.weak.losses import CrossEntropy, Logistic, Loss
from components.weak.observed import Clean, Marks, Observed, Simulated, pooled
from components.weak.rewrite import Inverse, Rewrite
from components.weak.settings.setting import RowSetting, between
from components.weak.simulators import Pool, needed_posterior, sizes_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class ConfidenceSetting(RowSetting):
    """Rows that each carry a number.

    Attributes:
        limits: Smallest and largest number.
    """

    usual_loss: ClassVar[Loss] = CrossEntropy()
    usual_rewrite: ClassVar[Rewrite] = Inverse()
    usual_correction: ClassVar[RiskCorrection] = Absolute()
    likely = False
    row_kind = "instance"
    limits: ClassVar[tuple[float, float]] = (0.0, 1.0)

    @abstractmethod
    def factors(self, marks: "Tensor") -> "Tensor":
        """[n, 2] what the loss of each row counts for the positive and for the negative class."""

    @property
    def class_count(self) -> int:
        """Two."""
        return 2

    def coded(self, labels: ArrayLike) -> Marks:
        """[n] the confidences.

        Raises:
            InputError: One is outside its limits.
        """
        values, (low, high) = np.asarray(labels, dtype=np.float64), self.limits
        if values.ndim != 1 or not ((values >= low) & (values <= high)).all():
            raise InputError(f"confidence must be numbers in [{low:g}, {high:g}], got {_range(values)}")
        return values

    def evidence(self, marks: "Tensor", channel: Channel, dtype: "torch.dtype", likelihood: bool) -> Evidence:
        """Weights of the rows."""
        factors = self.factors(marks.to(dtype))
        return Evidence(factors.new_ones(len(factors), 1), factors=factors)


class ConfidencePairs(ConfidenceSetting):
    """Pairs of independent rows that each carry one number."""

    def observe_pairs(self, pairs: FloatArray, confidence: ArrayLike) -> Observed:
        """Points of ``pairs`` [n, 2, d] with ``confidence`` [n]."""
        points, values = pooled(pairs), np.asarray(self.coded(confidence), dtype=np.float64)
        if len(values) * 2 != len(points):
            raise InputError(f"confidence must hold one number for each of {len(points) // 2} pairs, got {len(values)}")
        return Observed(points, np.concatenate([values, self.of_second(values)]))

    def of_second(self, confidence: FloatArray) -> FloatArray:
        """[n] the confidence as the second row of each pair sees it."""
        return confidence

    @abstractmethod
    def between_points(self, first: FloatArray, second: FloatArray) -> FloatArray:
        """[n] confidence of pairs whose points are positive with these probabilities."""

    def simulate(self, clean: Clean, seed: int = 0, sizes: tuple[int, ...] | None = None) -> Simulated:
        """``sizes`` (pairs,) of rows drawn from ``clean`` as they come; None: half as many as it has rows.

        The posterior of ``clean`` must be that of a population with the prior of this setting.
        """
        posterior = needed_posterior(clean)
        (many,) = sizes_of(sizes, 1, len(clean.labels) // 2)
        pool = Pool(np.zeros_like(clean.labels), np.random.default_rng(seed))
        rows = pool.take(np.zeros(2 * many, dtype=np.int64))
        pairs = np.stack([clean.features[rows[:many]], clean.features[rows[many:]]], axis=1)
        confidence = self.between_points(posterior[rows[:many]], posterior[rows[many:]])
        return Simulated(self, self.observe_pairs(pairs, confidence), clean.labels[rows])


@dataclass(frozen=True)
class PositiveConfidence(ConfidenceSetting):
    """Positives only, each with the probability that a row like it is positive.

    Attributes:
        prior: Share of positives in the population, in (0, 1); it only scales the risk, and with 1 the risk is left
            in units of the prior.
        lowest: Confidences below it are taken for it, in [0, 1); with 0, a confidence of 0 is refused.
        kind: Names the setting.
    """

    prior: float = 1.0
    lowest: float = 0.0
    kind: Literal["positive_confidence"] = "positive_confidence"
    usual_loss: ClassVar[Loss] = Logistic()
    usual_correction: ClassVar[RiskCorrection] = Uncorrected()
    signed = False

    def __post_init__(self) -> None:
        if not 0 < self.prior <= 1:
            raise InputError(f"prior must lie in (0, 1], got {self.prior}")
        if not 0 <= self.lowest < 1:
            raise InputError(f"lowest must lie in [0, 1), got {self.lowest}")

    def coded(self, labels: ArrayLike) -> Marks:
        """[n] the confidences, none of them zero."""
        values = np.maximum(np.asarray(super().coded(labels), dtype=np.float64), self.lowest)
        if not (values > 0).all():
            raise InputError("confidence must be above 0, where a positive cannot be, got 0; or set lowest, as 0.01")
        return values

    def factors(self, marks: "Tensor") -> "Tensor":
        """[n, 2] weights pi and pi (1 - r) / r."""
        import torch

        return self.prior * torch.stack([torch.ones_like(marks), (1 - marks) / marks], dim=-1)

    def simulate(self, clean: Clean, seed: int = 0, sizes: tuple[int, ...] | None = None) -> Simulated:
        """``sizes`` (positives,); None: all there are."""
        posterior = needed_posterior(clean)
        (many,) = sizes_of(sizes, 1, int((clean.labels == 0).sum()))
        rows = Pool(clean.labels, np.random.default_rng(seed)).take(np.zeros(many, dtype=np.int64))
        return Simulated(self, self.observe(clean.features[rows], posterior[rows]), clean.labels[rows])


@dataclass(frozen=True)
class SimilarityConfidence(ConfidencePairs):
    """Pairs of independent rows, each with the probability that both are of one class.

    Attributes:
        prior: Share of positives in the population, in (0, 1) and not 1/2.
        kind: Names the setting.
    """

    prior: float
    kind: Literal["similarity_confidence"] = "similarity_confidence"

    def __post_init__(self) -> None:
        between("prior", self.prior, forbidden=0.5)

    def factors(self, marks: "Tensor") -> "Tensor":
        """[n, 2] weights (s - pi') / (pi - pi') and (pi - s) / (pi - pi')."""
        import torch

        gap = 2 * self.prior - 1
        return torch.stack([(marks - 1 + self.prior) / gap, (self.prior - marks) / gap], dim=-1)

    def between_points(self, first: FloatArray, second: FloatArray) -> FloatArray:
        """[n] probability that both are of one class."""
        return first * second + (1 - first) * (1 - second)


@dataclass(frozen=True)
class ConfidenceDifference(ConfidencePairs):
    """Pairs of independent rows, each with p(positive | second) - p(positive | first).

    Attributes:
        prior: Share of positives in the population, in (0, 1).
        kind: Names the setting.
    """

    prior: float
    kind: Literal["confidence_difference"] = "confidence_difference"
    limits = (-1.0, 1.0)

    def __post_init__(self) -> None:
        between("prior", self.prior)

    def factors(self, marks: "Tensor") -> "Tensor":
        """[n, 2] weights pi - c and pi' + c, where c is how much likelier positive the partner is."""
        import torch

        return torch.stack([self.prior - marks, 1 - self.prior + marks], dim=-1)

    def of_second(self, confidence: FloatArray) -> FloatArray:
        """[n] the difference with its sign turned."""
        return -confidence

    def between_points(self, first: FloatArray, second: FloatArray) -> FloatArray:
        """[n] how much likelier positive the second is."""
        return second - first


def _range(values: FloatArray) -> str:
    return f"shape {values.shape}" if values.ndim != 1 or values.size == 0 else f"{values.min()} to {values.max()}"
