"""Reweights by a table that was read off, then revises it."""

from abc import abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from components.classifier.learners.learner import Passes, Problem, Progress
from components.classifier.learners.noisy_labels import of_labels
from components.classifier.learners.transition_learner import TransitionLearner, stochastic
from components.classifier.minibatches import Minibatch
from components.errors import InputError
from components.weak import CrossEntropy, Evidence, Reweight

if TYPE_CHECKING:
    from components.classifier.methods.part_dependent import PartDependent
    from components.classifier.methods.transition_revision import TransitionRevision


class RevisingLearner(TransitionLearner):
    """One network, tables that were read off, and a slack that is learned in the last epochs.

    The slack is added once to the tables of all rows alike, and their rows are scaled to sum to one again.
    """

    def __init__(self, method: "TransitionRevision | PartDependent", problem: Problem, frozen: bool = False) -> None:
        super().__init__(method, problem, method.warm_up_epochs, method.relative_step, frozen)
        self.revised_from = method.warm_up_epochs + method.reweighted_epochs
        if problem.epochs <= self.revised_from:
            raise InputError(
                f"epochs must be more than the {self.revised_from} of method.warm_up_epochs and "
                f"method.reweighted_epochs, got {problem.epochs}"
            )
        self.slack = nn.Parameter(torch.zeros(problem.classes, problem.classes))

    @abstractmethod
    def initial(self, features: Tensor) -> Tensor:
        """[K, K] or [n, K, K] tables before they are revised."""

    def log_transition(self, features: Tensor, log_clean: Tensor) -> Tensor:
        """The tables, revised."""
        return stochastic(self.initial(features) + self.slack).log()

    def corrected(self, batch: Minibatch, log_clean: Tensor, progress: Progress) -> Tensor:
        """Surprise at the label, weighted by P(clean = label) / P(noisy = label); at last the weight moves too."""
        live = progress.epoch >= self.revised_from
        likelihood = of_labels(self.log_transition(batch.features, log_clean), batch.marks)
        evidence = Evidence(batch.evidence.inside, log_likelihood=likelihood)
        losses = Reweight(live).losses(log_clean, evidence, None, CrossEntropy())
        return self.mean(batch, losses.gather(1, batch.marks[:, None])[:, 0])


class TransitionRevisionLearner(RevisingLearner):
    """Revises one table for all rows.

    Attributes:
        estimated: [K, K] the table that was read off.
    """

    estimated: Tensor

    def __init__(self, method: "TransitionRevision", problem: Problem) -> None:
        super().__init__(method, problem)
        self.estimator, self.source = method.transition, f"{method.transition.source}, revised"
        self.register_buffer("estimated", torch.eye(problem.classes))

    def prepare(self, passes: Passes) -> None:
        """Read the table off."""
        self.estimated.copy_(torch.from_numpy(self.estimator.find(*self.predicted(passes))[0]))

    def initial(self, features: Tensor) -> Tensor:
        """The table that was read off."""
        return self.estimated
