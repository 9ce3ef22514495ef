"""Settings that observe a set of classes: candidates that hold the class, or classes that the row is not of.

Feng, Kaneko, Han, Niu, An, Sugiyama, Learning with multiple complementary labels, 2020.
Feng et al., Provably consistent partial-label learning, 2020. Lv et al., Progressive identification, 2020.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from components.contracts import FloatArray
from components.errors import InputError
from components.weak.channel import Channel
from components.weak.correction import Absolute, RiskCorrection
from components.weak.evidence import Evidence
from components.weak.losses import CrossEntropy, Loss
from components.weak.observed import Clean, IntArray, Marks, Observed, Simulated, numbered, sets_of
from components.weak.rewrite import Inverse, PosteriorRewrite, Rewrite
from components.weak.settings.setting import RowSetting, Setting
from components.weak.simulators import drawn_from

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Generator = Literal["uniform", "flip"]


class SetSetting(RowSetting):
    """Rows with a set of classes, boolean [n, K].

    Given its size, any set that agrees with the class is as likely as any other.
    """

    usual_loss: ClassVar[Loss] = CrossEntropy()
    usual_correction: ClassVar[RiskCorrection] = Absolute()
    row_kind = "set"
    labels_are_classes = True
    classes: int

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise InputError(f"classes must be at least 2, got {self.classes}")

    @property
    def class_count(self) -> int:
        """Number of classes."""
        return self.classes

    @abstractmethod
    def excluded(self, marks: "Tensor") -> "Tensor":
        """[n, K] bool, the classes that the marks rule out."""

    def evidence(self, marks: "Tensor", channel: Channel, dtype: "torch.dtype", likelihood: bool) -> Evidence:
        """Which classes are left; or, for the inverse, 1 for these and -(K - 1 - s) / s for the s classes ruled out."""
        import torch

        if marks.ndim != 2 or marks.shape[1] != self.classes:
            raise InputError(f"marks must be sets with shape (rows, {self.classes}), got {tuple(marks.shape)}")
        out = self.excluded(marks.bool())
        inside = torch.ones(len(out), 1, dtype=dtype, device=out.device)
        if likelihood:
            return Evidence(
                inside,
                log_likelihood=torch.zeros(out.shape, dtype=dtype, device=out.device).masked_fill(out, float("-inf")),
            )
        size = out.sum(dim=-1, keepdim=True).to(dtype)
        if not (size > 0).all():
            raise InputError("sets must rule out at least one class in every row to be inverted, got a row with all")
        return Evidence(inside, factors=torch.where(out, -(self.classes - 1 - size) / size, torch.ones_like(size)))


@dataclass(frozen=True)
class MultipleComplementary(SetSetting):
    """Sets of classes that the row is not of.

    Attributes:
        classes: Number of classes, 2 or more.
        sizes: Probability of each size 1 to K - 1 of a set, for simulation only; empty: all sets alike.
        kind: Names the setting.
    """

    classes: int
    sizes: tuple[float, ...] = ()
    kind: Literal["multiple_complementary"] = "multiple_complementary"
    usual_rewrite: ClassVar[Rewrite] = Inverse()

    def __post_init__(self) -> None:
        super().__post_init__()
        chances = np.array(self.sizes, dtype=np.float64)
        if self.sizes and (len(chances) != self.classes - 1 or (chances < 0).any() or abs(chances.sum() - 1) > 1e-6):
            raise InputError(f"sizes must be {self.classes - 1} probabilities that sum to one, got {self.sizes}")

    def excluded(self, marks: "Tensor") -> "Tensor":
        """The sets."""
        return marks

    def coded(self, labels: ArrayLike) -> Marks:
        """[n, K] the sets.

        Raises:
            InputError: A set is empty or leaves no class.
        """
        sets = sets_of("sets", labels, self.classes)
        if sets.all(axis=1).any():
            raise InputError(f"sets must leave a class, got all in row {int(np.argmax(sets.all(axis=1)))}")
        return sets

    def simulate(self, clean: Clean, seed: int = 0, sizes: tuple[int, ...] | None = None) -> Simulated:
        """A set for every row of ``clean``."""
        no_sizes(self, sizes)
        labels, generator = numbered("labels", clean.labels, self.classes), np.random.default_rng(seed)
        chances = np.array(self.sizes) if self.sizes else size_law(self.classes)
        size = 1 + drawn_from(np.tile(chances, (len(labels), 1)), generator)
        return Simulated(self, Observed(clean.features, others(labels, size, self.classes, generator)), clean.labels)


@dataclass(frozen=True)
class PartialLabels(SetSetting):
    """Sets of candidates, one of which is the class.

    ``posterior`` is RC, remembered it is PRODEN; ``forward`` is CC; ``surrogate`` gives bounded losses.

    Attributes:
        classes: Number of classes, 2 or more.
        generator: How sets are simulated: ``uniform``, all proper sets with the class alike; ``flip``, each other
            class joins with probability ``flip``, and one at least.
        flip: Probability that another class joins, in (0, 1).
        kind: Names the setting.
    """

    classes: int
    generator: Generator = "uniform"
    flip: float = 0.5
    kind: Literal["partial_labels"] = "partial_labels"
    usual_rewrite: ClassVar[Rewrite] = PosteriorRewrite()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.generator not in get_args(Generator):
            raise InputError(f"generator must be one of {', '.join(get_args(Generator))}, got {self.generator!r}")
        if not 0 < self.flip < 1:
            raise InputError(f"flip must lie in (0, 1), got {self.flip}")

    def excluded(self, marks: "Tensor") -> "Tensor":
        """All classes that are no candidates."""
        return ~marks

    def coded(self, labels: ArrayLike) -> Marks:
        """[n, K] the candidates.

        Raises:
            InputError: A row has none.
        """
        return sets_of("candidates", labels, self.classes)

    def simulate(self, clean: Clean, seed: int = 0, sizes: tuple[int, ...] | None = None) -> Simulated:
        """A set for every row of ``clean``."""
        no_sizes(self, sizes)
        labels, generator = numbered("labels", clean.labels, self.classes), np.random.default_rng(seed)
        if self.generator == "uniform":
            size = 1 + drawn_from(np.tile(size_law(self.classes), (len(labels), 1)), generator)
            sets = ~others(labels, size, self.classes, generator)
        else:
            sets = generator.random((len(labels), self.classes)) < self.flip
            sets[np.arange(len(labels)), labels] = False
            alone = np.flatnonzero(~sets.any(axis=1))
            one = np.ones(len(alone), dtype=np.int64)
            sets[alone] = others(labels[alone], one, self.classes, generator)
            sets[np.arange(len(labels)), labels] = True
        return Simulated(self, Observed(clean.features, sets), clean.labels)


def others(labels: IntArray, sizes: IntArray, classes: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    """[n, K] sets of ``sizes`` classes each, all alike, without the one of ``labels``."""
    order = generator.random((len(labels), classes))
    order[np.arange(len(labels)), labels] = 2.0  # last of all
    return np.asarray(order.argsort(axis=1).argsort(axis=1) < sizes[:, None])


def size_law(classes: int) -> FloatArray:
    """[K - 1] probability of each size of a set of other classes, where all nonempty sets are alike."""
    from math import comb

    many = np.array([comb(classes - 1, size) for size in range(1, classes)], dtype=np.float64)
    return np.asarray(many / many.sum())


def no_sizes(setting: Setting, sizes: tuple[int, ...] | None) -> None:
    """Refuse sizes where every row of the clean data is used."""
    if sizes is not None:
        raise InputError(f"sizes must be None for {setting.kind}: every row gets a set, got {sizes}")
