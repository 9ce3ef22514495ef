"""What settings share whose rows were drawn from sources: samples of known class composition.

Such a setting is the rows of its mixture.
"""

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from components.contracts import FloatArray
from components.errors import InputError
from components.weak.channel import Channel, check_stochastic
from components.weak.correction import Absolute, RiskCorrection
from components.weak.losses import Loss, Sigmoid
from components.weak.observed import Clean, IntArray, Observed, Simulated, numbered
from components.weak.rewrite import Inverse, Rewrite
from components.weak.settings.setting import Setting, between, binary, source_channel
from components.weak.simulators import draw_sources
from components.weak.transitions import Table


class SourceSetting(Setting):
    """Rows of S samples; the mark of a row is the number of its sample."""

    usual_loss: ClassVar[Loss] = Sigmoid()
    usual_rewrite: ClassVar[Rewrite] = Inverse()
    usual_correction: ClassVar[RiskCorrection] = Absolute()

    @property
    @abstractmethod
    def composition(self) -> FloatArray:
        """[S, K] share of each class in each sample."""

    @property
    @abstractmethod
    def target(self) -> FloatArray:
        """[K] class prior of the population the risk is for."""

    @property
    def class_count(self) -> int:
        """Number of classes."""
        return self.composition.shape[1]

    @property
    def symbol_count(self) -> int:
        """Number of samples."""
        return len(self.composition)

    def channel(self, counts: ArrayLike) -> Channel:
        """The samples with ``counts`` [S] rows."""
        return source_channel(self.composition, self.target, counts)

    def simulate(self, clean: Clean, seed: int = 0, sizes: tuple[int, ...] | None = None) -> Simulated:
        """``sizes`` [S] rows of each sample (None: as many in all as ``clean`` has, spread evenly)."""
        rows, sources = draw_sources(clean, self.composition, sizes, seed)
        return Simulated(self, Observed(clean.features[rows], sources), clean.labels[rows])


class TwoClassSetting(SourceSetting):
    """Rows of samples of positives and negatives, as which class 0 and class 1 are known here.

    Attributes:
        prior: Share of positives in the population.
    """

    prior: float

    def __post_init__(self) -> None:
        between("prior", self.prior)

    @property
    def target(self) -> FloatArray:
        """The prior."""
        return binary(self.prior)


def with_unlabeled(labels: ArrayLike, classes: int) -> IntArray:
    """[n] numbers of classes, with -1 made ``classes``: the number of the unlabeled source."""
    values = np.asarray(labels)
    if values.ndim != 1 or values.dtype.kind not in "iuf":
        raise InputError(f"labels must be numbers of classes or -1, got {values.dtype} in shape {values.shape}")
    return numbered("labels (-1 for unlabeled)", np.where(values == -1, classes, values), classes + 1)


def check_mixture(name: str, rows: Table) -> None:
    """Refuse what is not a table of probabilities with at least two classes."""
    if len({len(row) for row in rows}) != 1 or len(rows[0]) < 2:
        raise InputError(f"{name} must be rows of equal length, 2 or more, got lengths {[len(row) for row in rows]}")
    check_stochastic(name, np.array(rows, dtype=np.float64))
