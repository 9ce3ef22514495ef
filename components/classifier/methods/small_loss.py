"""What methods share that trust the rows of a minibatch with the smallest losses.

A network learns what most labels agree on before it learns single wrong ones, so a wrong label costs more than a right
one for a while. Of each minibatch the share

    1 - noise_rate * min((epoch / gradual_epochs)^exponent, 1)

with the smallest losses is kept: all of it at first, while the network knows nothing.

Arpit et al., A closer look at memorization in deep networks, ICML 2017.
"""

import math
from dataclasses import dataclass

from components.classifier.methods.method import Method
from components.errors import InputError


@dataclass(frozen=True)
class SmallLoss(Method):
    """A choice of rows by their losses.

    Attributes:
        noise_rate: Share of wrong labels, in [0, 1). Empty: estimated after the warm-up by the confident joint, each
            half of the rows predicted by a network that learnt from the other half. A transition that the setting
            states is not used for it.
        gradual_epochs: Epochs until the whole share of the noise is left out.
        exponent: Below 1 rows are left out sooner, above 1 later.
        warm_up_epochs: Epochs of ordinary training before the noise rate is estimated; none where it is given.
    """

    noise_rate: float | None = None
    gradual_epochs: int = 10
    exponent: float = 1.0
    warm_up_epochs: int = 3

    def __post_init__(self) -> None:
        if self.noise_rate is not None and not 0 <= self.noise_rate < 1:
            raise InputError(f"noise_rate must lie in [0, 1), got {self.noise_rate}")
        for name in ("gradual_epochs", "warm_up_epochs"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.exponent < math.inf:
            raise InputError(f"exponent must be positive and finite, got {self.exponent}")

    def kept_share(self, noise_rate: float, epoch: int) -> float:
        """Share of a minibatch that is kept in ``epoch``, counted from 0 after the warm-up."""
        return 1 - noise_rate * min(math.pow(epoch / self.gradual_epochs, self.exponent), 1.0)
