"""Workers that learn as one give what one gives: the workers are threads here, and their sum is a meeting of all."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.bayes import Ivon
from components.contracts import WeakData
from components.heads import Head, Linear, Mlp
from components.mixed_precision import mixed_logits
from components.objective import Labelling, Minibatch, WeakObjective
from components.weak import Absolute, NonNegative, RiskCorrection, Uncorrected

Result = TypeVar("Result")

# Sums are taken in another order, nothing else differs: a few hundred additions of numbers of order one.
EXACT = {"rtol": 1e-10, "atol": 1e-13}
CORRECTIONS = (Uncorrected(), NonNegative(), NonNegative(beta=0.01, gamma=0.5), NonNegative(gamma=0.0), Absolute())
each_correction = pytest.mark.parametrize("correction", CORRECTIONS, ids=repr)


class Meeting:
    """Where threads bring their parts; whoever waits in vain fails instead of hanging."""

    def __init__(self, world: int) -> None:
        self.barrier = threading.Barrier(world, timeout=30)
        self.parts: dict[int, torch.Tensor] = {}


class Thread:
    """One of ``world`` threads that learn together."""

    device = "cpu"

    def __init__(self, rank: int, world: int, meeting: Meeting) -> None:
        self.rank, self.world, self.meeting = rank, world, meeting

    def sum(self, part: torch.Tensor) -> torch.Tensor:
        self.meeting.parts[self.rank] = part.detach().clone()
        self.meeting.barrier.wait()
        total = torch.stack([self.meeting.parts[rank] for rank in range(self.world)]).sum(0)
        self.meeting.barrier.wait()
        return total


def together(world: int, work: Callable[[Thread], Result]) -> list[Result]:
    """What ``work`` gives on each of the workers."""
    meeting = Meeting(world)

    def guarded(rank: int) -> Result:
        try:
            return work(Thread(rank, world, meeting))
        except BaseException:
            meeting.barrier.abort()
            raise

    with ThreadPoolExecutor(world) as pool:
        return list(pool.map(guarded, range(world)))


def draw(rows: int, seed: int) -> WeakData:
    """Rows with labels, some of them, and uneven weights."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, 3))
    labelled = random.uniform(size=rows) < 1 / (1 + np.exp(-features[:, 0]))
    labelled[0], labelled[-1] = True, False
    sources = np.column_stack([labelled, np.ones(rows, dtype=bool)])
    weights = random.uniform(0.2, 2, size=(rows, 2)) * sources
    weights *= sources.sum(0) / weights.sum(0)
    return WeakData(features, sources, weights, np.array([[1, 0], [0.4, 0.6]]), np.array([0.4, 0.6]))


def objective(data: WeakData, head: Head, correction: RiskCorrection, target_prior: float = 0.4) -> WeakObjective:
    return WeakObjective(head, Labelling.positive_unlabeled(0.4, target_prior), correction, data, 0.8)


def slope(function: Callable[[torch.Tensor], torch.Tensor], theta: torch.Tensor) -> torch.Tensor:
    point = theta.clone().requires_grad_()
    return torch.autograd.grad(function(point), point)[0]


def everything(whole: WeakObjective, theta: torch.Tensor, rows: int, seed: int) -> dict[str, torch.Tensor]:
    """All that a learning rule or a tuning reads off an objective."""
    risks, slopes = [], []
    for minibatch in whole.minibatches(rows, seed):
        risks.append(whole.risk(theta, minibatch))
        slopes.append(slope(lambda point, chosen=minibatch: whole.risk(point, chosen), theta))
    return {
        "risks": torch.stack(risks),
        "slopes": torch.stack(slopes),
        "value": whole.value(theta),
        "slope": slope(whole.value, theta),
        "gauss_newton": whole.gauss_newton(theta),
        "information_share": whole.information_share(theta),
        "rows": torch.tensor(whole.rows),
    }


@settings(max_examples=60)
@given(
    rows=st.integers(2, 60),
    world=st.integers(2, 4),
    minibatch=st.integers(1, 40),
    correction=st.sampled_from(CORRECTIONS),
    head=st.sampled_from([Linear(), Mlp(hidden=2)]),
    # Steep parameters make the risk of a class negative, where corrections differ from each other.
    steepness=st.sampled_from([0.1, 1.0, 5.0]),
    target_prior=st.sampled_from([0.2, 0.4, 0.7]),
    seed=st.integers(0, 10_000),
)
def test_workers_see_the_numbers_of_the_whole(
    rows: int,
    world: int,
    minibatch: int,
    correction: RiskCorrection,
    head: Head,
    steepness: float,
    target_prior: float,
    seed: int,
) -> None:
    single = objective(draw(rows, seed), head, correction, target_prior)
    size = sum(int(np.prod(shape)) for _, shape in head.layout(3))
    theta = steepness * torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    expected = everything(single, theta, minibatch, seed)
    # A variance of few rows is a small difference of large numbers, so the share of it keeps fewer digits.
    loose = {"information_share": {"rtol": 1e-6, "atol": 1e-9}}
    for seen in together(world, lambda each: everything(replace(single, together=each), theta, minibatch, seed)):
        for name, value in expected.items():
            torch.testing.assert_close(seen[name], value, **loose.get(name, EXACT), msg=lambda text, at=name: at + text)


@pytest.mark.parametrize("world", [2, 3, 4])
def test_the_shares_of_a_minibatch_are_its_rows_and_even(world: int) -> None:
    single = objective(draw(203, 1), Linear(), Uncorrected())
    whole = list(single.minibatches(50, seed=7))
    parts = together(world, lambda each: list(replace(single, together=each).minibatches(50, seed=7)))
    for index, minibatch in enumerate(whole):
        shares = [part[index] for part in parts]
        rows = torch.cat([share.features for share in shares])
        torch.testing.assert_close(rows.sort(0).values, minibatch.features.sort(0).values, rtol=0, atol=0)
        for counts in ([len(share.features) for share in shares], [int(share.sources[:, 0].sum()) for share in shares]):
            assert max(counts) - min(counts) <= 1
        for share in shares:
            torch.testing.assert_close(share.totals, minibatch.weights.sum(0))


def test_the_correction_is_of_the_whole_risk_and_not_of_a_share() -> None:
    """The negatives' risk is 2.4: -0.8 from the even rows, which are the first worker's, 3.2 from the odd ones."""
    features = torch.tensor([[8.0], [-8.0]] + 4 * [[-8.0], [8.0]], dtype=torch.float64)
    sources = torch.tensor(2 * [[True, True]] + 8 * [[False, True]])
    chunk = Minibatch(features, sources, sources.double())
    theta = torch.tensor([1.0, 0.0], dtype=torch.float64)
    for correction in (NonNegative(), Absolute()):
        single = WeakObjective(Linear(), Labelling.positive_unlabeled(0.4, 0.4), correction, chunk)

        def share(each: Thread, whole: WeakObjective = single) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            mine = replace(whole, together=each)
            groups = mine._groups(theta, chunk.share(each))
            assert mine._coefficients is not None
            alone = each.sum(mine.correction.objective(groups, mine._coefficients))
            return alone, mine.risk(theta, chunk.share(each)), slope(mine.value, theta)

        for corrected_apart, risk, pull in together(2, share):
            torch.testing.assert_close(risk, single.risk(theta, chunk), **EXACT)
            torch.testing.assert_close(pull, slope(single.value, theta), **EXACT)
            assert corrected_apart - risk > 0.7  # or the example would not tell the two apart


def test_second_derivatives_are_those_of_the_whole() -> None:
    single, theta = objective(draw(40, 3), Mlp(hidden=2), Absolute()), torch.linspace(-1, 1, 14, dtype=torch.float64)
    expected = torch.autograd.functional.hessian(single.value, theta)
    for seen in together(
        3, lambda each: torch.autograd.functional.hessian(replace(single, together=each).value, theta)
    ):
        torch.testing.assert_close(seen, expected, **EXACT)


@each_correction
@pytest.mark.parametrize("world", [2, 3, 4])
def test_a_whole_fit_gives_the_same_posterior(world: int, correction: RiskCorrection) -> None:
    # Few rows in a minibatch: the risk of a class is negative in some of them, and the corrections are at work.
    single = objective(draw(120, 5), Mlp(hidden=3), correction)
    rule = Ivon(learning_rate=0.3, epochs=12, minibatch_rows=12)
    layout, start = single.head.layout(3), single.head.start(3, 0)
    expected = rule.fit(single, rule.initial(layout), start, "data")
    plain = rule.fit(replace(single, correction=Uncorrected()), rule.initial(layout), start, "data")
    assert (plain.digest == expected.digest) == (correction == Uncorrected())
    fitted = together(world, lambda each: rule.fit(replace(single, together=each), rule.initial(layout), start, "data"))
    # Every worker ends with the same bits, so they can go on together from there.
    assert len({posterior.digest for posterior in fitted}) == 1
    np.testing.assert_allclose(fitted[0].precision, expected.precision, rtol=1e-10)
    np.testing.assert_allclose(fitted[0].mean, expected.mean, rtol=1e-10, atol=1e-12)
    assert (fitted[0].rows, fitted[0].lineage) == (expected.rows, expected.lineage)


@pytest.mark.parametrize("head", [Linear(), Mlp(hidden=4)], ids=["linear", "mlp"])
def test_mixed_precision_is_finite_and_close(head: Head) -> None:
    exact = objective(draw(400, 2), head, NonNegative())
    mixed, theta = replace(exact, mixed=True), torch.from_numpy(head.start(3, 1)) + 0.3
    logits = mixed_logits(head, theta, torch.from_numpy(np.array(draw(400, 2).features)))
    assert logits.dtype == torch.float64
    for function in (WeakObjective.value, WeakObjective.gauss_newton):
        torch.testing.assert_close(function(mixed, theta), function(exact, theta), rtol=2e-2, atol=2e-3)
    pull, expected = slope(mixed.value, theta), slope(exact.value, theta)
    assert pull.dtype == torch.float64
    assert float((pull - expected).norm() / expected.norm()) < 2e-2
    assert not torch.equal(pull, expected)
    torch.testing.assert_close(mixed.curvature(theta), exact.curvature(theta), rtol=0, atol=0)


def test_a_fit_in_mixed_precision_ends_near_the_exact_one_on_any_number_of_workers() -> None:
    exact = objective(draw(600, 4), Linear(), NonNegative())
    rule, mixed = Ivon(epochs=20, minibatch_rows=100), replace(exact, mixed=True)
    prior, start = rule.initial(exact.head.layout(3)), exact.head.start(3, 0)
    expected = rule.fit(exact, prior, start, "data")
    for each in (
        rule.fit(mixed, prior, start, "data"),
        *together(2, lambda worker: rule.fit(replace(mixed, together=worker), prior, start, "data")),
    ):
        # Far less than the posterior itself is unsure of.
        assert np.abs((each.mean - expected.mean) / expected.deviation).max() < 0.1
        np.testing.assert_allclose(each.precision, expected.precision, rtol=2e-2)
