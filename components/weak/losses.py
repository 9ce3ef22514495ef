"""Losses as tables: what each row would cost were it of each class.

A loss takes logits [n, K], or [n] logits of the first of two classes, and gives [n, K]. No label enters: what is known
of the label is for the channel and the rewrite. Any callable of that shape will do in their place.

A loss that knows its own slope says so (``SlopedLoss``): a training step on a small network is then a third shorter
than through the graph that torch builds of the same formulas.

Margin losses l(z) have l(z) + l(-z) = 1 (sigmoid), which keeps a rewritten risk bounded, or l(z) - l(-z) = -z
(logistic, squared, double hinge), which keeps a rewritten risk of positives and unlabeled rows convex.

Kiryo, Niu, du Plessis, Sugiyama, Positive-unlabeled learning with non-negative risk estimator, NeurIPS 2017.
Ishida, Niu, Hu, Sugiyama, Learning from complementary labels, NeurIPS 2017 (the two ways to more classes).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from components.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Against = Literal["pairwise", "one_versus_rest"]


# From weights [n, G] of a table of losses to the slope of their weighted sum along the logits.
Slope = Callable[["Tensor"], "Tensor"]


class Losses(Protocol):
    """Anything that says what each row would cost were it of each class."""

    def __call__(self, logits: "Tensor") -> "Tensor":
        """[n, K] losses of ``logits`` [n, K], or [n, 2] of [n]."""


class SlopedLoss(ABC):
    """Losses with slopes of their own."""

    @abstractmethod
    def __call__(self, logits: "Tensor") -> "Tensor":
        """[n, K] losses of ``logits`` [n, K], or [n, 2] of [n]."""

    @abstractmethod
    def sloped(self, logits: "Tensor") -> "tuple[Tensor, Slope]":
        """[n, K] losses and their slope; called without a graph."""


def sloped(losses: Losses, logits: "Tensor") -> "tuple[Tensor, Slope]":
    """Losses of ``logits``, without a graph, and their slope: their own, or else what torch finds."""
    import torch

    if isinstance(losses, SlopedLoss):
        return losses.sloped(logits)
    with torch.enable_grad():
        leaf = logits.detach().requires_grad_()
        table = losses(leaf)
    return table.detach(), lambda weights: torch.autograd.grad(table, leaf, weights)[0]


def exponentials(logits: "Tensor") -> "tuple[Tensor, Tensor, Tensor, Tensor]":
    """[n, 1] largest of each row of ``logits`` [n, K], [n, K] logits - largest, [n, K] its exp, [n, 1] the sum of that.

    With few classes torch's softmax takes three times as long.
    """
    largest = logits.amax(dim=-1, keepdim=True)
    centred = logits - largest
    shares = centred.exp()
    return largest, centred, shares, shares.sum(dim=-1, keepdim=True)


@cache
def _for_and_against(dtype: "torch.dtype", device: "torch.device") -> "Tensor":
    import torch

    return torch.tensor([1.0, -1.0], dtype=dtype, device=device)


def columns(logits: "Tensor") -> "Tensor":
    """[n, K] logits; logits [n] are those of the first of two classes, against zero for the second."""
    import torch

    return torch.stack([logits, torch.zeros_like(logits)], dim=-1) if logits.ndim == 1 else logits


@dataclass(frozen=True)
class CrossEntropy(SlopedLoss):
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

    def sloped(self, logits: "Tensor") -> "tuple[Tensor, Slope]":
        """[n, K] losses and their slope."""
        if logits.ndim == 1:
            return Logistic().sloped(logits)
        _, centred, shares, total = exponentials(logits)

        def slope(weights: "Tensor") -> "Tensor":
            return shares * (weights.sum(dim=-1, keepdim=True) / total) - weights

        return total.log() - centred, slope


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
class MarginLoss(SlopedLoss):
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

    @abstractmethod
    def steepness(self, z: "Tensor", loss: "Tensor") -> "Tensor":
        """The derivative of ``margin`` at ``z``, where it is ``loss``, elementwise."""

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

    def sloped(self, logits: "Tensor") -> "tuple[Tensor, Slope]":
        """[n, K] losses and their slope."""
        if logits.ndim > 1:
            return sloped(lambda moved: self(moved), logits)
        sides = _for_and_against(logits.dtype, logits.device)
        margins = logits.unsqueeze(-1) * sides
        table = self.margin(margins)
        return table, lambda weights: (weights * self.steepness(margins, table)).mv(sides)


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

    def steepness(self, z: "Tensor", loss: "Tensor") -> "Tensor":
        """The derivative at ``z``."""
        return loss * (loss - 1)


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

    def steepness(self, z: "Tensor", loss: "Tensor") -> "Tensor":
        """The derivative at ``z``."""
        return (-loss).expm1()


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

    def steepness(self, z: "Tensor", loss: "Tensor") -> "Tensor":
        """The derivative at ``z``."""
        return (z - 1) / 2


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

    def steepness(self, z: "Tensor", loss: "Tensor") -> "Tensor":
        """The derivative at ``z``; at a kink that from the left."""
        return -(z <= -1).to(z.dtype) / 2 - (z <= 1).to(z.dtype) / 2


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

    def steepness(self, z: "Tensor", loss: "Tensor") -> "Tensor":
        """The derivative at ``z``."""
        return -loss


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
