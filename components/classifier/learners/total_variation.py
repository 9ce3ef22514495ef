"""Learns a table beside a classifier whose predictions are kept apart."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from components.classifier.learners.learner import Problem, Progress
from components.classifier.learners.noisy_labels import forward_surprise
from components.classifier.learners.transition_learner import TINY, TransitionLearner, stochastic
from components.classifier.minibatches import Minibatch

if TYPE_CHECKING:
    from components.classifier.methods.total_variation import TotalVariation


class TotalVariationLearner(TransitionLearner):
    """One network and a table: cells that are learned, or a Dirichlet law of each row that is counted.

    Attributes:
        counts: [K, K] parameters of the Dirichlet laws; None with cells.
    """

    source = "total variation"

    def __init__(self, method: "TotalVariation", problem: Problem) -> None:
        super().__init__(method, problem, relative_step=method.relative_step)
        self.method, classes = method, problem.classes
        own = torch.eye(classes)
        cells, counts = None, None
        if method.table == "categorical":
            cells = nn.Parameter(torch.log(own * method.start + (1 - own) * (1 - method.start) / (classes - 1)))
        else:
            counts = method.strength * own + 1.0
        self.register_parameter("cells", cells)
        self.register_buffer("counts", counts)

    cells: Tensor | None
    counts: Tensor | None

    def log_transition(self, features: Tensor, log_clean: Tensor) -> Tensor:
        """The table, or the mean of its law."""
        if self.cells is not None:
            return torch.log_softmax(self.cells, dim=1)
        assert self.counts is not None
        return (self.counts / self.counts.sum(dim=1, keepdim=True)).log()

    def corrected(self, batch: Minibatch, log_clean: Tensor, progress: Progress) -> Tensor:
        """Surprise at the noisy labels, less the distance between predictions of rows that chance pairs."""
        if self.cells is None:
            log_table = self._drawn(batch, log_clean)
        else:
            log_table = torch.log_softmax(
                self.cells if progress.epoch >= self.method.held_epochs else self.cells.detach(), 1
            )
        surprise = self.mean(batch, forward_surprise(log_clean, log_table, batch.marks))
        return surprise - self.method.weight * self.spread(batch, log_clean.exp())

    def spread(self, batch: Minibatch, clean: Tensor) -> Tensor:
        """Mean total variation distance of ``clean`` [n, K] between each row and the one chance gives it.

        A pair may lie on two workers: each row is held against both its partners, whose values do not move, which
        gives the gradient of the whole and twice its value.
        """
        order = torch.randperm(len(batch.places), generator=self.generator).to(clean.device)
        everyone = batch.everyone(clean)
        partners = torch.stack([everyone[order], everyone[torch.argsort(order)]])
        mine = partners[:, batch.together.rank :: batch.together.world]
        twice = batch.sum((clean - mine).abs().sum() / 2) / len(order)
        return twice - twice.detach() / 2

    def _drawn(self, batch: Minibatch, log_clean: Tensor) -> Tensor:
        """[K, K] logarithm of a table from the laws, after what this minibatch says of them."""
        assert self.counts is not None
        chance = torch.rand(len(batch.places), generator=self.generator).to(log_clean.device)
        edges = log_clean.detach().exp().cumsum(dim=1)[:, :-1].contiguous()
        mine = chance[batch.together.rank :: batch.together.world, None].contiguous()
        classes = torch.nn.functional.one_hot(torch.searchsorted(edges, mine)[:, 0], self.problem.classes)
        seen = batch.together.sum(classes.to(log_clean).T @ batch.evidence.inside)
        self.counts.mul_(self.method.retained).add_(self.method.gain * seen).clamp_min_(TINY)
        seed = int(torch.randint(2**62, (), generator=self.generator))
        table = np.random.default_rng(seed).standard_gamma(self.counts.double().cpu().numpy())
        return stochastic(torch.from_numpy(table / table.sum(axis=1, keepdims=True))).log().to(log_clean)
