"""Sums over workers that gradients pass through, so that a gradient is that of the whole risk on every worker.

Each worker holds the same parameters and a share of the rows. Two maps, each the transpose of the other, stand around
what it computes of its share:

    spread    the parameters as they are              its gradient: the sum of the workers' gradients
    gather    the sum of what the workers have        its gradient: the gradient as it is

Anything nonlinear in the whole belongs behind ``gather``.

Shoeybi et al., Megatron-LM, arXiv 1909.08053, 2019 (the operators f and g).
"""

from typing import Any

import torch
from torch import Tensor

from components.ports import Together


def spread(theta: Tensor, together: Together) -> Tensor:
    """The parameters, before a worker applies them to its share."""
    return theta if together.world == 1 else _applied(_Spread, theta, together)


def gather(part: Tensor, together: Together) -> Tensor:
    """The sum of the workers' ``part``."""
    return part if together.world == 1 else _applied(_Gather, part, together)


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, theta: Tensor, together: Together) -> Tensor:
        context.together = together
        return theta.view_as(theta)

    @staticmethod
    def backward(context: Any, *slopes: Tensor) -> tuple[Tensor, None]:
        return gather(slopes[0], context.together), None


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, part: Tensor, together: Together) -> Tensor:
        context.together = together
        return together.sum(part)

    @staticmethod
    def backward(context: Any, *slopes: Tensor) -> tuple[Tensor, None]:
        return spread(slopes[0], context.together), None


def _applied(function: type[torch.autograd.Function], value: Tensor, together: Together) -> Tensor:
    result: Tensor = function.apply(value, together)  # type: ignore[no-untyped-call]  # torch leaves apply untyped
    return result
