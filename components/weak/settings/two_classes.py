"""Settings of two classes whose rows were drawn from samples; class 0 is the positive one."""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from components.contracts import FloatArray
from components.errors import InputError
from components.weak.channel import Channel, check_counts
from components.weak.correction import NonNegative, RiskCorrection, Uncorrected
from components.weak.losses import CrossEntropy, Loss
from components.weak.observed import Clean, Marks, Observed, Simulated, two_classes
from components.weak.settings.setting import binary, label_channel
from components.weak.settings.sources import TwoClassSetting
from components.weak.simulators import draw_sources, drawn_from, sizes_of

Sampling = Literal["two_samples", "one_sample"]


@dataclass(frozen=True)
class PositiveNegative(TwoClassSetting):
    """Labelled positives and negatives, whose numbers need not be in the proportion of the population.

    Attributes:
        prior: Share of positives in the population, in (0, 1).
        kind: Names the setting.
    """

    prior: float
    kind: Literal["positive_negative"] = "positive_negative"
    usual_loss: ClassVar[Loss] = CrossEntropy()
    labels_are_classes = True
    usual_correction: ClassVar[RiskCorrection] = Uncorrected()

    @property
    def composition(self) -> FloatArray:
        """Positives, negatives."""
        return np.eye(2)

    def coded(self, labels: ArrayLike) -> Marks:
        """Source 0 for labels 1, source 1 for 0, -1 or False."""
        return two_classes(labels)


@dataclass(frozen=True)
class PositiveUnlabeled(TwoClassSetting):
    """Some positives, drawn at random from all positives, and rows without a label.

    Du Plessis, Niu, Sugiyama, Analysis of learning from positive and unlabeled data, 2014; Kiryo et al., 2017.

    Attributes:
        prior: Share of positives in the population, in (0, 1).
        sampling: ``two_samples``: positives and unlabeled rows were drawn apart, the latter from the whole population.
            ``one_sample``: one draw from the population, of whose positives some carry a label.
        kind: Names the setting.
    """

    prior: float
    sampling: Sampling = "two_samples"
    kind: Literal["positive_unlabeled"] = "positive_unlabeled"
    usual_correction: ClassVar[RiskCorrection] = NonNegative()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sampling not in get_args(Sampling):
            raise InputError(f"sampling must be one of {', '.join(get_args(Sampling))}, got {self.sampling!r}")

    @property
    def composition(self) -> FloatArray:
        """Positives, unlabeled."""
        return np.array([[1.0, 0.0], binary(self.prior)])

    def channel(self, counts: ArrayLike) -> Channel:
        """Two samples; or labels that a positive gets with the probability that the counts imply.

        Raises:
            InputError: More rows of one sample are labelled than the prior says are positive.
        """
        if self.sampling == "two_samples":
            return super().channel(counts)
        rows = np.asarray(counts, dtype=np.float64)
        check_counts(rows, 2)
        known, rest = rows.tolist()
        frequency = known / ((known + rest) * self.prior)
        if not 0 < frequency <= 1:
            share = known / (known + rest)
            raise InputError(f"prior must be at least the share of labelled rows, {share:.4g} > 0, got {self.prior}")
        return label_channel([[frequency, 1 - frequency], [0.0, 1.0]], counts)

    @property
    def unlabeled(self) -> int:
        """The last source."""
        return self.symbol_count - 1

    def coded(self, labels: ArrayLike) -> Marks:
        """Source 0 for labels 1 (known positive), source 1 for 0, -1 or False (unlabeled)."""
        return two_classes(labels)

    def simulate(self, clean: Clean, seed: int = 0, sizes: tuple[int, ...] | None = None) -> Simulated:
        """``sizes`` (positives, unlabeled).

        Of one sample both are parts of one draw, and ``sizes`` None labels half of its positives.
        """
        if self.sampling == "two_samples":
            return super().simulate(clean, seed, sizes)
        rows = len(clean.labels) // 2 if sizes is None else sum(sizes_of(sizes, 2, 0))
        frequency = 0.5 if sizes is None else sizes[0] / (rows * self.prior)
        if frequency > 1:
            raise InputError(f"sizes must not have more labelled rows than positives, got {sizes}")
        index, _ = draw_sources(clean, binary(self.prior)[None], (rows,), seed)
        chances = np.array([[frequency, 1 - frequency], [0.0, 1.0]])[clean.labels[index]]
        marks = drawn_from(chances, np.random.default_rng([seed, 1]))
        return Simulated(self, Observed(clean.features[index], marks), clean.labels[index])


@dataclass(frozen=True)
class NegativeUnlabeled(TwoClassSetting):
    """Some negatives, drawn at random from all negatives, and rows without a label from the whole population.

    Attributes:
        prior: Share of positives in the population, in (0, 1).
        kind: Names the setting.
    """

    prior: float
    kind: Literal["negative_unlabeled"] = "negative_unlabeled"
    usual_correction: ClassVar[RiskCorrection] = NonNegative()

    @property
    def composition(self) -> FloatArray:
        """Negatives, unlabeled."""
        return np.array([[0.0, 1.0], binary(self.prior)])

    @property
    def unlabeled(self) -> int:
        """The last source."""
        return self.symbol_count - 1

    def coded(self, labels: ArrayLike) -> Marks:
        """Source 0 for labels 1 (known negative), source 1 for 0, -1 or False (unlabeled)."""
        return two_classes(labels)


@dataclass(frozen=True)
class PositiveNegativeUnlabeled(TwoClassSetting):
    """Labelled positives and negatives, and rows without a label from the whole population.

    Sakai, du Plessis, Niu, Sugiyama, Semi-supervised classification based on classification from positive and
    unlabeled data, 2017. The combination is that of least variance, where the paper searches for it.

    Attributes:
        prior: Share of positives in the population, in (0, 1).
        kind: Names the setting.
    """

    prior: float
    kind: Literal["positive_negative_unlabeled"] = "positive_negative_unlabeled"
    usual_correction: ClassVar[RiskCorrection] = NonNegative()
    labels_are_classes = True

    @property
    def composition(self) -> FloatArray:
        """Positives, negatives, unlabeled."""
        return np.array([[1.0, 0.0], [0.0, 1.0], binary(self.prior)])

    @property
    def unlabeled(self) -> int:
        """The last source."""
        return self.symbol_count - 1

    def coded(self, labels: ArrayLike) -> Marks:
        """Source 0 for labels 1 (positive), 1 for -1 (negative), 2 for 0 (unlabeled)."""
        values = np.asarray(labels)
        if values.ndim != 1 or values.dtype.kind not in "iuf" or not np.isin(values, (-1, 0, 1)).all():
            raise InputError("labels must be 1 (positive), -1 (negative) or 0 (unlabeled), got others")
        return np.select([values == 1, values == -1], [0, 1], 2).astype(np.int64)


@dataclass(frozen=True)
class UnlabeledUnlabeled(TwoClassSetting):
    """Two sets without labels, of which only the shares of positives are known.

    Lu, Niu, Menon, Sugiyama, 2019; Lu, Zhang, Niu, Sugiyama, 2020.

    Attributes:
        first: Share of positives in the first set, in [0, 1].
        second: Share of positives in the second set, in [0, 1], not that of the first.
        prior: Share of positives in the population, in (0, 1).
        kind: Names the setting.
    """

    first: float
    second: float
    prior: float
    kind: Literal["unlabeled_unlabeled"] = "unlabeled_unlabeled"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("first", "second"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        if abs(self.first - self.second) < 1e-9:
            raise InputError(f"second must not be first, {self.first}: such sets do not tell the classes apart")

    @property
    def composition(self) -> FloatArray:
        """The two sets."""
        return np.array([binary(self.first), binary(self.second)])
