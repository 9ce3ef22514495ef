"""Rewrites have the clean posterior as their best classifier, and hold their ground in odd minibatches."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import InputError
from components.weak import (
    REWRITES,
    ComplementaryLabels,
    CrossEntropy,
    Evidence,
    Forward,
    Inverse,
    NoisyLabels,
    PartialLabels,
    PositiveUnlabeled,
    PosteriorRewrite,
    Reweight,
    Rewrite,
    Surrogate,
    UnlabeledSets,
)
from components.weak.transitions import as_table, pair_noise, symmetric_noise, uniform_complementary
from tests.components.weak.worlds import Case, make

seeds = st.integers(0, 10_000)


def learnt(case: Case, rewrite: Rewrite) -> np.ndarray:
    """[m, K] probabilities where free logits are best, under exact weights."""
    risk = case.risk(rewrite, CrossEntropy())
    evidence = risk.evidence(case.marks, case.weights)
    logits = torch.zeros(case.world.joint.shape, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [logits], max_iter=2000, tolerance_grad=1e-12, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = risk(logits[case.at], evidence)
        value.backward()
        return value

    optimiser.step(closure)
    return torch.softmax(logits.detach(), dim=1).numpy()


@pytest.mark.parametrize(
    ("name", "rewrite"),
    [
        ("positive_negative", Inverse()),
        ("noisy_labels", Inverse()),
        ("noisy_labels", Forward()),
        ("complementary_labels", Inverse()),
        ("complementary_labels", Forward()),
        ("complementary_labels", Surrogate("logarithm")),
        ("complementary_labels, biased", Forward()),
        ("multiple_complementary", Inverse()),
        ("partial_labels", Forward()),
        ("partial_labels", Inverse()),
        ("partial_labels, flip", Forward()),
        ("unlabeled_sets", Forward()),
        ("positive_unlabeled", Forward()),
        ("pairwise_comparison", Inverse()),
        ("confidence_difference", Inverse()),
    ],
    ids=lambda value: getattr(value, "kind", value),
)
def test_free_logits_end_at_the_clean_posterior(name: str, rewrite: Rewrite) -> None:
    case = make(name, 11)
    np.testing.assert_allclose(learnt(case, rewrite), case.world.eta, atol=1e-5)


def test_the_exponential_surrogate_names_the_right_class_but_not_its_probability() -> None:
    case = make("complementary_labels", 11)
    found = learnt(case, Surrogate("exponential"))
    best = np.sort(case.world.eta, axis=1)
    clear = best[:, -1] - best[:, -2] > 1e-9
    np.testing.assert_array_equal(found.argmax(axis=1)[clear], case.world.eta.argmax(axis=1)[clear])
    assert np.abs(found - case.world.eta).max() > 0.05


@settings(deadline=None, max_examples=15)
@given(seed=seeds)
def test_surrogates_are_functions_of_what_is_not_ruled_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits, sets = torch.from_numpy(rng.normal(size=(6, 4))), torch.from_numpy(rng.random((6, 4)) < 0.6)
    sets[:, 0] = True
    left = (torch.softmax(logits, dim=1) * sets).sum(1)
    wanted = {"logarithm": -left.log(), "exponential": (1 - left).exp(), "linear": 1 - left}
    for shape, values in wanted.items():
        risk = PartialLabels(4).risk([6], rewrite=Surrogate(shape), dtype=torch.float64)  # type: ignore[arg-type]
        torch.testing.assert_close(risk(logits, risk.evidence(sets)), values.mean())


def test_forward_is_the_likelihood_of_the_noisy_label() -> None:
    table = np.array(pair_noise(4, 0.3))
    labels, logits = torch.arange(8) % 4, torch.randn(8, 4, generator=torch.Generator().manual_seed(3)).double()
    risk = NoisyLabels(as_table(table)).risk([2, 2, 2, 2], dtype=torch.float64)
    noisy = torch.softmax(logits, dim=1) @ torch.from_numpy(table)
    torch.testing.assert_close(risk(logits, risk.evidence(labels)), torch.nn.functional.nll_loss(noisy.log(), labels))


def test_forward_of_sets_is_the_likelihood_of_the_set() -> None:
    # Surrogate set classification: p(s | x) = rho_s sum_y theta_sy g_y / pi_y over its sum.
    table, prior, counts = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]]), np.array([0.3, 0.7]), np.array([10, 30, 60])
    marks, logits = torch.tensor([0, 1, 2, 2]), torch.randn(4, 2, generator=torch.Generator().manual_seed(4)).double()
    odds = torch.softmax(logits, dim=1) @ torch.from_numpy((counts[:, None] / 100 * table / prior).T)
    each = -(odds / odds.sum(1, keepdim=True)).gather(1, marks[:, None])[:, 0].log()
    risk = UnlabeledSets(as_table(table), tuple(prior)).risk(counts, rewrite=Forward(), dtype=torch.float64)
    wanted = 0.1 * each[0] + 0.3 * each[1] + 0.6 * each[2:].mean()
    torch.testing.assert_close(risk(logits, risk.evidence(marks)), wanted)


def test_reweighting_is_the_ratio_of_the_clean_to_the_noisy_probability() -> None:
    table = np.array(symmetric_noise(3, 0.4))
    labels = torch.tensor([0, 1, 2, 2, 1, 0])
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(5)).double().requires_grad_(True)
    g = torch.softmax(logits, dim=1)
    beta = (g / (g @ torch.from_numpy(table))).gather(1, labels[:, None])[:, 0]
    plain = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    for live, weight in ((False, beta.detach()), (True, beta)):
        risk = NoisyLabels(as_table(table)).risk([2, 2, 2], rewrite=Reweight(live), dtype=torch.float64)
        value, wanted = risk(logits, risk.evidence(labels)), (weight * plain).mean()
        torch.testing.assert_close(value, wanted)
        slopes = [torch.autograd.grad(each, logits, retain_graph=True)[0] for each in (value, wanted)]
        torch.testing.assert_close(slopes[0], slopes[1])


def test_a_learnt_transition_gets_its_gradient_through_the_evidence() -> None:
    logits, labels = torch.randn(5, 3, generator=torch.Generator().manual_seed(6)).double(), torch.arange(5) % 3
    free = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    transition = torch.softmax(free + 2 * torch.eye(3), dim=1)
    one_hot = torch.nn.functional.one_hot(labels, 3).double()
    evidence = Evidence(one_hot, log_likelihood=transition.log()[:, labels].T)
    risk = NoisyLabels(symmetric_noise(3, 0.2)).risk([2, 2, 1], rewrite=Forward(), dtype=torch.float64)
    wanted = torch.nn.functional.nll_loss((torch.softmax(logits, 1) @ transition).log(), labels)
    value = risk(logits, evidence)
    torch.testing.assert_close(value, wanted)
    slopes = [torch.autograd.grad(each, free, retain_graph=True)[0] for each in (value, wanted)]
    torch.testing.assert_close(slopes[0], slopes[1])


def test_a_set_of_all_classes_says_nothing() -> None:
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(7)).requires_grad_(True)
    risk = PartialLabels(4).risk([3], rewrite=Forward())
    value = risk(logits, risk.evidence(torch.ones(3, 4, dtype=torch.bool)))
    assert float(value.detach()) == 0
    assert torch.autograd.grad(value, logits)[0].abs().max() == 0


def test_remembered_beliefs_count_until_they_are_renewed() -> None:
    sets = torch.tensor([[True, True, False], [True, False, True]])
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, -1.0]], dtype=torch.float64)
    risk = PartialLabels(3).risk([2], rewrite=PosteriorRewrite(remembered=True), dtype=torch.float64)
    start = risk.evidence(sets).spread()
    plain = CrossEntropy()(logits)
    torch.testing.assert_close(risk(logits, start), (plain * sets).sum(1).mean() / 2)
    fresh = PartialLabels(3).risk([2], rewrite=PosteriorRewrite(), dtype=torch.float64)
    renewed = start.remembering(risk.beliefs(logits, start))
    torch.testing.assert_close(risk(logits, renewed), fresh(logits, start))
    g = torch.softmax(logits, dim=1) * sets
    torch.testing.assert_close(renewed.beliefs, g / g.sum(1, keepdim=True))
    torch.testing.assert_close(risk(logits[1:], start.rows(slice(1, 2))), (plain * sets)[1].sum() / 2)


@pytest.mark.parametrize("name", ["positive_unlabeled", "unlabeled_sets", "noisy_labels", "semi_supervised"])
def test_a_source_missing_from_a_minibatch_adds_nothing(name: str) -> None:
    case = make(name, 3)
    logits = torch.randn(case.world.joint.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for rewrite in (Inverse(), Forward(), PosteriorRewrite()):
        risk = case.risk(rewrite, CrossEntropy())
        evidence = risk.evidence(case.marks, case.weights)
        kept = torch.nonzero(case.marks != 0)[:, 0]
        part = logits[case.at][kept].requires_grad_(True)
        value = risk(part, evidence.rows(kept))
        assert torch.isfinite(torch.autograd.grad(value, part)[0]).all()
        only = torch.nonzero(case.marks == 0)[:, 0]
        rest = risk.groups(logits[case.at][only], evidence.rows(only))
        whole = risk.groups(logits[case.at], evidence)
        torch.testing.assert_close(risk.groups(part, evidence.rows(kept)) + rest, whole)
        nothing = risk.groups(logits[:0], evidence.rows(slice(0, 0)))
        assert nothing.abs().max() == 0


def test_one_row_a_source_is_enough() -> None:
    risk = PositiveUnlabeled(0.4).risk([1, 1], CrossEntropy(), dtype=torch.float64)
    z = torch.tensor([1.0, -2.0], dtype=torch.float64)
    plus, minus = torch.nn.functional.softplus(-z), torch.nn.functional.softplus(z)
    groups = risk.groups(z, risk.evidence(torch.tensor([0, 1])))
    torch.testing.assert_close(groups, torch.stack([0.4 * plus[0], minus[1] - 0.4 * minus[0]]))


def test_a_singular_transition_works_forwards_only() -> None:
    blind = NoisyLabels(((0.5, 0.5), (0.5, 0.5)))
    with pytest.raises(
        InputError, match=r"transition must have rank 2 to be inverted.*forward rewrite needs no inverse"
    ):
        blind.risk([3, 3], rewrite=Inverse())
    value = blind.risk([3, 3], rewrite=Forward())
    assert float(value(torch.zeros(2, 2), value.evidence(torch.tensor([0, 1])))) == pytest.approx(np.log(2))
    coarse = NoisyLabels(((1.0, 0.0), (1.0, 0.0), (0.0, 1.0)))  # two labels for three classes
    with pytest.raises(InputError, match="transition must have rank 3"):
        coarse.risk([3, 3], rewrite=Inverse())
    value = coarse.risk([3, 3], rewrite=Forward())
    assert float(value(torch.zeros(2, 3), value.evidence(torch.tensor([0, 1])))) == pytest.approx(np.log(4.5) / 2)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("rewrite", [make() for make in REWRITES.values()], ids=list(REWRITES))
def test_logits_that_are_no_numbers_are_refused(rewrite: Rewrite, bad: float) -> None:
    risk = NoisyLabels(symmetric_noise(3, 0.3)).risk([1, 1, 1], rewrite=rewrite)
    logits = torch.zeros(3, 3)
    logits[1, 2] = bad
    with pytest.raises(InputError, match="logits must be finite"):
        risk(logits, risk.evidence(torch.arange(3)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ComplementaryLabels(3).risk([1, 1, 1], rewrite=Reweight()).channel, None),
        (lambda: PartialLabels(3).risk([1], rewrite=Reweight()), "rewrite must not be reweight"),
        (lambda: PositiveUnlabeled(0.4).risk([1, 1], rewrite=Reweight()), "rewrite must not be reweight"),
        (lambda: NoisyLabels(((0.5, 0.3, 0.2), (0.1, 0.2, 0.7))).risk([1, 1, 1], rewrite=Reweight()), "reweight"),
        (lambda: Surrogate("square"), "shape must be one of"),  # type: ignore[arg-type]
    ],
)
def test_a_rewrite_that_does_not_fit_is_refused(call: object, message: str | None) -> None:
    if message is None:
        call()  # type: ignore[operator]
        return
    with pytest.raises(InputError, match=message):
        call()  # type: ignore[operator]


@pytest.mark.parametrize("shape", [(2, 3), (3, 2), (3,), (3, 3, 1)])
def test_logits_of_other_rows_or_classes_are_refused(shape: tuple[int, ...]) -> None:
    risk = NoisyLabels(symmetric_noise(3, 0.3)).risk([1, 1, 1])
    with pytest.raises(InputError, match=r"logits must have shape \(3, 3\)"):
        risk(torch.zeros(shape), risk.evidence(torch.arange(3)))
    pu = PositiveUnlabeled(0.3).risk([1, 1])
    with pytest.raises(InputError, match=r"logits must have shape \(2, 2\) or \(2,\)"):
        pu(torch.zeros(3), pu.evidence(torch.arange(2)))


def test_the_evidence_of_an_inverse_holds_no_beliefs() -> None:
    risk = PositiveUnlabeled(0.3).risk([1, 1])
    with pytest.raises(InputError, match="evidence must hold the likelihood"):
        risk.beliefs(torch.zeros(2), risk.evidence(torch.arange(2)))


def test_transitions_are_what_their_names_say() -> None:
    np.testing.assert_allclose(symmetric_noise(3, 0.4), [[0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [0.2, 0.2, 0.6]])
    np.testing.assert_allclose(pair_noise(3, 0.4), [[0.6, 0.4, 0], [0, 0.6, 0.4], [0.4, 0, 0.6]])
    np.testing.assert_allclose(uniform_complementary(3), [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    for call in (symmetric_noise, pair_noise):
        with pytest.raises(InputError, match="rate must lie in"):
            call(3, 1.2)
        with pytest.raises(InputError, match="classes must be at least 2"):
            call(1, 0.2)


def test_the_validation_error_may_be_negative_whatever_the_correction() -> None:
    check = PositiveUnlabeled(0.4).risk([1, 1]).validation()
    value = check(torch.tensor([1.0, -1.0]), check.evidence(torch.tensor([0, 1])))
    assert float(value) == pytest.approx(-0.4)  # no error on the positive, and fewer positives than there must be
