"""What to do when the estimated risk of a class turns negative, which no true risk of a nonnegative loss can be.

It is the mark of over-fitting: a flexible model drives the negative terms of the decontaminated risk down without end.
Each correction turns the class risks into one scalar whose value is the risk to report and whose gradient is the step
to take. Gradient ascent, as it is known for complementary labels, is ``non_negative`` as it comes: beta 0, gamma 1.

Kiryo, Niu, du Plessis, Sugiyama, Positive-unlabeled learning with non-negative risk estimator, NeurIPS 2017.
Lu, Zhang, Niu, Sugiyama, Mitigating overfitting in supervised classification from two unlabeled datasets, 2020.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from components.errors import InputError

if TYPE_CHECKING:
    import torch


def correctable(decontamination: "torch.Tensor") -> "torch.Tensor":
    """[K] bool: classes some source counts against, the only ones whose risk can be negative by over-fitting."""
    return (decontamination < 0).any(dim=1)


class Piecewise(ABC):
    """A sum over classes of what is linear in the class risk but for a kink."""

    @abstractmethod
    def pieces(self, groups: "torch.Tensor", allowed: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
        """The value, and [K] the step along the risk of each class. Where no risk is negative: their sum, and ones.

        Args:
            groups: [K] class risks, without a gradient.
            allowed: [K] the classes that may be corrected, from ``allowed``.
        """

    def allowed(self, decontamination: "torch.Tensor") -> "torch.Tensor":
        """[K] bool: the classes that may be corrected."""
        return correctable(decontamination)

    def objective(self, groups: "torch.Tensor", decontamination: "torch.Tensor") -> "torch.Tensor":
        """Scalar whose value is the corrected risk and whose gradient is the step, from class risks ``groups`` [K]."""
        value, slopes = self.pieces(groups.detach(), self.allowed(decontamination))
        step = (slopes * groups).sum()
        return step + (value - step.detach())


@dataclass(frozen=True)
class Uncorrected(Piecewise):
    """The unbiased risk as it is.

    Attributes:
        kind: Name of the method.
    """

    kind: Literal["uncorrected"] = "uncorrected"

    def pieces(self, groups: "torch.Tensor", allowed: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
        """The class risks."""
        import torch

        return groups.sum(), torch.ones_like(groups)

    def objective(self, groups: "torch.Tensor", decontamination: "torch.Tensor") -> "torch.Tensor":
        """Sum of the class risks ``groups`` [K], be it infinite."""
        return groups.sum()


@dataclass(frozen=True)
class NonNegative(Piecewise):
    """The step of nnPU: while a class risk is below ``-beta``, climb that risk back and do nothing else.

    The value is sum_y max(R_y, -beta); the gradient is that of sum_y R_y, or of ``-gamma`` times the violated
    R_y alone.

    Attributes:
        kind: Name of the method.
        beta: How far below zero a class risk may go, at least 0; infinity switches the correction off.
        gamma: Size of the step back relative to an ordinary one, in [0, 1]; 0 waits for the next minibatch.
        groups: Positions of the classes to correct; empty: those that some source counts against.
    """

    kind: Literal["non_negative"] = "non_negative"
    beta: float = 0.0
    gamma: float = 1.0
    groups: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.beta >= 0:
            raise InputError(f"beta must be at least 0, got {self.beta}")
        if not 0 <= self.gamma <= 1:
            raise InputError(f"gamma must lie in [0, 1], got {self.gamma}")
        if any(group < 0 for group in self.groups):
            raise InputError(f"groups must be positions of classes, 0 or more, got {self.groups}")

    def pieces(self, groups: "torch.Tensor", allowed: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
        """No less than ``-beta``; while a class is below, back along that class alone."""
        import torch

        violated = allowed & (groups < -self.beta)
        slopes = torch.where(violated.any(), -self.gamma * violated.to(groups.dtype), 1.0)
        return groups.masked_fill(violated, -self.beta).sum(), slopes

    def allowed(self, decontamination: "torch.Tensor") -> "torch.Tensor":
        """[K] bool: the classes that may be corrected."""
        if not self.groups:
            return correctable(decontamination)
        if max(self.groups) >= len(decontamination):
            raise InputError(f"groups must be below the number of classes, {len(decontamination)}, got {self.groups}")
        allowed = decontamination.new_zeros(len(decontamination)).bool()
        allowed[list(self.groups)] = True
        return allowed


@dataclass(frozen=True)
class Absolute(Piecewise):
    """The absolute value of each class risk that can turn negative: it bounces off zero.

    Attributes:
        kind: Name of the method.
    """

    kind: Literal["absolute"] = "absolute"

    def pieces(self, groups: "torch.Tensor", allowed: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
        """The class risks, turned up below zero."""
        return _turned(groups, allowed, -1.0)


@dataclass(frozen=True)
class Floored(Piecewise):
    """Each class risk that can turn negative, but no less than ``-beta``: below it the class is left alone.

    Attributes:
        kind: Name of the method.
        beta: How far below zero a class risk may go, at least 0; with 0 this is the rectified risk.
    """

    kind: Literal["floored"] = "floored"
    beta: float = 0.0

    def __post_init__(self) -> None:
        if not self.beta >= 0:
            raise InputError(f"beta must be at least 0, got {self.beta}")

    def pieces(self, groups: "torch.Tensor", allowed: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
        """The class risks, cut off below ``-beta``."""
        below = allowed & (groups < -self.beta)
        return groups.masked_fill(below, -self.beta).sum(), (~below).to(groups.dtype)


@dataclass(frozen=True)
class Leaky(Piecewise):
    """Each class risk that can turn negative, turned up below zero with another slope.

    Attributes:
        kind: Name of the method.
        slope: Slope below zero, in [0, 1]: 1 is the absolute value, 0 the rectified risk.
    """

    kind: Literal["leaky"] = "leaky"
    slope: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.slope <= 1:
            raise InputError(f"slope must lie in [0, 1], got {self.slope}")

    def pieces(self, groups: "torch.Tensor", allowed: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
        """The class risks, turned up below zero."""
        return _turned(groups, allowed, -self.slope)


def _turned(groups: "torch.Tensor", allowed: "torch.Tensor", slope: float) -> "tuple[torch.Tensor, torch.Tensor]":
    """Value and slopes where ``groups`` have another slope below zero."""
    import torch

    slopes = torch.where(allowed & (groups < 0), slope, 1.0).to(groups.dtype)
    return (slopes * groups).sum(), slopes


RiskCorrection = Uncorrected | Absolute | Floored | Leaky | NonNegative
