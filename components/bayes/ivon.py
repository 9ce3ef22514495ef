"""Learn a Gaussian posterior by improved variational online Newton (IVON).

Each step perturbs the parameters with the present posterior's own noise, reads gradient and curvature off the
perturbed risk, and moves mean and precision (the formulas stand in `components.bayes.ivon_step`). It minimises

    rows / temperature * E_q[mean risk] + KL(q || prior)

for any Gaussian prior with independent parameters. The running curvature only steers: it still holds a share of its
starting value, so the precision that is returned comes from one exact pass over the data at the final mean,

    S = S_prior + curvature(mean) / temperature.

Shen et al., Variational Learning is Effective for Large Deep Networks, ICML 2024.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from components.bayes.gaussian import Layout, from_moments, isotropic
from components.contracts import FloatArray, Posterior
from components.errors import InputError
from components.ports import Objective, Report, silent

if TYPE_CHECKING:
    import torch

    from components.bayes.ivon_step import IvonScale, IvonState


@dataclass(frozen=True)
class Ivon:
    """Variational online Newton with a prior, from minibatches.

    Attributes:
        learning_rate: Step size of the first steps in units of plain gradient descent; decays to 0 on a cosine.
        initial_hessian: Starting curvature per row: larger is calmer, smaller explores with more noise.
        momentum: Decay of the gradient average, in [0, 1).
        hessian_decay: Decay of the curvature average, in (0, 1); 0 chooses 1 - 5 / steps, never below 0.9.
        prior_deviation: Standard deviation of every weight before the first data.
        epochs: Passes over the data.
        minibatch_rows: Rows of one minibatch.
        clip_radius: Bound on each coordinate of the Newton step before the step size.
        antithetic: Use every perturbation with both signs: twice the cost, far less noise in the curvature.
        samples: Perturbations drawn for each minibatch.
        temperature: Above 1 trusts the data less than their number of rows says, below 1 more.
        seed: Of the perturbations and of the order of the minibatches.
    """

    kind: Literal["ivon"] = "ivon"
    learning_rate: float = 0.3
    initial_hessian: float = 0.3
    momentum: float = 0.9
    hessian_decay: float = 0.0
    prior_deviation: float = 1.0
    epochs: int = 30
    minibatch_rows: int = 256
    clip_radius: float = 10.0
    antithetic: bool = True
    samples: int = 1
    temperature: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("learning_rate", "initial_hessian", "prior_deviation", "clip_radius", "temperature"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise InputError(f"{name} must be positive and finite, got {value}")
        for name in ("momentum", "hessian_decay"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise InputError(f"{name} must lie in [0, 1), got {value}")
        for name in ("epochs", "minibatch_rows", "samples"):
            value = getattr(self, name)
            if value < 1:
                raise InputError(f"{name} must be at least 1, got {value}")
        if self.seed < 0:
            raise InputError(f"seed must not be negative, got {self.seed}")

    def initial(self, layout: Layout) -> Posterior:
        """The prior over the parameters of ``layout`` before the first data."""
        return isotropic(layout, self.prior_deviation)

    def fit(
        self, objective: Objective, prior: Posterior, start: FloatArray, digest: str, report: Report = silent
    ) -> Posterior:
        """The posterior after the data of ``objective``, in ``epochs`` passes over them and one for the curvature.

        Args:
            objective: The risk to learn from.
            prior: What is known of the parameters before these data.
            start: [P] parameters to start from.
            digest: Name of the data, appended to the posterior's lineage.
            report: Gets, each epoch, the mean ``risk`` and ``gradient_norm`` at the perturbed parameters, the lowest
                and the median curvature with prior per row, and the share of clipped coordinates.

        Raises:
            InputError: The risk, its gradient or its curvature stopped being finite.
        """
        steps = self.epochs * sum(1 for _ in objective.minibatches(self.minibatch_rows, self._epoch_seed(0)))
        if not (steps and 0 < objective.rows < math.inf):
            raise InputError(f"rows of the objective must be positive and finite, got {objective.rows}")
        state, scale = self._begun(prior, start, objective.rows / self.temperature, steps)
        for epoch, metrics in enumerate(self._epochs(objective, state, scale, steps)):
            report(epoch, self.epochs, metrics)
        precision = prior.precision + _curvature(objective, state.mean) / self.temperature
        mean = state.mean.numpy()
        return from_moments(prior.layout, mean, precision, prior.rows + objective.rows, (*prior.lineage, digest))

    def _begun(self, prior: Posterior, start: FloatArray, size: float, steps: int) -> "tuple[IvonState, IvonScale]":
        import torch

        from components.bayes.ivon_step import IvonScale, IvonState

        if np.shape(start) != prior.precision.shape or not np.isfinite(start).all():
            raise InputError(f"start must hold {len(prior.precision)} finite numbers, got shape {np.shape(start)}")
        pull = torch.tensor(prior.precision / size)
        # A rate above 1 would overshoot the full natural-gradient step where the prior is strong.
        rate = (self.learning_rate * (self.initial_hessian + pull)).clamp(max=1.0)
        decay = self.hessian_decay or max(1 - 5 / steps, 0.9)
        mean = torch.tensor(np.asarray(start, dtype=np.float64))
        state = IvonState(mean, torch.zeros_like(mean), torch.full_like(mean, self.initial_hessian))
        anchor = torch.tensor(prior.mean)
        return state, IvonScale(anchor, pull, size, rate, self.momentum, decay, self.clip_radius)

    def _epochs(
        self, objective: Objective, state: "IvonState", scale: "IvonScale", steps: int
    ) -> Iterator[dict[str, float]]:
        """Advance ``state`` epoch by epoch, giving the metrics of each."""
        import torch

        from components.bayes.ivon_step import advance, sampled_gradient

        generator = torch.Generator().manual_seed(self.seed)
        for epoch in range(self.epochs):
            seen: list[tuple[float, float, float]] = []
            for minibatch in objective.minibatches(self.minibatch_rows, self._epoch_seed(epoch)):
                shifts = self._perturbations(state, scale, generator)
                risk, gradient, product = sampled_gradient(objective.risk, minibatch, state.mean, shifts)
                norm = float(gradient.norm())
                if not math.isfinite(risk + norm):
                    raise InputError(_diverged(epoch, self.epochs, risk, norm, self.learning_rate))
                schedule = 0.5 * (1 + math.cos(math.pi * min(state.steps / steps, 1.0)))
                seen.append((risk, norm, advance(state, scale, gradient, product, schedule)))
            yield _metrics(np.mean(seen, axis=0), state.hessian + scale.pull)

    def _perturbations(
        self, state: "IvonState", scale: "IvonScale", generator: "torch.Generator"
    ) -> "list[torch.Tensor]":
        import torch

        from components.bayes.ivon_step import perturbation

        draws = torch.randn(self.samples, len(state.mean), generator=generator, dtype=torch.float64)
        shifts = [perturbation(state, scale, noise) for noise in draws]
        return shifts + [-shift for shift in shifts] if self.antithetic else shifts

    def _epoch_seed(self, epoch: int) -> int:
        return int(np.random.SeedSequence([self.seed, epoch]).generate_state(1)[0])


def _curvature(objective: Objective, mean: "torch.Tensor") -> FloatArray:
    curvature = objective.curvature(mean.clone()).detach().numpy()
    if not np.isfinite(curvature).all() or (curvature < 0).any():
        raise InputError("curvature of the objective must be finite and nonnegative, it was not at the final mean")
    return np.asarray(curvature, dtype=np.float64)


def _diverged(epoch: int, epochs: int, risk: float, norm: float, learning_rate: float) -> str:
    return (
        f"learning_rate must keep the risk finite, got {learning_rate}: in epoch {epoch + 1} of {epochs} the risk was "
        f"{risk} and its gradient norm {norm}; lower learning_rate, or look for non-finite features"
    )


def _metrics(means: FloatArray, damped: "torch.Tensor") -> dict[str, float]:
    return {
        "risk": float(means[0]),
        "gradient_norm": float(means[1]),
        "clipped_share": float(means[2]),
        "lowest_curvature": float(damped.min()),
        "median_curvature": float(damped.median()),
    }
