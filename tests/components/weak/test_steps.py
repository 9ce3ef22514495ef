"""The step that is written down at once is the one that torch finds through the graph of the same formulas."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import InputError
from components.weak import (
    CORRECTIONS,
    LOSSES,
    Absolute,
    CrossEntropy,
    DoubleHinge,
    Evidence,
    Floored,
    Forward,
    Inverse,
    Leaky,
    NoisyLabels,
    NonNegative,
    PositiveUnlabeled,
    PosteriorRewrite,
    Reweight,
    Rewrite,
    RiskCorrection,
    Sigmoid,
    Surrogate,
    Uncorrected,
    WeakRisk,
)
from components.weak.losses import MarginLoss, sloped
from components.weak.risk import shares_of
from components.weak.transitions import as_table, pair_noise
from tests.components.weak.worlds import INVERTIBLE, LIKELY, make

seeds = st.integers(0, 10_000)
EXACT = {"rtol": 1e-9, "atol": 1e-12}
REWRITES = (
    Forward(),
    PosteriorRewrite(),
    PosteriorRewrite(remembered=True),
    Surrogate("logarithm"),
    Surrogate("exponential"),
    Surrogate("linear"),
)
TURNED = (Uncorrected(), Absolute(), Floored(), Floored(0.02), Leaky(), NonNegative(), NonNegative(0.02, 0.5))
SLOPED = [loss for kind, loss in LOSSES.items() if kind != "zero_one"]


def cases() -> Iterator[tuple[str, Rewrite]]:
    """Every setting with every rewrite that it has."""
    yield from ((name, Inverse()) for name in INVERTIBLE)
    yield from ((name, rewrite) for name in LIKELY for rewrite in REWRITES)
    yield "noisy_labels", Reweight()


def through_the_graph(
    risk: WeakRisk, logits: torch.Tensor, evidence: Evidence, totals: torch.Tensor | None = None
) -> tuple[float, torch.Tensor, list[float]]:
    """Value, slope and groups."""
    leaf = logits.clone().requires_grad_()
    groups = risk.groups(leaf, evidence, totals)
    value = risk.objective(groups)
    return value.item(), torch.autograd.grad(value, leaf)[0], groups.tolist()


def at_once(
    risk: WeakRisk, logits: torch.Tensor, evidence: Evidence, totals: torch.Tensor | None = None
) -> tuple[float, torch.Tensor, list[float]]:
    """The same, by ``step``."""
    leaf = logits.clone().requires_grad_()
    shares = shares_of(evidence.inside, evidence.totals() if totals is None else totals)
    value, groups = risk.step(leaf, evidence, shares)
    (3 * value).backward()
    assert leaf.grad is not None
    return value.item(), leaf.grad / 3, groups


def assert_alike(risk: WeakRisk, logits: torch.Tensor, evidence: Evidence, totals: torch.Tensor | None = None) -> None:
    mine, theirs = at_once(risk, logits, evidence, totals), through_the_graph(risk, logits, evidence, totals)
    for found, expected in zip(mine, theirs, strict=True):
        torch.testing.assert_close(torch.as_tensor(found), torch.as_tensor(expected), **EXACT)


def some_rows(name: str, seed: int, rewrite: Rewrite, loss: object, correction: RiskCorrection) -> tuple:
    """The risk of a world and a minibatch of its rows, from which sources may be missing."""
    rng, case = np.random.default_rng([seed, 7]), make(name, seed)
    risk, classes = case.risk(rewrite, loss, correction), len(case.world.prior)
    picked = torch.from_numpy(rng.permutation(len(case.marks))[: int(rng.integers(1, 40))])
    evidence = risk.evidence(case.marks, case.weights)
    if isinstance(rewrite, PosteriorRewrite) and rewrite.remembered:
        evidence = evidence.remembering(torch.from_numpy(rng.dirichlet(np.ones(classes), len(evidence))))
    single = classes == 2 and bool(rng.integers(2))
    logits = torch.from_numpy(rng.normal(0, 3, len(picked) if single else (len(picked), classes)))
    return risk, logits, evidence.rows(picked), evidence.totals() / 5


@pytest.mark.parametrize(("name", "rewrite"), list(cases()), ids=str)
@settings(deadline=None, max_examples=8)
@given(seed=seeds, correction=st.sampled_from(TURNED), loss=st.sampled_from(SLOPED))
def test_settings_and_rewrites(
    name: str, rewrite: Rewrite, seed: int, correction: RiskCorrection, loss: Callable[[], object]
) -> None:
    risk, logits, evidence, totals = some_rows(name, seed, rewrite, loss(), correction)
    assert_alike(risk, logits, evidence)
    assert_alike(risk, logits, evidence, totals)


@pytest.mark.parametrize("loss", [*(make() for make in SLOPED), Sigmoid("one_versus_rest")], ids=str)
@pytest.mark.parametrize("classes", [1, 2, 5])
def test_slopes_of_losses_are_those_of_finite_differences(loss: Callable, classes: int) -> None:
    rng = np.random.default_rng(3)
    logits = torch.from_numpy(rng.normal(0, 2, 9 if classes == 1 else (9, classes)))
    weights = torch.from_numpy(rng.normal(size=(9, max(2, classes))))
    with torch.no_grad():
        table, slope = sloped(loss, logits)
        found = slope(weights)
    torch.testing.assert_close(table, loss(logits), **EXACT)
    assert found.shape == logits.shape
    for place in np.ndindex(tuple(logits.shape)):
        moved = torch.zeros_like(logits)
        moved[place] = 1e-6
        change = ((loss(logits + moved) - loss(logits - moved)) * weights).sum() / 2e-6
        assert found[place].item() == pytest.approx(change.item(), rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("loss", [make() for make in SLOPED if issubclass(make, MarginLoss)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_far_out_margins_stay_finite_and_flat(loss: Callable, dtype: torch.dtype) -> None:
    logits = torch.tensor([-60.0, -25.0, 25.0, 60.0], dtype=dtype)
    table, slope = sloped(loss, logits)
    leaf = logits.clone().requires_grad_()
    torch.testing.assert_close(table, loss(logits))
    weights = torch.tensor([1.0, 0.5], dtype=dtype).expand(4, 2)
    torch.testing.assert_close(slope(weights), torch.autograd.grad((loss(leaf) * weights).sum(), leaf)[0])


@pytest.mark.parametrize("rewrite", [Inverse(), Forward(), PosteriorRewrite(), Reweight()], ids=str)
def test_logits_out_of_proportion(rewrite: Rewrite) -> None:
    setting = NoisyLabels(pair_noise(4, 0.3))
    risk = setting.risk(np.full(4, 5.0), CrossEntropy(), rewrite, Uncorrected())
    evidence = risk.evidence(torch.arange(8) % 4)
    logits = 300 * torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    mine, theirs = at_once(risk, logits, evidence), through_the_graph(risk, logits, evidence)
    assert np.isfinite(mine[0])
    assert mine[0] == pytest.approx(theirs[0], rel=1e-5)
    torch.testing.assert_close(mine[1], theirs[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rewrite", [Inverse(), Forward()], ids=str)
def test_fewer_digits_are_for_the_network_only(rewrite: Rewrite) -> None:
    risk = PositiveUnlabeled(0.6).risk([3, 7], rewrite=rewrite)
    evidence = risk.evidence((torch.arange(10) > 2).long())
    logits = torch.sin(torch.arange(10.0))
    ways = (at_once(risk, logits, evidence), through_the_graph(risk, logits, evidence))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = (at_once(risk, logits, evidence), through_the_graph(risk, logits, evidence))
    for expected, found in zip(ways, mixed, strict=True):
        assert found[0] == expected[0]
        assert torch.equal(found[1], expected[1])
        assert found[2] == expected[2]


def test_a_likelihood_that_is_learnt_gets_its_gradient() -> None:
    risk = NoisyLabels(pair_noise(3, 0.3)).risk(np.ones(3), rewrite=Forward(), dtype=torch.float64)
    inside = torch.eye(3, dtype=torch.float64)
    slopes = []
    for way in (lambda *given: risk.step(*given, given[1].inside)[0], risk):
        likelihood = torch.full((3, 3), 0.3, dtype=torch.float64).log().requires_grad_()
        value = way(torch.arange(9.0, dtype=torch.float64).view(3, 3) / 5, Evidence(inside, None, likelihood))
        slopes.append(torch.autograd.grad(value, likelihood)[0])
    torch.testing.assert_close(*slopes, **EXACT)
    assert float(slopes[0].abs().sum()) > 0.1


def test_weights_that_move_get_their_gradient() -> None:
    for live in (False, True):
        risk = NoisyLabels(pair_noise(3, 0.3)).risk(np.ones(3), CrossEntropy(), Reweight(live), dtype=torch.float64)
        evidence = risk.evidence(torch.arange(9) % 3)
        assert_alike(risk, torch.sin(torch.arange(27.0, dtype=torch.float64)).view(9, 3), evidence)


def test_shares_of_a_minibatch_add_up_before_anything_is_corrected() -> None:
    risk = PositiveUnlabeled(0.6).risk([40, 60], Sigmoid(), correction=NonNegative(), dtype=torch.float64)
    evidence = risk.evidence((torch.arange(100) % 5 > 1).long())
    logits = torch.linspace(-9, 9, 100, dtype=torch.float64)[torch.randperm(100)]
    shares, halves = shares_of(evidence.inside, evidence.totals()), (slice(0, None, 2), slice(1, None, 2))
    parts = [risk.groups(logits[half], evidence.rows(half), evidence.totals()) for half in halves]
    value, slope, _ = through_the_graph(risk, logits, evidence)
    for half, other in zip(halves, parts[::-1], strict=True):
        leaf = logits[half].clone().requires_grad_()
        found, groups = risk.step(leaf, evidence.rows(half), shares[half], lambda part, rest=other: part + rest)
        found.backward()
        assert found.item() == pytest.approx(value)
        assert groups == pytest.approx(sum(parts).tolist())
        torch.testing.assert_close(leaf.grad, slope[half], **EXACT)


def test_rows_are_picked_by_number_by_mask_and_as_a_stretch() -> None:
    risk = PositiveUnlabeled(0.6).risk([3, 7], rewrite=Forward())
    evidence = risk.evidence((torch.arange(10) > 2).long()).spread()
    chosen = torch.arange(10) % 3 == 1
    for index in (chosen, chosen.nonzero()[:, 0], slice(1, None, 3)):
        found = evidence.rows(index)
        for name in ("inside", "log_likelihood", "beliefs"):
            assert torch.equal(getattr(found, name), getattr(evidence, name)[chosen][: len(found)])
        assert found.factors is None


@pytest.mark.parametrize("correction", [make() for make in CORRECTIONS.values()], ids=list(CORRECTIONS))
def test_a_risk_that_is_no_number_is_told_as_such(correction: RiskCorrection) -> None:
    risk = PositiveUnlabeled(0.6).risk([4, 6], DoubleHinge(), correction=correction)
    evidence = risk.evidence(torch.tensor([0, 1, 1]))
    for bad in (torch.nan, torch.inf, -torch.inf):
        value, _ = risk.step(torch.tensor([0.5, bad, -0.5], requires_grad=True), evidence, evidence.inside)
        assert not np.isfinite(value.item())


def test_a_step_is_differentiated_once_and_says_so() -> None:
    risk = NoisyLabels(as_table(np.eye(3))).risk(np.ones(3))
    evidence = risk.evidence(torch.arange(3))
    leaf = torch.randn(3, 3, requires_grad=True)
    value, _ = risk.step(leaf, evidence, evidence.inside)
    (slope,) = torch.autograd.grad(value, leaf, create_graph=True)
    with pytest.raises(RuntimeError, match="not require grad"):
        torch.autograd.grad(slope.sum(), leaf)
    with pytest.raises(InputError, match="logits must have shape"):
        risk.step(leaf[:2], evidence, evidence.inside)
