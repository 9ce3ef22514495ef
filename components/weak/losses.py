"""Losses as tables: what each row would cost were it of each class.

A loss takes logits [n, K], or [n] logits of the first of two classes, and gives [n, K]. No label enters: what is known
of the label is for the channel and the rewrite. Any callable of that shape will do in their place.

Margin losses l(z) have l(z) + l(-z) = 1 (sigmoid), which keeps a rewritten risk bounded, or l(z) - l(-z) = -z
(logistic, squared, double hinge), which keeps a rewritten risk of positives and unlabeled rows convex.

Kiryo, Niu, du Plessis, Sugiyama, Positive-unlabeled learning with non-negative risk estimator, NeurIPS 2017.
Ishida, Niu, Hu, Sugiyama, Learning from complementary labels, NeurIPS 2017 (the two ways to more classes).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from components.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

Against = Literal["pairwise", "one_versus_rest"]


class Losses(Protocol):
    """Anything that says what each row would cost were it of each class."""

    def __call__(self, logits: "Tensor") -> "Tensor":
        """[n, K] losses of ``logits`` [n, K], or [n, 2] of [n]."""


def columns(logits: "Tensor") -> "Tensor":
    """[n, K] logits; logits [n] are those of the first of two classes, against zero for the second."""
    import torch

    return torch.stack([logits, torch.zeros_like(logits)], dim=-1) if logits.ndim == 1 else logits


@dataclass(frozen=True)
class CrossEntropy:
    """Minus the log probability of the class.

    Attributes:
        kind: Name of the loss.
    """

    kind: Literal["cross_entropy"] = "cross_entropy"

    def __call__(self, logits: "Tensor") -> "Tensor":
        """[n, K] losses."""
        import torch

        if logits.ndim == 1:
            return torch.nn.functional.softplus(torch.stack([-logits, logits], dim=-1))
        return -torch.log_softmax(logits, dim=-1)


@dataclass(frozen=True)
class MeanAbsolute:
    """One minus the probability of the class: bounded, and the losses of a row sum to K - 1.

    Attributes:
        kind: Name of the loss.
    """

    kind: Literal["mean_absolute"] = "mean_absolute"

    def __call__(self, logits: "Tensor") -> "Tensor":
        """[n, K] losses."""
        import torch

        return 1 - torch.softmax(columns(logits), dim=-1)


@dataclass(frozen=True)
class ExponentialProbability:
    """The exponential of minus the probability of the class: bounded, and steeper than ``mean_absolute`` where wrong.

    Attributes:
        kind: Name of the loss.
    """

    kind: Literal["exponential_probability"] = "exponential_probability"

    def __call__(self, logits: "Tensor") -> "Tensor":
        """[n, K] losses."""
        import torch

        return torch.exp(-torch.softmax(columns(logits), dim=-1))


@dataclass(frozen=True)
class ZeroOne:
    """One where another class has the larger logit, or an earlier one the same: the error rate, for validation only.

    Attributes:
        kind: Name of the loss.
    """

    kind: Literal["zero_one"] = "zero_one"

    def __call__(self, logits: "Tensor") -> "Tensor":
        """[n, K] losses, without a gradient."""
        import torch

        wide = columns(logits)
        right = torch.nn.functional.one_hot(wide.argmax(dim=-1), wide.shape[-1])
        return 1 - right.to(wide.dtype)


@dataclass(frozen=True)
class MarginLoss(ABC):
    """A loss of the margin z between a class and the others.

    Attributes:
        against: With more than two logits, a class against each other one (``pairwise``: the sum of l(f_y - f_j)), or
            each logit by itself (``one_versus_rest``: l(f_y) and the mean of l(-f_j) over the others).
    """

    against: Against = "pairwise"

    def __post_init__(self) -> None:
        if self.against not in get_args(Against):
            raise InputError(f"against must be one of {', '.join(get_args(Against))}, got {self.against!r}")

    @abstractmethod
    def margin(self, z: "Tensor") -> "Tensor":
        """The loss of margins ``z``, elementwise."""

    def __call__(self, logits: "Tensor") -> "Tensor":
        """[n, K] losses."""
        import torch

        if logits.ndim == 1:
            return self.margin(torch.stack([logits, -logits], dim=-1))
        classes = logits.shape[-1]
        if self.against == "one_versus_rest":
            rest = self.margin(-logits)
            return self.margin(logits) + (rest.sum(dim=-1, keepdim=True) - rest) / (classes - 1)
        if classes == 2:
            return self(logits[..., 0] - logits[..., 1])
        table = self.margin(logits[..., :, None] - logits[..., None, :])
        return table.masked_fill(torch.eye(classes, dtype=torch.bool, device=table.device), 0).sum(dim=-1)


@dataclass(frozen=True)
class Sigmoid(MarginLoss):
    """1 / (1 + exp(z)): bounded and symmetric, l(z) + l(-z) = 1.

    Attributes:
        against: With more than two logits, ``pairwise`` or ``one_versus_rest``.
        kind: Name of the loss.
    """

    kind: Literal["sigmoid"] = "sigmoid"

    def margin(self, z: "Tensor") -> "Tensor":
        """The loss of margins ``z``."""
        return (-z).sigmoid()


@dataclass(frozen=True)
class Logistic(MarginLoss):
    """log(1 + exp(-z)): with two classes the cross entropy; l(z) - l(-z) = -z.

    Attributes:
        against: With more than two logits, ``pairwise`` or ``one_versus_rest``.
        kind: Name of the loss.
    """

    kind: Literal["logistic"] = "logistic"

    def margin(self, z: "Tensor") -> "Tensor":
        """The loss of margins ``z``."""
        import torch

        return torch.nn.functional.softplus(-z)


@dataclass(frozen=True)
class Squared(MarginLoss):
    """(1 - z)^2 / 4; l(z) - l(-z) = -z.

    Attributes:
        against: With more than two logits, ``pairwise`` or ``one_versus_rest``.
        kind: Name of the loss.
    """

    kind: Literal["squared"] = "squared"

    def margin(self, z: "Tensor") -> "Tensor":
        """The loss of margins ``z``."""
        return (1 - z) ** 2 / 4


@dataclass(frozen=True)
class DoubleHinge(MarginLoss):
    """max(-z, 0, (1 - z) / 2), piecewise linear; l(z) - l(-z) = -z.

    Attributes:
        against: With more than two logits, ``pairwise`` or ``one_versus_rest``.
        kind: Name of the loss.
    """

    kind: Literal["double_hinge"] = "double_hinge"

    def margin(self, z: "Tensor") -> "Tensor":
        """The loss of margins ``z``."""
        import torch

        return torch.maximum(-z, ((1 - z) / 2).clamp(min=0))


@dataclass(frozen=True)
class Exponential(MarginLoss):
    """exp(-z): steep, and unbounded like no other here.

    Attributes:
        against: With more than two logits, ``pairwise`` or ``one_versus_rest``.
        kind: Name of the loss.
    """

    kind: Literal["exponential"] = "exponential"

    def margin(self, z: "Tensor") -> "Tensor":
        """The loss of margins ``z``."""
        return (-z).exp()


Loss = (
    CrossEntropy
    | MeanAbsolute
    | ExponentialProbability
    | Sigmoid
    | Logistic
    | Squared
    | DoubleHinge
    | Exponential
    | ZeroOne
)
