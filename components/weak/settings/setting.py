"""What every setting of weak supervision shares.

A setting says what the marks of rows are, which channel they come through, how to make them from clean data, and which
loss, rewrite and correction are usual. Unless it says otherwise its marks are symbols: the number of the source a row
was drawn from, or of the label it was given.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from components.contracts import FloatArray
from components.errors import InputError
from components.weak.channel import Channel, LabelChannel, RowChannel, SourceChannel
from components.weak.correction import RiskCorrection, Uncorrected
from components.weak.evidence import Evidence
from components.weak.losses import Loss, Losses
from components.weak.observed import Clean, Marks, Observed, Simulated, numbered
from components.weak.rewrite import Rewrite
from components.weak.weak_risk import WeakRisk, build_risk

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Setting(ABC):
    """What is observed in the place of clean labels: a frozen dataclass with the nuisances it needs as fields.

    Attributes:
        kind: Names the setting.
        usual_loss: Loss where none is asked for.
        usual_rewrite: Rewrite where none is asked for.
        usual_correction: Correction where none is asked for.
        likely: Whether what is observed has a likelihood given the class.
        labels_are_classes: Whether a label names a class, the one of its number, be it the right one or not.
    """

    kind: str
    usual_loss: ClassVar[Loss]
    usual_rewrite: ClassVar[Rewrite]
    usual_correction: ClassVar[RiskCorrection]
    likely: ClassVar[bool] = True
    labels_are_classes: ClassVar[bool] = False

    @property
    def unlabeled(self) -> int | None:
        """Number of the source of the rows without a label; None where every row has one."""
        return None

    @property
    @abstractmethod
    def class_count(self) -> int:
        """Number of classes."""

    @property
    @abstractmethod
    def symbol_count(self) -> int:
        """Number of sources, labels or strata."""

    @abstractmethod
    def channel(self, counts: ArrayLike) -> Channel:
        """The channel, given how many rows ``counts`` [S] of all rows each source or label has.

        Raises:
            InputError: A source is empty.
        """

    @abstractmethod
    def simulate(self, clean: Clean, seed: int = 0, sizes: tuple[int, ...] | None = None) -> Simulated:
        """Weak data made from ``clean``.

        Args:
            clean: Fully labelled rows.
            seed: Of all chance.
            sizes: Rows (or pairs) drawn from each source. None: the setting's own way.
        """

    def coded(self, labels: ArrayLike) -> Marks:
        """Marks from labels as people write them: here whole numbers from 0 to ``symbol_count`` - 1.

        Raises:
            InputError: A label is outside the coding.
        """
        return numbered("labels", labels, self.symbol_count)

    def observe(self, features: FloatArray, labels: ArrayLike, weights: FloatArray | None = None) -> Observed:
        """Rows with ``features`` [n, d] and labels as ``coded`` reads them.

        Raises:
            InputError: A label is outside the coding, or shapes disagree.
        """
        return Observed(features, self.coded(labels), weights)

    def counts(self, marks: Marks, weights: FloatArray | None = None) -> FloatArray:
        """[S] rows, or their weight, of each source or label; counts of chunks add up."""
        return np.bincount(marks, weights, self.symbol_count).astype(np.float64)

    def evidence(self, marks: "Tensor", channel: Channel, dtype: "torch.dtype", likelihood: bool) -> Evidence:
        """What rows with ``marks`` say of their classes, on the device of the marks.

        Args:
            marks: [n] or [n, K], as in ``Observed.marks``.
            channel: Of all rows.
            dtype: Of the floating point numbers.
            likelihood: Whether the likelihood is wanted, which the inverse rewrite can do without.
        """
        import torch

        assert not isinstance(channel, RowChannel)
        check_symbols(marks, self.symbol_count)
        inside = torch.nn.functional.one_hot(marks.long(), self.symbol_count).to(dtype)
        if not likelihood:
            return Evidence(inside)
        table = torch.tensor(channel.log_likelihood(), dtype=dtype, device=marks.device)
        return Evidence(inside, log_likelihood=table[marks.long()])

    def risk(
        self,
        counts: ArrayLike,
        loss: Losses | None = None,
        rewrite: Rewrite | None = None,
        correction: RiskCorrection | None = None,
        dtype: "torch.dtype | None" = None,
    ) -> WeakRisk:
        """What is descended on.

        Args:
            counts: [S] rows of each source or label among all rows (``counts`` of their marks).
            loss: None: the setting's usual one.
            rewrite: None: the usual one.
            correction: None: the usual one with the inverse rewrite, else none.
            dtype: Of the floating point numbers; None: float32.

        Raises:
            InputError: A source is empty, the sources do not tell the classes apart, or the rewrite does not fit.
        """
        chosen = self.usual_rewrite if rewrite is None else rewrite
        if correction is None:  # no other rewrite turns negative
            correction = self.usual_correction if chosen.kind == "inverse" else Uncorrected()
        return build_risk(
            self, self.channel(counts), chosen, correction, self.usual_loss if loss is None else loss, dtype
        )


class RowSetting(Setting):
    """Rows that each have a channel of their own, all in one stratum.

    Attributes:
        row_kind: What each row carries.
        signed: Whether a row may count against a class.
    """

    row_kind: ClassVar[Literal["set", "instance"]]
    signed: ClassVar[bool] = True

    @property
    def symbol_count(self) -> int:
        """One."""
        return 1

    def channel(self, counts: ArrayLike) -> Channel:
        """One stratum of ``counts`` [1] rows."""
        return RowChannel(self.class_count, _floats(counts), self.signed, self.row_kind)

    def counts(self, marks: Marks, weights: FloatArray | None = None) -> FloatArray:
        """[1] rows, or their weight."""
        return np.array([float(len(marks)) if weights is None else float(weights.sum())])


def check_symbols(marks: "Tensor", count: int) -> None:
    """Refuse marks that are not numbers of sources or labels; labels as people write them go through ``coded``."""
    if marks.ndim != 1 or (len(marks) and not 0 <= int(marks.min()) <= int(marks.max()) < count):
        found = sorted(set(marks.flatten().tolist()))
        raise InputError(f"marks must be whole numbers from 0 to {count - 1}, one a row, got {found}")


def between(name: str, value: float, forbidden: float | None = None) -> None:
    """Refuse a probability outside (0, 1), or one that a formula divides by the distance to."""
    if not 0 < value < 1:
        raise InputError(f"{name} must lie in (0, 1), got {value}")
    if forbidden is not None and abs(value - forbidden) < 1e-9:
        raise InputError(f"{name} must not be {forbidden}, where these data do not tell the classes apart, got {value}")


def binary(prior: float) -> FloatArray:
    """[2] shares of the positive and the negative class."""
    return np.array([prior, 1 - prior])


def source_channel(mixture: ArrayLike, prior: ArrayLike, counts: ArrayLike) -> SourceChannel:
    """The channel of samples; see ``SourceChannel``."""
    return SourceChannel(_floats(mixture), _floats(prior), _floats(counts))


def label_channel(transition: ArrayLike, counts: ArrayLike) -> LabelChannel:
    """The channel of labels; see ``LabelChannel``."""
    return LabelChannel(_floats(transition), _floats(counts))


def _floats(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)
