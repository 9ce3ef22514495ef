"""The likelihood of what is known of several rows together: a pair alike, an order, a count in a bag.

Each says the probability of the observation given the probabilities g [U, L, K] of the classes of the L rows of U
units, which are independent given their features. That probability is linear in the g of every single row, so the
posterior of a row is a derivative:

    P(class of row l = k | observed, x) = g[l, k] d log P(observed | x) / d g[l, k]

Zhang, Charoenphakdee, Wu, Sugiyama, Learning from aggregate observations, 2020.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from components.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


class Aggregate(ABC):
    """Something observed of units of several rows, each: a frozen dataclass.

    Attributes:
        kind: Names the observation.
        rows: Rows of a unit; None: any number.
    """

    kind: str
    rows: ClassVar[int | None] = None

    def largest(self, rows: int) -> int:
        """The largest value that can be observed of a unit of ``rows`` rows; the smallest is 0."""
        return 1

    @abstractmethod
    def probability(self, g: "Tensor", observed: "Tensor") -> "Tensor":
        """[U] probability of what was ``observed`` [U] given ``g`` [U, L, K] of the rows."""

    def loss(self, logits: "Tensor", observed: "Tensor") -> "Tensor":
        """Scalar: mean of minus the log likelihood, from ``logits`` [U, L, K].

        Where the classifier is so sure of the contrary that the probability is no number above zero, it is taken for
        the smallest one, and the unit has no gradient.

        Raises:
            InputError: What was observed cannot be, or logits are not of units of rows.
        """
        import torch

        self._check(logits, observed)
        chance = self.probability(torch.softmax(logits, dim=-1), observed)
        return -chance.clamp(min=torch.finfo(chance.dtype).tiny).log().mean()

    def posterior(self, logits: "Tensor", observed: "Tensor") -> "Tensor":
        """[U, L, K] probabilities of the class of each row given what was observed of its unit, without gradient."""
        import torch

        self._check(logits, observed)
        with torch.enable_grad():
            g = torch.softmax(logits.detach(), dim=-1).requires_grad_(True)
            (slope,) = torch.autograd.grad(self.probability(g, observed).log().sum(), g)
        return g.detach() * slope

    def _check(self, logits: "Tensor", observed: "Tensor") -> None:
        if logits.ndim != 3 or observed.shape != logits.shape[:1] or logits.shape[1] != (self.rows or logits.shape[1]):
            raise InputError(
                f"logits must have shape (units, {self.rows or 'rows'}, classes) and observed one entry a unit, "
                f"got {tuple(logits.shape)} and {tuple(observed.shape)}"
            )
        most = self.largest(logits.shape[1])
        if not ((observed >= 0) & (observed <= most)).all():
            raise InputError(f"observed must lie in 0 to {most} for {self.kind}, got {sorted(set(observed.tolist()))}")


@dataclass(frozen=True)
class Likeness(Aggregate):
    """Whether the two rows of a pair are of one class (1) or not (0).

    Attributes:
        kind: Names the observation.
    """

    kind: Literal["likeness"] = "likeness"
    rows = 2

    def probability(self, g: "Tensor", observed: "Tensor") -> "Tensor":
        """[U] probability of the likeness."""
        import torch

        alike = (g[:, 0] * g[:, 1]).sum(dim=-1)
        total = g[:, 0].sum(dim=-1) * g[:, 1].sum(dim=-1)  # one, written so that it is linear in each row
        return torch.where(observed.bool(), alike, total - alike)


@dataclass(frozen=True)
class Order(Aggregate):
    """That the first row of a pair is of no later class than the second: never negative before positive.

    What is observed is whether that holds (1) or not (0).

    Attributes:
        kind: Names the observation.
    """

    kind: Literal["order"] = "order"
    rows = 2

    def probability(self, g: "Tensor", observed: "Tensor") -> "Tensor":
        """[U] probability of the order."""
        import torch

        total = g[:, 0].sum(dim=-1) * g[:, 1].sum(dim=-1)
        from_here = g[:, 1].flip(-1).cumsum(dim=-1).flip(-1)
        ordered = (g[:, 0] * from_here).sum(dim=-1)
        return torch.where(observed.bool(), ordered, total - ordered)


@dataclass(frozen=True)
class Count(Aggregate):
    """How many rows of a bag are of class 0; the recursion over rows is that of the Poisson-binomial distribution.

    Attributes:
        kind: Names the observation.
    """

    kind: Literal["count"] = "count"

    def largest(self, rows: int) -> int:
        """All rows."""
        return rows

    def probability(self, g: "Tensor", observed: "Tensor") -> "Tensor":
        """[U] probability of the count."""
        import torch

        units, rows, _ = g.shape
        chance = torch.cat([g.new_ones(units, 1), g.new_zeros(units, rows)], dim=1)
        for row in range(rows):
            is_of, is_not = g[:, row, :1], g[:, row, 1:].sum(dim=-1, keepdim=True)
            moved = torch.cat([torch.zeros_like(is_of), chance[:, :-1]], dim=1)
            chance = chance * is_not + moved * is_of
        return chance.gather(1, observed.long()[:, None])[:, 0]


@dataclass(frozen=True)
class AnyPositive(Aggregate):
    """Whether a bag holds a row of class 0 (1) or none (0): multiple instances.

    Attributes:
        kind: Names the observation.
    """

    kind: Literal["any_positive"] = "any_positive"

    def probability(self, g: "Tensor", observed: "Tensor") -> "Tensor":
        """[U] probability of the bag's label."""
        import torch

        none = g[..., 1:].sum(dim=-1).prod(dim=-1)
        total = g.sum(dim=-1).prod(dim=-1)
        return torch.where(observed.bool(), total - none, none)


AGGREGATES: dict[str, type[Aggregate]] = {
    "likeness": Likeness,
    "order": Order,
    "count": Count,
    "any_positive": AnyPositive,
}
