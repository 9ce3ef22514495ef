"""A table for each row, from how sure somebody was of its label."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from components.classifier.learners.learner import Passes, Problem, Progress
from components.classifier.learners.noisy_labels import forward_surprise
from components.classifier.learners.transition_learner import TransitionLearner, stochastic
from components.classifier.minibatches import Minibatch
from components.errors import InputError
from components.weak.losses import columns
from components.weak.nuisance.confidence import own_entries

if TYPE_CHECKING:
    from components.classifier.methods.confidence_scored import ConfidenceScored


class ConfidenceScoredLearner(TransitionLearner):
    """One network, and its copy of when the warm-up ended, which knows the noisy labels.

    Attributes:
        confidence: [n] of the rows that are learnt from.
        switch: [K, K] where a wrong label of each class goes.
        kept: [K] mean share of right labels, as the rows with each label tell it.
    """

    source = "confidence scores"
    confidence: Tensor
    switch: Tensor
    kept: Tensor

    def __init__(self, method: "ConfidenceScored", problem: Problem) -> None:
        super().__init__(method, problem, method.warm_up_epochs, frozen=True)
        if len(method.confidence) != problem.rows:
            raise InputError(
                f"method.confidence must hold one number for each of {problem.rows} rows, got {len(method.confidence)}"
            )
        self.estimator = method.transition
        self.register_buffer("confidence", torch.tensor(method.confidence))
        self.register_buffer("switch", torch.zeros(problem.classes, problem.classes))
        self.register_buffer("kept", torch.zeros(problem.classes))

    def prepare(self, passes: Passes) -> None:
        """Where wrong labels go is taken from the table that is read off."""
        others = torch.from_numpy(self.estimator.find(*self.predicted(passes))[0].copy()).fill_diagonal_(0.0)
        # A class that seems always right says nothing of its mistakes: all are taken for alike.
        alike = 1 - torch.eye(len(others)).to(others)
        others = torch.where(others.sum(dim=1, keepdim=True) > 0, others, alike)
        self.switch.copy_(others / others.sum(dim=1, keepdim=True))

    def start_epoch(self, progress: Progress, passes: Passes) -> None:
        """Work out anew what the rows with each label say of it."""
        super().start_epoch(progress, passes)
        if progress.epoch < self.warm_up_epochs:
            return
        sums = torch.zeros(2, self.problem.classes, dtype=torch.float64, device=self.kept.device)
        for batch in passes():
            own = self._own(batch, self.log_probabilities(batch.features)).double()
            inside = batch.evidence.inside.double()
            sums += self.problem.together.sum(torch.stack([own @ inside, inside.sum(dim=0)]))
        self.kept.copy_(sums[0] / sums[1])

    def corrected(self, batch: Minibatch, log_clean: Tensor, progress: Progress) -> Tensor:
        """Surprise at the noisy labels through the table of each row."""
        kept = self.kept.repeat(len(batch), 1)
        kept.scatter_(1, batch.marks[:, None], self._own(batch, log_clean)[:, None])
        return self.mean(batch, forward_surprise(log_clean, self._tables(kept).log(), batch.marks))

    def log_transition(self, features: Tensor, log_clean: Tensor) -> Tensor:
        """The table of a row of which nobody said how sure they were."""
        return self._tables(self.kept).log()

    def _tables(self, kept: Tensor) -> Tensor:
        """[..., K, K] where ``kept`` [..., K] of each class's labels are right, the rest wrong as usual."""
        return stochastic(torch.diag_embed(kept) + (1 - kept)[..., None] * self.switch)

    def _own(self, batch: Minibatch, log_clean: Tensor) -> Tensor:
        """[n] P(noisy = label | clean = label, x) for the label of each row; no gradient."""
        assert self.warmed is not None
        with torch.no_grad():
            labeled = torch.softmax(columns(self.warmed(batch.features)), dim=-1)
        sure, clean = self.confidence[batch.mine], log_clean.detach().exp()
        known, said, thought = (part.double().cpu().numpy() for part in (sure, labeled, clean))
        return torch.from_numpy(own_entries(known, batch.marks.cpu().numpy(), said, thought)).to(log_clean)
