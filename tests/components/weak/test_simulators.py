"""Weak data are made as the settings say, and the clean labels stay behind."""

from dataclasses import fields
from math import comb

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from components.errors import InputError
from components.weak import (
    SETTINGS,
    Clean,
    ComplementaryLabels,
    ConfidenceDifference,
    DissimilarUnlabeled,
    LabelProportions,
    MultipleComplementary,
    NoisyLabels,
    Observed,
    PairwiseComparison,
    PartialLabels,
    PositiveConfidence,
    PositiveNegativeUnlabeled,
    PositiveUnlabeled,
    SemiSupervised,
    Setting,
    SeveralPositives,
    SimilarDissimilarUnlabeled,
    SimilarityConfidence,
    SimilarUnlabeled,
    UnlabeledSets,
    UnlabeledUnlabeled,
)
from components.weak.simulators import Pool
from components.weak.transitions import as_table
from tests.components.weak.worlds import stochastic

PRIOR = 0.3
ALL: list[Setting] = [
    *[
        SETTINGS[kind](prior=PRIOR)
        for kind in SETTINGS
        if kind.startswith(("positive", "negative", "similar_", "dissim"))
    ],
    UnlabeledUnlabeled(0.8, 0.2, PRIOR),
    UnlabeledSets(((0.8, 0.2), (0.4, 0.6), (0.1, 0.9)), (PRIOR, 1 - PRIOR)),
    SemiSupervised((PRIOR, 1 - PRIOR)),
    SeveralPositives((PRIOR, 1 - PRIOR)),
    LabelProportions(2),
    PairwiseComparison(PRIOR),
    SimilarityConfidence(PRIOR),
    ConfidenceDifference(PRIOR),
    PositiveUnlabeled(PRIOR, "one_sample"),
    NoisyLabels(((0.8, 0.2), (0.1, 0.9))),
    ComplementaryLabels(2),
    MultipleComplementary(2),
    PartialLabels(2),
]
each_setting = pytest.mark.parametrize("setting", ALL, ids=lambda setting: setting.kind)


def population(seed: int, rows: int = 4000, classes: int = 2, prior: float = PRIOR) -> Clean:
    """Rows whose first column is the row's number; of two classes the posterior at the row is known."""
    rng = np.random.default_rng(seed)
    if classes > 2:
        return Clean(np.arange(rows, dtype=float)[:, None], rng.integers(0, classes, rows))
    labels = np.where(rng.random(rows) < prior, 0, 1)
    x = rng.normal(size=rows) + 1.5 * (labels == 0)
    posterior = 1 / (1 + np.exp(-(1.5 * x - 1.125 + np.log(prior / (1 - prior)))))
    return Clean(np.column_stack([np.arange(rows), x]), labels, posterior)


def test_every_setting_is_here() -> None:
    assert {setting.kind for setting in ALL} == set(SETTINGS)


@each_setting
def test_the_same_seed_makes_the_same_and_another_seed_another(setting: Setting) -> None:
    clean = population(0)
    one, same, other = (setting.simulate(clean, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.observed.features, same.observed.features)
    np.testing.assert_array_equal(one.observed.marks, same.observed.marks)
    differs = one.observed.features.shape != other.observed.features.shape or (
        (one.observed.features != other.observed.features).any() or (one.observed.marks != other.observed.marks).any()
    )
    assert differs or setting.kind in ("complementary_labels", "multiple_complementary", "partial_labels")


@each_setting
def test_the_learner_sees_no_clean_label(setting: Setting) -> None:
    clean = population(1)
    made = setting.simulate(clean, 5)
    assert {field.name for field in fields(made.observed)} == {"features", "marks", "weights"}
    rows = made.observed.features[:, 0].astype(int)
    np.testing.assert_array_equal(made.hidden, clean.labels[rows])
    if setting.kind not in ("complementary_labels", "multiple_complementary", "partial_labels", "positive_negative"):
        assert made.observed.marks.shape != made.hidden.shape or (made.observed.marks != made.hidden).any()
    assert not np.shares_memory(made.observed.marks, made.hidden)
    for values in (made.observed.features, made.observed.marks):
        assert not values.flags.writeable


@each_setting
def test_what_is_simulated_can_be_learnt_from(setting: Setting) -> None:
    clean = population(2)
    made = setting.simulate(clean, 6)
    counts = made.setting.counts(made.observed.marks, made.observed.weights)
    risk = made.setting.risk(counts, dtype=torch.float64)
    x = torch.tensor(made.observed.features[:, 1])
    marks = torch.tensor(made.observed.marks)
    evidence = risk.evidence(marks)
    good, bad = (float(risk(sign * (1.5 * x - 2), evidence)) for sign in (1, -1))
    assert good < bad
    validation = risk.validation()
    error = float(validation((1.5 * x - 2), validation.evidence(marks)))
    truth = np.mean((1.5 * clean.features[:, 1] - 2 > 0) != (clean.labels == 0))
    assert error == pytest.approx(truth, abs=0.12)


SAMPLES = [s for s in ALL if hasattr(s, "composition") and "similar" not in s.kind and "comparison" not in s.kind]


@pytest.mark.parametrize("setting", SAMPLES, ids=lambda setting: setting.kind)
def test_sources_have_their_composition_and_size(setting: Setting) -> None:
    clean = population(3)
    many, shares = tuple(1000 + 100 * s for s in range(setting.symbol_count)), setting.composition[:, 0]  # type: ignore[attr-defined]
    if setting == PositiveUnlabeled(PRIOR, "one_sample"):  # 200 of the 360 positives among 1200 rows, as chance has it
        many, shares = (200, 1000), np.array([1.0, 0.16])
    made = setting.simulate(clean, 7, many)
    for source, (size, share) in enumerate(zip(many, shares, strict=True)):
        here = made.hidden[made.observed.marks == source]
        if many != (200, 1000):
            assert len(here) == size
        assert len(here) == pytest.approx(size, abs=4 * np.sqrt(200))
        assert np.mean(here == 0) == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / size) + 1e-12)


def test_no_row_is_drawn_twice_before_every_row_of_its_class_is_drawn_once() -> None:
    labels = np.array([0] * 10 + [1] * 5)
    pool = Pool(labels, np.random.default_rng(0))
    drawn = [pool.take(np.zeros(4, dtype=np.int64)) for _ in range(5)]
    first, second = np.concatenate(drawn)[:10], np.concatenate(drawn)[10:]
    assert sorted(first) == sorted(second) == list(range(10))
    with pytest.raises(InputError, match="labels must hold class 2"):
        pool.take(np.array([0, 2]))


def pair_table(hidden: np.ndarray) -> np.ndarray:
    first, second = hidden[: len(hidden) // 2], hidden[len(hidden) // 2 :]
    return np.array([[np.sum((first == a) & (second == b)) for b in (0, 1)] for a in (0, 1)])


def test_pairs_have_the_classes_their_kind_says() -> None:
    clean, (p, n) = population(4, 6000), (PRIOR, 1 - PRIOR)
    made = SimilarDissimilarUnlabeled(PRIOR).simulate(clean, 1, (3000, 2000, 500))
    marks, hidden = made.observed.marks, made.hidden
    alike, unlike = pair_table(hidden[marks == 0]), pair_table(hidden[marks == 1])
    assert alike[0, 1] == alike[1, 0] == unlike[0, 0] == unlike[1, 1] == 0
    assert chisquare(alike.diagonal(), np.array([p**2, n**2]) / (p**2 + n**2) * 3000).pvalue > 1e-4
    assert chisquare([unlike[0, 1], unlike[1, 0]], [1000, 1000]).pvalue > 1e-4
    compared = pair_table(PairwiseComparison(PRIOR).simulate(clean, 2, (4000,)).hidden)
    assert compared[1, 0] == 0
    law = np.array([p**2, p * n, n**2]) / (1 - p * n) * 4000
    assert chisquare([compared[0, 0], compared[0, 1], compared[1, 1]], law).pvalue > 1e-4


def test_confidences_are_those_of_the_posterior() -> None:
    clean = population(5)
    assert clean.posterior is not None
    for setting, rule in (
        (SimilarityConfidence(PRIOR), lambda a, b: a * b + (1 - a) * (1 - b)),
        (ConfidenceDifference(PRIOR), lambda a, b: b - a),
    ):
        observed = setting.simulate(clean, 3, (500,)).observed
        r = clean.posterior[observed.features[:, 0].astype(int)]
        np.testing.assert_allclose(observed.marks[:500], rule(r[:500], r[500:]))
    sign = -1 if isinstance(setting, ConfidenceDifference) else 1
    np.testing.assert_allclose(observed.marks[500:], sign * observed.marks[:500])
    made = PositiveConfidence(PRIOR).simulate(clean, 4)
    assert (made.hidden == 0).all()
    assert len(made.hidden) == (clean.labels == 0).sum()
    np.testing.assert_allclose(made.observed.marks, clean.posterior[made.observed.features[:, 0].astype(int)])


def test_noisy_labels_have_the_frequencies_of_the_transition() -> None:
    transition = stochastic(np.random.default_rng(0), 4, 4)
    clean = population(6, 8000, 4)
    made = NoisyLabels(as_table(transition)).simulate(clean, 8)
    for label in range(4):
        seen = made.observed.marks[clean.labels == label]
        found = np.bincount(seen, minlength=4) / len(seen)
        assert np.abs(found - transition[label]).max() <= np.sqrt(np.log(2 * 16 / 1e-4) / (2 * len(seen)))


def test_complementary_labels_never_name_the_class_and_else_are_alike() -> None:
    clean = population(7, 6000, 5)
    made = ComplementaryLabels(5).simulate(clean, 9)
    assert (made.observed.marks != clean.labels).all()
    shift = (made.observed.marks - clean.labels) % 5
    assert chisquare(np.bincount(shift, minlength=5)[1:]).pvalue > 1e-4
    sets = MultipleComplementary(5, (0.1, 0.2, 0.3, 0.4)).simulate(clean, 9).observed.marks
    assert not sets[np.arange(6000), clean.labels].any()
    assert chisquare(np.bincount(sets.sum(1), minlength=5)[1:], np.array([0.1, 0.2, 0.3, 0.4]) * 6000).pvalue > 1e-4
    single = sets[sets.sum(1) == 2]
    assert chisquare(single.sum(0), single.sum(0).mean() * np.ones(5)).pvalue > 1e-4


@pytest.mark.parametrize("flip", [None, 0.3])
def test_candidates_hold_the_class_and_have_the_law_of_sizes(flip: float | None) -> None:
    clean, classes = population(8, 6000, 5), 5
    setting = PartialLabels(classes) if flip is None else PartialLabels(classes, "flip", flip)
    sets = setting.simulate(clean, 10).observed.marks
    assert sets[np.arange(6000), clean.labels].all()
    more = np.bincount(sets.sum(1) - 1, minlength=classes)
    ways = np.array([comb(classes - 1, extra) for extra in range(classes)], dtype=float)
    if flip is None:
        law = ways / (2 ** (classes - 1) - 1)
        law[-1] = 0  # all sets with the class alike, but not the set of all
    else:
        law = ways * flip ** np.arange(classes) * (1 - flip) ** np.arange(classes - 1, -1, -1)
        law[1] += law[0]
        law[0] = 0
    assert more[law == 0].sum() == 0
    assert chisquare(more[law > 0], law[law > 0] * 6000).pvalue > 1e-4
    shift = (np.argwhere(sets)[:, 1] - clean.labels[np.argwhere(sets)[:, 0]]) % classes
    joined = np.bincount(shift, minlength=classes)[1:]
    assert chisquare(joined).pvalue > 1e-4


def test_bags_tell_the_shares_they_hold() -> None:
    clean = population(9, 1000)
    made = LabelProportions(2).simulate(clean, 11, (10, 20, 30))
    assert isinstance(made.setting, LabelProportions)
    assert len(set(made.observed.features[:, 0])) == 60
    for bag, shares in enumerate(made.setting.proportions):
        here = made.hidden[made.observed.marks == bag]
        assert len(here) == (10, 20, 30)[bag]
        assert np.mean(here == 0) == pytest.approx(shares[0])
    assert len(LabelProportions(2).simulate(clean).setting.proportions) == 125  # type: ignore[attr-defined]


@pytest.mark.parametrize("setting", [SimilarUnlabeled(0.7), PositiveUnlabeled(0.3)], ids=lambda s: s.kind)
def test_the_error_of_the_risk_falls_like_one_over_the_root_of_the_rows(setting: Setting) -> None:
    prior = 0.7 if "similar" in setting.kind else 0.3
    clean = population(12, 3000, prior=prior)
    table = np.random.default_rng(0).uniform(size=(3000, 2))
    share = [np.mean(table[clean.labels == k, k]) for k in (0, 1)]
    truth, spreads = prior * share[0] + (1 - prior) * share[1], []
    for rows in (100, 400):
        found = []
        for seed in range(150):
            observed = setting.simulate(clean, seed, (rows, rows)).observed
            risk = setting.risk(
                setting.counts(observed.marks), lambda values: values, correction=None, dtype=torch.float64
            )
            at = observed.features[:, 0].astype(int)
            groups = risk.groups(torch.from_numpy(table[at]), risk.evidence(torch.tensor(observed.marks)))
            found.append(float(groups.sum()))
        spreads.append(np.std(found))
        assert abs(np.mean(found) - truth) < 4 * spreads[-1] / np.sqrt(150)
    assert 1.6 < spreads[0] / spreads[1] < 2.5


def test_spare_sources_weighted_by_their_rows_vary_least() -> None:
    clean, setting = population(13), PositiveNegativeUnlabeled(PRIOR)
    rng = np.random.default_rng(0)
    table = rng.uniform(size=(4000, 2))
    sizes = (30, 60, 1500)
    theta = np.array([[1, 0], [0, 1], [PRIOR, 1 - PRIOR]])
    plain = np.diag([PRIOR, 1 - PRIOR]) @ np.linalg.pinv(theta)
    found: list[tuple[float, float]] = []
    for seed in range(200):
        observed = setting.simulate(clean, seed, sizes).observed
        risk = setting.risk(setting.counts(observed.marks), lambda values: values, dtype=torch.float64)
        at = observed.features[:, 0].astype(int)
        ours = float(risk.groups(torch.from_numpy(table[at]), risk.evidence(torch.tensor(observed.marks))).sum())
        means = np.array([table[at[observed.marks == s]].mean(axis=0) for s in range(3)])
        found.append((ours, float((plain * means.T).sum())))
    weighted, unweighted = np.std(found, axis=0)
    assert weighted < unweighted


def test_an_observation_is_what_the_form_says() -> None:
    observed = Observed(np.zeros((3, 2)), np.array([0, 1, 1]), np.array([1.0, 2.0, 3.0]))
    part = observed.rows(np.array([2, 0]))
    assert (len(observed), len(part)) == (3, 2)
    assert part.marks.tolist() == [1, 0]
    assert part.weights is not None
    assert part.weights.tolist() == [3.0, 1.0]


def test_dissimilar_pairs_come_as_points() -> None:
    pairs = np.arange(12, dtype=float).reshape(2, 2, 3)
    observed = DissimilarUnlabeled(0.7).observe_pairs(dissimilar=pairs, unlabeled=np.zeros((1, 3)))
    np.testing.assert_array_equal(observed.features, np.vstack([pairs[:, 0], pairs[:, 1], np.zeros((1, 3))]))
    assert observed.marks.tolist() == [0, 0, 0, 0, 1]
