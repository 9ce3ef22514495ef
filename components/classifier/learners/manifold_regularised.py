"""A table for each row, a function of its predicted class, alike for rows that are alike."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from components.classifier.learners.learner import Problem, Progress
from components.classifier.learners.noisy_labels import forward_surprise
from components.classifier.learners.transition_learner import TransitionLearner
from components.classifier.minibatches import Minibatch

if TYPE_CHECKING:
    from components.classifier.methods.manifold_regularised import ManifoldRegularised

LEAST = 1e-5  # of a cell, before rows are scaled


class ManifoldRegularisedLearner(TransitionLearner):
    """One network, and a linear map from predicted probabilities to tables."""

    source = "manifold-regularised tables"

    def __init__(self, method: "ManifoldRegularised", problem: Problem) -> None:
        super().__init__(method, problem, method.warm_up_epochs, method.relative_step)
        self.method, classes = method, problem.classes
        start = method.start * torch.eye(classes) + (1 - method.start) / classes
        # Probabilities sum to one, so that with equal tables for all classes every row begins with that table.
        self.cells = nn.Parameter(start.expand(classes, classes, classes).clone())

    def tables(self, clean: Tensor) -> Tensor:
        """[n, K, K] tables of rows with probabilities ``clean`` [n, K] of the classes."""
        cells = torch.einsum("nk,kij->nij", clean, self.cells).clamp(LEAST, 1 - LEAST)
        return cells / cells.sum(dim=2, keepdim=True)

    def log_transition(self, features: Tensor, log_clean: Tensor) -> Tensor:
        """The table of each row."""
        return self.tables(log_clean.exp()).log()

    def corrected(self, batch: Minibatch, log_clean: Tensor, progress: Progress) -> Tensor:
        """Surprise at the noisy labels plus the penalty on tables that differ where rows do not."""
        clean = log_clean.exp()
        tables = self.tables(clean)
        surprise = self.mean(batch, forward_surprise(log_clean, tables.log(), batch.marks))
        return surprise + self.method.weight * self.roughness(batch, clean, tables)

    def roughness(self, batch: Minibatch, clean: Tensor, tables: Tensor) -> Tensor:
        """Mean over pairs of squared distances of tables; nearness counts for rows of a class, against others.

        Of a pair on two workers each sees the other's table as fixed: half the gradient, made up for at the end.
        """
        flat, everyone = tables.flatten(1), batch.everyone(tables.flatten(1))
        mine, theirs = clean.detach(), batch.everyone(clean)
        near = torch.exp(-torch.cdist(mine, theirs).square() / (2 * self.method.width**2))
        signed = torch.where(mine.argmax(1)[:, None] == theirs.argmax(1), near, -near)
        apart = flat.square().sum(1)[:, None] + everyone.square().sum(1) - 2 * flat @ everyone.T
        half = batch.sum((signed * apart).sum()) / len(everyone) ** 2
        return 2 * half - half.detach()
