"""Settings of any number of classes whose rows were drawn from samples."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike

from components.contracts import FloatArray
from components.weak.channel import check_prior
from components.weak.losses import CrossEntropy, Loss
from components.weak.observed import Marks
from components.weak.settings.sources import SourceSetting, check_mixture, with_unlabeled
from components.weak.transitions import Table


@dataclass(frozen=True)
class UnlabeledSets(SourceSetting):
    """Several sets without labels, of which only the shares of the classes are known.

    The inverse is the least-squares one; ``forward`` classifies which set a row came from.
    Lu, Lei, Niu, Sato, Sugiyama, Binary classification from multiple unlabeled datasets via surrogate set
    classification, 2021.

    Attributes:
        mixture: Share of each class in each set, one row a set.
        prior: Share of each class in the population.
        kind: Names the setting.
    """

    mixture: Table
    prior: tuple[float, ...]
    kind: Literal["unlabeled_sets"] = "unlabeled_sets"

    def __post_init__(self) -> None:
        check_mixture("mixture", self.mixture)
        check_prior("prior", self.target, self.class_count)

    @property
    def composition(self) -> FloatArray:
        """The sets."""
        return np.array(self.mixture, dtype=np.float64)

    @property
    def target(self) -> FloatArray:
        """The prior."""
        return np.array(self.prior, dtype=np.float64)


@dataclass(frozen=True)
class SemiSupervised(SourceSetting):
    """Labelled rows of every class, and rows without a label from the whole population.

    Attributes:
        prior: Share of each class in the population.
        kind: Names the setting.
    """

    prior: tuple[float, ...]
    kind: Literal["semi_supervised"] = "semi_supervised"
    usual_loss: ClassVar[Loss] = CrossEntropy()
    labels_are_classes = True

    def __post_init__(self) -> None:
        check_prior("prior", self.target, max(len(self.prior), 2))

    @property
    def composition(self) -> FloatArray:
        """One sample a class, and the unlabeled."""
        return np.vstack([np.eye(len(self.prior)), self.target])

    @property
    def target(self) -> FloatArray:
        """The prior."""
        return np.array(self.prior, dtype=np.float64)

    @property
    def unlabeled(self) -> int:
        """The last source."""
        return self.symbol_count - 1

    def coded(self, labels: ArrayLike) -> Marks:
        """The number of the class, or -1 for unlabeled."""
        return with_unlabeled(labels, len(self.prior))


@dataclass(frozen=True)
class SeveralPositives(SourceSetting):
    """Labelled rows of all classes but the last, and rows without a label from the whole population.

    Attributes:
        prior: Share of each class in the population; the last is that of the negative class.
        kind: Names the setting.
    """

    prior: tuple[float, ...]
    kind: Literal["several_positives"] = "several_positives"
    usual_loss: ClassVar[Loss] = CrossEntropy()
    labels_are_classes = True

    def __post_init__(self) -> None:
        check_prior("prior", self.target, max(len(self.prior), 2))

    @property
    def composition(self) -> FloatArray:
        """One sample for each class but the last, and the unlabeled."""
        return np.vstack([np.eye(len(self.prior))[:-1], self.target])

    @property
    def target(self) -> FloatArray:
        """The prior."""
        return np.array(self.prior, dtype=np.float64)

    @property
    def unlabeled(self) -> int:
        """The last source."""
        return self.symbol_count - 1

    def coded(self, labels: ArrayLike) -> Marks:
        """The number of the class, 0 to K - 2, or -1 for unlabeled."""
        return with_unlabeled(labels, len(self.prior) - 1)
