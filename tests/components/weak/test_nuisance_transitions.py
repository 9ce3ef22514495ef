"""Tables of label noise are found exactly where theory says so, and their intervals are those of counts."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import InputError
from components.weak import NoisyLabels
from components.weak.nuisance import (
    TRANSITION_METHODS,
    Anchors,
    ConfidentJoint,
    DualTransition,
    EstimatedTransition,
    Structured,
    TransitionMethod,
    also_taken_for,
    estimate_transition,
    neighbours,
    relative_error,
    within_groups,
)
from components.weak.nuisance.confident_joint import confident_counts
from components.weak.transitions import pair_noise

ALL = ((True,) * 3,) * 3
METHODS: tuple[TransitionMethod, ...] = (
    Anchors(),
    Anchors(100),
    DualTransition(),
    ConfidentJoint(),
    ConfidentJoint(calibrated=False),
    Structured(ALL),
    Structured(ALL, base=ConfidentJoint()),
)
COUNTING = tuple(method for method in METHODS if "anchor" not in method.source or method.kind == "dual")
each_method = pytest.mark.parametrize("method", METHODS, ids=[method.source for method in METHODS])
seeds = st.integers(0, 10_000)


def dominant(rng: np.random.Generator, classes: int) -> np.ndarray:
    """A table whose diagonal is the largest of its row and of its column."""
    return 0.55 * np.eye(classes) + 0.45 * rng.dirichlet(np.ones(classes), size=classes)


def world(seed: int, classes: int = 3, rows: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and labels of no particular truth; every class labels some rows."""
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(classes), size=rows), np.concatenate(
        [np.arange(classes), rng.integers(classes, size=rows - classes)]
    )


def counted(classes: np.ndarray, noisy: np.ndarray, size: int) -> np.ndarray:
    return np.array([[np.mean(noisy[classes == i] == j) for j in range(size)] for i in range(size)])


def flipped(seed: int, table: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    clean = rng.integers(len(table), size=rows)
    return clean, (rng.random(rows)[:, None] > np.cumsum(table[clean], axis=1)).sum(axis=1)


@settings(deadline=None, max_examples=60)
@given(seed=seeds, classes=st.integers(2, 6), percentile=st.sampled_from([100.0, 97.0]))
def test_anchors_find_the_table_exactly(seed: int, classes: int, percentile: float) -> None:
    rng = np.random.default_rng(seed)
    truth = dominant(rng, classes)
    # At percentile 97 more than three rows in a hundred of each class must be sure.
    sure = np.repeat(np.eye(classes), 1 if percentile == 100 else 20, axis=0)
    unsure = rng.dirichlet(np.ones(classes), size=200)
    posterior = np.vstack([sure, unsure])[rng.permutation(len(sure) + 200)] @ truth
    found, notes = Anchors(percentile).find(posterior, np.zeros(len(posterior), dtype=np.int64))
    np.testing.assert_allclose(found, truth, atol=1e-12)
    assert notes == ()


@settings(deadline=None, max_examples=30)
@given(seed=seeds, classes=st.integers(2, 6))
def test_without_anchors_the_diagonal_is_too_small(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    truth = dominant(rng, classes)
    hazy = 0.6 * rng.dirichlet(np.ones(classes), size=200) + 0.4 / classes
    found, _ = Anchors(100).find(hazy @ truth, np.zeros(200, dtype=np.int64))
    assert (np.diag(found) < np.diag(truth)).all()
    assert relative_error(found, truth) > 0.01


@settings(deadline=None, max_examples=30)
@given(seed=seeds, classes=st.integers(2, 5))
def test_certain_probabilities_leave_only_what_is_counted(seed: int, classes: int) -> None:
    clean, noisy = flipped(seed, dominant(np.random.default_rng(seed), classes), 400)
    empirical = counted(clean, noisy, classes)
    certain = np.eye(classes)[clean]
    for method in (DualTransition(Anchors(100)), ConfidentJoint(), ConfidentJoint(calibrated=False)):
        np.testing.assert_allclose(method.find(certain, noisy)[0], empirical, atol=1e-12)


@settings(deadline=None, max_examples=30)
@given(seed=seeds)
def test_with_exact_posteriors_the_product_is_the_table_times_what_is_counted(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = dominant(rng, 3)
    posterior = np.vstack([np.eye(3), rng.dirichlet(np.ones(3), size=300)]) @ truth
    noisy = rng.integers(3, size=len(posterior))
    spade = counted(posterior.argmax(axis=1), noisy, 3)
    np.testing.assert_allclose(DualTransition(Anchors(100)).find(posterior, noisy)[0], truth @ spade, atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(seed=seeds, calibrated=st.booleans())
def test_the_confident_joint_is_what_its_definition_counts_row_by_row(seed: int, calibrated: bool) -> None:
    probabilities, noisy = world(seed, classes=4)
    usual = [np.mean([row[k] for row, label in zip(probabilities, noisy, strict=True) if label == k]) for k in range(4)]
    counts = np.zeros((4, 4))
    for row, label in zip(probabilities, noisy, strict=True):
        confident = [k for k in range(4) if row[k] >= usual[k]]
        if confident:
            counts[max(confident, key=lambda k: row[k]), label] += 1
    if calibrated:
        for label in range(4):
            counts[:, label] *= (noisy == label).sum() / counts[:, label].sum()
    expected = counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        ConfidentJoint(calibrated=calibrated).find(probabilities, noisy)[0], expected, atol=1e-12
    )


def test_calibration_matters_where_rows_that_reach_no_threshold_are_of_one_label() -> None:
    certain = np.repeat(np.eye(2), 50, axis=0)
    noisy = np.repeat([0, 0, 1], [50, 25, 25])
    unsure, labels = np.full((100, 2), 0.5), np.zeros(100, dtype=np.int64)
    probabilities, noisy = np.vstack([certain, unsure]), np.concatenate([noisy, labels])
    counts = confident_counts(probabilities, noisy)
    assert counts.sum() < 200
    plain, calibrated = (ConfidentJoint(calibrated=choice).find(probabilities, noisy)[0] for choice in (False, True))
    np.testing.assert_allclose(plain[1], [25 / 50, 25 / 50])
    np.testing.assert_allclose(calibrated[1], [25 * 175 / 75 / (25 * 175 / 75 + 25), 25 / (25 * 175 / 75 + 25)])


@settings(deadline=None, max_examples=30)
@given(seed=seeds)
def test_the_structured_row_is_the_nearest_of_those_allowed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities, noisy = world(seed)
    mask = neighbours(3)
    base = ConfidentJoint().find(probabilities, noisy)[0]
    found, _ = Structured(mask, base=ConfidentJoint()).find(probabilities, noisy)
    assert (found[~np.array(mask)] == 0).all()

    def divergence(row: np.ndarray, other: np.ndarray) -> float:
        held = row > 0
        return float(np.sum(row[held] * np.log(row[held] / other[held])))

    for number in range(3):
        least = divergence(found[number], base[number])
        for _ in range(20):
            other = np.zeros(3)
            other[np.array(mask[number])] = rng.dirichlet(np.ones(sum(mask[number])))
            assert least <= divergence(other, base[number]) + 1e-12


def test_a_structure_that_the_estimate_contradicts_is_told() -> None:
    clean, noisy = flipped(0, np.array(pair_noise(3, 0.4)), 3000)
    result = estimate_transition(Structured(neighbours(3), base=ConfidentJoint()), np.eye(3)[clean], noisy, 5)
    assert [note for note in result.notes if "class 2" in note and "rules out" in note]
    assert not [note for note in result.notes if "class 0" in note]
    assert result.matrix[2, 0] == 0.0
    assert result.matrix[2, 2] == 1.0


def test_a_class_of_which_no_possible_label_was_estimated_gets_all_of_them_alike() -> None:
    certain = np.eye(2)[[0, 1] * 10]
    off_diagonal = ((False, True), (True, False))
    found, notes = Structured(off_diagonal).find(certain, np.arange(20) % 2)
    np.testing.assert_array_equal(found, np.eye(2)[::-1])
    assert len(notes) == 2


def test_structures_have_the_cells_their_names_say() -> None:
    assert neighbours(3) == ((True, True, False), (True, True, True), (False, True, True))
    assert within_groups((0, 1, 0)) == ((True, False, True), (False, True, False), (True, False, True))
    assert also_taken_for(3, (2,)) == ((True, False, True), (False, True, True), (False, False, True))
    with pytest.raises(InputError, match=r"^labels must be class numbers from 0 to 2, got \(3,\)"):
        also_taken_for(3, (3,))


@each_method
@settings(deadline=None, max_examples=10)
@given(seed=seeds)
def test_rows_are_probabilities_and_lie_in_their_intervals(method: TransitionMethod, seed: int) -> None:
    probabilities, noisy = world(seed, rows=80)
    before = probabilities.copy(), noisy.copy()
    result = estimate_transition(method, probabilities, noisy, replicates=8, seed=seed)
    np.testing.assert_allclose(result.matrix.sum(axis=1), 1.0, atol=1e-12)
    assert (result.low <= result.matrix).all()
    assert (result.matrix <= result.high).all()
    assert 0 <= result.noise_rate.low <= result.noise_rate.value <= result.noise_rate.high <= 1
    assert NoisyLabels(result.table).class_count == 3
    cell = result.cell(1, 2)
    assert (cell.value, cell.low, cell.high) == (result.matrix[1, 2], result.low[1, 2], result.high[1, 2])
    assert cell.source == method.source
    again = estimate_transition(method, probabilities, noisy, replicates=8, seed=seed)
    np.testing.assert_array_equal(result.low, again.low)
    np.testing.assert_array_equal(probabilities, before[0])
    np.testing.assert_array_equal(noisy, before[1])


@each_method
@settings(deadline=None, max_examples=15)
@given(seed=seeds, order=st.permutations(range(3)))
def test_neither_the_order_of_rows_nor_the_names_of_classes_matter(
    method: TransitionMethod, seed: int, order: list[int]
) -> None:
    probabilities, noisy = world(seed)
    plain = method.find(probabilities, noisy)[0]
    rows = np.random.default_rng(seed).permutation(len(noisy))
    np.testing.assert_allclose(method.find(probabilities[rows], noisy[rows])[0], plain, atol=1e-12)
    # Class order[i] is called i from now on.
    renamed = method.find(probabilities[:, order], np.argsort(order)[noisy])[0]
    np.testing.assert_allclose(renamed, plain[np.ix_(order, order)], atol=1e-12)


@pytest.mark.parametrize("method", COUNTING, ids=[method.source for method in COUNTING])
def test_intervals_are_as_wide_as_those_of_counts_where_all_is_counted(method: TransitionMethod) -> None:
    table = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5]])
    clean, noisy = flipped(3, table, 2000)
    result = estimate_transition(method, np.eye(3)[clean], noisy, replicates=400)
    error = np.sqrt(result.matrix * (1 - result.matrix) / np.bincount(clean)[:, None])
    np.testing.assert_allclose((result.high - result.low) / (2 * 1.96 * error), 1.0, atol=0.2)  # 400 resamples: 5 %
    wrong = float(np.mean(clean != noisy))
    assert result.noise_rate.value == pytest.approx(wrong, abs=1e-6)
    assert result.noise_rate.low < wrong < result.noise_rate.high


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    table = np.array([[0.8, 0.2], [0.35, 0.65]])
    held = []
    for seed in range(40):
        clean, noisy = flipped(seed, table, 300)
        result = estimate_transition(ConfidentJoint(), np.eye(2)[clean], noisy, replicates=100, seed=seed)
        held.append((result.low <= table) & (table <= result.high))
    assert 0.85 <= np.mean(held) <= 1.0


def test_doubts_find_the_wrong_labels() -> None:
    rng = np.random.default_rng(0)
    table = np.array(pair_noise(3, 0.3))
    clean, noisy = flipped(0, table, 1500)
    # What a good model predicts of noisy labels, with some haze.
    probabilities = (0.8 * np.eye(3)[clean] + 0.2 * rng.dirichlet(np.ones(3), size=1500)) @ table
    doubts = ConfidentJoint().doubts(probabilities, noisy)
    wrong = clean != noisy
    assert doubts.min() >= 0
    assert doubts.max() <= 1
    assert np.mean(doubts[wrong][:, None] > doubts[~wrong]) > 0.95


@settings(deadline=None, max_examples=30)
@given(seed=seeds)
def test_a_doubt_above_one_half_names_another_class(seed: int) -> None:
    probabilities, noisy = world(seed)
    usual = np.array([probabilities[noisy == k, k].mean() for k in range(3)])
    another = (probabilities - usual).argmax(axis=1) != noisy
    np.testing.assert_array_equal(ConfidentJoint().doubts(probabilities, noisy) > 0.5, another)


def test_a_class_nobody_is_labeled_with_is_told_and_taken_for_itself() -> None:
    probabilities, noisy = world(1)
    noisy = np.minimum(noisy, 1)
    result = estimate_transition(ConfidentJoint(), probabilities, noisy, replicates=3)
    np.testing.assert_array_equal(result.matrix[2], [0, 0, 1])
    assert result.notes == ("no row is confidently of class 2: taken to be always labeled as itself.",)
    assert np.isfinite(ConfidentJoint().doubts(probabilities, noisy)).all()


def test_a_class_that_is_never_predicted_is_told() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet([5.0, 5.0, 1.0], size=200)
    probabilities = probabilities[probabilities.argmax(axis=1) < 2]
    result = estimate_transition(
        DualTransition(), probabilities, rng.integers(3, size=len(probabilities)), replicates=3
    )
    assert result.notes == ("the model never predicts class 2: taken to be always labeled as itself.",)


def test_the_relative_error_is_zero_only_for_the_truth() -> None:
    truth = np.array(pair_noise(4, 0.45))
    assert relative_error(truth, truth) == 0.0
    assert relative_error(np.eye(4), truth) == pytest.approx(2 * 0.45)


P, Y = np.full((4, 2), 0.5), np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("probabilities", "noisy", "message"),
    [
        (np.full(4, 0.5), Y, "probabilities must be a matrix"),
        (np.ones((4, 1)), Y, "probabilities must be a matrix"),
        (np.empty((0, 2)), Y[:0], "probabilities must be a matrix"),
        (np.full((4, 2), np.nan), Y, "probabilities must be finite and not negative, got nan"),
        (np.tile([1.5, -0.5], (4, 1)), Y, "probabilities must be finite and not negative, got -0.5"),
        (np.full((4, 2), 0.4), Y, r"probabilities must sum to one in every row, got \[0.4, 0.4\]"),
        (P, Y[:3], r"noisy must hold one label for each of 4 rows, got shape \(3,\)"),
        (P, np.array([0, 1, 2, 0]), r"noisy must hold class numbers from 0 to 1, got \[0, 1, 2\]"),
        (P, np.array([0, -1, 1, 0]), "noisy must hold class numbers"),
        (P, Y * 1.0, "noisy must hold class numbers"),
    ],
)
def test_what_is_no_posterior_or_no_label_is_refused(
    probabilities: np.ndarray, noisy: np.ndarray, message: str
) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        estimate_transition(Anchors(), probabilities, noisy)
    with pytest.raises(InputError, match=f"^{message}"):
        ConfidentJoint().doubts(probabilities, noisy)


def test_other_bad_fields_are_named() -> None:
    for percentile in (0.0, 100.1, float("nan")):
        with pytest.raises(InputError, match=r"^percentile must lie in"):
            Anchors(percentile)
    with pytest.raises(InputError, match=r"^possible must be a square table"):
        Structured(((True,), (True, True)))
    with pytest.raises(InputError, match=r"^possible must allow every class some label, got none for class 1"):
        Structured(((True, False), (False, False)))
    with pytest.raises(InputError, match=r"^possible must have a row for each of 2 classes, got 3"):
        estimate_transition(Structured(ALL), P, Y)
    with pytest.raises(InputError, match=r"^replicates must be at least 1"):
        estimate_transition(Anchors(), P, Y, replicates=0)
    with pytest.raises(InputError, match=r"^seed must be at least 0"):
        estimate_transition(Anchors(), P, Y, seed=-1)


def test_an_estimate_that_contradicts_itself_is_refused() -> None:
    rate = estimate_transition(ConfidentJoint(), np.eye(2)[Y], Y, replicates=2).noise_rate
    half, low = np.full((2, 2), 0.5), np.zeros((2, 2))
    with pytest.raises(InputError, match=r"^matrix must lie between low and high"):
        EstimatedTransition(half, half + 0.1, half + 0.2, rate, "test")
    with pytest.raises(InputError, match=r"^matrix must be square"):
        EstimatedTransition(half, low[:1], half, rate, "test")
    with pytest.raises(InputError, match=r"^matrix must have rows of probabilities"):
        EstimatedTransition(half / 2, low, half, rate, "test")


@each_method
def test_a_method_is_a_value(method: TransitionMethod) -> None:
    assert pickle.loads(pickle.dumps(method)) == method
    assert hash(method) == hash(pickle.loads(pickle.dumps(method)))
    assert TRANSITION_METHODS[method.kind] is type(method)
