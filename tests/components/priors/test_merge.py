"""What two sources say becomes knowledge that can be true."""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.contracts import Evidence, FloatArray, PriorKnowledge, Reliability
from components.errors import InputError
from components.priors import combine
from components.priors.claims import confidence, contradiction
from components.priors.merge import repaired

seeds = st.integers(0, 2**32 - 1)
KINDS = ("required path", "forbidden path", "required edge", "forbidden edge")
NAMES = tuple("abcdefghij")


def drawn_claims(
    rng: np.random.Generator, size: int, share: float, kinds: Sequence[str] = KINDS, source: str = "model"
) -> tuple[Evidence, ...]:
    """Random claims, at most one of each pair."""
    return tuple(
        Evidence(NAMES[i], NAMES[j], str(rng.choice(kinds)), source, float(rng.uniform(0.9, 0.9999)))  # type: ignore[arg-type]
        for i in range(size)
        for j in range(size)
        if i != j and rng.random() < share
    )


def drawn_person(rng: np.random.Generator, size: int, share: float) -> tuple[Evidence, ...]:
    """Random claims that agree: what an agreeing subset keeps of random ones."""
    kept: list[Evidence] = []
    for claim in drawn_claims(rng, size, share, source="person"):
        claim = Evidence(claim.effect, claim.cause, claim.claim, "person", 1.0)
        if contradiction(NAMES[:size], [*kept, claim]) is None:
            kept.append(claim)
    return tuple(kept)


def paths(adjacency: np.ndarray) -> np.ndarray:
    """[effect, cause] whether a path leads there, by summing powers."""
    total, power = np.zeros_like(adjacency, dtype=int), np.eye(len(adjacency), dtype=int)
    for _ in adjacency:
        power = power @ adjacency.astype(int)
        total = total + power
    return total > 0


def assert_can_be_true(knowledge: PriorKnowledge) -> None:
    required = knowledge.path == 1
    reach = paths(required)
    assert not np.diag(reach).any(), "required paths form a cycle"
    assert (reach == required).all(), "required paths are not transitively closed"
    assert required[knowledge.edge == 1].all(), "a required edge is no required path"
    assert (knowledge.edge[knowledge.path == 0] == 0).all(), "a forbidden path leaves an edge"
    claimed = [(claim.effect, claim.cause, claim.claim) for claim in knowledge.evidence]
    words = {"path": knowledge.path, "edge": knowledge.edge}
    cells = [
        (knowledge.names[i], knowledge.names[j], f"{'required' if marks[i, j] else 'forbidden'} {word}")
        for word, marks in words.items()
        for i, j in np.argwhere(marks >= 0)
    ]
    assert sorted(claimed) == sorted(cells), "evidence and cells do not match one to one"


@given(seed=seeds, size=st.integers(1, 6), share=st.floats(0, 1), trusted=st.floats(0, 0.5))
def test_any_claims_become_knowledge_that_can_be_true(seed: int, size: int, share: float, trusted: float) -> None:
    rng = np.random.default_rng(seed)
    person, model = drawn_person(rng, size, trusted), drawn_claims(rng, size, share)
    knowledge = combine(NAMES[:size], person, model)
    assert_can_be_true(knowledge)
    stated = {(claim.effect, claim.cause, claim.claim): claim.source for claim in knowledge.evidence}
    for claim in person:
        assert stated[claim.effect, claim.cause, claim.claim] == "person"
    unknown = [claim for claim in model if (claim.effect, claim.cause, claim.claim) not in stated]
    agreed = {(claim.effect, claim.cause, claim.claim) for claim in person}
    assert len(knowledge.conflicts) >= len(unknown)
    for claim in unknown:
        assert (claim.effect, claim.cause, claim.claim) not in agreed
        assert any(f"{claim.claim} {claim.cause} -> {claim.effect} " in conflict for conflict in knowledge.conflicts)


@given(seed=seeds, size=st.integers(2, 5), share=st.floats(0.2, 1))
def test_nothing_given_up_could_be_kept(seed: int, size: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    person, model = drawn_person(rng, size, 0.3), drawn_claims(rng, size, share)
    kept = repaired(NAMES[:size], person, model)
    assert contradiction(NAMES[:size], [*person, *kept]) is None
    for claim in set(model) - set(kept):
        assert contradiction(NAMES[:size], [*person, *kept, claim]) is not None


@given(seed=seeds, size=st.integers(2, 6), share=st.floats(0.2, 1))
def test_permuting_the_variables_permutes_the_knowledge(seed: int, size: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    person, model = drawn_person(rng, size, 0.2), drawn_claims(rng, size, share)
    shuffle = rng.permutation(size)
    names = NAMES[:size]
    plain = combine(names, person, model)
    permuted = combine(tuple(names[place] for place in shuffle), person, model)
    assert (permuted.path == plain.path[np.ix_(shuffle, shuffle)]).all()
    assert (permuted.edge == plain.edge[np.ix_(shuffle, shuffle)]).all()
    assert set(permuted.evidence) >= {claim for claim in plain.evidence if "follows" not in claim.note}


@given(seed=seeds, size=st.integers(2, 5))
def test_cycles_cost_the_least_confidence(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    model = drawn_claims(rng, size, 0.8, kinds=("required path",))
    kept = repaired(NAMES[:size], (), model)
    lost = sum(confidence(claim) for claim in set(model) - set(kept))
    cheapest = min(
        sum(confidence(c) for c in model if order.index(c.cause) > order.index(c.effect))
        for order in permutations(NAMES[:size])
    )
    assert lost == pytest.approx(cheapest, abs=1e-9)


@cache
def all_graphs(size: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Every directed acyclic graph, with its paths."""

    def graphs() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        cells = [(i, j) for i in range(size) for j in range(size) if i != j]
        for bits in product((False, True), repeat=len(cells)):
            edge = np.zeros((size, size), dtype=bool)
            edge[tuple(zip(*[cell for cell, bit in zip(cells, bits, strict=True) if bit], strict=True)) or ([], [])] = 1
            reach = paths(edge)
            if not np.diag(reach).any():
                yield edge, reach

    return tuple(graphs())


def test_there_are_as_many_acyclic_graphs_as_robinson_counted() -> None:
    assert [len(all_graphs(size)) for size in (2, 3, 4)] == [3, 25, 543]


def holds(claim: Evidence, edge: np.ndarray, reach: np.ndarray) -> bool:
    verdict, word = claim.claim.split()
    cell = NAMES.index(claim.effect), NAMES.index(claim.cause)
    return bool((edge if word == "edge" else reach)[cell]) == (verdict == "required")


@given(seed=seeds, size=st.integers(2, 4), share=st.floats(0, 0.6))
def test_claims_agree_exactly_when_some_graph_makes_them_true(seed: int, size: int, share: float) -> None:
    kinds = ("required path", "forbidden path", "required edge")
    claims = drawn_claims(np.random.default_rng(seed), size, share, kinds)
    possible = any(all(holds(claim, edge, reach) for claim in claims) for edge, reach in all_graphs(size))
    assert (contradiction(NAMES[:size], claims) is None) == possible


def said(cause: str, effect: str, claim: str, probability: float, source: str = "model") -> Evidence:
    return Evidence(effect, cause, claim, source, probability)  # type: ignore[arg-type]


def test_a_stronger_forbidden_path_breaks_the_weakest_link_of_the_chain() -> None:
    links = [said("a", "b", "required path", 0.97), said("b", "c", "required path", 0.96)]
    knowledge = combine(tuple("abc"), (), [*links, said("a", "c", "forbidden path", 0.99)])
    assert knowledge.path.tolist() == [[-1, -1, -1], [1, -1, -1], [0, -1, -1]]
    assert knowledge.edge[2, 0] == 0
    assert knowledge.conflicts == (
        "required path b -> c (model, probability 0.96) was given up and is unknown: "
        "with it a -> b -> c is required but a path a -> c is forbidden",
    )


def test_a_weaker_forbidden_path_gives_way_to_the_chain() -> None:
    links = [said("a", "b", "required path", 0.99), said("b", "c", "required path", 0.98)]
    knowledge = combine(tuple("abc"), (), [*links, said("a", "c", "forbidden path", 0.97)])
    assert knowledge.path[2, 0] == 1
    follows = next(e for e in knowledge.evidence if (e.cause, e.effect) == ("a", "c"))
    assert (follows.source, follows.probability, follows.note) == ("model", 0.98, "follows from a -> b -> c")


def test_a_person_outweighs_the_surest_model() -> None:
    person = [said("a", "b", "forbidden path", 1.0, "person")]
    knowledge = combine(tuple("ab"), person, [said("a", "b", "required path", 0.999999)])
    assert knowledge.path[1, 0] == 0
    assert len(knowledge.conflicts) == 1
    person = [said("a", "b", "required path", 1.0, "person")]
    both = [said("a", "b", "forbidden path", 0.999999), said("b", "a", "required path", 0.999999)]
    knowledge = combine(tuple("ab"), person, both)
    assert knowledge.path.tolist() == [[-1, -1], [1, -1]]
    assert len(knowledge.conflicts) == 2


def test_answers_without_strength_leave_no_trace_in_the_claims() -> None:
    weak = Reliability("model", 0.6, 0.45, 0.75, 0.0, 38)
    probability = np.array([[np.nan, 0.5], [0.5, np.nan]])
    knowledge = combine(tuple("ab"), (), [said("a", "b", "required path", 0.99)], probability, weak)
    assert (knowledge.path == -1).all()
    assert (knowledge.edge == -1).all()
    assert knowledge.evidence == ()
    assert knowledge.reliability is weak


@pytest.mark.parametrize("flip", [0.05, 0.1, 0.2, 0.3])
def test_a_noisy_oracle_never_breaks_the_merge(flip: float) -> None:
    # The same noise makes lingam raise on 25 to 95 % of draws.
    for seed in range(60):
        rng = np.random.default_rng(seed)
        size = 5 + seed % 2
        order = rng.permutation(size)
        truth = paths(np.tril(rng.random((size, size)) < 0.4, -1)[np.ix_(order, order)])
        answers = truth ^ (rng.random((size, size)) < flip)
        model = [
            said(NAMES[j], NAMES[i], "required path" if answers[i, j] else "forbidden path", rng.uniform(0.95, 1))
            for i in range(size)
            for j in range(size)
            if i != j
        ]
        assert_can_be_true(combine(NAMES[:size], (), model))


def test_a_perfect_oracle_is_kept_whole() -> None:
    truth = paths(np.array([[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]]))
    claims = [
        said(NAMES[j], NAMES[i], "required path" if truth[i, j] else "forbidden path", 0.99)
        for i, j in permutations(range(4), 2)
    ]
    knowledge = combine(NAMES[:4], (), claims)
    expected: FloatArray = np.where(np.eye(4, dtype=bool), -1, truth)
    assert (knowledge.path == expected).all()
    assert knowledge.conflicts == ()


def test_many_contradicting_answers_over_thirty_variables_are_merged() -> None:
    names = tuple(f"v{place}" for place in range(30))
    rng = np.random.default_rng(5)
    model = [
        Evidence(
            effect, cause, "required path" if rng.random() < 0.4 else "forbidden path", "model", rng.uniform(0.95, 1)
        )
        for effect, cause in permutations(names, 2)
    ]
    knowledge = combine(names, [said("v0", "v1", "required path", 1.0, "person")], model)
    assert_can_be_true(knowledge)
    assert knowledge.path[1, 0] == 1


def test_a_contradicting_person_is_refused() -> None:
    person = [said("a", "b", "required path", 1.0, "person"), said("b", "a", "required edge", 1.0, "person")]
    with pytest.raises(InputError, match="a -> b -> a is a cycle"):
        combine(tuple("ab"), person)


def test_claims_about_strangers_and_about_oneself_are_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'height'"):
        combine(("height", "age"), [said("hight", "age", "required path", 1.0, "person")])
    with pytest.raises(InputError, match="two different variables"):
        combine(("a", "b"), (), [said("a", "a", "required path", 0.9)])


def test_nobody_asked_is_no_knowledge() -> None:
    knowledge = combine(tuple("abc"), ())
    assert (knowledge.path == -1).all()
    assert np.isnan(knowledge.probability).all()
    assert knowledge.reliability is None
