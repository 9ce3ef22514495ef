"""Learns the noisy labels, reads the table off, corrects by it."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from components.classifier.learners.learner import Found, Passes, Problem, Progress
from components.classifier.learners.transition_learner import TransitionLearner, stochastic
from components.classifier.minibatches import Minibatch
from components.contracts import Estimate
from components.weak import Evidence, NoisyLabels, WeakRisk
from components.weak.nuisance import EstimatedTransition, estimate_transition
from components.weak.transitions import as_table

if TYPE_CHECKING:
    from components.classifier.methods.estimated_transition import EstimatedNoise

SEEN = "The table was read off probabilities of the rows that were learnt from: its intervals do not know of that."


class EstimatedTransitionLearner(TransitionLearner):
    """Descends on the risk of noisy labels with a table that is estimated once, when the warm-up ends.

    Attributes:
        estimated: [3, K, K] the table with the lower and the upper ends of its cells; NaN in the warm-up.
        rate: [3] noise rate, likewise.
    """

    estimated: Tensor
    rate: Tensor

    def __init__(self, method: "EstimatedNoise", problem: Problem) -> None:
        super().__init__(method, problem, method.warm_up_epochs)
        self.method, self.source = method, method.transition.source
        shape = (3, problem.classes, problem.classes)
        self.register_buffer("estimated", torch.full(shape, torch.nan, dtype=torch.float64))
        self.register_buffer("rate", torch.full((3,), torch.nan, dtype=torch.float64))
        self._risk: WeakRisk | None = None

    def prepare(self, passes: Passes) -> None:
        """Estimate the table."""
        told = estimate_transition(self.method.transition, *self.predicted(passes), seed=self.problem.seed)
        rate = told.noise_rate
        self.estimated.copy_(torch.from_numpy(np.stack([told.matrix, told.low, told.high])))
        self.rate.copy_(torch.tensor([rate.value, rate.low, rate.high]))

    @property
    def risk(self) -> WeakRisk:
        """The risk; made anew where a training goes on from a checkpoint."""
        if self._risk is None:
            setting = NoisyLabels(as_table(self.estimated[0].cpu().numpy()))
            made = setting.risk(self.problem.counts, rewrite=self.method.rewrite, correction=self.method.correction)
            self._risk = made.to(self.problem.together.device)
        return self._risk

    def log_transition(self, features: Tensor, log_clean: Tensor) -> Tensor:
        """The estimated table."""
        return stochastic(self.estimated[0].to(log_clean)).log()

    def corrected(self, batch: Minibatch, log_clean: Tensor, progress: Progress) -> Tensor:
        """The corrected risk of the minibatch."""
        evidence = Evidence(batch.evidence.inside, log_likelihood=self.risk.evidence(batch.marks).log_likelihood)
        return self.risk.step(log_clean, evidence, batch.shares, batch.sum)[0]

    def found(self, passes: Passes) -> Found:
        """The table with its intervals."""
        matrix, low, high = self.estimated.cpu().numpy()
        value, least, most = self.rate.tolist()
        rate = Estimate(value, least, most, self.source)
        told = EstimatedTransition(matrix, low, high, rate, self.source, (SEEN,))
        return Found(told, {"noise_rate": rate}, told.notes)
