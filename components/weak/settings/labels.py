"""Settings whose symbol stands in the place of the class: noisy labels, and labels that name a wrong class.

Patrini et al., 2017. Ishida, Niu, Menon, Sugiyama, Complementary-label learning for arbitrary losses and models, 2019.
Yu, Liu, Gong, Tao, Learning with biased complementary labels, 2018.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike

from components.contracts import FloatArray
from components.errors import InputError
from components.weak.channel import Channel
from components.weak.correction import Absolute, RiskCorrection
from components.weak.losses import CrossEntropy, Loss
from components.weak.observed import Clean, Observed, Simulated, numbered
from components.weak.rewrite import Forward, Rewrite
from components.weak.settings.setting import Setting, label_channel
from components.weak.settings.sources import check_mixture
from components.weak.simulators import drawn_from
from components.weak.transitions import Table, uniform_complementary


class LabelSetting(Setting):
    """Rows with a label that depends on nothing but the class."""

    usual_loss: ClassVar[Loss] = CrossEntropy()
    labels_are_classes = True

    @property
    @abstractmethod
    def table(self) -> FloatArray:
        """[K, S] probability of each label given the class."""

    @property
    def class_count(self) -> int:
        """Number of classes."""
        return len(self.table)

    @property
    def symbol_count(self) -> int:
        """Number of labels."""
        return self.table.shape[1]

    def channel(self, counts: ArrayLike) -> Channel:
        """The labels, of which ``counts`` [S] rows have each."""
        return label_channel(self.table, counts)

    def simulate(self, clean: Clean, seed: int = 0, sizes: tuple[int, ...] | None = None) -> Simulated:
        """A label for every row of ``clean``."""
        if sizes is not None:
            raise InputError(f"sizes must be None for {self.kind}: every row gets a label, got {sizes}")
        labels = numbered("labels", clean.labels, self.class_count)
        marks = drawn_from(self.table[labels], np.random.default_rng(seed))
        return Simulated(self, Observed(clean.features, marks), clean.labels)


@dataclass(frozen=True)
class NoisyLabels(LabelSetting):
    """Labels that are wrong by habit: each class is taken for each other one with a known probability.

    ``forward`` corrects the likelihood, ``inverse`` the loss (backward correction), ``reweight`` the importance of
    rows. A label may be coarser or finer than the classes: then the table is not square.

    Attributes:
        transition: Probability of each label (columns) given the clean class (rows).
        kind: Names the setting.
    """

    transition: Table
    kind: Literal["noisy_labels"] = "noisy_labels"
    usual_rewrite: ClassVar[Rewrite] = Forward()
    usual_correction: ClassVar[RiskCorrection] = Absolute()

    def __post_init__(self) -> None:
        check_mixture("transition", self.transition)

    @property
    def table(self) -> FloatArray:
        """The transition."""
        return np.array(self.transition, dtype=np.float64)


@dataclass(frozen=True)
class ComplementaryLabels(LabelSetting):
    """Labels that name one class the row is not of.

    ``inverse`` with correction ``uncorrected`` is the free estimator, with ``floored`` its non-negative one, with
    ``non_negative`` gradient ascent; ``surrogate`` is the surrogate complementary loss.

    Attributes:
        classes: Number of classes, 2 or more.
        transition: Probability of each label (columns) given the clean class (rows), with a diagonal of zeros; None:
            every other class alike.
        kind: Names the setting.
    """

    classes: int
    transition: Table | None = None
    kind: Literal["complementary_labels"] = "complementary_labels"
    usual_rewrite: ClassVar[Rewrite] = Forward()
    usual_correction: ClassVar[RiskCorrection] = Absolute()

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise InputError(f"classes must be at least 2, got {self.classes}")
        if self.transition is None:
            return
        check_mixture("transition", self.transition)
        if self.table.shape != (self.classes, self.classes) or np.diag(self.table).any():
            raise InputError(
                f"transition must be {self.classes} by {self.classes} with zeros on the diagonal, "
                f"got {self.table.tolist()}"
            )

    @property
    def table(self) -> FloatArray:
        """The transition."""
        return np.array(uniform_complementary(self.classes) if self.transition is None else self.transition)
