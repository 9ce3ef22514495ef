"""Answers become claims only as far as the probe set trusts whoever gave them."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.contracts import Column, FloatArray
from components.errors import InputError, OutsideError
from components.ports import Answer, Question
from components.priors import METHODS, PATTERN, Elicitation, Elicited, YesNo, combine, load_probes, question
from components.priors.questions import QUESTION, in_words

seeds = st.integers(0, 2**32 - 1)
PROBES = {question(Column(p.cause), Column(p.effect)): p.true for p in load_probes()}


class Table:
    """Knows the probes (or answers them as told) and a table of P(yes) over columns."""

    model = "table"

    def __init__(
        self, columns: list[Column], yes: FloatArray, no: FloatArray | None = None, knows: bool = True
    ) -> None:
        no = 1 - yes if no is None else no
        size = range(len(columns))
        self.heard: list[str] = []
        self._answers = {
            question(columns[j], columns[i]): Answer(float(yes[i, j]), float(no[i, j])) for i in size for j in size
        }
        self._knows = knows

    def __call__(self, question: Question) -> Answer:
        self.heard.append(question.text)
        if question.text in PROBES:
            share = 0.6 if not self._knows else 0.9 if PROBES[question.text] else 0.2
            return Answer(share, 1 - share)
        return self._answers[question.text]


def columns(size: int) -> list[Column]:
    return [Column(f"v{place}", description=f"thing number {place}.") for place in range(size)]


def drawn(seed: int, size: int) -> FloatArray:
    """Probabilities of which many lie beyond the thresholds."""
    return np.asarray(1 / (1 + np.exp(-np.random.default_rng(seed).normal(0, 4, (size, size)))))


def cells(elicited: Elicited) -> set[tuple[str, str, str]]:
    return {(claim.effect, claim.cause, claim.claim) for claim in elicited.evidence}


@given(data=st.data(), size=st.integers(1, 5), seed=seeds)
def test_any_answers_give_valid_knowledge(data: st.DataObject, size: int, seed: int) -> None:
    mass = st.floats(0, 1)
    yes, no = (
        np.array(data.draw(st.lists(mass, min_size=size**2, max_size=size**2))).reshape(size, size) for _ in range(2)
    )
    found = YesNo(probe_resamples=100).elicit(Table(columns(size), yes, no), columns(size), seed=seed)
    assert np.isnan(np.diag(found.probability)).all()
    valid = found.probability[~np.isnan(found.probability)]
    assert ((valid > 0) & (valid < 1)).all()
    assert found.asked - found.rejected == len(valid)
    knowledge = combine(found.names, (), found.evidence, found.probability, found.reliability)
    assert len(knowledge.conflicts) <= len(found.evidence)


@given(seed=seeds, size=st.integers(2, 6))
def test_permuting_the_columns_permutes_what_is_elicited(seed: int, size: int) -> None:
    table, shuffle = drawn(seed, size), np.random.default_rng(seed).permutation(size)
    ask = Table(columns(size), table)
    plain = YesNo().elicit(ask, columns(size))
    permuted = YesNo().elicit(ask, [columns(size)[place] for place in shuffle])
    np.testing.assert_allclose(permuted.probability, plain.probability[np.ix_(shuffle, shuffle)], rtol=1e-12)
    assert cells(permuted) == cells(plain)


@given(seed=seeds, size=st.integers(2, 6), loose=st.floats(0.55, 0.99), tight=st.floats(0, 1))
def test_stricter_thresholds_only_take_claims_away(seed: int, size: int, loose: float, tight: float) -> None:
    ask = Table(columns(size), drawn(seed, size))
    strict = loose + tight * (1 - loose)
    some, fewer = (
        cells(YesNo(required_above=level, forbidden_below=(1 - level) * 0.99).elicit(ask, columns(size)))
        for level in (loose, strict)
    )
    assert fewer <= some


def test_probability_is_the_centred_logit_times_the_strength() -> None:
    table = drawn(7, 4).clip(0.02, 0.98)
    found = YesNo().elicit(Table(columns(4), table), columns(4))
    off = ~np.eye(4, dtype=bool)
    logits = np.log(table / (1 - table))
    expected = found.reliability.strength * (logits - logits[off].mean())
    np.testing.assert_allclose(np.log(found.probability / (1 - found.probability))[off], expected[off], rtol=1e-9)
    assert found.reliability.strength == 1
    assert found.asked == 12


def test_a_leaning_model_is_heard_relative_to_its_leaning() -> None:
    # It finds everything likely, and one thing nearly certain: only that one stands out.
    table = np.full((4, 4), 0.9)
    table[1, 0] = 0.9999
    found = YesNo(required_above=0.9).elicit(Table(columns(4), table), columns(4))
    assert cells(found) == {("v1", "v0", "required path")}


def test_answers_without_strength_are_not_even_asked_for() -> None:
    ask = Table(columns(5), drawn(1, 5), knows=False)
    found = YesNo().elicit(ask, columns(5))
    assert set(ask.heard) == set(PROBES)
    assert (found.reliability.strength, found.asked, found.evidence) == (0, 0, ())
    assert np.isnan(found.probability).all()
    assert "count for nothing" in found.note


@given(seed=seeds)
def test_answers_without_strength_weigh_nothing_even_when_asked_for(seed: int) -> None:
    ask = Table(columns(4), drawn(seed, 4), knows=False)
    found = YesNo(ask_anyway=True, probe_resamples=100).elicit(ask, columns(4))
    assert found.asked == 12
    assert found.evidence == ()
    np.testing.assert_array_equal(found.probability[~np.eye(4, dtype=bool)], 0.5)


def test_answers_with_little_mass_are_rejected_and_counted() -> None:
    yes, no = np.full((3, 3), 0.5), np.full((3, 3), 0.5)
    yes[1, 0], no[1, 0] = 0.2, 0.05
    yes[2, 0], no[2, 0] = 0.0, 0.0
    found = YesNo(minimum_mass=0.3).elicit(Table(columns(3), yes, no), columns(3))
    assert found.rejected == 2
    assert np.isnan(found.probability[[1, 2], [0, 0]]).all()
    assert YesNo(minimum_mass=0.0).elicit(Table(columns(3), yes, no), columns(3)).rejected == 1


@pytest.mark.parametrize("flip", [0.05, 0.1, 0.2, 0.3])
def test_a_noisy_oracle_never_breaks_the_chain(flip: float) -> None:
    for seed in range(15):
        rng = np.random.default_rng(seed)
        order = rng.permutation(6)
        edges = np.tril(rng.random((6, 6)) < 0.4, -1)[np.ix_(order, order)].astype(float)
        truth = np.linalg.inv(np.eye(6) - 0.5 * edges) > 1e-12
        table = np.where(truth ^ (rng.random((6, 6)) < flip), 0.995, 0.005)
        found = YesNo(probe_resamples=100).elicit(Table(columns(6), table), columns(6))
        knowledge = combine(found.names, (), found.evidence, found.probability, found.reliability)
        order_of = np.linalg.matrix_power((knowledge.path == 1).astype(int), 6)
        assert not order_of.any(), "required paths form a cycle"
        assert len(found.evidence) > 0


def test_each_question_is_reported_once() -> None:
    steps: list[tuple[int, int, Mapping[str, float]]] = []
    YesNo().elicit(Table(columns(3), drawn(0, 3)), columns(3), lambda *step: steps.append(step))
    assert [step for step, _, _ in steps] == list(range(38 + 6))
    assert {total for _, total, _ in steps} == {44}
    assert all(np.isfinite(list(metrics.values())).all() for _, _, metrics in steps)


def test_a_failure_outside_stays_a_failure() -> None:
    class Gone:
        model = "gone"

        def __call__(self, question: Question) -> Answer:
            raise OutsideError("nobody is there")

    with pytest.raises(OutsideError, match="nobody is there"):
        YesNo().elicit(Gone(), columns(2))


def test_too_many_pairs_are_refused_before_anything_is_asked() -> None:
    ask = Table(columns(4), drawn(0, 4))
    with pytest.raises(InputError, match="most_questions must cover all pairs, got 11 for the 12"):
        YesNo(most_questions=11).elicit(ask, columns(4))
    assert ask.heard == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("minimum_mass", -0.1),
        ("minimum_mass", float("nan")),
        ("required_above", 0.5),
        ("required_above", 1.1),
        ("forbidden_below", 0.5),
        ("forbidden_below", -0.1),
        ("most_certain", 1.0),
        ("probe_resamples", 10),
        ("most_questions", 0),
    ],
)
def test_a_bad_field_is_named(field: str, value: float) -> None:
    with pytest.raises(InputError, match=field):
        replace(YesNo(), **{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("make", METHODS.values(), ids=list(METHODS))
def test_methods_are_values_that_name_themselves(make: Callable[[], Elicitation]) -> None:
    assert make() == make()
    assert hash(make()) == hash(make())
    assert METHODS[make().kind] is make


def test_the_probe_set_is_balanced_and_says_everything_once() -> None:
    probes = load_probes()
    pairs = {(probe.cause, probe.effect): probe.true for probe in probes}
    assert len(probes) == len(pairs) == len(PROBES) == 38
    assert sum(pairs.values()) == 16
    assert all(pairs[effect, cause] is False for (cause, effect), true in pairs.items() if true)
    assert all(cause != effect for cause, effect in pairs)


def test_the_question_holds_both_columns_in_words_and_its_wording_has_a_name() -> None:
    first, second = Column("hba1c", description="blood sugar over months. "), Column("body_mass_index")
    text = question(first, second)
    assert text.index("blood sugar over months") < text.index("body mass index")
    assert "{" not in text
    assert in_words(first) == "blood sugar over months"
    assert question(Column("x", description="a {odd} thing"), second).count("{odd}") == 1
    assert PATTERN.isalnum()
    assert "yes or no" in QUESTION
