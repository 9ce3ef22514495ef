"""What the outside lends to an algorithm: a place to report to, a parallel map, fellow workers, someone to ask."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

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
class Subject:
    """What a question is about, for those who answer from a table; a language model does not see it.

    Attributes:
        cause: Name or words of the supposed cause.
        effect: Those of the effect.
        kind: Whether any directed path is asked for, or a direct edge.
    """

    cause: str
    effect: str
    kind: Literal["path", "edge"] = "path"


@dataclass(frozen=True)
class Question:
    """One thing to ask.

    Attributes:
        text: The whole prompt.
        subject: What it is about.
        free: An answer in free text is wanted; otherwise yes or no.
        temperature: 0 takes the likeliest answer; above 0 answers are drawn.
        longest: Tokens the answer may have.
        sample: Which of several draws of one and the same question this is, from 0.
    """

    text: str
    subject: Subject | None = None
    free: bool = False
    temperature: float = 0.0
    longest: int = 1
    sample: int = 0


@dataclass(frozen=True)
class Answer:
    """What came back on a question.

    Attributes:
        yes: Probability mass on yes among the first tokens, in [0, 1]; 1 where the words say yes.
        no: Probability mass on no.
        way: ``logprobs``; ``text`` where only the words are known; ``samples`` for several of those, pooled.
        text: The words.
        prompt_tokens: Tokens of the question, 0 where nobody counted.
        answer_tokens: Tokens of the answer, 0 where nobody counted.
    """

    yes: float = 0.0
    no: float = 0.0
    way: str = "logprobs"
    text: str = field(default="", compare=False)
    prompt_tokens: int = field(default=0, compare=False)
    answer_tokens: int = field(default=0, compare=False)


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
    """Someone who answers questions: a language model, a recorded transcript, a table."""

    @property
    def model(self) -> str:
        """Name of who answers; part of the cache key."""

    def __call__(self, question: Question) -> Answer:
        """The answer to one question; safe to call from several threads at once."""


def silent(step: int, total: int, metrics: Mapping[str, float]) -> None:
    """A report that nobody reads."""


def in_order(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterable[Result]:
    """The plainest map: one after the other, here."""
    return map(function, items)
