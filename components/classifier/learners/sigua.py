"""One network that descends on trusted rows and climbs a little on doubtful ones."""

import numpy as np
import torch
from torch import Tensor

from components.classifier.learners.learner import Problem, Progress
from components.classifier.learners.noisy_labels import NoisyLabelLearner, check_noisy, label_doubts
from components.classifier.learners.small_loss import SmallLossLearner, row_losses
from components.classifier.methods.sigua import Sigua
from components.classifier.minibatches import Minibatch
from components.errors import InputError
from components.weak import NoisyLabels
from components.weak.losses import columns


class SiguaLearner(SmallLossLearner):
    """Rows are doubtful whose losses are large, but not so large that nothing was learnt of them."""

    def __init__(self, problem: Problem, method: Sigua) -> None:
        super().__init__(problem, method, networks=1)
        self._ascent, self._next = method.ascent, method.next_share

    def selected(self, batch: Minibatch, progress: Progress) -> Tensor:
        """Mean loss of the kept rows, less a little of that of the next ones."""
        assert self.share is not None
        losses = row_losses(columns(self.networks[0](batch.features)), batch.marks)
        weights = self.weights(batch)
        kept = self.smallest(batch, losses, weights, self.share)
        following = self.smallest(batch, losses, weights, self.share + self._next * (1 - self.share)) - kept
        return self.mean_over(batch, losses, kept) - self._ascent * self.mean_over(batch, losses, following)


class BackwardSiguaLearner(NoisyLabelLearner):
    """Rows are doubtful whose backward-corrected loss is negative, which no loss under a right label is."""

    def __init__(self, problem: Problem, method: Sigua) -> None:
        check_noisy(method, problem)
        assert isinstance(problem.setting, NoisyLabels)
        table = problem.setting.table
        if (table == np.eye(len(table))).all():
            raise InputError("transition must tell how labels are wrong for variant backward, got that none is")
        problem.setting.channel(problem.counts).inverse()  # refuses what has no inverse
        super().__init__(problem)
        self._reversal = method.reversal
        self.inverse: Tensor
        self.log_table: Tensor
        # The setting tells both, so that no checkpoint needs to.
        self.register_buffer("inverse", torch.tensor(np.linalg.inv(table)).float(), persistent=False)
        self.register_buffer("log_table", torch.tensor(table).log().float(), persistent=False)

    def objective(self, batch: Minibatch, progress: Progress) -> Tensor:
        """Mean of the corrected losses, negative ones turned about."""
        losses = -torch.log_softmax(columns(self.logits(batch.features)), dim=1)
        corrected = (self.inverse[batch.marks.long()] * losses).sum(dim=1)
        return self.mean(batch, torch.where(corrected < 0, -self._reversal * corrected, corrected))

    def score(self, batch: Minibatch) -> Tensor | None:
        """Mean surprise at the noisy labels."""
        return self.mean(batch, -self.log_noisy(batch.features).gather(1, batch.marks.long()[:, None])[:, 0])

    def log_noisy(self, features: Tensor) -> Tensor:
        """[n, K] log probabilities of the noisy label."""
        return torch.logsumexp(self.log_probabilities(features)[:, :, None] + self.log_table, dim=1)

    def doubts(self, features: Tensor, marks: Tensor, log_clean: Tensor) -> Tensor | None:
        """One minus the probability that the clean class is the label, given row and label."""
        return label_doubts(log_clean, self.log_table, marks.long())
