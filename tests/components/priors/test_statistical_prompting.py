"""Statistical Causal Prompting gives exactly what its answers say, asks exactly what it costs, and fails in words."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.contracts import FloatArray, PriorKnowledge
from components.errors import InputError, OutsideError
from components.ports import Answer, Ask, Question, Subject, in_order
from components.priors import (
    Budget,
    Elicited,
    Metered,
    Nobody,
    NoisyOracle,
    Remembered,
    StatisticalPrompting,
    Table,
    combine,
)
from tests.components.priors.worlds import TRUTHS, adjacency, columns, paths, survey

seeds = st.integers(0, 2**32 - 1)
NAMES = tuple("abcdefgh")
PLAIN = StatisticalPrompting(pattern=0, probe=False)
CLASSIC = replace(PLAIN, samples=5, answer_temperature=0.7)


class Heard:
    """Passes questions on and remembers them."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.questions: list[Question] = []

    @property
    def model(self) -> str:
        return self._ask.model

    def __call__(self, question: Question) -> Answer:
        self.questions.append(question)
        return self._ask(question)


class Says:
    """Answers yes/no questions by a function of the question, and explains everything alike."""

    model = "says"

    def __init__(self, answer: Callable[[Question], Answer], explanation: str = "It is so.") -> None:
        self._answer, self._explanation = answer, explanation

    def __call__(self, question: Question) -> Answer:
        return Answer(way="text", text=self._explanation) if question.free else self._answer(question)


def random_graph(seed: int, size: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    order = rng.permutation(size)
    return np.tril(rng.random((size, size)) < 0.4, -1)[np.ix_(order, order)].astype(float)


def knowledge_of(found: Elicited) -> PriorKnowledge:
    return combine(found.names, (), found.evidence, found.probability, found.reliability)


def known(matrix: FloatArray) -> FloatArray:
    return np.where(np.eye(len(matrix), dtype=bool), -1, matrix)


def several(function: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[Any]:
    """A map over four threads."""
    with ThreadPoolExecutor(4) as pool:
        yield from pool.map(function, items)


def assert_same(one: Elicited, other: Elicited) -> None:
    np.testing.assert_array_equal(one.probability, other.probability)
    np.testing.assert_array_equal(one.edge_probability, other.edge_probability)
    assert one.evidence == other.evidence


@given(seed=seeds, size=st.integers(1, 6), pattern=st.integers(0, 4))
def test_who_knows_the_truth_gives_exactly_the_truth(seed: int, size: int, pattern: int) -> None:
    names, truth = NAMES[:size], random_graph(seed, size)
    method = replace(PLAIN, pattern=pattern)
    found = method.elicit(Table.of_graph(names, truth), columns(names), survey=survey())
    knowledge = knowledge_of(found)
    np.testing.assert_array_equal(knowledge.path, known(paths(truth)))
    np.testing.assert_array_equal(knowledge.edge, known(truth))
    assert knowledge.conflicts == ()


@pytest.mark.parametrize("world", TRUTHS)
def test_who_knows_a_benchmark_graph_gives_it(world: str) -> None:
    names, edges = TRUTHS[world]
    truth = adjacency(names, edges)
    found = StatisticalPrompting(pattern=0).elicit(Table.of_graph(names, truth, sure=0.99), columns(names))
    assert found.reliability is not None
    assert found.reliability.strength == 1
    np.testing.assert_array_equal(knowledge_of(found).path, known(paths(truth)))
    np.testing.assert_array_equal(knowledge_of(found).edge, known(truth))


@given(seed=seeds, size=st.integers(1, 6))
def test_who_knows_nothing_gives_nothing(seed: int, size: int) -> None:
    found = PLAIN.elicit(Table({}), columns(NAMES[:size]))
    knowledge = knowledge_of(found)
    assert (knowledge.path == -1).all()
    assert (knowledge.edge == -1).all()
    assert found.evidence == ()
    assert found.rejected == 0


@given(seed=seeds, size=st.integers(2, 5), loose=st.floats(0.55, 0.99), tight=st.floats(0, 1))
def test_stricter_thresholds_only_take_claims_away(seed: int, size: int, loose: float, tight: float) -> None:
    rng, names = np.random.default_rng(seed), NAMES[:size]
    table = Table(
        {
            Subject(cause, effect, kind): float(1 / (1 + np.exp(-rng.normal(0, 4))))
            for cause in names
            for effect in names
            for kind in ("path", "edge")
        }
    )
    some, fewer = (
        replace(PLAIN, required_above=level, forbidden_below=(1 - level) * 0.99).elicit(table, columns(names)).evidence
        for level in (loose, loose + tight * (1 - loose))
    )
    assert set(fewer) <= set(some)


@pytest.mark.parametrize("ask_for", ["paths", "edges", "both"])
@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize(
    ("orders", "samples", "calls"),
    [("one", 5, 6), ("one", 1, 2), ("options", 5, 11), ("pair", 5, 12), ("options", 1, 3), ("pair", 1, 4)],
)
def test_it_asks_as_often_as_it_says(ask_for: Any, size: int, orders: Any, samples: int, calls: int) -> None:
    heard = Heard(Table({}))
    method = replace(CLASSIC if samples > 1 else PLAIN, ask_for=ask_for, orders=orders)
    found = method.elicit(heard, columns(NAMES[:size]))
    kinds = 2 if ask_for == "both" else 1
    assert len(heard.questions) == calls * size * (size - 1) * kinds
    assert found.asked == size * (size - 1) * kinds
    pairs = Counter(
        (question.subject.cause, question.subject.effect) for question in heard.questions if question.subject
    )
    assert set(pairs.values()) == {calls * kinds}


@pytest.mark.parametrize("pattern", range(5))
def test_each_pair_is_asked_in_its_pattern(pattern: int) -> None:
    names = ("wind", "waves", "foam", "salt")
    heard = Heard(Table({}))
    replace(CLASSIC, pattern=pattern).elicit(heard, columns(names), survey=survey(names))
    free = [question for question in heard.questions if question.free]
    assert len({question.text for question in free}) == 24
    assert {(question.temperature, question.longest) for question in free} == {(0.7, 400)}
    asked = [question for question in heard.questions if not question.free]
    assert {question.sample for question in asked} == set(range(5))
    for question in heard.questions:
        assert ("frequency" in question.text) == (pattern in (2, 4))
        assert ("coefficient" in question.text) == (pattern in (3, 4))
    for question in asked:
        assert any(first.text in question.text for first in free if first.subject == question.subject)


def test_the_probability_is_that_of_yes_against_no_over_all_draws() -> None:
    masses = [(0.5, 0.1), (0.3, 0.3), (0.1, 0.2)]
    says = Says(lambda question: Answer(*masses[question.sample]))
    found = replace(CLASSIC, samples=3, ask_for="paths").elicit(says, columns(("a", "b")))
    assert found.probability[1, 0] == pytest.approx((0.9 / 3) / (0.9 / 3 + 0.6 / 3), abs=1e-12)
    assert np.isnan(found.edge_probability).all()


def test_words_are_counted_where_there_are_no_logprobs() -> None:
    says = Says(lambda question: Answer(float(question.sample != 1), float(question.sample == 1), "text"))
    found = replace(CLASSIC, ask_for="edges").elicit(says, columns(("a", "b")))
    assert found.edge_probability[1, 0] == pytest.approx(4.5 / 6)
    exact = replace(PLAIN, ask_for="edges").elicit(says, columns(("a", "b")))
    assert exact.edge_probability[1, 0] == pytest.approx(9.5 / 11)


def test_a_tested_model_counts_for_as_much_as_it_is_worth() -> None:
    truth = dict(Table.of_graph(NAMES[:2], np.zeros((2, 2)))._answers)
    probes = [subject for subject in truth if subject.cause not in NAMES]
    wrong = {subject: 1 - truth[subject] for subject in probes[::6]}
    found = StatisticalPrompting(pattern=0).elicit(Table(truth | wrong | {Subject("a", "b"): 0.9}), columns(NAMES[:2]))
    assert found.reliability is not None
    strength = found.reliability.strength
    assert 0 < strength < 1
    assert np.log(found.probability[1, 0] / (1 - found.probability[1, 0])) == pytest.approx(strength * np.log(9))


def test_a_model_no_better_than_chance_is_not_asked_about_the_pairs() -> None:
    heard = Heard(Table({}))
    found = StatisticalPrompting(pattern=0, control=True).elicit(heard, columns(NAMES[:4]))
    assert len(heard.questions) == 38
    assert (found.asked, found.evidence, found.remaining) == (0, (), ())
    assert "not asked about the pairs" in found.note


@pytest.mark.parametrize("orders", ["options", "pair"])
def test_only_what_is_said_in_both_orders_is_kept(orders: Any) -> None:
    # It says yes to a -> b whatever the order, and to everything else whatever was named last or first.
    def leaning(question: Question) -> Answer:
        swapped = question.text.endswith("no or yes.") or "Is " in question.text.rsplit("Weigh this", 1)[1]
        firm = question.subject == Subject("a", "b")
        yes = 0.99 if firm or swapped else 0.01
        return Answer(yes, 1 - yes)

    method = replace(PLAIN, orders=orders, ask_for="paths")
    found = method.elicit(Says(leaning), columns(NAMES[:3]))
    assert {(claim.cause, claim.effect, claim.claim) for claim in found.evidence} == {("a", "b", "required path")}
    assert (found.asked, found.rejected, found.metrics["pairs_disagreed"]) == (6, 5, 5)
    once = replace(method, orders="one").elicit(Says(leaning), columns(NAMES[:3]))
    assert len(once.evidence) == 6
    assert "5 of them because the two orders disagreed" in found.note


@pytest.mark.parametrize(
    ("says", "rejected"),
    [
        (Says(lambda _question: Answer(0.9, 0.05), explanation="  \n"), 6),
        (Says(lambda _question: Answer(0.1, 0.1)), 6),
        (Says(lambda _question: Answer(0.0, 0.0)), 6),
        (Says(lambda _question: Answer(0.0, 0.0, "text")), 6),
        (Says(lambda _question: Answer(0.29, 0.02)), 0),
    ],
)
def test_an_answer_that_says_nothing_is_unknown(says: Says, rejected: int) -> None:
    found = replace(PLAIN, ask_for="paths").elicit(says, columns(NAMES[:3]))
    assert (found.asked, found.rejected) == (6, rejected)
    assert np.isnan(found.probability).sum() == 3 + rejected


def test_who_only_knows_names_loses_everything_with_them() -> None:
    truth = random_graph(3, 5)
    found = replace(PLAIN, control=True).elicit(Table.of_graph(NAMES[:5], truth), columns(NAMES[:5]))
    assert found.metrics["renamed_claims_kept"] == 0
    assert found.metrics["renamed_auc"] == 0.5
    assert "renamed_correlation" not in found.metrics  # what does not vary has none
    np.testing.assert_array_equal(knowledge_of(found).path, known(paths(truth)))
    assert "With neutral names 0 of 40 claims still hold" in found.note


def test_who_only_reads_the_numbers_keeps_everything_without_names() -> None:
    def reads(question: Question) -> Answer:
        assert question.subject is not None
        edge = f"The result holds the edge {question.subject.cause} -> {question.subject.effect}."
        yes = 0.97 if edge in question.text else 0.02
        return Answer(yes, 1 - yes)

    names = ("wind", "waves", "foam", "salt")
    found = replace(PLAIN, pattern=4, control=True, ask_for="edges").elicit(
        Says(reads), columns(names), survey=survey(names)
    )
    assert {(c.cause, c.effect) for c in found.evidence if c.claim == "required edge"} == {
        ("wind", "waves"),
        ("waves", "foam"),
    }
    assert found.metrics["renamed_claims_kept"] == 1
    assert found.metrics["renamed_auc"] == 1
    assert found.metrics["renamed_correlation"] == pytest.approx(1)


@pytest.mark.parametrize("method", [PLAIN, CLASSIC, replace(CLASSIC, orders="pair", control=True)])
def test_threads_change_nothing(method: StatisticalPrompting, tmp_path: Path) -> None:
    oracle = NoisyOracle(NAMES[:5], random_graph(1, 5), 0.2, seed=4, sure=0.97)
    alone = method.elicit(oracle, columns(NAMES[:5]))
    together = method.elicit(Remembered(oracle, tmp_path / "answers.jsonl"), columns(NAMES[:5]), map=several)
    assert_same(alone, together)


def test_a_replay_gives_the_same_matrices_and_an_unrecorded_question_an_error(tmp_path: Path) -> None:
    path, names = tmp_path / "answers.jsonl", NAMES[:4]
    oracle = NoisyOracle(names, random_graph(2, 4), 0.1, sure=0.96)
    method = StatisticalPrompting(pattern=2, probe_resamples=200)
    first = method.elicit(Remembered(oracle, path), columns(names), survey=survey())
    silent = Remembered(Nobody(oracle.model, path), path)
    again = method.elicit(silent, columns(names), survey=survey())
    assert_same(first, again)
    assert (silent.asked, silent.recalled) == (0, 38 + 2 * 2 * 12)
    with pytest.raises(InputError, match=r"the transcript .* must hold every answer, but oracle .* was not asked"):
        replace(method, theme="something else").elicit(silent, columns(names), survey=survey())


@pytest.mark.parametrize("lives", [0, 17, 38, 39, 60])
def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path, lives: int) -> None:
    path, names = tmp_path / "answers.jsonl", NAMES[:4]
    oracle = NoisyOracle(names, random_graph(2, 4), 0.1, sure=0.96)
    method = StatisticalPrompting(pattern=0, probe_resamples=200)

    def dying(question: Question) -> Answer:
        if len(heard.questions) > lives:
            raise OutsideError("the model went away")
        return oracle(question)

    heard = Heard(Named(dying, oracle.model))
    with pytest.raises(OutsideError, match="went away"):
        method.elicit(Remembered(heard, path), columns(names))
    patient = Heard(oracle)
    resumed = method.elicit(Remembered(patient, path), columns(names))
    assert len(patient.questions) == 38 + 2 * 2 * 12 - lives
    assert_same(resumed, method.elicit(oracle, columns(names)))


class Named:
    def __init__(self, answer: Callable[[Question], Answer], model: str) -> None:
        self.model, self._answer = model, answer

    def __call__(self, question: Question) -> Answer:
        return self._answer(question)


@pytest.mark.parametrize("calls", [38, 39, 45, 38 + 2 * 24 - 1])
@pytest.mark.parametrize("map", [in_order, several])
def test_the_budget_ends_the_asking_keeps_what_was_answered_and_tells_the_rest(
    tmp_path: Path, calls: int, map: Any
) -> None:
    path, names = tmp_path / "answers.jsonl", NAMES[:4]
    heard = Heard(Table.of_graph(names, random_graph(2, 4), sure=0.99))
    method = StatisticalPrompting(pattern=0, probe_resamples=200, budget=Budget(most_calls=calls))
    found = method.elicit(Remembered(Metered(heard, method.budget), path), columns(names), map=map)
    assert len(heard.questions) == calls
    answered = np.isfinite(found.probability).sum() + np.isfinite(found.edge_probability).sum()
    assert answered == found.asked == 24 - len(found.remaining)
    if map is in_order:
        assert answered == (calls - 38) // 2
    assert all("the budget was spent" in sentence for sentence in found.remaining)
    unknown = {f"path {names[j]} -> {names[i]}" for i, j in np.argwhere(np.isnan(found.probability)) if i != j}
    assert {sentence.split(":")[0] for sentence in found.remaining if sentence.startswith("path")} == unknown
    more = Heard(Table.of_graph(names, random_graph(2, 4), sure=0.99))
    whole = method.elicit(Remembered(Metered(more, Budget()), path), columns(names))
    assert len(more.questions) == 38 + 2 * 24 - calls
    assert whole.remaining == ()


def test_a_budget_that_does_not_cover_the_probes_is_refused_in_words(tmp_path: Path) -> None:
    method = StatisticalPrompting(pattern=0, budget=Budget(most_calls=10))
    ask = Remembered(Metered(Table({}), method.budget), tmp_path / "answers.jsonl")
    with pytest.raises(InputError, match=r"budget must cover the 38 statements .* spent after 10; raise it"):
        method.elicit(ask, columns(NAMES[:3]))


@pytest.mark.parametrize("most", [0, 1, 2])
def test_pairs_on_which_the_model_fails_stay_unknown_as_far_as_wanted(most: int) -> None:
    def failing(question: Question) -> Answer:
        if question.subject in (Subject("a", "b"), Subject("b", "c")):
            raise OutsideError("status 400: the content was filtered")
        return Answer(0.99, 0.01)

    method = replace(PLAIN, ask_for="paths", budget=Budget(most_failures=most))
    if most < 2:
        with pytest.raises(OutsideError, match="filtered"):
            method.elicit(Says(failing), columns(NAMES[:3]))
        return
    found = method.elicit(Says(failing), columns(NAMES[:3]))
    assert found.remaining == tuple(
        f"path {pair}: status 400: the content was filtered" for pair in ("a -> b", "b -> c")
    )
    assert found.asked == 4


def test_every_pair_is_reported_once() -> None:
    steps: list[tuple[int, int, Mapping[str, float]]] = []
    method = StatisticalPrompting(pattern=0, control=True)
    method.elicit(Table.of_graph(NAMES[:3], random_graph(1, 3)), columns(NAMES[:3]), lambda *step: steps.append(step))
    assert [step for step, _, _ in steps] == list(range(38 + 2 * 2 * 6))
    assert {total for _, total, _ in steps} == {38 + 2 * 2 * 6}


def test_a_pattern_with_a_survey_needs_one() -> None:
    assert not PLAIN.needs_survey
    assert StatisticalPrompting().needs_survey
    with pytest.raises(InputError, match="pattern must be 0 where discovery has not been run first, got 3"):
        replace(PLAIN, pattern=3).elicit(Table({}), columns(NAMES[:2]))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("pattern", 5),
        ("pattern", -1),
        ("ask_for", "all"),
        ("orders", "two"),
        ("explanation_temperature", -0.1),
        ("explanation_temperature", float("nan")),
        ("answer_temperature", 2.1),
        ("longest_explanation", 15),
        ("samples", 0),
        ("samples", 2),
        ("probe_resamples", 99),
        ("minimum_mass", 1.1),
        ("required_above", 0.5),
        ("forbidden_below", 0.5),
    ],
)
def test_a_bad_field_is_named(field: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"^{field} must"):
        replace(StatisticalPrompting(), **{field: value})
