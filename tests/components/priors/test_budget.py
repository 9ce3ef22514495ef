"""A budget is never passed, not by one question and not by eight at once."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from threading import Barrier, BrokenBarrierError, Lock
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import InputError, OutsideError
from components.ports import Answer, Question
from components.priors import Budget, Metered
from components.priors.budget import TEMPLATE_TOKENS, BudgetSpentError


class Counted:
    """Uses as many tokens as it is told, at most what a question can cost."""

    model = "counted"

    def __init__(self, share: float = 1.0, counts: bool = True) -> None:
        self.share, self.counts = share, counts
        self.heard = 0
        self._lock = Lock()

    def __call__(self, question: Question) -> Answer:
        with self._lock:
            self.heard += 1
        prompt = max(1, round(self.share * (len(question.text.encode()) + TEMPLATE_TOKENS)))
        return Answer(0.5, 0.4, "logprobs", "", *(prompt, question.longest) if self.counts else (0, 0))


def ask_until_spent(metered: Metered, questions: list[Question]) -> int:
    """How many were answered."""
    answered = 0
    for question in questions:
        try:
            metered(question)
        except BudgetSpentError:
            continue
        answered += 1
    return answered


sized = st.tuples(st.integers(0, 300), st.integers(1, 400))
questions = st.lists(sized.map(lambda size: Question("é" * size[0], free=True, longest=size[1])), max_size=30)


@given(asked=questions, most=st.integers(1, 5000), share=st.floats(0.1, 1), counts=st.booleans())
def test_tokens_are_never_passed_and_used_as_far_as_they_go(
    asked: list[Question], most: int, share: float, counts: bool
) -> None:
    ask = Counted(share, counts)
    metered = Metered(ask, Budget(most_tokens=most))
    answered = ask_until_spent(metered, asked)
    used = metered.prompt_tokens + metered.answer_tokens
    assert used <= most
    assert ask.heard == answered == metered.calls
    if answered < len(asked):
        following = asked[answered]
        assert used + len(following.text.encode()) + TEMPLATE_TOKENS + following.longest > most


@given(asked=questions, most=st.floats(0.0001, 0.01), prices=st.tuples(st.floats(0.5, 20), st.floats(0, 60)))
def test_cost_is_never_passed(asked: list[Question], most: float, prices: tuple[float, float]) -> None:
    metered = Metered(Counted(0.3), Budget(most_cost=most, input_price=prices[0], output_price=prices[1]))
    ask_until_spent(metered, asked)
    assert metered.cost <= most
    assert metered.cost == pytest.approx(
        (metered.prompt_tokens * prices[0] + metered.answer_tokens * prices[1]) / 1e6, abs=1e-15
    )


@given(asked=questions, most=st.integers(1, 40))
def test_calls_stop_at_their_number(asked: list[Question], most: int) -> None:
    ask = Counted()
    assert ask_until_spent(Metered(ask, Budget(most_calls=most)), asked) == ask.heard == min(most, len(asked))


def test_what_is_spent_stays_spent() -> None:
    long, short = Question("x" * 1000), Question("x")
    metered = Metered(Counted(), Budget(most_tokens=1000))
    assert ask_until_spent(metered, [short, long, short, short]) == 1


@pytest.mark.parametrize(
    "budget", [Budget(most_calls=50), Budget(most_tokens=9_000), Budget(most_cost=0.05, input_price=9)]
)
def test_eight_threads_together_stay_below_it(budget: Budget) -> None:
    ask = Counted(0.2)
    metered = Metered(ask, budget)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: ask_until_spent(metered, [Question("x" * 100)] * 40), range(8)))
    tokens = metered.prompt_tokens + metered.answer_tokens
    each = round(0.2 * 164) + 1
    alone = Counted(0.2)
    assert ask.heard == ask_until_spent(Metered(alone, budget), [Question("x" * 100)] * 320) < 320
    assert tokens == each * ask.heard
    assert budget.most_tokens == 0 or tokens <= budget.most_tokens
    assert budget.most_cost == 0 or metered.cost <= budget.most_cost


def test_a_question_waits_for_what_is_only_set_aside() -> None:
    # Two at once set aside 2 x 165 tokens and use 2 x 34: the third fits as soon as one of them is back.
    barrier, arrivals = Barrier(2), count()

    class Slow(Counted):
        def __call__(self, question: Question) -> Answer:
            if next(arrivals) < 2:
                barrier.wait(10)
            return super().__call__(question)

    metered = Metered(Slow(0.2), Budget(most_tokens=400))
    with ThreadPoolExecutor(3) as pool:
        answered = sum(pool.map(lambda _: ask_until_spent(metered, [Question("x" * 100)]), range(3)))
    assert answered == 3


def test_what_is_set_aside_is_not_there_for_others() -> None:
    # Both together would use 328 of 300; the second may only go out when the first is back, and then does not fit.
    barrier = Barrier(2)

    class Slow(Counted):
        def __call__(self, question: Question) -> Answer:
            with suppress(BrokenBarrierError):
                barrier.wait(0.3)
            return super().__call__(question)

    metered = Metered(Slow(), Budget(most_tokens=300))
    with ThreadPoolExecutor(2) as pool:
        answered = sum(pool.map(lambda _: ask_until_spent(metered, [Question("x" * 99)]), range(2)))
    assert answered == 1
    assert metered.prompt_tokens + metered.answer_tokens == 164


def test_a_failure_costs_a_call_and_gives_its_tokens_back() -> None:
    class Failing:
        model = "failing"

        def __call__(self, question: Question) -> Answer:
            raise OutsideError("no")

    metered = Metered(Failing(), Budget(most_tokens=200, most_calls=3))
    for _ in range(3):
        with pytest.raises(OutsideError):
            metered(Question("x" * 100))
    with pytest.raises(BudgetSpentError):
        metered(Question("x" * 100))
    metrics = metered.metrics()
    assert (metrics["llm_calls"], metrics["llm_failed_calls"], metrics["llm_prompt_tokens"]) == (3, 3, 0)


def test_the_account_names_calls_tokens_cost_and_seconds() -> None:
    metered = Metered(Counted(), Budget(input_price=2.0, output_price=8.0))
    for _ in range(4):
        metered(Question("x" * 36, free=True, longest=10))
    metrics = metered.metrics()
    assert (metrics["llm_calls"], metrics["llm_prompt_tokens"], metrics["llm_answer_tokens"]) == (4, 400, 40)
    assert metrics["llm_cost"] == pytest.approx((400 * 2 + 40 * 8) / 1e6)
    assert 0 <= metrics["llm_seconds_median"] <= metrics["llm_seconds_longest"] <= metrics["llm_seconds"]
    assert "llm_cost" not in Metered(Counted(), Budget()).metrics()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("most_calls", -1),
        ("most_tokens", -1),
        ("most_cost", -0.1),
        ("most_cost", float("nan")),
        ("most_cost", 1.0),
        ("input_price", -1.0),
        ("output_price", float("inf")),
        ("most_failures", -1),
    ],
)
def test_a_bad_field_is_named(field: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"^{field} (must|needs)"):
        Budget(**{field: value})
