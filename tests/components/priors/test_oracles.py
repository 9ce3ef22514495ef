"""Oracles answer what they are built to answer, and knowledge from noisy ones can always be true."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.contracts import FloatArray, PriorKnowledge
from components.errors import InputError
from components.ports import Answer, Question, Subject
from components.priors import NoisyOracle, StatisticalPrompting, Table, YesNo, combine, load_probes
from tests.components.priors.worlds import TRUTHS, adjacency, columns, paths

DRAWS = 63  # for each of four flip rates on two graphs: 504
OPPOSITE = {"required": "forbidden", "forbidden": "required"}
METHOD = StatisticalPrompting(pattern=0, probe=False)


def assert_can_be_true(knowledge: PriorKnowledge) -> None:
    required = (knowledge.path == 1).astype(float)
    assert not np.diag(paths(required)).any(), "required paths form a cycle"
    assert (paths(required) == required).all(), "required paths are not closed"
    assert (knowledge.path[knowledge.edge == 1] == 1).all(), "a required edge is no required path"
    assert (knowledge.edge[knowledge.path == 0] == 0).all(), "a forbidden path leaves an edge"
    marks = int((knowledge.path >= 0).sum() + (knowledge.edge >= 0).sum())
    assert len(knowledge.evidence) == marks, "of some cell two things are claimed"


@pytest.mark.parametrize("flip", [0.05, 0.1, 0.2, 0.3])
@pytest.mark.parametrize("world", TRUTHS)
def test_five_hundred_noisy_oracles_never_break_the_merge(world: str, flip: float) -> None:
    names, edges = TRUTHS[world]
    truth = adjacency(names, edges)
    repaired = right = claims = 0
    for seed in range(DRAWS):
        rng = np.random.default_rng(seed)
        oracle = NoisyOracle(names, truth, flip, seed, sure=float(rng.uniform(0.96, 0.999)))
        found = METHOD.elicit(oracle, columns(names))
        knowledge = combine(names, (), found.evidence, found.probability, found.reliability)
        assert_can_be_true(knowledge)
        said = {(claim.effect, claim.cause, claim.claim) for claim in found.evidence}
        used = {(claim.effect, claim.cause, claim.claim) for claim in knowledge.evidence}
        lost = said - used
        assert len(lost) == len(knowledge.conflicts), "something was given up without a word"
        for effect, cause, claim in lost:
            assert any(f"{claim} {cause} -> {effect} " in sentence for sentence in knowledge.conflicts)
            verdict, kind = claim.split()
            opposite = f"{OPPOSITE[verdict]} {kind}"
            derived = [e for e in knowledge.evidence if (e.effect, e.cause, e.claim) == (effect, cause, opposite)]
            assert all("follows" in each.note or (effect, cause, opposite) in said for each in derived)
        repaired += bool(lost)
        right += _right(knowledge, truth)
        claims += int((knowledge.path >= 0).sum())
    assert repaired > 0, "no draw contradicted itself: this test sees nothing"
    # At these rates what is left after the repair is right more often than it is not.
    assert right > 0.5 * claims


def _right(knowledge: PriorKnowledge, truth: FloatArray) -> int:
    known = knowledge.path >= 0
    return int((knowledge.path == paths(truth))[known].sum())


@given(seed=st.integers(0, 2**32 - 1), flip=st.floats(0, 0.5), size=st.integers(2, 6))
def test_a_noisy_oracle_says_the_same_again_and_in_any_order(seed: int, flip: float, size: int) -> None:
    names = tuple("abcdef"[:size])
    oracle = NoisyOracle(names, np.tril(np.ones((size, size)), -1), flip, seed)
    again = NoisyOracle(names, np.tril(np.ones((size, size)), -1), flip, seed)
    asked = [Question("?", Subject(cause, effect)) for cause, effect in permutations(names, 2)]
    forwards = [oracle(question) for question in asked]
    assert forwards == [again(question) for question in reversed(asked)][::-1]


def test_a_noisy_oracle_errs_as_often_as_it_says() -> None:
    names = tuple(f"v{place}" for place in range(60))
    truth = np.tril(np.random.default_rng(0).random((60, 60)) < 0.1, -1).astype(float)
    for flip in (0.0, 0.1, 0.3):
        oracle = NoisyOracle(names, truth, flip, seed=5)
        wrong = [
            (oracle(Question("?", Subject(names[j], names[i], "edge"))).yes > 0.5) != bool(truth[i, j])
            for i, j in permutations(range(60), 2)
        ]
        error = 3 * np.sqrt(flip * (1 - flip) / len(wrong))
        assert np.mean(wrong) == pytest.approx(flip, abs=error)


def test_oracles_know_the_probes_and_nothing_of_strangers() -> None:
    perfect = Table.of_graph(("a", "b"), np.array([[0, 0], [1, 0]]))
    for probe in load_probes():
        assert perfect(Question("?", Subject(probe.cause, probe.effect))).yes == float(probe.true)
    assert perfect(Question("?", Subject("a", "b"))).yes == 1
    assert perfect(Question("?", Subject("b", "a"))).yes == 0
    for subject in (Subject("a", "c"), None):
        assert perfect(Question("?", subject)) == Answer(0.5, 0.5)
        assert NoisyOracle(("a", "b"), np.zeros((2, 2)), 0.1)(Question("?", subject)) == Answer(0.5, 0.5)


def test_the_default_method_trusts_a_perfect_oracle() -> None:
    names, edges = TRUTHS["Auto MPG"]
    truth = adjacency(names, edges)
    found = YesNo().elicit(Table.of_graph(names, truth, sure=0.99), columns(names))
    assert found.reliability is not None
    assert found.reliability.strength == 1
    required = {(claim.cause, claim.effect) for claim in found.evidence if claim.claim == "required path"}
    assert required == {(names[j], names[i]) for i, j in np.argwhere(paths(truth))}


@pytest.mark.parametrize(("field", "value"), [("flip", -0.1), ("flip", 0.6), ("sure", 0.5), ("sure", 1.1)])
def test_a_bad_field_is_named(field: str, value: float) -> None:
    fields = {"flip": 0.1, "sure": 0.9} | {field: value}
    with pytest.raises(InputError, match=f"^{field} must"):
        NoisyOracle(("a", "b"), np.zeros((2, 2)), fields["flip"], sure=fields["sure"])


def test_a_table_holds_probabilities() -> None:
    with pytest.raises(InputError, match="answers must lie in"):
        Table({Subject("a", "b"): 1.5})
