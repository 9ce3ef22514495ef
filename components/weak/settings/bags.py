"""Bags of rows of which the shares of the classes are known."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike

from components.errors import InputError
from components.weak.channel import BagChannel, Channel
from components.weak.correction import Absolute, RiskCorrection
from components.weak.evidence import Evidence
from components.weak.losses import Loss, Sigmoid
from components.weak.observed import Clean, Observed, Simulated, numbered
from components.weak.rewrite import Inverse, Rewrite
from components.weak.settings.setting import Setting, check_symbols
from components.weak.settings.sources import check_mixture
from components.weak.simulators import sizes_of
from components.weak.transitions import Table, as_table

if TYPE_CHECKING:
    import torch
    from torch import Tensor

USUAL_BAG = 8


@dataclass(frozen=True)
class LabelProportions(Setting):
    """Rows in bags; of each bag the shares of the classes are known, and all bags together are the population.

    Quadrianto, Smola, Caetano, Le, Estimating labels from label proportions, JMLR 10, 2009.
    The likelihood of the count in a whole bag is in ``components.weak.aggregates``.

    Attributes:
        classes: Number of classes, 2 or more.
        proportions: Share of each class in each bag, one row a bag; empty until bags are simulated.
        kind: Names the setting.
    """

    classes: int
    proportions: Table = ()
    kind: Literal["label_proportions"] = "label_proportions"
    usual_loss: ClassVar[Loss] = Sigmoid()
    usual_rewrite: ClassVar[Rewrite] = Inverse()
    usual_correction: ClassVar[RiskCorrection] = Absolute()

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise InputError(f"classes must be at least 2, got {self.classes}")
        if self.proportions:
            check_mixture("proportions", self.proportions)
            if len(self.proportions[0]) != self.classes:
                raise InputError(f"proportions must have {self.classes} columns, got {len(self.proportions[0])}")

    @property
    def class_count(self) -> int:
        """Number of classes."""
        return self.classes

    @property
    def symbol_count(self) -> int:
        """Number of bags."""
        return len(self.proportions)

    def channel(self, counts: ArrayLike) -> Channel:
        """The bags, with ``counts`` [S] rows in each."""
        if not self.proportions:
            raise InputError("proportions must be given, one row a bag, got none")
        return BagChannel(np.array(self.proportions), np.asarray(counts, dtype=np.float64))

    def evidence(self, marks: "Tensor", channel: Channel, dtype: "torch.dtype", likelihood: bool) -> Evidence:
        """What the bag of each row says of it."""
        import torch

        assert isinstance(channel, BagChannel)
        check_symbols(marks, self.symbol_count)
        inside = torch.ones(len(marks), 1, dtype=dtype, device=marks.device)
        rows = channel.log_likelihood() if likelihood else channel.row_factors()
        table = torch.tensor(rows, dtype=dtype, device=marks.device)[marks.long()]
        return Evidence(inside, log_likelihood=table) if likelihood else Evidence(inside, factors=table)

    def simulate(self, clean: Clean, seed: int = 0, sizes: tuple[int, ...] | None = None) -> Simulated:
        """``sizes``: rows of each bag, drawn without regard to the class; None: all rows, eight to a bag."""
        labels = numbered("labels", clean.labels, self.classes)
        bags = max(len(labels) // USUAL_BAG, 1) if sizes is None else len(sizes)
        many = sizes_of(sizes, bags, USUAL_BAG)
        if sum(many) > len(labels):
            raise InputError(f"sizes must add up to at most {len(labels)} rows, got {sum(many)}")
        rows = np.random.default_rng(seed).permutation(len(labels))[: sum(many)]
        marks = np.repeat(np.arange(bags), many)
        tally = np.zeros((bags, self.classes))
        np.add.at(tally, (marks, labels[rows]), 1.0)
        told = replace(self, proportions=as_table(tally / tally.sum(axis=1, keepdims=True)))
        return Simulated(told, Observed(clean.features[rows], marks), labels[rows])
