"""Natural parameters: merging, removing and forgetting are sums and products."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.bayes import divergence, from_moments, isotropic, merged, removed, tempered
from components.contracts import Posterior
from components.errors import InputError

LAYOUT = (("weight", (2, 2)), ("bias", (1,)))
seeds = st.integers(0, 10_000)


def drawn(seed: int, lineage: tuple[str, ...] = (), rows: float = 100.0) -> Posterior:
    """A posterior more certain than N(0, 1)."""
    random = np.random.default_rng(seed)
    return from_moments(LAYOUT, random.normal(size=5), 1 + 10 ** random.uniform(-2, 3, 5), rows, lineage)


def test_isotropic_has_the_deviation_asked_for() -> None:
    prior = isotropic(LAYOUT, 0.5)
    np.testing.assert_allclose(prior.deviation, 0.5)
    assert (prior.mean == 0).all()
    assert prior.rows == 0


def test_moments_come_back() -> None:
    posterior = from_moments(LAYOUT, np.arange(5.0), np.full(5, 4.0), 7.0, ("a",))
    np.testing.assert_allclose(posterior.mean, np.arange(5.0))
    np.testing.assert_allclose(posterior.deviation, 0.5)
    assert (posterior.rows, posterior.lineage) == (7.0, ("a",))


@given(seed=seeds, count=st.integers(1, 6))
@settings(deadline=None)
def test_merging_shards_of_a_conjugate_model_is_the_joint_posterior(seed: int, count: int) -> None:
    """Independent weights with Gaussian observations: the joint posterior is counted by hand from all the rows."""
    random = np.random.default_rng(seed)
    prior = from_moments(LAYOUT, random.normal(size=5), random.uniform(0.5, 2, 5), 0.0, ("prior",))
    shards = [random.normal(size=(random.integers(1, 20), 5)) for _ in range(count)]
    posteriors = [
        from_moments(
            LAYOUT,
            (prior.shift + shard.sum(0)) / (prior.precision + len(shard)),
            prior.precision + len(shard),
            float(len(shard)),
            ("prior", f"shard {k}"),
        )
        for k, shard in enumerate(shards)
    ]
    everything = np.concatenate(shards)
    joint = merged(posteriors, prior)
    np.testing.assert_allclose(joint.precision, prior.precision + len(everything), rtol=1e-9)
    np.testing.assert_allclose(joint.shift, prior.shift + everything.sum(0), atol=1e-9)
    assert joint.rows == len(everything)
    assert joint.lineage == ("prior", *(f"shard {k}" for k in range(count)))


@given(seed=seeds)
@settings(deadline=None)
def test_adding_then_removing_parts_returns_the_old_posterior(seed: int) -> None:
    prior = isotropic(LAYOUT, 1.0)
    old = drawn(seed, ("old",))
    parts = [drawn(seed + k, (f"part {k}",)) for k in range(1, 21)]
    back = merged([old, *parts], prior)
    for part in parts:
        back = removed(back, part, prior)
    np.testing.assert_allclose(back.precision, old.precision, rtol=1e-9)
    np.testing.assert_allclose(back.shift, old.shift, rtol=1e-9, atol=1e-9)
    assert back.lineage == ("old",)
    assert back.rows == old.rows


def test_only_what_was_absorbed_can_be_removed() -> None:
    with pytest.raises(InputError, match="part must have been absorbed"):
        removed(drawn(0, ("a",)), drawn(1, ("b",)), isotropic(LAYOUT, 1.0))


def test_removing_more_than_was_learnt_is_refused() -> None:
    part = from_moments(LAYOUT, np.zeros(5), np.full(5, 1e6), 10.0, ("a",))
    with pytest.raises(InputError, match="precision must stay positive"):
        removed(drawn(0, ("a",)), part, isotropic(LAYOUT, 1.0))


def test_posteriors_must_start_from_the_prior() -> None:
    prior = from_moments(LAYOUT, np.zeros(5), np.ones(5), 0.0, ("begin",))
    with pytest.raises(InputError, match="prior must be where the posterior started"):
        merged([drawn(0, ("other",))], prior)


def test_layouts_must_agree() -> None:
    with pytest.raises(InputError, match="layout"):
        divergence(drawn(0), isotropic((("weight", (5,)),), 1.0))


@given(seed=seeds, first=st.floats(0.05, 1), second=st.floats(0.05, 1))
@settings(deadline=None)
def test_forgetting_twice_is_forgetting_the_product(seed: int, first: float, second: float) -> None:
    twice, once = tempered(tempered(drawn(seed), first), second), tempered(drawn(seed), first * second)
    np.testing.assert_allclose(twice.precision, once.precision, rtol=1e-12)
    np.testing.assert_allclose(twice.shift, once.shift, rtol=1e-12)
    assert twice.rows == pytest.approx(once.rows)


@given(seed=seeds, retain=st.floats(1e-6, 1))
@settings(deadline=None)
def test_forgetting_keeps_the_mean_and_stays_above_the_floor(seed: int, retain: float) -> None:
    posterior, floor = drawn(seed), isotropic(LAYOUT, 1.0)
    left = tempered(posterior, retain, floor)
    np.testing.assert_allclose(left.mean, posterior.mean, rtol=1e-12)
    np.testing.assert_allclose(left.precision, np.maximum(retain * posterior.precision, 1.0), rtol=1e-12)
    assert left.rows == retain * posterior.rows


@pytest.mark.parametrize("retain", [0.0, -0.5, 1.5, float("nan")])
def test_a_bad_retain_is_named(retain: float) -> None:
    with pytest.raises(InputError, match="retain must lie in"):
        tempered(drawn(0), retain)


@pytest.mark.parametrize("deviation", [0.0, -1.0, float("inf"), float("nan")])
def test_a_bad_deviation_is_named(deviation: float) -> None:
    with pytest.raises(InputError, match="deviation must be positive"):
        isotropic(LAYOUT, deviation)


def test_divergence_is_that_of_torch() -> None:
    import torch
    from torch.distributions import Normal, kl_divergence

    left, right = drawn(3), drawn(4)
    pair = [Normal(torch.tensor(q.mean), torch.tensor(q.deviation)) for q in (left, right)]
    assert divergence(left, right) == pytest.approx(kl_divergence(*pair).sum().item(), rel=1e-12)
    assert divergence(left, left) == pytest.approx(0, abs=1e-12)
