"""Learns the table with the smallest volume that explains the noisy labels."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from components.classifier.learners.learner import Problem, Progress
from components.classifier.learners.noisy_labels import forward_surprise
from components.classifier.learners.transition_learner import TransitionLearner
from components.classifier.minibatches import Minibatch

if TYPE_CHECKING:
    from components.classifier.methods.volume_minimisation import VolumeMinimisation


class VolumeMinimisationLearner(TransitionLearner):
    """One network and a table that begins, and stays, with the diagonal as the largest cell of each row."""

    source = "volume minimisation"

    def __init__(self, method: "VolumeMinimisation", problem: Problem) -> None:
        super().__init__(method, problem, relative_step=method.relative_step)
        self.penalty = method.penalty
        self.cells = nn.Parameter(torch.full((problem.classes, problem.classes), method.start))

    def table(self) -> Tensor:
        """[K, K] rows of probabilities: 1 on the diagonal and less than that beside it, scaled to sum to one."""
        own = torch.eye(self.problem.classes, device=self.cells.device)
        cells = own + (1 - own) * torch.sigmoid(self.cells)
        return cells / cells.sum(dim=1, keepdim=True)

    def log_transition(self, features: Tensor, log_clean: Tensor) -> Tensor:
        """The table as it is now."""
        return self.table().log()

    def corrected(self, batch: Minibatch, log_clean: Tensor, progress: Progress) -> Tensor:
        """Surprise at the noisy labels plus the penalty on the volume."""
        table = self.table()
        surprise = self.mean(batch, forward_surprise(log_clean, table.log(), batch.marks))
        return surprise + batch.once(self.penalty * torch.linalg.slogdet(table).logabsdet)
