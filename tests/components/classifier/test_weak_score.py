"""The weak score is the risk of the setting, is the clean error on average, and its intervals hold that error."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from components.classifier.weak_score import ERROR, SURPRISE, WeakScores, weak_scores, weak_shares
from components.errors import InputError
from components.weak import (
    ComplementaryLabels,
    Forward,
    LabelProportions,
    NoisyLabels,
    Observed,
    PartialLabels,
    PositiveUnlabeled,
    SemiSupervised,
    Setting,
    UnlabeledSets,
    UnlabeledUnlabeled,
)
from components.weak.observed import Clean
from components.weak.transitions import as_table
from tests.components.weak.worlds import INVERTIBLE, LIKELY, Case, make

Array = np.ndarray


def classifier(case: Case, seed: int = 0) -> Array:
    """[n, K] probabilities of an arbitrary classifier for the rows of a case."""
    table = np.random.default_rng(seed).dirichlet(np.ones(case.setting.class_count), case.world.points)
    return np.asarray(table[case.at.numpy()])


def true_error(case: Case, probabilities: Array) -> float:
    """The error rate in the world itself."""
    likeliest = np.zeros(case.world.points, dtype=np.int64)
    likeliest[case.at.numpy()] = probabilities.argmax(axis=1)
    return 1 - float(case.world.joint[np.arange(case.world.points), likeliest].sum())


@pytest.mark.parametrize("name", INVERTIBLE)
def test_the_weak_error_is_the_error_in_the_world(name: str) -> None:
    for seed in range(3):
        case = make(name, seed)
        found = weak_scores(case.setting, case.observed.marks, {"a": classifier(case)}, case.observed.weights)
        assert found.name == ERROR
        if name == "positive_confidence":  # it is of the positives' population, up to a factor
            continue
        assert found.estimates["a"] == pytest.approx(true_error(case, classifier(case)), abs=1e-10)


@pytest.mark.parametrize("name", LIKELY)
def test_the_surprise_is_that_of_the_forward_risk(name: str) -> None:
    case = make(name, 1)
    marks, weights, probabilities = case.observed.marks, case.observed.weights, classifier(case)
    found = weak_scores(case.setting, marks, {"a": probabilities}, weights, invert=False)
    risk = case.setting.risk(case.setting.counts(marks, weights), rewrite=Forward(), dtype=torch.float64)
    expected = risk(torch.log(torch.tensor(probabilities)), risk.evidence(case.marks, case.weights))
    assert found.name == SURPRISE
    assert found.estimates["a"] == pytest.approx(float(expected), rel=1e-10)


def test_rows_that_cannot_be_inverted_are_told_by_their_surprise() -> None:
    marks = np.array([[1, 1, 1], [1, 0, 0], [0, 1, 1]], dtype=bool)
    probabilities = np.array([[0.2, 0.3, 0.5], [0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])
    found = weak_scores(PartialLabels(3), marks, {"a": probabilities})
    assert found.name == SURPRISE  # the last row is impossible: its probability is taken for 2e-12
    assert found.estimates["a"] == pytest.approx(-np.log([1, 0.2, 2e-12]).mean(), rel=1e-6)


def test_a_source_without_a_row_is_told() -> None:
    with pytest.raises(InputError, match="every source needs a row"):
        weak_scores(PositiveUnlabeled(0.4), np.zeros(5, dtype=np.int64), {"a": np.full((5, 2), 0.5)})


# From here on rows are drawn: a point of four, its class, and what is observed of it.
JOINT = np.array([[0.20, 0.05, 0.02], [0.05, 0.15, 0.05], [0.02, 0.06, 0.20], [0.10, 0.05, 0.05]])
TABLE = np.array([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.1, 0.6, 0.3], [0.2, 0.3, 0.5]])
OTHER = np.array([[0.3, 0.6, 0.1], [0.3, 0.6, 0.1], [0.1, 0.2, 0.7], [0.6, 0.2, 0.2]])
NOISE = as_table(np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]))
ROWS = 400
Draw = Callable[[int], tuple[Setting, Observed]]


def joint(classes: int) -> Array:
    return JOINT if classes == 3 else np.column_stack([JOINT[:, 0], JOINT[:, 1:].sum(axis=1)])


def said(table: Array, classes: int) -> Array:
    return table if classes == 3 else np.column_stack([table[:, 0], 1 - table[:, 0]])


def error_of(table: Array, classes: int) -> float:
    return 1 - float(joint(classes)[np.arange(4), said(table, classes).argmax(axis=1)].sum())


def drawn(setting: Setting, seed: int, sizes: tuple[int, ...] | None = None, rows: int = ROWS) -> Observed:
    classes = setting.class_count
    cells = np.random.default_rng([seed, 7]).choice(4 * classes, rows, p=joint(classes).ravel())
    clean = Clean((cells // classes)[:, None].astype(float), cells % classes)
    return setting.simulate(clean, seed, sizes).observed


PRIOR2, PRIOR3 = float(joint(2)[:, 0].sum()), tuple(JOINT.sum(axis=0).tolist())
SETTINGS: dict[str, tuple[Setting, tuple[int, ...] | None, int]] = {
    "PU, two samples": (PositiveUnlabeled(PRIOR2), (80, 400), 3000),
    "PU, one sample": (PositiveUnlabeled(PRIOR2, "one_sample"), None, ROWS),
    "UU": (UnlabeledUnlabeled(0.9, 0.2, PRIOR2), (150, 250), 3000),
    "three sets": (UnlabeledSets(((0.6, 0.3, 0.1), (0.1, 0.6, 0.3), (0.3, 0.1, 0.6)), PRIOR3), (150, 100, 200), 3000),
    "semi-supervised": (SemiSupervised(PRIOR3), (60, 60, 60, 300), 3000),
    "noisy": (NoisyLabels(NOISE), None, ROWS),
    "complementary": (ComplementaryLabels(3), None, ROWS),
    "partial": (PartialLabels(3), None, ROWS),
}


def drawn_for(name: str, seed: int) -> tuple[Setting, Observed]:
    setting, sizes, rows = SETTINGS[name]
    if name == "PU, one sample":  # half of the positives carry a label, however many there are
        cells = np.random.default_rng([seed, 7]).choice(8, rows, p=joint(2).ravel())
        labelled = (cells % 2 == 0) & (np.random.default_rng([seed, 8]).random(rows) < 0.5)
        return setting, setting.observe((cells // 2)[:, None].astype(float), labelled)
    return setting, drawn(setting, seed, sizes, rows)


def scored(name: str, seed: int, weights: Array | None = None) -> WeakScores:
    setting, observed = drawn_for(name, seed)
    at, classes = observed.features[:, 0].astype(np.int64), setting.class_count
    models = {"a": said(TABLE, classes)[at], "b": said(OTHER, classes)[at]}
    return weak_scores(setting, observed.marks, models, weights)


@pytest.mark.parametrize("name", SETTINGS)
def test_intervals_hold_the_clean_error_and_its_paired_difference(name: str) -> None:
    classes, trials = SETTINGS[name][0].class_count, 400
    true, other = error_of(TABLE, classes), error_of(OTHER, classes)
    estimates, covered, paired = [], 0, 0
    for seed in range(trials):
        found = scored(name, seed)
        estimates.append(found.estimates["a"])
        interval, gap = found.interval("a"), found.paired_difference("a", "b")
        covered += interval.low <= true <= interval.high
        paired += gap.low <= true - other <= gap.high
    spread = float(np.std(estimates, ddof=1))
    assert np.mean(estimates) == pytest.approx(true, abs=4 * spread / np.sqrt(trials))
    width = np.mean([(i.high - i.low) for seed in range(50) for i in [scored(name, seed).interval("a")]])
    # The spread of 400 draws is known to 3.5 %; coverage to 1.1 %.
    assert width == pytest.approx(2 * 1.96 * spread, rel=0.15)
    assert 0.915 <= covered / trials <= 0.985
    assert 0.915 <= paired / trials <= 0.985


@pytest.mark.parametrize("name", SETTINGS)
def test_intervals_agree_with_those_of_a_bootstrap(name: str) -> None:
    setting, observed = drawn_for(name, 3)
    at, classes = observed.features[:, 0].astype(np.int64), setting.class_count
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.5, 2, len(at))
    models = {"a": said(TABLE, classes)[at], "b": said(OTHER, classes)[at]}
    models["same"] = np.tile(np.eye(classes)[0], (len(at), 1))  # only how many rows have each label moves its score
    found = weak_scores(setting, observed.marks, models, weights)
    by_source = setting.channel(setting.counts(observed.marks)).kind == "source"
    strata = np.asarray(observed.marks) if by_source else np.zeros(len(at), dtype=np.int64)
    groups = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    alone, gap, same = [], [], []
    for _ in range(500):
        rows = np.concatenate([rng.choice(group, len(group)) for group in groups])
        some = {name: values[rows] for name, values in models.items()}
        again = weak_scores(setting, observed.marks[rows], some, weights[rows])
        alone.append(again.estimates["a"])
        gap.append(again.estimates["a"] - again.estimates["b"])
        same.append(again.estimates["same"])
    pairs = ((found.interval("a"), alone), (found.paired_difference("a", "b"), gap), (found.interval("same"), same))
    for interval, replicates in pairs:
        assert interval.high - interval.low == pytest.approx(2 * 1.96 * np.std(replicates), rel=0.15, abs=1e-4)


def test_a_row_of_weight_two_is_two_rows_to_the_estimate() -> None:
    setting, observed = drawn_for("noisy", 0)
    probabilities = said(TABLE, 3)[observed.features[:, 0].astype(np.int64)]
    weights = np.random.default_rng(0).integers(0, 4, len(observed)).astype(float)
    twice = np.repeat(np.arange(len(observed)), weights.astype(int))
    one = weak_scores(setting, observed.marks, {"a": probabilities}, weights)
    many = weak_scores(setting, observed.marks[twice], {"a": probabilities[twice]})
    assert one.estimates["a"] == pytest.approx(many.estimates["a"], rel=1e-12)


@pytest.mark.parametrize("name", [*SETTINGS, "bags"])
def test_what_rows_move_the_score_by_adds_up_to_nothing(name: str) -> None:
    if name == "bags":
        shares = ((0.5, 0.5), (0.25, 0.75), (1.0, 0.0))
        setting: Setting = LabelProportions(2, shares)
        marks = np.repeat([0, 1, 2], [4, 8, 4])
        probabilities = np.random.default_rng(0).dirichlet([1, 1], 16)
        found = weak_scores(setting, marks, {"a": probabilities})
        for bag in range(3):
            assert abs(found.influences["a"][marks == bag].sum()) < 1e-9
    found = scored(name, 5) if name != "bags" else found
    assert abs(found.influences["a"].sum()) < 1e-5  # the weights of labels are differentiated by a step


def test_a_source_of_one_row_still_has_a_spread() -> None:
    marks = np.array([0, 1, 1, 1, 1])
    probabilities = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.8, 0.2], [0.3, 0.7]])
    interval = weak_scores(PositiveUnlabeled(0.4), marks, {"a": probabilities}).interval("a")
    assert interval.high - interval.low > 2 * 1.96 * 0.4  # what the one positive adds, alone


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("invert", [True, False])
def test_no_constant_beats_the_shares(name: str, invert: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.classifier import weak_score

    setting, observed = drawn_for(name, 1)
    classes, rng = setting.class_count, np.random.default_rng(0)
    if not invert:  # as where nothing can be inverted
        usual = weak_score.told
        monkeypatch.setattr(weak_score, "told", lambda *args: usual(*args[:4], False))
    shares = weak_shares(setting, observed.marks)
    constants = {"shares": shares} | {str(number): rng.dirichlet(np.ones(classes)) for number in range(20)}
    constants |= {f"near {number}": np.abs(shares + 0.02 * rng.normal(size=classes)) for number in range(20)}
    models = {key: np.tile(value / value.sum(), (len(observed), 1)) for key, value in constants.items()}
    found = weak_scores(setting, observed.marks, models, invert=invert)
    assert found.name == (ERROR if invert else SURPRISE)
    assert found.estimates["shares"] <= min(found.estimates.values()) + 1e-9
    assert shares.sum() == pytest.approx(1)
    expected = PRIOR3 if classes == 3 else (PRIOR2, 1 - PRIOR2)
    assert shares == pytest.approx(np.array(expected), abs=0.25)
