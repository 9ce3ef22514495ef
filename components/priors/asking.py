"""Put questions to whoever answers: yes or no, one after the other or several at once, and bear what goes wrong."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from components.errors import OutsideError
from components.ports import Answer, Ask, Map, Question, Subject
from components.priors.budget import BudgetSpentError

Item = TypeVar("Item")
Result = TypeVar("Result")

# Where no probabilities of tokens are given, the words of this many answers are counted.
DRAWS, DRAW_TEMPERATURE, DRAW_TOKENS = 10, 0.7, 4


def yes_or_no(ask: Ask, text: str, subject: Subject, samples: int = 1, temperature: float = 0.0) -> Answer:
    """Mass on yes and on no: that of one answer at temperature 0, or the mean of several drawn ones.

    At temperature 0 the probabilities of the first token are exact and one answer is enough. An endpoint that gives
    none is asked ten times more at temperature 0.7; words are counted with half an answer added to either side, so
    that ten out of ten is no certainty.
    """
    if temperature == 0:
        answer = ask(Question(text, subject))
        if answer.way != "text":
            return answer
        samples, temperature = DRAWS, DRAW_TEMPERATURE
    drawn = (Question(text, subject, False, temperature, DRAW_TOKENS, sample) for sample in range(samples))
    return pooled([ask(question) for question in drawn])


def pooled(answers: Sequence[Answer]) -> Answer:
    """One answer from several draws; no mass where all of them say neither."""
    if any(answer.way == "text" for answer in answers):
        yes, no = sum(answer.yes for answer in answers), sum(answer.no for answer in answers)
        size = len(answers) + 1
        return Answer((yes + 0.5) / size, (no + 0.5) / size, "samples") if yes + no else Answer(0.0, 0.0, "samples")
    means = (sum(getattr(answer, side) for answer in answers) / len(answers) for side in ("yes", "no"))
    return Answer(*means)


def probability(answer: Answer, minimum_mass: float) -> float:
    """P = yes / (yes + no); NaN where yes and no together have less mass than ``minimum_mass``."""
    mass = answer.yes + answer.no
    return answer.yes / mass if mass > 0 and mass >= minimum_mass else float("nan")


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """What came of one item.

    Attributes:
        result: What was found; None where it could not be asked for.
        trouble: Why not; empty where the budget did not allow it.
    """

    result: Result | None
    trouble: str = ""


def gather(
    function: Callable[[Item], Result], items: Sequence[Item], map: Map, most_failures: int
) -> Iterator[Outcome[Result]]:
    """What ``function`` finds for each of ``items``, in their order, each as soon as it is there.

    Raises:
        OutsideError: More than ``most_failures`` items failed; what the last of them said.
    """
    failed = 0
    for found in map(_Guarded(function), items):
        if isinstance(found, OutsideError):
            failed += 1
            if failed > most_failures:
                raise found
            yield Outcome(None, str(found))
        elif isinstance(found, BudgetSpentError):
            yield Outcome(None)
        else:
            yield Outcome(found)


@dataclass(frozen=True)
class _Guarded(Generic[Item, Result]):
    """Hands back what can be borne instead of raising it, which would drop the items not yet begun."""

    function: Callable[[Item], Result]

    def __call__(self, item: Item) -> Result | OutsideError | BudgetSpentError:
        try:
            return self.function(item)
        except (OutsideError, BudgetSpentError) as error:
            return error
