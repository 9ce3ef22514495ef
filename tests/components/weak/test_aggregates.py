"""What is known of several rows together, against a sum over all classes they can have together."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import InputError
from components.weak import AGGREGATES
from tests.components.weak.worlds import every_assignment

seeds = st.integers(0, 10_000)
each = pytest.mark.parametrize("kind", list(AGGREGATES))

FACTS = {
    "likeness": lambda classes: int(classes[0] == classes[1]),
    "order": lambda classes: int(classes[0] <= classes[1]),
    "count": lambda classes: int((classes == 0).sum()),
    "any_positive": lambda classes: int((classes == 0).any()),
}


def enumerated(kind: str, logits: np.ndarray) -> tuple[dict[int, float], dict[int, np.ndarray]]:
    """Probability of each fact, and the posterior of each row given it, from all assignments [K^L]."""
    g = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    evidence: dict[int, float] = {}
    posterior: dict[int, np.ndarray] = {}
    for classes in every_assignment(*g.shape):
        chance = np.prod(g[np.arange(len(g)), classes])
        fact = FACTS[kind](classes)
        evidence[fact] = evidence.get(fact, 0.0) + chance
        table = posterior.setdefault(fact, np.zeros_like(g))
        table[np.arange(len(g)), classes] += chance
    return evidence, {fact: table / evidence[fact] for fact, table in posterior.items()}


def rows_of(kind: str, rows: int) -> int:
    return 2 if kind in ("likeness", "order") else rows


@each
@settings(deadline=None, max_examples=20)
@given(seed=seeds, rows=st.integers(1, 6), classes=st.integers(2, 3))
def test_evidence_and_posterior_are_those_of_enumeration(kind: str, seed: int, rows: int, classes: int) -> None:
    logits = np.random.default_rng(seed).normal(scale=2, size=(rows_of(kind, rows), classes))
    evidence, posterior = enumerated(kind, logits)
    aggregate = AGGREGATES[kind]()
    facts = torch.tensor(list(evidence))
    units = torch.from_numpy(logits).expand(len(facts), -1, -1)
    chances = aggregate.probability(torch.softmax(units, dim=-1), facts)
    np.testing.assert_allclose(chances.numpy(), list(evidence.values()), atol=1e-12)
    assert float(chances.sum()) == pytest.approx(1)
    found = aggregate.posterior(units, facts)
    np.testing.assert_allclose(found.numpy(), np.stack([posterior[int(fact)] for fact in facts]), atol=1e-10)


@each
@settings(deadline=None, max_examples=10)
@given(seed=seeds)
def test_units_do_not_touch_each_other_and_the_step_is_the_expected_one(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(size=(4, 2, 2))).requires_grad_(True)
    observed, aggregate = torch.tensor([1, 0, 1, 1]), AGGREGATES[kind]()
    value = aggregate.loss(logits, observed)
    alone = [aggregate.loss(logits[i : i + 1], observed[i : i + 1]) for i in range(4)]
    torch.testing.assert_close(value, torch.stack(alone).mean())
    (slope,) = torch.autograd.grad(value, logits)
    wanted = (torch.softmax(logits.detach(), -1) - aggregate.posterior(logits, observed)) / 4
    torch.testing.assert_close(slope, wanted, rtol=0, atol=1e-12)


def test_the_published_posteriors() -> None:
    g = torch.tensor([[0.2, 0.8], [0.6, 0.4], [0.3, 0.7]], dtype=torch.float64)
    logits = g.log()[None]
    any_of = AGGREGATES["any_positive"]().posterior(logits, torch.tensor([1]))
    np.testing.assert_allclose(any_of[0, :, 0], g[:, 0] / (1 - 0.8 * 0.4 * 0.7))
    one = AGGREGATES["count"]().posterior(logits, torch.tensor([1]))
    chances = np.array([0.2 * 0.4 * 0.7, 0.8 * 0.6 * 0.7, 0.8 * 0.4 * 0.3])
    np.testing.assert_allclose(one[0, :, 0], chances / chances.sum())


def test_what_are_not_units_of_rows_is_refused() -> None:
    with pytest.raises(InputError, match="logits must have shape"):
        AGGREGATES["count"]().loss(torch.zeros(3, 2), torch.zeros(3))
    with pytest.raises(InputError, match="observed"):
        AGGREGATES["count"]().posterior(torch.zeros(3, 2, 2), torch.zeros(2))
    with pytest.raises(InputError, match=r"observed must lie in 0 to 2 for count, got \[0, 3\]"):
        AGGREGATES["count"]().loss(torch.zeros(2, 2, 2), torch.tensor([0, 3]))
    with pytest.raises(InputError, match=r"shape \(units, 2, classes\)"):
        AGGREGATES["order"]().loss(torch.zeros(1, 3, 2), torch.tensor([1]))


@each
def test_a_classifier_sure_of_the_contrary_has_a_finite_loss(kind: str) -> None:
    logits = torch.tensor([[[200.0, -200.0], [-200.0, 200.0]]])
    aggregate = AGGREGATES[kind]()
    for fact in range(aggregate.largest(2) + 1):
        assert torch.isfinite(aggregate.loss(logits, torch.tensor([fact])))
