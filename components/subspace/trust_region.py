"""Tune parameters in random subspaces, with true curvature, never for the worse.

Each iteration takes the gradient, the previous step and a few rows of a fresh random sketch as a basis B (orthonormal),
reads the Hessian on it by Hessian-vector products, and minimises the model within the trust region exactly:

    u = argmin over |u| <= radius of (B g)^T u + u^T (B H B^T) u / 2        x' = x + B^T u

The step is taken only if the function falls by at least a tenth of what the model says, so the value never rises. The
gradient in the basis gives the decrease, the curvature its length, the random rows the way out of saddles.

Cartis, Shao and Tansley, Random Subspace Cubic-Regularization Methods, 2025.
Higuchi, Poirion and Takeda, Fast Convergence to Second-Order Stationary Point through Random Subspace
Optimization, ICLR 2025 (the pure random subspace, without the two anchors).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from components.contracts import FloatArray, frozen
from components.errors import InputError
from components.ports import Report, silent

if TYPE_CHECKING:
    from torch import Tensor

    from components.subspace.basis import Basis
    from components.subspace.subproblem import Model

ACCEPT = 0.1
GROW = 0.75
REJECTIONS = 30
FLAT_DRAWS = 3


@dataclass(frozen=True)
class Iteration:
    """What one iteration saw and did.

    Attributes:
        value: Function value after it.
        gradient_norm: Norm of the gradient before it.
        lowest_curvature: Lowest eigenvalue of the Hessian on its subspace.
        radius: Trust radius of its last trial.
        ratio: Actual over predicted decrease of its last trial; NaN where none was made or it was not finite.
        accepted: Whether a step was taken.
        gradients: Gradients it cost.
        products: Hessian-vector products it cost.
    """

    value: float
    gradient_norm: float
    lowest_curvature: float
    radius: float
    ratio: float
    accepted: bool
    gradients: int
    products: int


@dataclass(frozen=True, eq=False)
class Tuned:
    """Where tuning ended; never worse than where it began.

    Attributes:
        point: [P] the parameters, bit for bit the start when no step was taken.
        value: Function value there.
        start_value: Function value at the start.
        ledger: One entry an iteration.
        reason: Why it stopped.
    """

    point: FloatArray
    value: float
    start_value: float
    ledger: tuple[Iteration, ...]
    reason: str


@dataclass(frozen=True)
class _Trial:
    """The last step tried from one model."""

    step: "Tensor | None"
    value: float
    ratio: float
    radius: float
    next_radius: float


@dataclass
class _State:
    """Where tuning stands; the one thing that changes."""

    point: "Tensor"
    value: float
    radius: float
    previous: "Tensor | None" = None
    first_norm: float = 0.0
    flat_draws: int = 0

    def moved(self, trial: _Trial) -> None:
        """Take the trial's step, if it has one, and its radius."""
        self.value, self.radius = trial.value, trial.next_radius
        if trial.step is not None:
            self.point, self.previous = self.point + trial.step, trial.step


@dataclass(frozen=True)
class SubspaceTrustRegion:
    """Anchored random-subspace trust region.

    Attributes:
        dimensions: Random directions beside the gradient and the previous step; each costs about two gradients.
        iterations: Most iterations.
        radius: First trust radius, in the norm of the parameters.
        tolerance: Stop when the gradient has fallen below this times the larger of 1 and its first norm, and
            no random subspace shows negative curvature.
        seed: Of the random directions.
    """

    kind: Literal["subspace_trust_region"] = "subspace_trust_region"
    dimensions: int = 4
    iterations: int = 60
    radius: float = 0.1
    tolerance: float = 1e-6
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("dimensions", "iterations"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("radius", "tolerance"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"{name} must be positive and finite, got {getattr(self, name)}")
        if self.seed < 0:
            raise InputError(f"seed must not be negative, got {self.seed}")

    def minimise(self, function: "Callable[[Tensor], Tensor]", start: FloatArray, report: Report = silent) -> Tuned:
        """The best point found from ``start``; its value is at most the value there.

        Args:
            function: A deterministic, twice differentiable float64 scalar of flat float64 parameters [P].
            start: [P] where to begin.
            report: Gets each iteration's ledger entry.

        Raises:
            InputError: The function is not finite or has no finite gradient at ``start``.
        """
        import torch

        begin = torch.tensor(np.asarray(start, dtype=np.float64))
        with torch.no_grad():
            start_value = float(function(begin.clone()))
        if not math.isfinite(start_value):
            raise InputError(f"start must have a finite value, got {start_value}")
        state = _State(begin, start_value, self.radius)
        ledger: list[Iteration] = []
        reason = ""
        while not reason and len(ledger) < self.iterations:
            entry, reason = self._iterated(function, state, len(ledger))
            if entry is not None:
                report(len(ledger), self.iterations, {name: float(number) for name, number in vars(entry).items()})
                ledger.append(entry)
        reason = reason or f"all {self.iterations} iterations were used"
        return Tuned(frozen(state.point.numpy()), state.value, start_value, tuple(ledger), reason)

    def _iterated(
        self, function: "Callable[[Tensor], Tensor]", state: "_State", index: int
    ) -> tuple[Iteration | None, str]:
        """Move ``state`` one iteration on; the ledger entry, and why to stop (empty to go on)."""
        from components.subspace.basis import slope_and_product, subspace

        gradient, product = slope_and_product(function, state.point)
        norm = float(gradient.norm())
        state.first_norm = state.first_norm or norm
        seed = int(np.random.SeedSequence([self.seed, index]).generate_state(1)[0])
        basis = subspace(gradient, state.previous, self.dimensions, seed) if math.isfinite(norm) else None
        model = basis.model(gradient, product) if basis else None
        if basis is None or model is None:
            if index == 0:
                raise InputError(f"function must have finite derivatives at the start, its gradient norm was {norm}")
            return None, "the derivatives are not finite here"
        stationary = norm <= self.tolerance * max(1.0, state.first_norm)
        flat = stationary and not _descends(model, self.tolerance)
        trial = _Trial(None, state.value, math.nan, state.radius, state.radius)
        if not flat:
            trial = _searched(function, state, basis, model)
        state.flat_draws = state.flat_draws + 1 if flat else 0
        state.moved(trial)
        entry = Iteration(
            value=trial.value,
            gradient_norm=norm,
            lowest_curvature=model.lowest,
            radius=trial.radius,
            ratio=trial.ratio,
            accepted=trial.step is not None,
            gradients=1,
            products=basis.size,
        )
        return entry, _reason(state, trial)


def _descends(model: "Model", tolerance: float) -> bool:
    """Whether the curvature of the model falls below zero by more than a second-order stationary point allows."""
    return model.lowest < -math.sqrt(tolerance) * max(float(np.abs(model.curvature).max(initial=0.0)), tolerance)


def _searched(function: "Callable[[Tensor], Tensor]", state: _State, basis: "Basis", model: "Model") -> _Trial:
    """Try the model's steps at shrinking radii until one is accepted; rejections cost one value each."""
    import torch

    value, ratio, tried, radius = state.value, math.nan, state.radius, state.radius
    for _ in range(REJECTIONS):
        coordinates, _multiplier = model.minimiser(radius)
        predicted, length = model.decrease(coordinates), float(np.linalg.norm(coordinates))
        if not predicted > np.finfo(float).eps * abs(value):
            break
        step, tried = basis.lifted(coordinates), radius
        with torch.no_grad():
            reached = float(function(state.point + step))
        ratio = (value - reached) / predicted if math.isfinite(reached) else math.nan
        if ratio >= ACCEPT and reached < value:
            grown = ratio > GROW and length >= 0.99 * radius
            return _Trial(step, reached, ratio, radius, 3 * radius if grown else radius)
        radius = length / 4
    return _Trial(None, value, ratio, tried, radius)


def _reason(state: _State, trial: _Trial) -> str:
    if state.flat_draws >= FLAT_DRAWS:
        return f"the gradient is below tolerance and {FLAT_DRAWS} random subspaces show no negative curvature"
    if not state.flat_draws and trial.step is None:
        return "no step gives a measurable decrease"
    return ""
