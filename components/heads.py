"""What turns features into a logit: pure functions of one flat parameter vector.

A head states its layout (names and shapes), a start, its logits, and the one thing a diagonal Gauss-Newton
matrix needs: the sum over rows of weight times squared derivative of the logit, in closed form.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from components.contracts import FloatArray
from components.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

Layout = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Linear:
    """Logistic regression: logit = w'x + b.

    Attributes:
        kind: Names the head.
    """

    kind: Literal["linear"] = "linear"

    def layout(self, width: int) -> Layout:
        """Weights [width] and one bias."""
        return (("weight", (width,)), ("bias", (1,)))

    def start(self, width: int, seed: int) -> FloatArray:
        """All zeros."""
        return np.zeros(width + 1)

    def logits(self, theta: "Tensor", features: "Tensor") -> "Tensor":
        """[..., n] logits at parameters [..., P] for features [n, width]."""
        return theta[..., :-1] @ features.T + theta[..., -1:]

    def curvature(self, theta: "Tensor", features: "Tensor", weight: "Tensor") -> "Tensor":
        """[P] sum over rows of weight times the squared derivative of the logit."""
        import torch

        return torch.cat([weight @ features**2, weight.sum()[None]])


@dataclass(frozen=True)
class Mlp:
    """A linear part plus one hidden layer: logit = w'x + v' tanh(Ux + c) + b.

    The linear part carries what is linear, so few hidden units suffice and the hidden ones start at rest (v = 0).

    Attributes:
        kind: Names the head.
        hidden: Number of hidden units.
    """

    kind: Literal["mlp"] = "mlp"
    hidden: int = 8

    def __post_init__(self) -> None:
        if self.hidden < 1:
            raise InputError(f"hidden must be at least 1, got {self.hidden}")

    def layout(self, width: int) -> Layout:
        """Linear weights, hidden weights and biases, output weights, one bias."""
        inner = (("inner_weight", (self.hidden, width)), ("inner_bias", (self.hidden,)))
        return (("weight", (width,)), *inner, ("outer_weight", (self.hidden,)), ("bias", (1,)))

    def start(self, width: int, seed: int) -> FloatArray:
        """Hidden weights N(0, 1/width), everything else zero."""
        inner = np.random.default_rng(seed).standard_normal(self.hidden * width) / np.sqrt(width)
        return np.concatenate([np.zeros(width), inner, np.zeros(2 * self.hidden + 1)])

    def logits(self, theta: "Tensor", features: "Tensor") -> "Tensor":
        """[..., n] logits at parameters [..., P] for features [n, width]."""
        weight, inner, inner_bias, outer, bias = self._split(theta, features.shape[1])
        hidden = (features @ inner.transpose(-1, -2) + inner_bias[..., None, :]).tanh()
        return weight @ features.T + (hidden @ outer[..., :, None])[..., 0] + bias

    def curvature(self, theta: "Tensor", features: "Tensor", weight: "Tensor") -> "Tensor":
        """[P] sum over rows of weight times the squared derivative of the logit."""
        import torch

        _, inner, inner_bias, outer, _ = self._split(theta, features.shape[1])
        hidden = (features @ inner.T + inner_bias).tanh()
        slope = weight[:, None] * (outer * (1 - hidden**2)) ** 2
        parts = [weight @ features**2, (slope.T @ features**2).reshape(-1), slope.sum(0), weight @ hidden**2]
        return torch.cat([*parts, weight.sum()[None]])

    def _split(self, theta: "Tensor", width: int) -> tuple["Tensor", ...]:
        import torch

        sizes = [width, self.hidden * width, self.hidden, self.hidden, 1]
        weight, inner, inner_bias, outer, bias = torch.split(theta, sizes, dim=-1)
        return weight, inner.reshape(*theta.shape[:-1], self.hidden, width), inner_bias, outer, bias


Head = Linear | Mlp
HEADS: dict[str, type[Linear] | type[Mlp]] = {head.kind: head for head in get_args(Head)}
