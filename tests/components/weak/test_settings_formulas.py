"""The published estimators, written out once more, and the settings that are special cases of others."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import softplus

from components.weak import (
    ComplementaryLabels,
    CrossEntropy,
    DoubleHinge,
    Forward,
    Inverse,
    Logistic,
    Losses,
    MultipleComplementary,
    NoisyLabels,
    PartialLabels,
    PositiveNegative,
    PositiveUnlabeled,
    PosteriorRewrite,
    Reweight,
    SemiSupervised,
    Setting,
    SeveralPositives,
    Sigmoid,
    SimilarUnlabeled,
    Squared,
    Surrogate,
    Uncorrected,
    UnlabeledSets,
    UnlabeledUnlabeled,
    group_risks,
    positive_unlabeled,
)
from components.weak import PositiveNegativeUnlabeled as Pnu
from components.weak import decontamination as undo
from components.weak.transitions import as_table
from tests.components.weak.worlds import BINARY, World, make, stochastic

seeds = st.integers(0, 10_000)
exact = settings(deadline=None, max_examples=15)
Values = tuple[torch.Tensor, torch.Tensor]


def mean(case_rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return (case_rows * weights).sum() / weights.sum()


def published(name: str, z: torch.Tensor, source: torch.Tensor, w: torch.Tensor, pi: float, lo: Losses) -> torch.Tensor:
    """The risk of logits ``z`` as the paper of the setting writes it, with plus and minus losses."""
    plus, minus = lo(z).unbind(dim=-1)

    def at(number: int, values: torch.Tensor) -> torch.Tensor:
        return mean(values[source == number], w[source == number])

    co, gap = 1 - pi, 2 * pi - 1
    alike, unlike = pi**2 + co**2, 2 * pi * co
    tilde = (plus - minus) / gap
    plain, turned = (pi * plus - co * minus) / gap, (-co * plus + pi * minus) / gap
    rules: dict[str, Callable[[], torch.Tensor]] = {
        "positive_negative": lambda: pi * at(0, plus) + co * at(1, minus),
        "positive_unlabeled": lambda: pi * at(0, plus) + at(1, minus) - pi * at(0, minus),
        "negative_unlabeled": lambda: co * at(0, minus) + at(1, plus) - co * at(0, plus),
        "similar_unlabeled": lambda: alike * at(0, tilde) + at(1, turned),
        "dissimilar_unlabeled": lambda: -unlike * at(0, tilde) + at(1, plain),
        "similar_dissimilar": lambda: alike * at(0, plain) + unlike * at(1, turned),
        "pairwise_comparison": lambda: at(0, plus - pi * minus) + at(1, minus - co * plus),
    }
    return rules[name]()


@pytest.mark.parametrize(
    "name",
    [
        "positive_negative",
        "positive_unlabeled",
        "negative_unlabeled",
        "similar_unlabeled",
        "dissimilar_unlabeled",
        "similar_dissimilar",
        "pairwise_comparison",
    ],
)
@pytest.mark.parametrize("loss", [Sigmoid(), Logistic(), Squared(), DoubleHinge()], ids=lambda loss: loss.kind)
@exact
@given(seed=seeds)
def test_value_and_step_are_those_of_the_paper(name: str, loss: Losses, seed: int) -> None:
    case = make(name, seed)
    theta = torch.from_numpy(np.random.default_rng(seed).normal(size=case.world.points)).requires_grad_(True)
    risk = case.risk(Inverse(), loss)
    ours = risk(theta[case.at], risk.evidence(case.marks, case.weights))
    theirs = published(name, theta[case.at], case.marks, case.weights, float(case.world.prior[0]), loss)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    slopes = [torch.autograd.grad(value, theta)[0] for value in (ours, theirs)]
    torch.testing.assert_close(slopes[0], slopes[1], rtol=0, atol=1e-10)


@exact
@given(seed=seeds)
def test_confidences_are_weighed_as_the_papers_say(seed: int) -> None:
    for name in ("positive_confidence", "similarity_confidence", "confidence_difference"):
        case = make(name, seed)
        pi, w, c = float(case.world.prior[0]), case.weights, case.marks
        z = torch.from_numpy(np.random.default_rng(seed).normal(size=case.world.points))[case.at]
        plus, minus = softplus(-z), softplus(z)
        risk = case.risk(Inverse(), Logistic())
        found = risk(z, risk.evidence(case.marks, w))
        half = len(z) // 2
        (p1, p2), (m1, m2), v, c1 = plus.split(half)[:2], minus.split(half)[:2], w[:half], c[:half]
        if name == "positive_confidence":
            wanted = pi * mean(-z + (1 + z.exp()).log() / c, w)
        elif name == "similarity_confidence":
            wanted = mean((c1 - 1 + pi) * (p1 + p2) + (pi - c1) * (m1 + m2), v) / (2 * (2 * pi - 1))
        else:
            terms = (pi - c1) * p1 + (1 - pi + c1) * m1 + (pi + c1) * p2 + (1 - pi - c1) * m2
            wanted = mean(terms, v) / 2
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-10)


@pytest.mark.parametrize("loss", [Logistic(), Squared(), DoubleHinge()], ids=lambda loss: loss.kind)
def test_losses_with_a_linear_odd_part_keep_positives_and_unlabeled_convex(loss: Losses) -> None:
    case = make("positive_unlabeled", 5)
    pi, z = float(case.world.prior[0]), torch.linspace(-3, 3, case.world.points, dtype=torch.float64)[case.at]
    known, rest = case.marks == 0, case.marks == 1
    risk = case.risk(Inverse(), loss)
    convex = pi * mean(-z[known], case.weights[known]) + mean(loss(z)[rest, 1], case.weights[rest])
    torch.testing.assert_close(risk(z, risk.evidence(case.marks, case.weights)), convex)


def test_the_symmetric_loss_needs_one_term_of_the_positives() -> None:
    case = make("positive_unlabeled", 6)
    pi, z = float(case.world.prior[0]), torch.linspace(-3, 3, case.world.points, dtype=torch.float64)[case.at]
    known, rest = case.marks == 0, case.marks == 1
    table, w = Sigmoid()(z), case.weights
    risk = case.risk(Inverse(), Sigmoid())
    short = 2 * pi * mean(table[known, 0], w[known]) + mean(table[rest, 1], w[rest]) - pi
    torch.testing.assert_close(risk(z, risk.evidence(case.marks, w)), short)


def both(one: Setting, other: Setting, marks: torch.Tensor, counts: np.ndarray, loss: Losses | None = None) -> None:
    """The same marks mean the same to both settings: values and gradients."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(len(marks), one.class_count, dtype=torch.float64, generator=generator).requires_grad_(True)
    found = []
    for setting in (one, other):
        risk = setting.risk(counts, loss or CrossEntropy(), Inverse(), Uncorrected(), torch.float64)
        groups = risk.groups(logits, risk.evidence(marks))
        found.append((groups, torch.autograd.grad(groups.sum(), logits)[0]))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-10)


@exact
@given(seed=seeds, prior=st.floats(0.05, 0.45), size=st.integers(1, 9))
def test_settings_of_two_sources_are_two_unlabeled_sets(seed: int, prior: float, size: int) -> None:
    rng = np.random.default_rng(seed)
    marks = torch.from_numpy(np.concatenate([[0, 1], rng.integers(0, 2, 5 * size)]))
    counts = np.bincount(marks, minlength=2).astype(float)
    z, alike = 1 - prior * (1 - prior), prior**2 + (1 - prior) ** 2
    for name, (first, second) in {
        "positive_negative": (1, 0),
        "positive_unlabeled": (1, prior),
        "negative_unlabeled": (0, prior),
        "similar_unlabeled": (prior**2 / alike, prior),
        "dissimilar_unlabeled": (0.5, prior),
        "similar_dissimilar": (prior**2 / alike, 0.5),
        "pairwise_comparison": (prior / z, prior**2 / z),
    }.items():
        from components.weak import SETTINGS

        both(SETTINGS[name](prior=prior), UnlabeledUnlabeled(first, second, prior), marks, counts)
    sets = UnlabeledSets(((0.8, 0.2), (0.3, 0.7)), (prior, 1 - prior))
    both(sets, UnlabeledUnlabeled(0.8, 0.3, prior), marks, counts)
    both(SeveralPositives((prior, 1 - prior)), PositiveUnlabeled(prior), marks, counts)
    three = torch.cat([marks, torch.tensor([2, 2])])
    both(SemiSupervised((prior, 1 - prior)), Pnu(prior), three, np.bincount(three).astype(float))


@exact
@given(seed=seeds, sources=st.integers(3, 6))
def test_multiple_complementary_of_one_is_complementary_and_of_all_others_is_supervised(
    seed: int, sources: int
) -> None:
    rng = np.random.default_rng(seed)
    labels = torch.from_numpy(rng.permutation(np.arange(4 * sources) % sources))
    logits = torch.from_numpy(rng.normal(size=(len(labels), sources))).requires_grad_(True)
    one = torch.nn.functional.one_hot(labels, sources).bool()
    many = MultipleComplementary(sources)
    single = ComplementaryLabels(sources)
    counts = np.bincount(labels, minlength=sources)
    table = CrossEntropy()

    def of(setting: Setting, marks: torch.Tensor, rows: np.ndarray, rewrite: object = None) -> torch.Tensor:
        risk = setting.risk(rows, table, rewrite or Inverse(), Uncorrected(), torch.float64)  # type: ignore[arg-type]
        return risk(logits, risk.evidence(marks))

    n = np.array([len(labels)])
    supervised = table(logits).gather(1, labels[:, None]).mean()
    pairs = [
        (of(many, one, n), of(single, labels, counts)),
        (of(many, ~one, n), supervised),
        (of(PartialLabels(sources), one, n), supervised),
        (of(PartialLabels(sources), one, n, Forward()), supervised),
        (of(PartialLabels(sources), one, n, PosteriorRewrite()), supervised),
        (of(PartialLabels(sources), ~one, n, Forward()), of(single, labels, counts, Surrogate())),
        (
            of(single, labels, counts, Surrogate()),
            of(single, labels, counts, Forward()) - np.log(sources - 1),
        ),
    ]
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
        slopes = [torch.autograd.grad(value, logits, retain_graph=True)[0] for value in (ours, theirs)]
        torch.testing.assert_close(slopes[0], slopes[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("rewrite", [Inverse(), Forward(), PosteriorRewrite(), Reweight(), Reweight(live=True)])
def test_without_noise_every_correction_of_noise_is_the_plain_loss(rewrite: object) -> None:
    generator = torch.Generator().manual_seed(1)
    labels, logits = torch.arange(12) % 3, torch.randn(12, 3, dtype=torch.float64, generator=generator)
    logits.requires_grad_(True)
    risk = NoisyLabels(as_table(np.eye(3))).risk([4, 4, 4], CrossEntropy(), rewrite, None, torch.float64)  # type: ignore[arg-type]
    plain = torch.nn.functional.cross_entropy(logits, labels)
    value = risk(logits, risk.evidence(labels))
    torch.testing.assert_close(value, plain)
    torch.testing.assert_close(torch.autograd.grad(value, logits), torch.autograd.grad(plain, logits))


@exact
@given(seed=seeds)
def test_reweighting_is_unbiased_where_the_classifier_is_right(seed: int) -> None:
    case = make("noisy_labels", seed)
    losses = np.random.default_rng([seed, 2]).normal(size=case.world.joint.shape)
    table = torch.from_numpy(losses)[case.at]
    risk = case.risk(Reweight(), loss=lambda _: table)
    logits = torch.from_numpy(np.log(case.world.eta))[case.at]
    found = risk.groups(logits, risk.evidence(case.marks, case.weights))
    np.testing.assert_allclose(found.sum().item(), case.world.clean(losses).sum(), atol=1e-10)


@exact
@given(seed=seeds, sources=st.integers(3, 6))
def test_both_ways_of_2017_are_the_free_estimator_with_their_loss(seed: int, sources: int) -> None:
    rng = np.random.default_rng(seed)
    labels = torch.from_numpy(rng.integers(0, sources, 20))
    g = torch.from_numpy(rng.normal(size=(20, sources)))
    own, others = g.gather(1, labels[:, None]), torch.nn.functional.one_hot(labels, sources) == 0
    pairwise = (g - own).neg().sigmoid()[others].reshape(20, -1).sum(1)
    wanted = (sources - 1) * pairwise.mean() - sources * (sources - 1) / 2 + sources - 1
    setting, counts = ComplementaryLabels(sources), np.bincount(labels, minlength=sources)
    risk = setting.risk(counts, Sigmoid("pairwise"), Inverse(), Uncorrected(), torch.float64)
    torch.testing.assert_close(risk(g, risk.evidence(labels)), wanted)
    rest = g.neg().sigmoid()[others].reshape(20, -1).mean(1) + own[:, 0].sigmoid()
    risk = setting.risk(counts, Sigmoid("one_versus_rest"), Inverse(), Uncorrected(), torch.float64)
    torch.testing.assert_close(risk(g, risk.evidence(labels)), (sources - 1) * rest.mean() - sources + 2)


@exact
@given(seed=seeds)
def test_one_sample_of_positives_and_unlabeled_is_the_source_of_all_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labelled = np.concatenate([[True, False], rng.random(20) < 0.2])
    prior, table = 0.6, torch.from_numpy(rng.normal(size=(22, 2)))
    setting = PositiveUnlabeled(prior, "one_sample")
    observed = setting.observe(np.zeros((22, 1)), labelled)
    risk = setting.risk(setting.counts(observed.marks), lambda values: values, Inverse(), None, torch.float64)
    ours = risk.groups(table, risk.evidence(torch.tensor(observed.marks)))
    data = positive_unlabeled(np.zeros((22, 1)), labelled, prior)
    parts = (
        torch.tensor(np.array(part)) for part in (data.sources, data.weights, undo(data.mixture, data.prior, [1, 1]))
    )
    torch.testing.assert_close(ours, group_risks(table, *parts), rtol=0, atol=1e-10)


@exact
@given(seed=seeds)
def test_swapping_the_rows_of_pairs_with_the_classes_leaves_the_comparison(seed: int) -> None:
    case = make("pairwise_comparison", seed)
    other = World(case.world.joint[:, ::-1])
    rng = np.random.default_rng(seed)
    losses = rng.normal(size=case.world.joint.shape)
    turned = case.setting.__class__(float(other.prior[0]))  # type: ignore[call-arg]
    risk = turned.risk([1, 1], lambda table: table, Inverse(), None, torch.float64)
    found = risk.groups(torch.from_numpy(losses[:, ::-1].copy())[case.at], risk.evidence(1 - case.marks, case.weights))
    np.testing.assert_allclose(found.numpy()[::-1], case.groups(losses, Inverse()), atol=1e-10)


@exact
@given(seed=seeds)
def test_noisy_labels_in_another_order_and_classes_hidden_behind_another_are_the_same(seed: int) -> None:
    case = make("noisy_labels", seed)
    table, classes = np.array(case.setting.transition), len(case.world.prior)  # type: ignore[attr-defined]
    order = np.random.default_rng(seed).permutation(classes)
    logits = torch.from_numpy(np.random.default_rng([seed, 1]).normal(size=case.world.joint.shape))[case.at]
    counts = case.setting.counts(case.observed.marks, case.observed.weights)
    renamed = torch.from_numpy(np.argsort(order))[case.marks]
    for rewrite in (Inverse(), Forward()):
        plain = case.risk(rewrite, CrossEntropy())
        value = plain(logits, plain.evidence(case.marks, case.weights))
        moved = NoisyLabels(as_table(table[:, order])).risk(counts[order], CrossEntropy(), rewrite, None, torch.float64)
        groups = moved.groups(logits, moved.evidence(renamed, case.weights))
        torch.testing.assert_close(groups.sum(), value, rtol=0, atol=1e-9)
    # What no likelihood can tell: clean classes permuted together with the rows of the transition.
    hidden = NoisyLabels(as_table(table[order])).risk(counts, rewrite=Forward(), dtype=torch.float64)
    turned = hidden(logits[:, order.tolist()], hidden.evidence(case.marks, case.weights))
    torch.testing.assert_close(turned, value, rtol=0, atol=1e-12)


@exact
@given(seed=seeds, guess=st.floats(0.05, 0.95))
def test_a_wrong_prior_leaves_its_exact_signature_in_every_source_setting(seed: int, guess: float) -> None:
    # R^_y = sum_j (W^ Theta)_yj E_j[L_y]: a setting that ignores or mangles its prior fails.
    for name in BINARY:
        case = make(name, seed)
        setting = case.setting
        if not hasattr(setting, "composition") or getattr(setting, "sampling", "") == "one_sample":
            continue
        if abs(guess - 0.5) < 0.02:
            guess = 0.6
        wrong = type(setting)(
            **{**{f: getattr(setting, f) for f in ("first", "second") if hasattr(setting, f)}, "prior": guess}
        )
        counts = setting.counts(case.observed.marks, case.observed.weights)
        losses = np.random.default_rng([seed, 2]).normal(size=case.world.joint.shape)
        risk = wrong.risk(counts, lambda table: table, Inverse(), Uncorrected(), torch.float64)
        found = risk.groups(torch.from_numpy(losses)[case.at], risk.evidence(case.marks, case.weights))
        # What the sources really hold, from the rows and not from the setting: solve p_s = sum_y theta[s, y] p_y.
        given_class = case.world.joint / case.world.prior
        samples = np.zeros((len(counts), case.world.points))
        np.add.at(samples, (case.observed.marks, case.at.numpy()), case.observed.weights)
        truth = np.linalg.lstsq(given_class, (samples / counts[:, None]).T, rcond=None)[0].T
        believed = risk.coefficients.numpy() @ truth
        each = np.einsum("xj,xy->jy", given_class, losses)
        np.testing.assert_allclose(found.numpy(), np.einsum("yj,jy->y", believed, each), atol=1e-8)
        if name == "positive_unlabeled":
            bias = (guess - case.world.prior[0]) * (each[0, 0] - each[0, 1])
            assert float(found.sum()) - case.world.clean(losses).sum() == pytest.approx(bias, abs=1e-10)


@exact
@given(seed=seeds)
def test_a_wrong_transition_leaves_its_exact_signature(seed: int) -> None:
    case = make("noisy_labels", seed)
    rng, classes = np.random.default_rng([seed, 4]), len(case.world.prior)
    truth, told = np.array(case.setting.transition), stochastic(rng, classes, classes)  # type: ignore[attr-defined]
    losses = rng.normal(size=case.world.joint.shape)
    counts = case.setting.counts(case.observed.marks, case.observed.weights)
    risk = NoisyLabels(as_table(told)).risk(counts, lambda table: table, Inverse(), Uncorrected(), torch.float64)
    found = risk.groups(torch.from_numpy(losses)[case.at], risk.evidence(case.marks, case.weights))
    seen = losses @ (truth @ np.linalg.inv(told)).T  # what each clean class suffers: (T T^-1 L)_y
    np.testing.assert_allclose(float(found.sum()), (case.world.joint * seen).sum(), atol=1e-8)


def test_similar_pairs_do_not_care_which_row_is_first() -> None:
    pairs, rest = np.random.default_rng(0).normal(size=(5, 2, 3)), np.zeros((4, 3))
    setting = SimilarUnlabeled(0.7)
    logits = torch.linspace(-1, 1, 3, dtype=torch.float64)
    values = []
    for given_pairs in (pairs, pairs[:, ::-1]):
        observed = setting.observe_pairs(similar=given_pairs, unlabeled=rest)
        risk = setting.risk(setting.counts(observed.marks), dtype=torch.float64)
        values.append(risk(torch.tensor(observed.features) @ logits, risk.evidence(torch.tensor(observed.marks))))
    torch.testing.assert_close(values[0], values[1])


def test_positives_and_negatives_in_their_proportion_are_plain_cross_entropy() -> None:
    labels, z = np.array([1, 1, 1, 0, 0]), torch.tensor([2.0, -1.0, 0.5, 0.3, -2.0], dtype=torch.float64)
    setting = PositiveNegative(0.6)
    risk = setting.risk([3, 2], dtype=torch.float64)
    value = risk(z, risk.evidence(torch.tensor(setting.coded(labels))))
    plain = torch.nn.functional.binary_cross_entropy_with_logits(z, torch.tensor(labels, dtype=torch.float64))
    torch.testing.assert_close(value, plain)
