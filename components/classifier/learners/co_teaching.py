"""Two networks that choose rows for each other."""

import torch
from torch import Tensor

from components.classifier.learners.learner import Problem, Progress
from components.classifier.learners.small_loss import SmallLossLearner, row_losses
from components.classifier.methods.small_loss import SmallLoss
from components.classifier.minibatches import Minibatch


class CoTeachingLearner(SmallLossLearner):
    """Each network learns from the rows with the smallest losses of the other; both together are the classifier."""

    def __init__(self, problem: Problem, method: SmallLoss) -> None:
        super().__init__(problem, method, networks=2)

    def selected(self, batch: Minibatch, progress: Progress) -> Tensor:
        """Sum of two means, each of one network's losses on the rows that the other chose."""
        assert self.share is not None
        logits = self.logits_of_all(batch.features)
        first, second = (row_losses(each, batch.marks) for each in logits)
        candidates = self.candidates(batch, progress, logits)
        of_first, of_second = (self.smallest(batch, each, candidates, self.share) for each in (first, second))
        return self.mean_over(batch, first, of_second) + self.mean_over(batch, second, of_first)

    def candidates(self, batch: Minibatch, progress: Progress, logits: list[Tensor]) -> Tensor:
        """[m] weights of the rows of the whole minibatch that are chosen from, 0 for the others."""
        return self.weights(batch)

    def logits(self, features: Tensor) -> Tensor:
        """[n, K] mean of the networks' logits, which gives the mean of their log probabilities, normalised."""
        return torch.stack(self.logits_of_all(features)).mean(dim=0)
