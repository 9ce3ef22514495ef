"""Laws over all settings: in expectation what is learnt from weak labels is what clean labels would teach."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.weak import SETTINGS, CrossEntropy, Forward, Inverse, PosteriorRewrite
from tests.components.weak.worlds import BINARY, CASES, INVERTIBLE, LIKELY, Case, World, make

seeds = st.integers(0, 10_000)
exact = settings(deadline=None, max_examples=12)
each_invertible = pytest.mark.parametrize("name", INVERTIBLE)
each_likely = pytest.mark.parametrize("name", LIKELY)
stratified = [
    name
    for name in INVERTIBLE
    if not any(word in name for word in ("confidence", "proportions", "multiple", "partial"))
]
each = pytest.mark.parametrize("name", list(CASES))


def table_of(case: Case, seed: int) -> np.ndarray:
    return np.random.default_rng([seed, 2]).normal(size=case.world.joint.shape)


def test_every_setting_has_a_world() -> None:
    assert {name.split(",")[0] for name in CASES} == set(SETTINGS)


@each_invertible
@exact
@given(seed=seeds)
def test_the_risk_of_each_class_is_the_clean_one(name: str, seed: int) -> None:
    case = make(name, seed)
    losses = table_of(case, seed)
    np.testing.assert_allclose(case.groups(losses, Inverse()), case.world.clean(losses), rtol=0, atol=1e-10)


@each_invertible
@exact
@given(seed=seeds)
def test_probe_losses_give_the_priors_and_affine_losses_an_affine_risk(name: str, seed: int) -> None:
    case = make(name, seed)
    losses, prior = table_of(case, seed), case.world.prior
    np.testing.assert_allclose(case.groups(np.ones_like(losses), Inverse()), prior, atol=1e-10)
    for label in range(len(prior)):
        alone = np.zeros_like(losses)
        alone[:, label] = 1.0
        assert case.groups(alone, Inverse()).sum() == pytest.approx(prior[label], abs=1e-10)
    risk = case.groups(losses, Inverse()).sum()
    assert case.groups(2.5 * losses + 0.75, Inverse()).sum() == pytest.approx(2.5 * risk + 0.75, abs=1e-9)


@each_likely
@exact
@given(seed=seeds)
def test_the_forward_risk_is_least_at_the_clean_posterior(name: str, seed: int) -> None:
    # At the true posterior the likelihood of what is observed is right at every point, so the gradient is nothing.
    case = make(name, seed)
    logits = torch.from_numpy(np.log(case.world.eta)).requires_grad_(True)
    risk = case.risk(Forward())
    evidence = risk.evidence(case.marks, case.weights)
    best = risk(logits[case.at], evidence)
    (slope,) = torch.autograd.grad(best, logits)
    np.testing.assert_allclose(slope.numpy(), 0, atol=1e-12)
    noise = 0.3 * torch.from_numpy(table_of(case, seed))
    assert float(risk((logits + noise).detach()[case.at], evidence)) > float(best.detach()) - 1e-12


@each_likely
@exact
@given(seed=seeds)
def test_the_posterior_rewrite_rests_at_the_clean_posterior(name: str, seed: int) -> None:
    case = make(name, seed)
    logits = torch.from_numpy(np.log(case.world.eta)).requires_grad_(True)
    risk = case.risk(PosteriorRewrite(), CrossEntropy())
    (slope,) = torch.autograd.grad(risk(logits[case.at], risk.evidence(case.marks, case.weights)), logits)
    np.testing.assert_allclose(slope.numpy(), 0, atol=1e-12)


@each_likely
@exact
@given(seed=seeds)
def test_with_cross_entropy_posterior_and_forward_step_alike(name: str, seed: int) -> None:
    # Fisher's identity: the gradient of a likelihood is the expected gradient of the complete one.
    case = make(name, seed)
    logits = torch.from_numpy(table_of(case, seed)).requires_grad_(True)
    slopes = []
    for rewrite in (Forward(), PosteriorRewrite()):
        risk = case.risk(rewrite, CrossEntropy())
        slopes += torch.autograd.grad(risk(logits[case.at], risk.evidence(case.marks, case.weights)), logits)
    np.testing.assert_allclose(slopes[0].numpy(), slopes[1].numpy(), atol=1e-12)


@pytest.mark.parametrize(
    "name", ["partial_labels", "partial_labels, flip", "complementary_labels", "positive_unlabeled", "noisy_labels"]
)
def test_beliefs_iterated_from_nowhere_arrive_at_the_likeliest_posterior(name: str) -> None:
    # PRODEN on free tables: each point's new posterior is the mean of its rows' remembered beliefs.
    case = make(name, 7 if "positive" in name else 3)
    risk = case.risk(PosteriorRewrite(remembered=True), CrossEntropy())
    evidence = risk.evidence(case.marks, case.weights)
    rho = (evidence.inside * risk.coefficients[0] / evidence.totals()).sum(dim=1)
    evidence, points = evidence.spread(), case.world.points
    tilt = torch.zeros(risk.setting.class_count, dtype=torch.float64) if risk.tilt is None else risk.tilt
    for _ in range(5_000):
        mean = torch.zeros(points, len(tilt), dtype=torch.float64)
        assert evidence.beliefs is not None
        mean.index_add_(0, case.at, rho[:, None] * evidence.beliefs)
        logits = mean.log() - tilt
        new = evidence.remembering(risk.beliefs(logits[case.at], evidence))
        assert new.beliefs is not None
        moved, evidence = float((new.beliefs - evidence.beliefs).abs().max()), new
        if moved < 1e-13:
            break
    np.testing.assert_allclose(torch.softmax(logits, dim=1).numpy(), case.world.eta, atol=1e-5)
    logits.requires_grad_(True)
    (slope,) = torch.autograd.grad(risk(logits[case.at], evidence), logits)
    np.testing.assert_allclose(slope.numpy(), 0, atol=1e-9)


@each
@exact
@given(seed=seeds)
def test_a_row_of_weight_three_is_three_rows(name: str, seed: int) -> None:
    case = make(name, seed)
    rng = np.random.default_rng(seed)
    many = rng.integers(1, 4, len(case.observed))
    if "one sample" in name:
        many[: case.world.points] = 1  # or more rows are labelled than are positive
    index = np.repeat(np.arange(len(many)), many)
    weighted = replace(case, observed=replace(case.observed, weights=case.observed.weights * many))
    plain = replace(case, observed=case.observed.rows(index))
    rewrite = Inverse() if name in INVERTIBLE else PosteriorRewrite()
    losses = table_of(case, seed)
    np.testing.assert_allclose(weighted.groups(losses, rewrite), plain.groups(losses, rewrite), atol=1e-10)


@pytest.mark.parametrize("name", stratified)
@exact
@given(seed=seeds)
def test_rows_in_another_number_do_not_change_the_risk_where_a_minibatch_has_them_all(name: str, seed: int) -> None:
    # Sources are averaged apart, with the shares of all rows and not of the minibatch.
    case = make(name, seed)
    losses, counts = table_of(case, seed), case.setting.counts(case.observed.marks, case.observed.weights)
    risk = case.setting.risk(counts, lambda table: table, Inverse(), None, torch.float64)
    more = case.weights * torch.from_numpy(np.random.default_rng(seed).uniform(1, 9, len(counts)))[case.marks]
    found = risk.groups(torch.from_numpy(losses)[case.at], risk.evidence(case.marks, more))
    np.testing.assert_allclose(found.numpy(), case.world.clean(losses), atol=1e-10)


@each_invertible
@exact
@given(seed=seeds)
def test_the_weak_validation_error_is_the_clean_one(name: str, seed: int) -> None:
    case = make(name, seed)
    logits = torch.from_numpy(table_of(case, seed))
    validation = case.risk().validation()
    found = float(validation(logits[case.at], validation.evidence(case.marks, case.weights)))
    wrong = case.world.joint.sum() - case.world.joint[np.arange(case.world.points), logits.argmax(dim=1).numpy()].sum()
    assert found == pytest.approx(wrong, abs=1e-10)


@each
@exact
@given(seed=seeds, cut=st.integers(1, 5))
def test_micro_batches_add_up_to_the_batch(name: str, seed: int, cut: int) -> None:
    case = make(name, seed)
    risk = case.risk()
    evidence, logits = risk.evidence(case.marks, case.weights), torch.from_numpy(table_of(case, seed))[case.at]
    parts = torch.tensor_split(torch.randperm(len(logits), generator=torch.Generator().manual_seed(seed)), cut)
    pieces = [risk.groups(logits[part], evidence.rows(part), evidence.totals()) for part in parts]
    torch.testing.assert_close(torch.stack(pieces).sum(0), risk.groups(logits, evidence), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", list(BINARY))
@exact
@given(seed=seeds)
def test_two_logits_and_their_difference_are_one_risk(name: str, seed: int) -> None:
    case = make(name, seed)
    wide = torch.from_numpy(table_of(case, seed))[case.at]
    risk = case.risk()
    evidence = risk.evidence(case.marks, case.weights)
    torch.testing.assert_close(risk.groups(wide[:, 0] - wide[:, 1], evidence), risk.groups(wide, evidence))


@pytest.mark.parametrize(
    "name",
    ["unlabeled_sets", "noisy_labels", "complementary_labels, biased", "multiple_complementary", "partial_labels"],
)
@exact
@given(seed=seeds)
def test_classes_in_another_order_are_the_same_problem(name: str, seed: int) -> None:
    case = make(name, seed)
    rng, classes = np.random.default_rng([seed, 3]), len(case.world.prior)
    order = rng.permutation(classes)
    other = replace(case, world=World(case.world.joint[:, order]), setting=reordered(case.setting, order))
    if case.observed.marks.ndim == 2:
        other = replace(other, observed=replace(case.observed, marks=case.observed.marks[:, order]))
    elif name.startswith("complementary"):
        other = replace(other, observed=replace(case.observed, marks=np.argsort(order)[case.observed.marks]))
    logits = torch.from_numpy(table_of(case, seed))
    for rewrite in (Inverse(), Forward(), PosteriorRewrite()):
        found = [c.risk(rewrite, CrossEntropy()) for c in (case, other)]
        one, two = (r.evidence(c.marks, c.weights) for r, c in zip(found, (case, other), strict=True))
        value = found[0].groups(logits[case.at], one)
        permuted = found[1].groups(logits[case.at][:, order.tolist()], two)
        torch.testing.assert_close(permuted, value[order.tolist()] if len(value) > 1 else value, rtol=0, atol=1e-10)


def reordered(setting: object, order: np.ndarray) -> object:
    from components.weak import ComplementaryLabels, NoisyLabels, UnlabeledSets
    from components.weak.transitions import as_table

    if isinstance(setting, UnlabeledSets):
        table = np.array(setting.mixture)[:, order]
        return UnlabeledSets(as_table(table), tuple(np.array(setting.prior)[order]))
    if isinstance(setting, NoisyLabels):
        return NoisyLabels(as_table(np.array(setting.transition)[order]))
    if isinstance(setting, ComplementaryLabels):
        return ComplementaryLabels(setting.classes, as_table(setting.table[order][:, order]))
    return setting
