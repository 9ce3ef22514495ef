"""What to do when the estimated risk of a class turns negative, which no true risk of a nonnegative loss can be.

It is the mark of over-fitting: a flexible model drives the negative terms of the decontaminated risk down without end.
Each correction turns the class risks into one scalar whose value is the risk to report and whose gradient is the step
to take. Gradient ascent, as it is known for complementary labels, is ``non_negative`` as it comes: beta 0, gamma 1.

Kiryo, Niu, du Plessis, Sugiyama, Positive-unlabeled learning with non-negative risk estimator, NeurIPS 2017.
Lu, Zhang, Niu, Sugiyama, Mitigating overfitting in supervised classification from two unlabeled datasets, 2020.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from components.errors import InputError

if TYPE_CHECKING:
    import torch


def correctable(decontamination: "torch.Tensor") -> "torch.Tensor":
    """[K] bool: classes some source counts against, the only ones whose risk can be negative by over-fitting."""
    return (decontamination < 0).any(dim=1)


@dataclass(frozen=True)
class Uncorrected:
    """The unbiased risk as it is.

    Attributes:
        kind: Name of the method.
    """

    kind: Literal["uncorrected"] = "uncorrected"

    def objective(self, groups: "torch.Tensor", decontamination: "torch.Tensor") -> "torch.Tensor":
        """Sum of the class risks ``groups`` [K]."""
        return groups.sum()


@dataclass(frozen=True)
class NonNegative:
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

    def objective(self, groups: "torch.Tensor", decontamination: "torch.Tensor") -> "torch.Tensor":
        """Scalar whose value is the corrected risk and whose gradient is the step, from class risks ``groups`` [K]."""
        import torch

        allowed, found = self._allowed(decontamination), groups.detach()
        violated = allowed & (found < -self.beta)
        direction = torch.where(violated.any(), -self.gamma * violated.to(groups.dtype), 1.0)
        reported = torch.where(allowed, found.clamp(min=-self.beta), found).sum()
        step = (direction * groups).sum()
        return step + (reported - step.detach())

    def _allowed(self, decontamination: "torch.Tensor") -> "torch.Tensor":
        if not self.groups:
            return correctable(decontamination)
        if max(self.groups) >= len(decontamination):
            raise InputError(f"groups must be below the number of classes, {len(decontamination)}, got {self.groups}")
        allowed = decontamination.new_zeros(len(decontamination)).bool()
        allowed[list(self.groups)] = True
        return allowed


@dataclass(frozen=True)
class Absolute:
    """The absolute value of each class risk that can turn negative: it bounces off zero.

    Attributes:
        kind: Name of the method.
    """

    kind: Literal["absolute"] = "absolute"

    def objective(self, groups: "torch.Tensor", decontamination: "torch.Tensor") -> "torch.Tensor":
        """Sum of the class risks ``groups`` [K], absolute where a source counts against the class."""
        import torch

        return torch.where(correctable(decontamination), groups.abs(), groups).sum()


@dataclass(frozen=True)
class Floored:
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

    def objective(self, groups: "torch.Tensor", decontamination: "torch.Tensor") -> "torch.Tensor":
        """Sum of the class risks ``groups`` [K], cut off where a source counts against the class."""
        import torch

        return torch.where(correctable(decontamination), groups.clamp(min=-self.beta), groups).sum()


@dataclass(frozen=True)
class Leaky:
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

    def objective(self, groups: "torch.Tensor", decontamination: "torch.Tensor") -> "torch.Tensor":
        """Sum of the class risks ``groups`` [K], turned up where a source counts against the class."""
        import torch

        turned = torch.maximum(groups, -self.slope * groups)
        return torch.where(correctable(decontamination), turned, groups).sum()


RiskCorrection = Uncorrected | Absolute | Floored | Leaky | NonNegative
