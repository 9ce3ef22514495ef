"""What asking a language model may cost, and what it has cost."""

import time
from dataclasses import dataclass
from statistics import median
from threading import Condition

from components.errors import InputError
from components.ports import Answer, Ask, Question

# No tokenizer makes more tokens than there are bytes; a chat template adds a few of its own.
TEMPLATE_TOKENS = 64
MILLION = 1_000_000


class BudgetSpentError(Exception):
    """The next question could pass the budget; it was not asked, and neither is any after it."""


@dataclass(frozen=True)
class Budget:
    """What asking may cost; it is never passed. Answers that are remembered cost nothing.

    Attributes:
        most_calls: Questions that may go out to the model in one run; 0 sets no limit.
        most_tokens: Tokens of questions and answers together; 0 sets no limit.
        most_cost: In the currency of the prices; 0 sets no limit.
        input_price: Price of a million tokens of questions.
        output_price: Price of a million tokens of answers.
        most_failures: Pairs that may stay unknown because the model failed on them; one more ends the stage with the
            error. What was answered is kept in any case.
    """

    most_calls: int = 5000
    most_tokens: int = 0
    most_cost: float = 0.0
    input_price: float = 0.0
    output_price: float = 0.0
    most_failures: int = 0

    def __post_init__(self) -> None:
        for name in ("most_calls", "most_tokens", "most_cost", "input_price", "output_price", "most_failures"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise InputError(f"{name} must be 0 or a positive number, got {value}")
        if self.most_cost and not (self.input_price or self.output_price):
            raise InputError(
                f"most_cost needs a price to be held: set input_price or output_price, got {self.most_cost}"
            )

    def cost(self, prompt_tokens: int, answer_tokens: int) -> float:
        """What so many tokens cost."""
        return (prompt_tokens * self.input_price + answer_tokens * self.output_price) / MILLION


class Metered:
    """Asks as long as the budget lasts, and keeps account. A budget is kept by all threads together.

    Before a question goes out, the most that it can cost is set aside: a token for every byte, and an answer of full
    length. Where the endpoint does not count tokens, that is also what is charged.
    """

    def __init__(self, ask: Ask, budget: Budget) -> None:
        self._ask, self._budget = ask, budget
        self._account = Condition()
        self._spent = False
        self._aside = (0, 0)
        self._seconds: list[float] = []
        self.calls = self.failed = self.prompt_tokens = self.answer_tokens = 0

    @property
    def model(self) -> str:
        """Name of who answers."""
        return self._ask.model

    @property
    def cost(self) -> float:
        """What it has cost so far, in the currency of the prices."""
        return self._budget.cost(self.prompt_tokens, self.answer_tokens)

    def __call__(self, question: Question) -> Answer:
        """The answer.

        Raises:
            BudgetSpentError: It could cost more than is left.
        """
        most = (len(question.text.encode()) + TEMPLATE_TOKENS, question.longest)
        self._set_aside(most)
        begin = time.monotonic()
        try:
            answer = self._ask(question)
        except BaseException:
            self.failed += 1
            self._charge(most, (0, 0), time.monotonic() - begin)
            raise
        counted = answer.prompt_tokens > 0
        really = (answer.prompt_tokens, answer.answer_tokens) if counted else most
        self._charge(most, really, time.monotonic() - begin)
        return answer

    def metrics(self) -> dict[str, float]:
        """Questions, failures, tokens, cost and seconds a question, as numbers to log."""
        found = {
            "llm_calls": self.calls,
            "llm_failed_calls": self.failed,
            "llm_prompt_tokens": self.prompt_tokens,
            "llm_answer_tokens": self.answer_tokens,
            "llm_seconds": sum(self._seconds),
        }
        if self._seconds:
            found |= {"llm_seconds_median": median(self._seconds), "llm_seconds_longest": max(self._seconds)}
        if self._budget.input_price or self._budget.output_price:
            found["llm_cost"] = self.cost
        return {name: float(value) for name, value in found.items()}

    def _set_aside(self, most: tuple[int, int]) -> None:
        with self._account:
            # What is set aside for others is mostly given back: it is no reason to stop.
            while not self._spent and self._passes(most) and any(self._aside):
                self._account.wait()
            self._spent = self._spent or self._passes(most)
            if self._spent:
                raise BudgetSpentError
            self.calls += 1
            self._aside = (self._aside[0] + most[0], self._aside[1] + most[1])

    def _passes(self, most: tuple[int, int]) -> bool:
        budget = self._budget
        prompt = self.prompt_tokens + self._aside[0] + most[0]
        answer = self.answer_tokens + self._aside[1] + most[1]
        return (
            (0 < budget.most_calls <= self.calls)
            or (0 < budget.most_tokens < prompt + answer)
            or (0 < budget.most_cost < budget.cost(prompt, answer))
        )

    def _charge(self, most: tuple[int, int], really: tuple[int, int], seconds: float) -> None:
        with self._account:
            self._aside = (self._aside[0] - most[0], self._aside[1] - most[1])
            self.prompt_tokens += really[0]
            self.answer_tokens += really[1]
            self._seconds.append(seconds)
            self._account.notify_all()
