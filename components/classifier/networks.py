"""Networks that turn features into logits: one logit for two classes, else one a class."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from components.errors import InputError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Perceptron:
    """Layers of rectified linear units; without hidden layers a linear model.

    Attributes:
        hidden: Units of each hidden layer.
        normalised: Whether each hidden layer is followed by batch normalisation, which goes with one worker only.
        kind: Names the network.
    """

    hidden: tuple[int, ...] = (128,)
    normalised: bool = False
    kind: Literal["perceptron"] = "perceptron"

    def __post_init__(self) -> None:
        if any(units < 1 for units in self.hidden):
            raise InputError(f"hidden must hold numbers of units, 1 or more, got {self.hidden}")

    def build(self, width: int, outputs: int) -> "nn.Module":
        """A fresh network from [n, ``width``] features to [n, ``outputs``] logits, or [n] for one output."""
        from torch import nn

        layers: list[nn.Module] = []
        for units in self.hidden:
            # Batch normalisation subtracts the mean, and with it any bias before it.
            layers.append(nn.Linear(width, units, bias=not self.normalised))
            layers += [nn.BatchNorm1d(units), nn.ReLU()] if self.normalised else [nn.ReLU()]
            width = units
        layers.append(nn.Linear(width, outputs))
        if outputs == 1:
            layers.append(nn.Flatten(0))
        return nn.Sequential(*layers)


@dataclass(frozen=True)
class Linear:
    """A linear model.

    Attributes:
        kind: Names the network.
    """

    kind: Literal["linear"] = "linear"

    def build(self, width: int, outputs: int) -> "nn.Module":
        """A fresh network from [n, ``width``] features to [n, ``outputs``] logits, or [n] for one output."""
        return Perceptron(hidden=()).build(width, outputs)


Network = Perceptron | Linear
NETWORKS: dict[str, type[Network]] = {network.kind: network for network in get_args(Network)}


class BuildsNetwork(Protocol):
    """Makes networks of one's own: what any function from two numbers to a module is."""

    def __call__(self, width: int, outputs: int, /) -> "nn.Module":
        """A fresh network from [n, ``width``] features to [n, ``outputs``] logits, or [n] for one output."""


def builder(network: Network | BuildsNetwork) -> BuildsNetwork:
    """What makes fresh networks of this kind."""
    return network.build if isinstance(network, Perceptron | Linear) else network


def outputs_for(classes: int) -> int:
    """Logits a network needs: one for two classes, that of the first against the second."""
    return 1 if classes == 2 else classes
