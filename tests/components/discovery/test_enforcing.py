"""Whatever a search finds, the graph has no cycle and honours what is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.contracts import Evidence, PriorKnowledge
from components.discovery.constraints import reachable, reconcile
from components.discovery.enforcing import enforce
from components.discovery.found import Found, slopes
from components.discovery.preparation import PreparedTable

NAMES = ("a", "b", "c", "d", "e")
UNKNOWN = np.full((5, 5), -1)
NOTHING = np.zeros((5, 5), dtype=bool)


def table(seed: int) -> PreparedTable:
    rng = np.random.default_rng(seed)
    mixed = rng.laplace(size=(200, 5)) @ (np.eye(5) + rng.normal(0, 0.4, (5, 5)))
    return PreparedTable(NAMES, mixed, ()).standardised()[0]


def marks(seed: int, kinds: tuple[int, ...]) -> np.ndarray:
    matrix = np.random.default_rng(seed).choice(kinds, size=(5, 5))
    np.fill_diagonal(matrix, -1)
    return matrix


@given(seed=st.integers(0, 10**6), density=st.floats(0, 1), given_order=st.booleans())
@settings(deadline=None, max_examples=150, derandomize=True)
def test_cycles_are_broken_and_knowledge_is_honoured(seed: int, density: float, given_order: bool) -> None:
    rng = np.random.default_rng(seed)
    values = table(seed)
    path, edge = marks(seed + 1, (-1, -1, -1, 0, 1)), marks(seed + 2, (-1, -1, 0, 1))
    constraints = reconcile(PriorKnowledge(NAMES, path, edge, UNKNOWN * 1.0), NAMES, NAMES)
    edges = (rng.random((5, 5)) < density) & ~np.eye(5, dtype=bool)
    order = tuple(int(k) for k in rng.permutation(5)) if given_order else ()
    loose = np.triu(rng.random((5, 5)) < 0.4, 1)
    found = Found(slopes(values.values, edges), loose | loose.T, loose | loose.T, order)
    kept = enforce(found, values, constraints)
    present, reach = kept.weights != 0, reachable(kept.weights != 0)
    assert not np.diag(reach).any()
    place = np.argsort(kept.order)
    assert not (present & (place[:, None] < place)).any()
    assert not (constraints.before & (place[:, None] < place)).any()
    assert not (present & constraints.forbidden_edge).any()
    assert not (reach & constraints.forbidden_path).any()
    if not constraints.forbidden_path.any():
        assert present[constraints.required_edge].all()
    # A pair has one verdict: an edge, or none.
    assert not ((kept.confounded | kept.undirected) & (present | present.T)).any()
    changed = (present != edges).any(axis=1)
    np.testing.assert_array_equal(kept.weights[~changed], found.weights[~changed])
    np.testing.assert_allclose(kept.weights, slopes(values.values, present))


def test_of_a_cycle_the_weakest_edge_goes_and_is_told() -> None:
    weights = np.zeros((5, 5))
    weights[1, 0], weights[2, 1], weights[0, 2] = 0.9, 0.2, 0.5
    unknown = reconcile(PriorKnowledge.unknown(NAMES), NAMES, NAMES)
    kept = enforce(Found.directed(weights), table(0), unknown)
    assert kept.notes == ("The edge b -> c was removed: it closed a cycle.",)
    assert kept.weights[2, 1] == 0
    assert kept.weights[1, 0] == 0.9


def test_an_undirected_pair_forbidden_both_ways_is_none() -> None:
    both = UNKNOWN.copy()
    both[0, 1] = both[1, 0] = 0
    constraints = reconcile(PriorKnowledge(NAMES, both, UNKNOWN, UNKNOWN * 1.0), NAMES, NAMES)
    pair = NOTHING.copy()
    pair[0, 1] = pair[1, 0] = True
    kept = enforce(Found(np.zeros((5, 5)), pair, pair), table(0), constraints)
    assert not kept.undirected.any()
    assert kept.confounded[0, 1]


def soft(probability: float, *sources: str) -> PriorKnowledge:
    chance, path = np.full((5, 5), np.nan), UNKNOWN.copy()
    chance[1, 0], path[1, 0] = probability, 1
    evidence = tuple(Evidence("b", "a", "required path", source, probability) for source in sources)
    return PriorKnowledge(NAMES, path, UNKNOWN, chance, evidence)


def test_soft_knowledge_of_a_model_leans_and_that_of_a_person_binds() -> None:
    model = reconcile(soft(0.9, "model"), NAMES, NAMES, soft=True)
    assert not model.before.any()
    assert model.lean[0, 1] == pytest.approx(np.log(9))
    np.testing.assert_array_equal(model.lean, -model.lean.T)
    both = reconcile(soft(0.9, "model", "person"), NAMES, NAMES, soft=True)
    assert both.before[1, 0]
    hard = reconcile(soft(0.9, "model"), NAMES, NAMES)
    assert hard.before[1, 0]
    assert not hard.lean.any()
