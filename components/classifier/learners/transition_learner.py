"""What methods share that learn how often, or where, each class is labeled as which other.

The networks give P(clean | x); a table, one for all rows or one a row, makes P(noisy label | x) of it. Some begin with
epochs in which the first network learns the noisy labels as they are, because the table is read off what it then says.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor

from components.classifier.learners.learner import Found, Passes, Problem, Progress
from components.classifier.learners.noisy_labels import NoisyLabelLearner, check_noisy, forward_surprise, label_doubts
from components.classifier.minibatches import Minibatch
from components.contracts import Estimate, FloatArray
from components.errors import InputError
from components.weak.losses import columns
from components.weak.nuisance import EstimatedTransition
from components.weak.nuisance.transition import Labels

if TYPE_CHECKING:
    from components.classifier.methods.method import Method

TINY = 1e-6  # of a probability whose logarithm is taken
NO_INTERVAL = "The table was learned with the classifier: no interval of its cells is known."


class TransitionLearner(NoisyLabelLearner):
    """A learner with P(noisy label | clean class, x).

    Attributes:
        source: How its table is called where it is told.
        warm_up_epochs: Epochs in which the first network learns the noisy labels as they are.
        relative_step: Step size of what is not in the networks, relative to that of the networks.
        warmed: The first network as it was when the warm-up ended; None where nobody asks it.
    """

    source: str
    warming: Tensor

    def __init__(
        self,
        method: "Method",
        problem: Problem,
        warm_up_epochs: int = 0,
        relative_step: float = 1.0,
        frozen: bool = False,
    ) -> None:
        """Prepare to learn.

        Args:
            method: Names the method in messages.
            problem: What is learnt.
            warm_up_epochs: See the class.
            relative_step: See the class.
            frozen: Keep a copy of the network as it is at the end of the warm-up, as ``warmed``.

        Raises:
            InputError: The marks are not noisy labels, some label is missing, or the warm-up takes all epochs.
        """
        check_noisy(method, problem)
        missing = np.flatnonzero(problem.counts <= 0).tolist()
        if missing:
            raise InputError(f"marks must hold every one of {problem.classes} labels, got none of {missing}")
        if problem.epochs <= warm_up_epochs:
            raise InputError(
                f"epochs must be more than the {warm_up_epochs} of method.warm_up_epochs, got {problem.epochs}"
            )
        super().__init__(problem)
        self.warmed = problem.network().requires_grad_(False) if frozen else None
        self.warm_up_epochs, self.relative_step = warm_up_epochs, relative_step
        self.register_buffer("warming", torch.tensor(warm_up_epochs > 0))

    @abstractmethod
    def log_transition(self, features: Tensor, log_clean: Tensor) -> Tensor:
        """[K, K], or [n, K, K] one a row, log P(noisy label | clean class).

        Args:
            features: [n, d].
            log_clean: [n, K] log probabilities of the clean class.
        """

    @abstractmethod
    def corrected(self, batch: Minibatch, log_clean: Tensor, progress: Progress) -> Tensor:
        """The objective once the warm-up is over."""

    def prepare(self, passes: Passes) -> None:
        """Called between the warm-up and the rest; not at all without a warm-up."""

    def train(self, mode: bool = True) -> Self:
        """As torch has it, but what is frozen stays so."""
        super().train(mode)
        if self.warmed is not None:
            self.warmed.eval()
        return self

    def groups(self, step: float) -> list[dict[str, Any]]:
        """The network, and what is learned beside it with a step of its own; decay would shrink tables to nothing."""
        theirs = {id(parameter) for parameter in self.networks.parameters()}
        mine = [each for each in self.parameters() if each.requires_grad and id(each) not in theirs]
        table = {"params": mine, "lr": step * self.relative_step, "weight_decay": 0.0}
        return [{"params": list(self.networks[0].parameters())}, *([table] if mine else [])]

    def start_epoch(self, progress: Progress, passes: Passes) -> None:
        """End the warm-up where it ends."""
        if 0 < self.warm_up_epochs == progress.epoch:
            if self.warmed is not None:
                self.warmed.load_state_dict(self.networks[0].state_dict())
            self.prepare(passes)
            self.warming.fill_(False)

    def objective(self, batch: Minibatch, progress: Progress) -> Tensor:
        """Surprise at the noisy labels as they are, then what the method says."""
        log_clean = self.log_clean(batch.features)
        if progress.epoch < self.warm_up_epochs:
            return self.mean(batch, -log_clean.gather(1, batch.marks[:, None])[:, 0])
        with torch.autocast(log_clean.device.type, enabled=False):  # only the network can do with fewer digits
            return self.corrected(batch, log_clean, progress)

    def log_clean(self, features: Tensor) -> Tensor:
        """[n, K] log probabilities of the clean class; gradients pass."""
        return torch.log_softmax(columns(self.logits(features)), dim=-1)

    @property
    def ready(self) -> bool:
        """Not in the warm-up: what a network then says of noisy labels is no classifier."""
        return not bool(self.warming)

    def score(self, batch: Minibatch) -> Tensor | None:
        """Mean surprise at the noisy labels; in the warm-up that of knowing nothing."""
        if bool(self.warming):
            return self.mean(batch, torch.full_like(batch.features[:, 0], np.log(self.problem.classes)))
        log_clean = self.log_clean(batch.features)
        return self.mean(
            batch, forward_surprise(log_clean, self.log_transition(batch.features, log_clean), batch.marks)
        )

    def doubts(self, features: Tensor, marks: Tensor, log_clean: Tensor) -> Tensor | None:
        """[n] P(clean class is not the label | label, x)."""
        return label_doubts(log_clean, self.log_transition(features, log_clean.to(features.dtype)), marks)

    def found(self, passes: Passes) -> Found:
        """The table, a mean over rows where it differs among them, and the share of labels it makes wrong."""
        joint = torch.zeros(self.problem.classes, self.problem.classes, dtype=torch.float64)
        with torch.no_grad():
            for batch in passes():
                log_clean = self.log_clean(batch.features)
                table = self.log_transition(batch.features, log_clean).exp()
                clean = log_clean.exp() * batch.evidence.inside.sum(dim=1, keepdim=True)
                shared = table.ndim == 2
                part = clean.sum(dim=0)[:, None] * table if shared else torch.einsum("nk,nks->ks", clean, table)
                joint += self.problem.together.sum(part).double().cpu()
        joint /= joint.sum()
        rate = float(1 - joint.trace())
        matrix = (joint / joint.sum(dim=1, keepdim=True)).numpy()
        certain = Estimate(rate, rate, rate, self.source)
        told = EstimatedTransition(matrix, matrix, matrix, certain, self.source, (NO_INTERVAL,))
        return Found(told, {"noise_rate": certain}, told.notes)

    def predicted(self, passes: Passes) -> tuple[FloatArray, Labels]:
        """[n, K] probabilities the first network gives to all rows, and their noisy labels [n]."""
        pairs = [
            (batch.everyone(self.log_probabilities(batch.features).double().exp()), batch.everyone(batch.marks))
            for batch in passes()
        ]
        probabilities, labels = (torch.cat(parts).cpu().numpy() for parts in zip(*pairs, strict=True))
        return probabilities, labels


def stochastic(table: Tensor) -> Tensor:
    """``table`` [..., K, K] with rows that are probabilities, none of them zero."""
    positive = table.clamp_min(TINY)
    return positive / positive.sum(dim=-1, keepdim=True)
