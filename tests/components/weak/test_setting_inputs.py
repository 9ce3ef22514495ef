"""What a person can get wrong is refused before anything is learnt, with field, rule and value."""

import inspect
import pickle
import re
from typing import Any

import numpy as np
import pytest
import torch

from components.errors import InputError
from components.weak import (
    SETTINGS,
    Clean,
    ComplementaryLabels,
    ConfidenceDifference,
    Forward,
    Inverse,
    LabelProportions,
    MultipleComplementary,
    NegativeUnlabeled,
    NoisyLabels,
    Observed,
    PairwiseComparison,
    PartialLabels,
    PositiveConfidence,
    PositiveNegative,
    PositiveNegativeUnlabeled,
    PositiveUnlabeled,
    SemiSupervised,
    SeveralPositives,
    SimilarDissimilar,
    SimilarityConfidence,
    SimilarUnlabeled,
    UnlabeledSets,
    UnlabeledUnlabeled,
)
from components.weak.transitions import symmetric_noise
from tests.components.weak.test_simulators import ALL

X = np.zeros((2, 1))
WITH_PRIOR = [kind for kind, made in SETTINGS.items() if "prior" in inspect.signature(made).parameters]
NUMBER = [kind for kind in WITH_PRIOR if kind not in ("unlabeled_sets", "semi_supervised", "several_positives")]
NEVER_HALF = [kind for kind in NUMBER if "similar" in kind]


def of(kind: str, prior: float) -> Any:
    more = {"first": 0.8, "second": 0.3} if kind == "unlabeled_unlabeled" else {}
    return SETTINGS[kind](prior=prior, **more)


@pytest.mark.parametrize("kind", NUMBER)
@pytest.mark.parametrize("prior", [0.0, -0.1, 1.5, float("nan")])
def test_a_prior_outside_its_range_is_refused(kind: str, prior: float) -> None:
    with pytest.raises(InputError, match=r"prior must lie in \(0, 1[)\]], got " + re.escape(str(prior))):
        of(kind, prior)


@pytest.mark.parametrize("kind", NUMBER)
def test_one_half_is_refused_only_where_it_tells_nothing(kind: str) -> None:
    if kind not in NEVER_HALF:
        assert of(kind, 0.5).prior == 0.5
        return
    with pytest.raises(InputError, match=r"prior must not be 0\.5"):
        of(kind, 0.5)


def test_the_settings_that_forbid_one_half_are_those_of_alike_and_unlike() -> None:
    assert NEVER_HALF == [
        "similar_unlabeled",
        "dissimilar_unlabeled",
        "similar_dissimilar",
        "similar_dissimilar_unlabeled",
        "similarity_confidence",
    ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PositiveUnlabeled(0.4, "three_samples"), "sampling must be one of two_samples, one_sample"),  # type: ignore[arg-type]
        (lambda: UnlabeledUnlabeled(0.4, 0.4, 0.5), "second must not be first"),
        (lambda: UnlabeledUnlabeled(1.2, 0.4, 0.5), r"first must lie in \[0, 1\], got 1.2"),
        (lambda: UnlabeledSets(((0.5, 0.6), (0.1, 0.9)), (0.5, 0.5)), "mixture must have rows of probabilities"),
        (lambda: UnlabeledSets(((0.5, 0.5), (1.0,)), (0.5, 0.5)), "mixture must be rows of equal length"),
        (lambda: UnlabeledSets(((0.5, 0.5), (0.1, 0.9)), (0.5, 0.4)), "prior must lie in .* and sum to one"),
        (lambda: UnlabeledSets(((0.5, 0.5), (0.1, 0.9)), (0.2, 0.3, 0.5)), "prior must hold one number for each of 2"),
        (lambda: SemiSupervised((1.0,)), "prior must hold one number for each of 2 classes"),
        (lambda: SeveralPositives((0.5, 0.0, 0.5)), "prior must lie in"),
        (lambda: NoisyLabels(((0.9, 0.2), (0.1, 0.9))), "transition must have rows of probabilities that sum to one"),
        (lambda: NoisyLabels(((1.1, -0.1), (0.1, 0.9))), "transition must have rows of probabilities"),
        (lambda: ComplementaryLabels(1), "classes must be at least 2, got 1"),
        (lambda: ComplementaryLabels(2, symmetric_noise(2, 0.3)), "zeros on the diagonal"),
        (lambda: ComplementaryLabels(3, symmetric_noise(2, 1.0)), "transition must be 3 by 3"),
        (lambda: MultipleComplementary(3, (0.5, 0.6)), "sizes must be 2 probabilities"),
        (lambda: MultipleComplementary(1), "classes must be at least 2"),
        (lambda: PartialLabels(3, "odd"), "generator must be one of"),  # type: ignore[arg-type]
        (lambda: PartialLabels(3, "flip", 1.0), r"flip must lie in \(0, 1\), got 1.0"),
        (lambda: LabelProportions(1), "classes must be at least 2"),
        (lambda: LabelProportions(2, ((0.5, 0.3, 0.2),)), "proportions must have 2 columns, got 3"),
        (lambda: LabelProportions(2).risk([]), "proportions must be given"),
        (lambda: PositiveConfidence(lowest=1.0), r"lowest must lie in \[0, 1\), got 1.0"),
    ],
)
def test_a_bad_nuisance_is_named(make: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("code", [[1, 0, 0], [1, -1, -1], [True, False, False], [1.0, 0.0, 0.0]])
def test_two_classes_may_be_coded_in_three_ways(code: list[object]) -> None:
    for setting in (PositiveNegative(0.4), PositiveUnlabeled(0.4), NegativeUnlabeled(0.4)):
        assert setting.observe(np.zeros((3, 1)), code).marks.tolist() == [0, 1, 1]


def test_other_codings_are_what_they_say() -> None:
    assert PositiveNegativeUnlabeled(0.4).coded([1, -1, 0]).tolist() == [0, 1, 2]
    assert SemiSupervised((0.2, 0.3, 0.5)).coded([2, -1, 0]).tolist() == [2, 3, 0]
    assert SeveralPositives((0.2, 0.3, 0.5)).coded([1, -1, 0]).tolist() == [1, 2, 0]
    assert PositiveConfidence(lowest=0.01).coded([0.0, 0.5]).tolist() == [0.01, 0.5]


@pytest.mark.parametrize(
    ("setting", "labels", "message"),
    [
        (PositiveUnlabeled(0.4), [1, 2], r"labels must be coded \{1, 0\}, \{1, -1\} or \{True, False\}, got \[1, 2\]"),
        (PositiveUnlabeled(0.4), [0, -1], "labels must be coded"),
        (PositiveUnlabeled(0.4), ["yes", "no"], "labels must be coded"),
        (PositiveUnlabeled(0.4), [[1, 0]], "labels must be coded"),
        (PositiveUnlabeled(0.4), [np.nan, 1], "labels must be coded"),
        (PositiveNegativeUnlabeled(0.4), [1, 3], "labels must be 1 .positive., -1"),
        (UnlabeledUnlabeled(0.8, 0.2, 0.5), [0, 2], "labels must be whole numbers from 0 to 1, got .0, 2."),
        (UnlabeledUnlabeled(0.8, 0.2, 0.5), [0.5, 1], "labels must be whole numbers from 0 to 1"),
        (SemiSupervised((0.5, 0.5)), [0, -2], "labels .* must be whole numbers from 0 to 2"),
        (SeveralPositives((0.5, 0.5)), [1, 2], "labels .* must be whole numbers from 0 to 1"),
        (SeveralPositives((0.5, 0.5)), ["a", "b"], "labels must be numbers of classes or -1"),
        (NoisyLabels(symmetric_noise(3, 0.2)), [0, 3], "labels must be whole numbers from 0 to 2"),
        (ComplementaryLabels(3), [-1, 0], "labels must be whole numbers from 0 to 2"),
        (
            PartialLabels(3),
            [[1, 1, 0], [0, 0, 0]],
            "candidates must hold at least one class in every row, got none in row 1",
        ),
        (PartialLabels(3), [[1, 1], [1, 0]], r"candidates must be boolean with shape \(rows, 3\)"),
        (PartialLabels(3), [[1, 2, 0], [1, 0, 0]], "candidates must be boolean"),
        (MultipleComplementary(3), [[1, 0, 0], [1, 1, 1]], "sets must leave a class, got all in row 1"),
        (MultipleComplementary(3), [[0, 0, 0], [1, 1, 0]], "sets must hold at least one class in every row"),
        (PositiveConfidence(), [0.5, 0.0], "confidence must be above 0"),
        (PositiveConfidence(), [0.5, 1.1], r"confidence must be numbers in \[0, 1\], got 0.5 to 1.1"),
        (PositiveConfidence(), [0.5, np.nan], "confidence must be numbers in"),
        (PositiveUnlabeled(0.4), [1], "marks must hold one entry for each of 2 rows, got 1"),
    ],
)
def test_labels_outside_the_coding_are_refused(setting: object, labels: list[object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        setting.observe(X, labels)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PositiveUnlabeled(0.4).risk([3, 0]), "counts must be positive, so every source needs a row"),
        (lambda: PositiveUnlabeled(0.4).risk([3]), "counts must hold one number for each of 2 sources"),
        (lambda: PositiveUnlabeled(0.4).risk([3, np.nan]), "counts must be numbers of rows"),
        (
            lambda: PositiveUnlabeled(0.4, "one_sample").risk([5, 5]),
            "prior must be at least the share of labelled rows, 0.5",
        ),
        (
            lambda: PositiveUnlabeled(0.4, "one_sample").risk([0, 5]),
            "prior must be at least the share of labelled rows",
        ),
        (lambda: NoisyLabels(((1.0, 0.0), (1.0, 0.0))).risk([1, 1]), "transition must allow every label that occurs"),
        (lambda: UnlabeledSets(((0.4, 0.6), (0.4, 0.6)), (0.5, 0.5)).risk([1, 1]), "mixture must have rank 2"),
        (lambda: LabelProportions(2, ((0.5, 0.5), (0.5, 0.5))).risk([1, 1]).evidence(torch.tensor([0])), "rank 2"),
        (
            lambda: UnlabeledSets(((1.0, 0.0), (1.0, 0.0)), (0.5, 0.5)).risk([1, 1], rewrite=Forward()),
            "every class in some",
        ),
        (
            lambda: SimilarityConfidence(0.4).risk([2], rewrite=Forward()),
            "rewrite must be inverse for similarity_confidence",
        ),
        (lambda: PositiveUnlabeled(0.4).risk([1, 1]).evidence(torch.tensor([1, -1])), "marks must be whole numbers"),
        (lambda: NoisyLabels(symmetric_noise(2, 0.1)).risk([1, 1]).evidence(torch.tensor([2])), "marks must be whole"),
        (lambda: LabelProportions(2, ((1.0, 0.0), (0.0, 1.0))).risk([1, 1]).evidence(torch.tensor([2])), "marks must"),
        (lambda: PartialLabels(3).risk([1]).evidence(torch.ones(1, 2)), r"marks must be sets with shape \(rows, 3\)"),
        (lambda: PositiveUnlabeled(0.4, "one_sample").risk([5]), "counts must hold one number for each of 2 sources"),
        (lambda: every_class().evidence(torch.ones(1, 3, dtype=torch.bool)), "sets must rule out at least one class"),
    ],
)
def test_data_that_do_not_tell_the_classes_apart_are_refused(call: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()  # type: ignore[operator]


def every_class() -> object:
    return PartialLabels(3).risk([1], rewrite=Inverse())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Observed(np.zeros(3), np.zeros(3)), r"features must have shape \(rows, columns\)"),
        (lambda: Observed(np.zeros((0, 2)), np.zeros(0)), "at least one row"),
        (lambda: Observed(np.full((2, 1), np.nan), np.zeros(2)), "features must be finite"),
        (lambda: Observed(X, np.zeros(2), np.array([1.0])), "weights must be 2 nonnegative numbers"),
        (lambda: Observed(X, np.zeros(2), np.array([1.0, -1.0])), "weights must be 2 nonnegative numbers"),
        (lambda: Observed(X, np.zeros(2), np.zeros(2)), "not all zero"),
        (lambda: Clean(X, np.array([0, -1])), "labels must be 2 positions of classes, 0 or more"),
        (lambda: Clean(X, np.array([0.5, 1])), "labels must be 2 positions"),
        (lambda: Clean(X, np.array([0, 1]), np.array([0.2, 1.2])), "posterior must be 2 probabilities"),
        (lambda: ConfidenceDifference(0.4).simulate(Clean(X, np.array([0, 1]))), "posterior must be given"),
        (
            lambda: PairwiseComparison(0.4).observe_pairs(X),
            r"pairs must have shape \(pairs, 2, features\), got \(2, 1\)",
        ),
        (
            lambda: ConfidenceDifference(0.4).observe_pairs(np.zeros((2, 2, 1)), [0.1]),
            "one number for each of 2 pairs, got 1",
        ),
        (lambda: ConfidenceDifference(0.4).observe_pairs(np.zeros((1, 2, 1)), [-1.1]), r"in \[-1, 1\]"),
        (lambda: SimilarUnlabeled(0.4).observe_pairs(similar=np.zeros((2, 2, 1))), "unlabeled must be given"),
        (
            lambda: SimilarDissimilar(0.4).observe_pairs(np.zeros((2, 2, 1)), np.zeros((2, 2, 1)), X),
            "unlabeled must not be given for similar_dissimilar",
        ),
        (
            lambda: SimilarUnlabeled(0.4).observe_pairs(similar=np.zeros((2, 2, 3)), unlabeled=X),
            "features must agree in their columns",
        ),
        (
            lambda: PositiveUnlabeled(0.4).simulate(Clean(X, np.array([0, 1])), 0, (1,)),
            "sizes must be 2 positive numbers",
        ),
        (lambda: PositiveUnlabeled(0.4).simulate(Clean(X, np.array([1, 1])), 0, (1, 1)), "labels must hold class 0"),
        (lambda: ComplementaryLabels(2).simulate(Clean(X, np.array([0, 1])), 0, (1,)), "sizes must be None"),
        (lambda: PartialLabels(2).simulate(Clean(X, np.array([0, 1])), 0, (1,)), "sizes must be None"),
        (
            lambda: NoisyLabels(symmetric_noise(2, 0.1)).simulate(Clean(X, np.array([0, 2]))),
            "labels must be whole numbers",
        ),
        (lambda: LabelProportions(2).simulate(Clean(X, np.array([0, 1])), 0, (2, 1)), "sizes must add up to at most 2"),
        (
            lambda: PositiveUnlabeled(0.1, "one_sample").simulate(Clean(X, np.array([0, 1])), 0, (9, 1)),
            "sizes must not have more labelled rows than positives",
        ),
    ],
)
def test_bad_rows_are_named(call: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()  # type: ignore[operator]


@pytest.mark.parametrize("setting", ALL, ids=lambda setting: setting.kind)
def test_a_setting_is_a_value_that_says_what_its_fields_are(setting: object) -> None:
    assert pickle.loads(pickle.dumps(setting)) == setting
    assert hash(setting) == hash(pickle.loads(pickle.dumps(setting)))
    text = inspect.getdoc(type(setting)) or ""
    section = text.partition("Attributes:\n")[2]
    for field in inspect.signature(type(setting)).parameters:
        assert re.search(rf"^    {field}: \S", section, re.M), f"{field} is not described"


def test_what_was_rewritten_is_told() -> None:
    said = PositiveUnlabeled(0.4).risk([10, 90]).diagnosis()
    assert said["condition"] == pytest.approx(np.linalg.cond([[1, 0], [0.4, 0.6]]))
    assert said["variance_factor_0"] == pytest.approx(0.4)
    assert said["variance_factor_1"] == pytest.approx(1.4)
    assert "condition" not in PartialLabels(3).risk([5]).diagnosis()
    assert "condition" in NoisyLabels(symmetric_noise(3, 0.2)).risk([5, 5, 5]).diagnosis()


def test_everything_follows_the_marks_to_their_device_and_precision() -> None:
    risk = NoisyLabels(symmetric_noise(3, 0.2)).risk([5, 5, 5]).to(dtype=torch.float64)
    evidence = risk.evidence(torch.arange(3))
    assert evidence.inside.dtype == torch.float64
    assert evidence.to(dtype=torch.float32).log_likelihood.dtype == torch.float32  # type: ignore[union-attr]
    meta = risk.to("meta")
    assert meta.coefficients.device.type == meta.signs.device.type == "meta"
    elsewhere = torch.zeros(3, 3, device="meta")
    assert risk.groups(elsewhere, evidence.to("meta")).device.type == "meta"
    assert risk.to() is risk
    half = torch.randn(3, 3, generator=torch.Generator().manual_seed(0)).bfloat16()
    torch.testing.assert_close(risk(half, evidence), risk(half.double(), evidence), rtol=0, atol=0)
    drawn = UnlabeledUnlabeled(0.8, 0.2, 0.5).risk([1, 9], rewrite=Forward()).to("meta")
    assert drawn.tilt is not None
    assert drawn.tilt.device.type == "meta"
