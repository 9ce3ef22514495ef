"""Small objectives whose posteriors are known by other routes."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch


class Rows:
    """A risk over the rows of a design matrix; a minibatch is a slice of its rows."""

    def __init__(self, design: np.ndarray, target: np.ndarray) -> None:
        self.design, self.target = torch.tensor(design), torch.tensor(target)
        self.rows = float(len(design))

    def minibatches(self, rows: int, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        order = torch.randperm(len(self.design), generator=torch.Generator().manual_seed(seed))
        for start in range(0, len(order), rows):
            chosen = order[start : start + rows]
            yield self.design[chosen], self.target[chosen]


class LinearRisk(Rows):
    """Half the squared error: a Gaussian outcome of noise 1."""

    def risk(self, theta: torch.Tensor, minibatch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        design, target = minibatch
        return 0.5 * (design @ theta - target).square().mean()

    def curvature(self, theta: torch.Tensor) -> torch.Tensor:
        return self.design.square().sum(0)


class LogisticRisk(Rows):
    """Cross entropy of a linear logit."""

    def risk(self, theta: torch.Tensor, minibatch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        design, target = minibatch
        return torch.nn.functional.binary_cross_entropy_with_logits(design @ theta, target)

    def curvature(self, theta: torch.Tensor) -> torch.Tensor:
        odds = torch.sigmoid(self.design @ theta)
        return (odds * (1 - odds)) @ self.design.square()


@pytest.fixture
def linear_risk() -> type[LinearRisk]:
    return LinearRisk


@pytest.fixture
def logistic_risk() -> type[LogisticRisk]:
    return LogisticRisk
