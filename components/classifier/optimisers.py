"""How parameters move along a gradient."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, inf, pi
from typing import TYPE_CHECKING, Any, Literal, get_args

from components.errors import InputError

if TYPE_CHECKING:
    import torch

Decay = Literal["constant", "linear", "cosine"]
Groups = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Adam:
    """Steps scaled by running means of the gradient and its square (Kingma, Ba, ICLR 2015).

    Attributes:
        step: Step size at the start.
        weight_decay: Squared-norm penalty on all parameters, added to the gradient.
        decay: How the step size goes down to 0 over the epochs.
        kind: Names the optimiser.
    """

    step: float = 1e-3
    weight_decay: float = 0.0
    decay: Decay = "constant"
    kind: Literal["adam"] = "adam"

    def __post_init__(self) -> None:
        _check(self.step, self.weight_decay, self.decay)

    def over(self, groups: Groups) -> "torch.optim.Optimizer":
        """The optimiser of parameter ``groups`` as torch takes them."""
        import torch

        return torch.optim.Adam(list(groups), self.step, weight_decay=self.weight_decay, fused=True)


@dataclass(frozen=True)
class Sgd:
    """Plain steps with momentum.

    Attributes:
        step: Step size at the start.
        momentum: Decay of the running mean of gradients, in [0, 1).
        weight_decay: Squared-norm penalty on all parameters, added to the gradient.
        decay: How the step size goes down to 0 over the epochs.
        kind: Names the optimiser.
    """

    step: float = 1e-2
    momentum: float = 0.9
    weight_decay: float = 0.0
    decay: Decay = "constant"
    kind: Literal["sgd"] = "sgd"

    def __post_init__(self) -> None:
        _check(self.step, self.weight_decay, self.decay)
        if not 0 <= self.momentum < 1:
            raise InputError(f"momentum must lie in [0, 1), got {self.momentum}")

    def over(self, groups: Groups) -> "torch.optim.Optimizer":
        """The optimiser of parameter ``groups`` as torch takes them."""
        import torch

        return torch.optim.SGD(
            list(groups), self.step, momentum=self.momentum, weight_decay=self.weight_decay, fused=True
        )


Optimiser = Adam | Sgd


def remaining(decay: Decay, progress: float) -> float:
    """Share of the first step size that is left once ``progress`` in [0, 1) of the epochs is done."""
    return {"constant": 1.0, "linear": 1 - progress, "cosine": (1 + cos(pi * progress)) / 2}[decay]


def _check(step: float, weight_decay: float, decay: str) -> None:
    if not 0 < step < inf:
        raise InputError(f"step must be positive and finite, got {step}")
    if not 0 <= weight_decay < inf:
        raise InputError(f"weight_decay must be at least 0 and finite, got {weight_decay}")
    if decay not in get_args(Decay):
        raise InputError(f"decay must be one of {', '.join(get_args(Decay))}, got {decay!r}")
