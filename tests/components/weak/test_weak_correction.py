"""The corrections take the published steps and report the published values."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import InputError
from components.weak import (
    CORRECTIONS,
    Absolute,
    Floored,
    Leaky,
    NonNegative,
    RiskCorrection,
    Uncorrected,
    group_risks,
)

POSITIVE_UNLABELED = torch.tensor([[0.4, 0.0], [-0.4, 1.0]], dtype=torch.float64)
seeds = st.integers(0, 10_000)
each_correction = pytest.mark.parametrize(
    "correction", [make() for make in CORRECTIONS.values()], ids=list(CORRECTIONS)
)


def gradients(correction: RiskCorrection, negative: float) -> tuple[float, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Value and gradient of the objective, and the gradients of the two class risks, at a chosen negative risk."""
    theta = torch.tensor([0.7, -0.2, 1.1], dtype=torch.float64, requires_grad=True)
    positive = (theta**2).sum()
    other = (torch.tensor([2.0, 1.0, -3.0], dtype=torch.float64) * theta).sum() ** 2
    other = other - other.detach() + negative
    (plus,) = torch.autograd.grad(positive, theta, retain_graph=True)
    (minus,) = torch.autograd.grad(other, theta, retain_graph=True)
    value = correction.objective(torch.stack([positive, other]), POSITIVE_UNLABELED)
    (found,) = torch.autograd.grad(value, theta)
    return float(value.detach() - positive.detach()), found, plus, minus


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("beta", [0.0, 0.05])
def test_a_violated_risk_is_climbed_back_and_nothing_else(beta: float, gamma: float) -> None:
    value, found, plus, minus = gradients(NonNegative(beta=beta, gamma=gamma), negative=-0.3)
    torch.testing.assert_close(found, -gamma * minus, rtol=0, atol=1e-14)
    assert value == pytest.approx(-beta)
    across = plus - (plus @ minus) / (minus @ minus) * minus  # what of grad R_+ is not along the violated gradient
    assert float(found @ across) == pytest.approx(0.0, abs=1e-12)
    assert float(across.norm()) > 0.1


@pytest.mark.parametrize(("beta", "negative"), [(0.0, 0.2), (0.5, -0.3), (np.inf, -40.0)])
def test_a_risk_that_is_not_violated_takes_the_plain_step(beta: float, negative: float) -> None:
    value, found, plus, minus = gradients(NonNegative(beta=beta), negative)
    torch.testing.assert_close(found, plus + minus, rtol=0, atol=1e-14)
    assert value == pytest.approx(negative)


def test_only_classes_that_a_source_counts_against_are_corrected_unless_told() -> None:
    groups = torch.tensor([-0.5, -0.25], dtype=torch.float64)
    assert float(NonNegative().objective(groups, POSITIVE_UNLABELED)) == pytest.approx(-0.5)
    assert float(NonNegative(groups=(0,)).objective(groups, POSITIVE_UNLABELED)) == pytest.approx(-0.25)
    assert float(NonNegative(groups=(0, 1)).objective(groups, POSITIVE_UNLABELED)) == pytest.approx(0.0)
    assert float(Absolute().objective(groups, POSITIVE_UNLABELED)) == pytest.approx(-0.25)
    assert float(NonNegative().objective(groups, torch.eye(2, dtype=torch.float64))) == pytest.approx(-0.75)


@settings(deadline=None, max_examples=50)
@given(seed=seeds)
def test_corrected_values_bound_the_uncorrected_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = torch.from_numpy(np.array([rng.uniform(0, 1), rng.normal()]))
    plain = float(Uncorrected().objective(groups, POSITIVE_UNLABELED))
    for correction in (NonNegative(), Absolute(), Floored(), Leaky(), Leaky(slope=0.0)):
        value = float(correction.objective(groups, POSITIVE_UNLABELED))
        assert value >= max(plain, 0.0) - 1e-12
        if groups[1] >= 0:
            assert value == pytest.approx(plain)


@settings(deadline=None, max_examples=25)
@given(seed=seeds)
def test_minibatches_report_no_less_than_the_full_batch(seed: int) -> None:
    rng = np.random.default_rng(seed)
    losses = torch.from_numpy(rng.uniform(0, 2, (40, 2)))
    sources = torch.from_numpy(np.column_stack([np.arange(40) % 4 == 0, np.ones(40, dtype=bool)]))
    halves = [torch.arange(40) % 8 < 4, torch.arange(40) % 8 >= 4]  # both keep the share of labeled rows
    full = group_risks(losses, sources, sources.double(), POSITIVE_UNLABELED)
    parts = [group_risks(losses[h], sources[h], sources[h].double(), POSITIVE_UNLABELED) for h in halves]
    np.testing.assert_allclose(sum(parts).numpy() / 2, full.numpy(), atol=1e-12)
    for correction in (NonNegative(), NonNegative(beta=0.2), Absolute(), Floored(), Floored(beta=0.1), Leaky()):
        mean = sum(float(correction.objective(part, POSITIVE_UNLABELED)) for part in parts) / 2
        assert mean >= float(correction.objective(full, POSITIVE_UNLABELED)) - 1e-12


@pytest.mark.parametrize(
    ("correction", "value", "slopes"),
    [
        (Uncorrected(), 0.1, [1, 1, 1]),
        (Absolute(), 1.5, [1, -1, -1]),
        (Floored(), 0.8, [1, 0, 0]),
        (Floored(beta=0.25), 0.35, [1, 0, 1]),
        (Leaky(slope=0.5), 1.15, [1, -0.5, -0.5]),
        (NonNegative(), 0.8, [0, -1, -1]),
        (NonNegative(beta=0.25, gamma=0.5), 0.35, [0, -0.5, 0]),
        (NonNegative(beta=0.25, gamma=0.0), 0.35, [0, 0, 0]),
        (NonNegative(beta=1.0), 0.1, [1, 1, 1]),
    ],
    ids=str,
)
def test_several_negative_classes(correction: RiskCorrection, value: float, slopes: list[float]) -> None:
    groups = torch.tensor([0.8, -0.5, -0.2], dtype=torch.float64, requires_grad=True)
    objective = correction.objective(groups, -torch.ones(3, 3, dtype=torch.float64))
    assert float(objective.detach()) == pytest.approx(value)
    assert torch.autograd.grad(objective, groups)[0].tolist() == slopes


@each_correction
def test_the_objective_is_differentiated_under_vmap(correction: RiskCorrection) -> None:
    def objective(theta: torch.Tensor) -> torch.Tensor:
        return correction.objective(torch.stack([theta[0] ** 2, theta[1]]), POSITIVE_UNLABELED)

    points = torch.tensor([[1.0, 0.5], [1.0, -0.5]], dtype=torch.float64)
    batched = torch.func.vmap(torch.func.grad(objective))(points)
    single = torch.stack([torch.func.grad(objective)(point) for point in points])
    torch.testing.assert_close(batched, single)


@each_correction
def test_a_correction_is_a_value(correction: RiskCorrection) -> None:
    assert pickle.loads(pickle.dumps(correction)) == correction
    assert hash(correction) == hash(type(correction)())


@pytest.mark.parametrize(
    ("field", "value"), [("beta", -0.1), ("beta", np.nan), ("gamma", 1.5), ("gamma", -0.1), ("groups", (-1,))]
)
def test_a_bad_field_is_named(field: str, value: object) -> None:
    with pytest.raises(InputError, match=field):
        NonNegative(**{field: value})


def test_a_bad_field_of_the_others_is_named() -> None:
    for make, field, value in ((Floored, "beta", -0.1), (Leaky, "slope", 1.5), (Leaky, "slope", np.nan)):
        with pytest.raises(InputError, match=f"{field} must .*got {value}"):
            make(**{field: value})


def test_groups_beyond_the_classes_are_refused() -> None:
    with pytest.raises(InputError, match="groups"):
        NonNegative(groups=(2,)).objective(torch.zeros(2, dtype=torch.float64), POSITIVE_UNLABELED)
