"""Updates whose prior is the last posterior."""

import json
import pickle
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.bayes import METHODS, Continual, Ivon, from_moments, isotropic
from components.errors import InputError

LAYOUT = (("weight", (5,)),)
FULL_BATCH = Ivon(epochs=400, minibatch_rows=1_000)


def halves(seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Two batches whose columns are orthogonal, so that the exact posterior is independent per weight."""
    random = np.random.default_rng(seed)
    weight, batches = random.normal(size=5), []
    for rows in (200, 120):
        design = np.linalg.qr(random.normal(size=(rows, 5)))[0] * np.sqrt(rows) * random.uniform(0.5, 2, 5)
        batches.append((design, design @ weight + random.normal(size=rows)))
    return batches


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_two_updates_are_the_joint_posterior(linear_risk: type, seed: int) -> None:
    prior = isotropic(LAYOUT, 1.0)
    first, second = halves(seed)
    posterior = FULL_BATCH.fit(linear_risk(*first), prior, np.zeros(5), "first")
    updated = Continual(rule=FULL_BATCH).update(linear_risk(*second), posterior, prior, False, "second")
    design, target = (np.concatenate(part) for part in zip(first, second, strict=True))
    exact = design.T @ design + np.eye(5)
    np.testing.assert_allclose(updated.mean, np.linalg.solve(exact, design.T @ target), atol=1e-4)
    np.testing.assert_allclose(updated.precision, np.diag(exact), rtol=1e-9)
    assert updated.rows == 320
    assert updated.lineage == ("first", "second")


def test_a_drift_forgets_the_declared_share(linear_risk: type) -> None:
    """A weighted least squares by hand: the first batch counts 0.7, the second 1."""
    start = isotropic(LAYOUT, 1.0)
    first, second = halves(3)
    posterior = FULL_BATCH.fit(linear_risk(*first), start, np.zeros(5), "first")
    updated = Continual(rule=FULL_BATCH).update(linear_risk(*second), posterior, start, True, "second")
    precision = 0.7 * ((first[0] ** 2).sum(0) + 1) + (second[0] ** 2).sum(0)
    shift = 0.7 * first[0].T @ first[1] + second[0].T @ second[1]
    np.testing.assert_allclose(updated.precision, precision, rtol=1e-9)
    np.testing.assert_allclose(updated.mean, shift / precision, atol=1e-4)
    assert updated.rows == pytest.approx(0.7 * 200 + 120)


@given(retain=st.floats(0.1, 1), times=st.integers(1, 60))
@settings(deadline=None)
def test_forgetting_is_geometric_down_to_the_first_prior(retain: float, times: int) -> None:
    start = isotropic(LAYOUT, 1.0)
    posterior = from_moments(LAYOUT, np.arange(5.0), np.full(5, 50.0), 1_000.0, ())
    method, left = Continual(retain=retain, retain_after_drift=0.05), posterior
    for _ in range(times):
        left = method.prior(left, start, False)
    np.testing.assert_allclose(left.precision, max(50 * retain**times, 1.0), rtol=1e-9)
    np.testing.assert_allclose(left.mean, np.arange(5.0), rtol=1e-9)
    assert left.rows == pytest.approx(1_000 * retain**times)


def test_a_few_new_rows_hardly_move_what_many_taught(linear_risk: type) -> None:
    random = np.random.default_rng(0)
    known = from_moments(LAYOUT, random.normal(size=5), np.full(5, 1e5), 1e5, ("many",))
    design = random.normal(size=(30, 5))
    batch = linear_risk(design, design @ known.mean + random.normal(size=30))
    updated = Continual().update(batch, known, isotropic(LAYOUT, 1.0), False, "few")
    assert np.abs(updated.mean - known.mean).max() < 0.3 * known.deviation.max()
    assert (updated.precision > known.precision).all()


def test_an_update_changes_nothing_it_was_given(linear_risk: type) -> None:
    prior = isotropic(LAYOUT, 1.0)
    first, second = halves(4)
    posterior = FULL_BATCH.fit(linear_risk(*first), prior, np.zeros(5), "first")
    digests, kept = (posterior.digest, prior.digest), [part.copy() for part in second]
    Continual().update(linear_risk(*second), posterior, prior, True, "second")
    assert (posterior.digest, prior.digest) == digests
    assert all(np.array_equal(part, copy) for part, copy in zip(second, kept, strict=True))


@pytest.mark.parametrize("name", list(METHODS))
def test_a_method_is_a_value(name: str) -> None:
    method = METHODS[name]()
    assert method.kind == name
    assert hash(method) == hash(METHODS[name]())
    assert pickle.loads(pickle.dumps(method)) == method
    assert json.loads(json.dumps(asdict(method)))["kind"] == name


@pytest.mark.parametrize(
    ("field", "value"), [("retain", 0.0), ("retain", 1.5), ("retain_after_drift", 0.0), ("retain_after_drift", 2.0)]
)
def test_a_bad_field_of_continual_is_named(field: str, value: float) -> None:
    with pytest.raises(InputError, match=f"^{field} must"):
        replace(Continual(), **{field: value})


def test_a_drift_cannot_retain_more_than_no_drift() -> None:
    with pytest.raises(InputError, match="retain_after_drift must not exceed retain"):
        Continual(retain=0.5)
