"""One step of IVON on flat tensors: sample, average, move.

With pull d = S_p / L (prior precision per row of data), e ~ N(0, 1 / (L (h + d))) and g the gradient at m + e,

    u  = b1 u + (1 - b1) E[g]
    f  = L (h + d) E[e g]
    h' = b2 h + (1 - b2) f + (1 - b2)^2 (h - f)^2 / (2 (h + d))
    m' = m - a clip((u / (1 - b1^t) + d (m - m_p)) / (h' + d), -c, c)

The quadratic term keeps h' + d >= (h + d) / 2, so the precision L (h + d) stays positive under any noise.

Shen et al., Variational Learning is Effective for Large Deep Networks, ICML 2024.
Lin, Schmidt and Khan, Handling the Positive-Definite Constraint in the Bayesian Learning Rule, ICML 2020.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class IvonScale:
    """What stays the same over one fit.

    Attributes:
        anchor: [P] mean of the prior.
        pull: [P] positive precision of the prior per row of data.
        size: Effective rows of data, rows over temperature.
        rate: [P] step size before its schedule.
        momentum: Decay of the gradient average, in [0, 1).
        decay: Decay of the Hessian average, in [0, 1).
        clip_radius: Bound on each coordinate of the preconditioned step before the step size; may be infinite.
    """

    anchor: Tensor
    pull: Tensor
    size: float
    rate: Tensor
    momentum: float
    decay: float
    clip_radius: float


@dataclass(eq=False)
class IvonState:
    """Where a fit stands.

    Attributes:
        mean: [P] mean of the posterior.
        momentum: [P] running average of the gradient, biased towards 0.
        hessian: [P] running average of the Hessian of the mean risk; may be negative, plus ``pull`` it is positive.
        steps: Steps taken.
    """

    mean: Tensor
    momentum: Tensor
    hessian: Tensor
    steps: int = 0


def perturbation(state: IvonState, scale: IvonScale, noise: Tensor) -> Tensor:
    """Standard normal ``noise`` [P] in units of the present posterior deviation."""
    return noise * (state.hessian + scale.pull).mul_(scale.size).rsqrt_()


def sampled_gradient(
    risk: Callable[[Tensor, object], Tensor], minibatch: object, mean: Tensor, perturbations: list[Tensor]
) -> tuple[float, Tensor, Tensor]:
    """Means of the risk, of its gradient and of gradient times perturbation over the perturbed parameters."""
    total, gradient, product = 0.0, torch.zeros_like(mean), torch.zeros_like(mean)
    share = 1 / len(perturbations)
    for shift in perturbations:
        theta = (mean + shift).requires_grad_()
        value = risk(theta, minibatch)
        (slope,) = torch.autograd.grad(value, theta, allow_unused=True, materialize_grads=True)
        total += share * value.item()
        gradient.add_(slope, alpha=share)
        product.addcmul_(slope, shift, value=share)
    return total, gradient, product


def advance(state: IvonState, scale: IvonScale, gradient: Tensor, product: Tensor, schedule: float = 1.0) -> float:
    """Move ``state`` one step in place and give the share of clipped coordinates.

    Args:
        state: The buffers to overwrite.
        scale: The constants of the fit.
        gradient: [P] mean gradient of the mean risk at the perturbed parameters.
        product: [P] mean of perturbation times gradient; overwritten.
        schedule: Factor on the step size, in [0, 1].
    """
    state.steps += 1
    state.momentum.lerp_(gradient, 1 - scale.momentum)
    damped = state.hessian + scale.pull
    gap = product.mul_(damped).mul_(scale.size).sub_(state.hessian)
    blend = 1 - scale.decay
    state.hessian.add_(gap, alpha=blend).addcdiv_(gap.square_(), damped, value=blend**2 / 2)
    torch.add(state.hessian, scale.pull, out=damped)
    step = torch.sub(state.mean, scale.anchor, out=gap).mul_(scale.pull)
    step.add_(state.momentum, alpha=1 / (1 - scale.momentum**state.steps)).div_(damped)
    clipped = (step.abs() > scale.clip_radius).double().mean().item()
    state.mean.addcmul_(scale.rate, step.clamp_(-scale.clip_radius, scale.clip_radius), value=-schedule)
    return clipped


def ivon_step(
    state: IvonState, scale: IvonScale, gradient: Tensor, product: Tensor, schedule: float = 1.0
) -> IvonState:
    """The state one step on; `advance` without changing what it was given."""
    moved = replace(state, mean=state.mean.clone(), momentum=state.momentum.clone(), hessian=state.hessian.clone())
    advance(moved, scale, gradient, product.clone(), schedule)
    return moved
