"""What methods share that learn from noisy labels without being told how they came about."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from components.classifier.learners.learner import Learner, Problem
from components.classifier.minibatches import Minibatch
from components.errors import InputError
from components.weak import Evidence, NoisyLabels

if TYPE_CHECKING:
    from components.classifier.methods.method import Method


class NoisyLabelLearner(Learner):
    """A learner whose marks are noisy labels, one for each class."""

    def evidence(self, marks: Tensor, weights: Tensor | None) -> Evidence:
        """Which label each row has."""
        inside = torch.nn.functional.one_hot(marks.long(), self.problem.classes).float()
        return Evidence(inside if weights is None else inside * weights.to(inside)[:, None])

    def mean(self, batch: Minibatch, values: Tensor) -> Tensor:
        """Mean over the rows of the whole minibatch, from ``values`` [n] of this worker's; gradients pass."""
        return batch.sum((values * batch.evidence.inside.sum(dim=1)).sum()) / batch.totals.sum()


def check_noisy(method: "Method", problem: Problem) -> None:
    """Refuse a setting without one noisy label for each class.

    Raises:
        InputError: It is another.
    """
    setting = problem.setting
    if not isinstance(setting, NoisyLabels) or setting.class_count != setting.symbol_count:
        raise InputError(f"method must fit the setting: {method.kind} learns from noisy labels, got {setting.kind}")


def of_labels(log_transition: Tensor, labels: Tensor) -> Tensor:
    """[n, K] log P(the row's noisy label | each clean class), of a table [K, K] or one a row [n, K, K]."""
    if log_transition.ndim == 2:
        return log_transition.T[labels]
    return log_transition[torch.arange(len(labels), device=labels.device), :, labels]


def label_doubts(log_clean: Tensor, log_transition: Tensor, labels: Tensor) -> Tensor:
    """[n] P(the clean class is not the label | label, x); arguments as in ``forward_surprise``."""
    joint = log_clean + of_labels(log_transition, labels)
    return 1 - torch.softmax(joint, dim=1).gather(1, labels[:, None])[:, 0]


def forward_surprise(log_clean: Tensor, log_transition: Tensor, labels: Tensor) -> Tensor:
    """[n] minus the log probability of noisy ``labels`` [n].

    Args:
        log_clean: [n, K] log probabilities of the clean class.
        log_transition: [K, K], or [n, K, K] one a row, log P(noisy label | clean class).
        labels: [n].
    """
    return -torch.logsumexp(log_clean + of_labels(log_transition, labels), dim=1)
