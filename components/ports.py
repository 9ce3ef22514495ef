"""What the outside lends to an algorithm: a place to report to, a parallel map, fellow workers, someone to ask."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


class Report(Protocol):
    """Takes metrics of one step of long work; tracking logs them, a progress bar shows them."""

    def __call__(self, step: int, total: int, metrics: Mapping[str, float]) -> None:
        """Remember ``metrics`` of step ``step`` out of ``total`` (steps count from 0)."""


class Map(Protocol):
    """Applies a function to every item, perhaps in parallel, and keeps their order.

    The function and its items must be picklable: it may run in another process.
    """

    def __call__(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterable[Result]:
        """Results in the order of ``items``, each as soon as it and all before it are there."""


@dataclass(frozen=True)
class Answer:
    """What came back on a yes/no question.

    Attributes:
        yes: Probability mass on yes among the first tokens, in [0, 1].
        no: Probability mass on no.
        way: ``logprobs``, or ``samples`` where the endpoint gives none.
    """

    yes: float
    no: float
    way: str = "logprobs"


class Objective(Protocol):
    """A risk that can be learnt from minibatch by minibatch; a minibatch is whatever the objective makes it."""

    @property
    def rows(self) -> float:
        """Rows of data that the mean risk speaks for."""

    def minibatches(self, rows: int, seed: int) -> Iterator[object]:
        """One epoch of minibatches of about ``rows`` rows; equal seeds give equal epochs."""

    def risk(self, theta: "torch.Tensor", minibatch: object) -> "torch.Tensor":
        """Mean risk to descend on at the flat parameters ``theta`` [P], a differentiable float64 scalar."""

    def curvature(self, theta: "torch.Tensor") -> "torch.Tensor":
        """[P] nonnegative diagonal of the Gauss-Newton matrix of ``rows`` times the mean risk over all data."""


class Together(Protocol):
    """The workers that learn as one, seen by one of them: each has its share of every minibatch, and they add up.

    All of them must ask for the same sums in the same order, or they wait for each other.
    """

    @property
    def rank(self) -> int:
        """Which of the workers this is, from 0."""

    @property
    def world(self) -> int:
        """How many there are."""

    @property
    def device(self) -> str:
        """Where this one computes, as torch names it."""

    def sum(self, part: "torch.Tensor") -> "torch.Tensor":
        """What the workers' ``part`` add up to, the same to the last bit on all of them; ``part`` stays as it is."""


@dataclass(frozen=True)
class Alone:
    """The one worker there is.

    Attributes:
        rank: Which of the workers this is.
        world: How many there are.
        device: Where it computes, as torch names it.
    """

    rank: int = 0
    world: int = 1
    device: str = "cpu"

    def sum(self, part: "torch.Tensor") -> "torch.Tensor":
        """The whole, which is its own part."""
        return part


ALONE = Alone()


class Ask(Protocol):
    """Someone who answers yes/no questions: a language model, a recorded transcript, a table."""

    @property
    def model(self) -> str:
        """Name of who answers; part of the cache key."""

    def __call__(self, question: str) -> Answer:
        """The answer to one question."""


def silent(step: int, total: int, metrics: Mapping[str, float]) -> None:
    """A report that nobody reads."""


def in_order(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterable[Result]:
    """The plainest map: one after the other, here."""
    return map(function, items)
