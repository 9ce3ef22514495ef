"""Two networks that choose rows for each other among those they call differently."""

import torch
from torch import Tensor

from components.classifier.learners.co_teaching import CoTeachingLearner
from components.classifier.learners.learner import Passes, Problem, Progress
from components.classifier.methods.co_teaching_plus import CoTeachingPlus
from components.classifier.minibatches import Minibatch


class CoTeachingPlusLearner(CoTeachingLearner):
    """Co-teaching where the networks disagree."""

    def __init__(self, problem: Problem, method: CoTeachingPlus) -> None:
        super().__init__(problem, method)
        own = method.warm_up_epochs if method.noise_rate is None else 0
        self._joint = method.joint_epochs + own
        self._differing, self._rows = torch.zeros(()), 0

    def start_epoch(self, progress: Progress, passes: Passes) -> None:
        """Count anew how often the networks disagree."""
        super().start_epoch(progress, passes)
        self._differing, self._rows = torch.zeros(()), 0

    def metrics(self) -> dict[str, float]:
        """Share of the rows that is kept, and of those that the networks called differently."""
        differing = {"disagreement": float(self._differing) / self._rows} if self._rows else {}
        return {**super().metrics(), **differing}

    def candidates(self, batch: Minibatch, progress: Progress, logits: list[Tensor]) -> Tensor:
        """The rows that the networks call differently; all where there are none."""
        weights = self.weights(batch)
        if progress.epoch < self._joint:
            return weights
        first, second = (each.argmax(dim=1) for each in logits)
        differs = batch.everyone((first != second).to(weights.dtype))
        self._differing, self._rows = self._differing + differs.sum(), self._rows + len(differs)
        candidates = weights * differs
        return torch.where(candidates.any(), candidates, weights)
