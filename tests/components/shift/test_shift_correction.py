"""The graph's choice of correction, and corrected risks that equal the target's clean risk on countable worlds."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.contracts import CausalGraph, CorrectionKind, LabelFrequency
from components.errors import InputError
from components.shift import LabeledRows, RuLsif, ShiftWeights, choose, correct
from components.weak import decontamination, group_risks, positive_unlabeled

seeds = st.integers(0, 10_000)
few = settings(deadline=None, max_examples=20)


def graph(*edges: str, confounded: tuple[tuple[str, str], ...] = ()) -> CausalGraph:
    """A graph from edges like ``a>y``; ``y`` is the target."""
    pairs = [tuple(edge.split(">")) for edge in edges]
    names = tuple(sorted({name for pair in pairs for name in pair} | {"y", "a", "b"}))
    weights = np.zeros((len(names), len(names)))
    for cause, effect in pairs:
        weights[names.index(effect), names.index(cause)] = 1.0
    order: list[int] = []
    while len(order) < len(names):
        order += [i for i in range(len(names)) if i not in order and not set(np.flatnonzero(weights[i])) - set(order)]
    return CausalGraph(
        names, weights, tuple(order), weights, weights, weights, weights, "y", 100, 0, confounded=confounded
    )  # fmt: skip


@pytest.mark.parametrize(
    ("edges", "confounded", "features", "kind", "words"),
    [
        (("a>y", "b>a"), (), "ab", "covariate", "a, b cause y"),
        (("y>a", "a>b"), (), "ab", "label", "y causes a, b"),
        (("a>y", "y>b"), (), "ab", "joint", "a causes y; y causes b"),
        (("a>y",), (("a", "y"),), "ab", "joint", "a causes y; a shares a cause with y"),
        ((), (("y", "b"),), "ab", "joint", "b shares a cause with y"),
        ((), (), "ab", "none", "no feature is connected with y"),
        (("a>b",), (), "ab", "none", "no feature is connected with y"),
        # a common cause among the features is seen, so it does not confound
        (("c>y", "c>a"), (), "abc", "covariate", "c causes y"),
        (("c>y", "c>a"), (), "ab", "joint", "a shares a cause with y"),
        (("c>a", "a>y"), (), "ab", "covariate", "a causes y"),
        (("c>y", "y>a"), (), "ab", "label", "y causes a"),
        (("c>y", "c>a", "a>y"), (), "ab", "joint", "a shares a cause with y"),
    ],
)
def test_the_graph_chooses_the_correction_and_says_why(
    edges: tuple[str, ...], confounded: tuple[tuple[str, str], ...], features: str, kind: str, words: str
) -> None:
    found, reason, overridden = choose(graph(*edges, confounded=confounded), [*features, "y", "not in the graph"])
    assert found == kind
    assert words in reason
    assert not overridden


def test_a_person_can_choose_against_the_graph() -> None:
    found, reason, overridden = choose(graph("a>y"), ["a"], "label")
    assert (found, overridden) == ("label", True)
    assert "the graph asks for 'covariate'" in reason
    assert choose(graph("a>y"), ["a"], "covariate")[2] is False
    with pytest.raises(InputError, match="override"):
        choose(graph("a>y"), ["a"], "both")  # type: ignore[arg-type]


@dataclass(frozen=True)
class Fitted:
    weights: np.ndarray
    divergence: float = 0.25

    @property
    def effective_share(self) -> float:
        return float(self.weights.sum() ** 2 / len(self.weights) / (self.weights**2).sum())


class Table:
    """The exact ratio of two samples over countably many points (the last column of the features)."""

    def fit(self, source: np.ndarray, target: np.ndarray) -> Fitted:
        points = int(max(source[:, -1].max(), target[:, -1].max())) + 1
        below, above = (np.bincount(x[:, -1].astype(int), minlength=points) / len(x) for x in (source, target))
        ratio = np.divide(above, below, out=np.zeros(points), where=below > 0)[source[:, -1].astype(int)]
        return Fitted(ratio / ratio.mean())


class Flat:
    """A ratio that says nothing."""

    def fit(self, source: np.ndarray, target: np.ndarray) -> Fitted:
        return Fitted(np.ones(len(source)))


class World:
    """Rows from integer counts [m, 2] (negative, positive); in each cell exactly 2 of 5 positives are labeled."""

    def __init__(self, negatives: np.ndarray, positives: np.ndarray) -> None:
        x, y, s = [], [], []
        for point, (no, yes) in enumerate(zip(negatives, positives, strict=True)):
            x += [point] * int(no + yes)
            y += [False] * int(no) + [True] * int(yes)
            s += [False] * int(no) + ([True] * 2 + [False] * 3) * int(yes // 5)
        self.x, self.y, self.rows = np.array(x), np.array(y), LabeledRows(np.array(x, float)[:, None], np.array(s))

    def clean(self, table: np.ndarray) -> float:
        return float(np.where(self.y, table[self.x, 0], table[self.x, 1]).mean())


def worlds(kind: CorrectionKind, seed: int) -> tuple[World, World]:
    """Two populations that differ by the kind of shift, with at least 30 labeled rows in the target."""
    rng = np.random.default_rng(seed)
    m = int(rng.integers(3, 6))
    negatives, positives = 4 * rng.integers(1, 6, m), 5 * rng.integers(6, 10, m)
    training = World(negatives, positives)
    factor = {
        "none": (3, 3),
        "covariate": (each := rng.integers(2, 6, m), each),
        "label": (int(rng.integers(1, 7)), 3),
        "joint": (rng.integers(1, 6, m), rng.integers(2, 6, m)),
    }[kind]
    return training, World(negatives * factor[0], positives * factor[1])


def corrected_risk(training: World, shift: ShiftWeights, table: np.ndarray) -> float:
    data = positive_unlabeled(
        training.rows.features,
        training.rows.labelled,
        shift.class_prior.value,
        shift.target_prior.value,
        shift.mixture_prior,
        shift.weights,
    )
    matrix = decontamination(data.mixture, data.prior, data.sources.sum(axis=0))
    parts = (table[training.x], np.array(data.sources), np.array(data.weights), matrix)
    return float(group_risks(*(torch.from_numpy(np.array(part)) for part in parts)).sum())


TWO_IN_FIVE = LabelFrequency(np.array([0.4]), np.array([1.0]), "exact")


@pytest.mark.parametrize(
    ("kind", "world"),
    [("none", "none"), ("covariate", "covariate"), ("label", "label"), ("joint", "covariate"), ("joint", "none")],
)
@few
@given(seed=seeds)
def test_the_corrected_risk_is_the_clean_risk_of_the_target(
    kind: CorrectionKind, world: CorrectionKind, seed: int
) -> None:
    training, target = worlds(world, seed)
    table = np.random.default_rng(seed + 1).normal(size=(6, 2))
    shift = correct(kind, Table(), training.rows, target.rows, TWO_IN_FIVE)
    assert (shift.kind, shift.reason) == (kind, "")
    assert corrected_risk(training, shift, table) == pytest.approx(target.clean(table), abs=1e-10)
    assert shift.class_prior.value == pytest.approx(training.y.mean())
    assert shift.target_prior.value == pytest.approx(target.y.mean())


@few
@given(seed=seeds)
def test_a_ratio_that_says_nothing_makes_the_joint_correction_that_of_the_label(seed: int) -> None:
    training, target = worlds("label", seed)
    table = np.random.default_rng(seed + 1).normal(size=(6, 2))
    shift = correct("joint", Flat(), training.rows, target.rows, TWO_IN_FIVE)
    assert corrected_risk(training, shift, table) == pytest.approx(target.clean(table), abs=1e-10)


@pytest.mark.parametrize(("made", "used"), [("covariate", "none"), ("label", "covariate"), ("joint", "label")])
def test_the_wrong_correction_leaves_a_gap(made: CorrectionKind, used: CorrectionKind) -> None:
    training, target = worlds(made, 7)
    table = np.random.default_rng(1).normal(size=(6, 2))
    shift = correct(used, Table(), training.rows, target.rows, TWO_IN_FIVE)
    assert abs(corrected_risk(training, shift, table) - target.clean(table)) > 1e-3


@pytest.mark.parametrize("kind", ["none", "covariate", "label", "joint"])
def test_no_shift_leaves_ones(kind: CorrectionKind) -> None:
    training, _ = worlds("none", 3)
    shift = correct(kind, Table(), training.rows, training.rows, TWO_IN_FIVE)
    np.testing.assert_allclose(shift.all_weights, 1.0)
    np.testing.assert_allclose(shift.positive_weights, training.rows.labelled.astype(float))
    assert shift.target_prior.value == pytest.approx(shift.class_prior.value)
    assert shift.mixture_prior == pytest.approx(shift.class_prior.value)
    assert shift.effective_share == pytest.approx(1.0)


def test_each_kind_reports_its_ratio_and_the_smaller_effective_share() -> None:
    training, target = worlds("joint", 5)
    known = training.rows.labelled
    for kind in ("covariate", "joint"):
        shift = correct(kind, Table(), training.rows, target.rows, TWO_IN_FIVE)
        assert shift.divergence == 0.25
        columns = (shift.all_weights, shift.positive_weights[known])
        shares = [w.sum() ** 2 / len(w) / (w**2).sum() for w in columns]
        assert shift.effective_share == pytest.approx(min(shares))
        assert shift.all_weights.mean() == pytest.approx(1.0)
        assert shift.positive_weights[known].mean() == pytest.approx(1.0)
        assert not shift.positive_weights[~known].any()
    assert correct("label", Table(), training.rows, target.rows, TWO_IN_FIVE).divergence == 0.0


@pytest.mark.parametrize(("kind", "instead"), [("label", "none"), ("joint", "covariate")])
def test_too_few_labeled_rows_in_the_target_fall_back_and_say_so(kind: CorrectionKind, instead: str) -> None:
    training, target = worlds("none", 2)
    labelled = target.rows.labelled.copy()
    labelled[np.flatnonzero(labelled)[29:]] = False
    shift = correct(kind, Table(), training.rows, LabeledRows(target.rows.features, labelled), TWO_IN_FIVE)
    assert shift.kind == instead
    assert f"{kind!r} needs 30 labeled rows in the target, it has 29" in shift.reason
    assert shift.target_prior.value == pytest.approx(shift.class_prior.value)


def test_too_few_labeled_training_rows_fall_back_to_covariate() -> None:
    training, target = worlds("none", 2)
    labelled = training.rows.labelled.copy()
    labelled[np.flatnonzero(labelled)[10:]] = False
    shift = correct("joint", Table(), LabeledRows(training.rows.features, labelled), target.rows, TWO_IN_FIVE)
    assert shift.kind == "covariate"
    assert "'joint' needs 30 labeled training rows, found 10" in shift.reason


def test_priors_stay_away_from_zero_and_one() -> None:
    features = np.arange(100.0)[:, None]
    rows = LabeledRows(features, np.arange(100) < 60)
    shift = correct("label", Table(), rows, LabeledRows(features, np.arange(100) < 90), TWO_IN_FIVE)
    assert shift.class_prior.value == 0.99
    assert shift.target_prior.value == 0.99


def test_the_interval_of_the_label_frequency_reaches_the_priors() -> None:
    training, target = worlds("covariate", 4)
    belief = LabelFrequency(np.array([0.35, 0.4, 0.45]), np.array([0.3, 0.4, 0.3]), "three values")
    for kind in ("none", "covariate", "label", "joint"):
        shift = correct(kind, Table(), training.rows, target.rows, belief)
        assert shift.target_prior.low < shift.target_prior.value < shift.target_prior.high
        assert shift.target_prior.source == "three values"


def test_estimated_ratios_come_near_the_target_risk() -> None:
    def population(rng: np.random.Generator, shift: float, rows: int) -> tuple[LabeledRows, np.ndarray]:
        x = rng.normal(size=(rows, 1)) + shift
        y = rng.random(rows) < 1 / (1 + np.exp(-2 * x[:, 0]))
        return LabeledRows(x, y & (rng.random(rows) < 0.4)), y

    errors = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        (training, _), (target, y) = population(rng, 0.0, 6000), population(rng, 0.8, 6000)
        shift = correct("covariate", RuLsif(alpha=0.0), training, target, TWO_IN_FIVE)
        errors.append(shift.target_prior.value - y.mean())
        assert abs(errors[-1]) < 0.5 * abs(shift.class_prior.value - y.mean())
    assert abs(np.mean(errors)) < 0.04


def test_bad_arguments_are_named() -> None:
    rows = LabeledRows(np.zeros((3, 1)), np.array([True, False, False]))
    with pytest.raises(InputError, match="kind"):
        correct("concept", Table(), rows, rows, TWO_IN_FIVE)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="labelled must be true"):
        correct("none", Table(), LabeledRows(np.zeros((3, 1)), np.zeros(3, dtype=bool)), rows, TWO_IN_FIVE)
    with pytest.raises(InputError, match="labelled must hold one value"):
        LabeledRows(np.zeros((3, 1)), np.array([True]))
    apart = World(np.array([5, 0]), np.array([0, 5])), World(np.array([5, 0]), np.array([0, 0]))
    with pytest.raises(InputError, match="target rows must overlap the labeled"):
        correct("covariate", Table(), apart[0].rows, apart[1].rows, TWO_IN_FIVE)
