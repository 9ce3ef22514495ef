"""A table for each row, mixed of the tables of parts as the row is mixed of the parts."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from components.classifier.learners.learner import Passes, Problem
from components.classifier.learners.parts import found_parts, mixtures_of, tables_of_parts
from components.classifier.learners.transition_revision import RevisingLearner
from components.errors import InputError

if TYPE_CHECKING:
    from components.classifier.methods.part_dependent import PartDependent


class PartDependentLearner(RevisingLearner):
    """One network, its copy of when the warm-up ended, whose last hidden layer tells the parts of a row, and tables.

    Attributes:
        least: [d] smallest values of the hidden layer; parts are of what lies above.
        parts: [r, d].
        tables: [r, K, K].
    """

    source = "part-dependent tables, revised"
    least: Tensor
    parts: Tensor
    tables: Tensor

    def __init__(self, method: "PartDependent", problem: Problem) -> None:
        super().__init__(method, problem, frozen=True)
        self.percentiles = (method.lowest, method.highest)
        width = _last_layer(self.networks[0]).in_features
        self.register_buffer("least", torch.zeros(width))
        self.register_buffer("parts", torch.ones(method.parts, width))
        self.register_buffer("tables", torch.ones(method.parts, problem.classes, problem.classes) / problem.classes)

    def prepare(self, passes: Passes) -> None:
        """Find the parts, and the tables that explain what the network says at anchors."""
        predicted = torch.from_numpy(self.predicted(passes)[0])
        hidden = torch.cat([batch.everyone(self._hidden(batch.features)) for batch in passes()])
        self.least.copy_(hidden.amin(dim=0))
        self.parts.copy_(found_parts(hidden - self.least, len(self.parts), self.generator))
        at = self._anchors(predicted)
        mixtures = mixtures_of((hidden - self.least)[at.flatten().to(hidden.device)], self.parts).double().cpu()
        tables = tables_of_parts(mixtures.view(*at.shape, -1), predicted[at])
        self.tables.copy_(tables)

    def initial(self, features: Tensor) -> Tensor:
        """[n, K, K] tables of the rows."""
        with torch.no_grad():
            above = (self._hidden(features) - self.least).clamp_min(0.0)
            return torch.einsum("nr,rks->nks", mixtures_of(above, self.parts), self.tables)

    def _anchors(self, predicted: Tensor) -> Tensor:
        """[K, a] the rows at as many percentiles of each class's probability as there are parts."""
        shares = torch.linspace(*self.percentiles, len(self.parts)) / 100
        ranks = ((len(predicted) - 1) * shares).long()
        return predicted.argsort(dim=0)[ranks].T

    def _hidden(self, features: Tensor) -> Tensor:
        """[n, d] what went into the last linear layer when the warm-up ended; no gradient."""
        assert self.warmed is not None
        caught: list[Tensor] = []
        handle = _last_layer(self.warmed).register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
        with torch.no_grad():
            self.warmed(features)
        handle.remove()
        return caught[0]


def _last_layer(network: nn.Module) -> nn.Linear:
    linear = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    if not linear:
        raise InputError("network must end in a linear layer, whose inputs are taken for the parts of a row, got none")
    return linear[-1]
