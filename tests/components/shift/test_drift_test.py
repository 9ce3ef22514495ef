"""Drift tests alarm as often as they say without a shift, and always under a plain one."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from components.contracts import DriftReport
from components.errors import InputError
from components.shift import METHODS, DriftTest, Sample
from components.shift.drift import holm

QUICK = DriftTest(permutations=450, maximum_rows=200)


def sample(
    rng: np.random.Generator,
    rows: int = 200,
    mean: tuple[float, ...] = (0.0, 0.0),
    score: float = 0.0,
    labelled: int = 20,
) -> Sample:
    features = rng.normal(size=(rows, len(mean))) + mean
    return Sample(features, rng.normal(size=rows) + score, labelled)


def examine(test: DriftTest, samples: tuple[Sample, Sample], after: float = 0.1, outside: float = 0.0) -> DriftReport:
    names = [f"column {i}" for i in range(samples[0].features.shape[1])]
    return test.examine("a batch", names, samples, (0.1, after), outside)


def test_without_shift_it_alarms_as_often_as_the_level_says() -> None:
    test, alarms, runs = DriftTest(permutations=59, maximum_rows=40, centres=20), 0, 500
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        pair = sample(rng, 40, (0.0,) * 6), sample(rng, 30, (0.0,) * 6)
        alarms += examine(test, pair).p_value <= 0.05
    assert 0.02 <= alarms / runs <= 0.08  # three standard deviations of a binomial around 0.05


def test_a_shift_by_one_deviation_is_found() -> None:
    test, found = DriftTest(permutations=59), 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        pair = sample(rng, 100, (0.0,) * 5), sample(rng, 100, (1.0, 0.0, 0.0, 0.0, 0.0))
        found += examine(test, pair).p_value <= 0.05
    assert found >= 39


def test_a_change_of_shape_without_a_change_of_any_column_is_found() -> None:
    rng = np.random.default_rng(0)
    turned = rng.normal(size=(200, 2))
    turned[:, 1] = 0.95 * turned[:, 0] + np.sqrt(1 - 0.95**2) * turned[:, 1]
    report = examine(QUICK, (sample(rng), Sample(turned, rng.normal(size=200))))
    assert report.p_value <= 0.01
    assert report.columns == ()
    assert report.kind == "covariate"


@pytest.mark.parametrize(
    ("mean", "score", "labelled", "outside", "kind", "action"),
    [
        ((0.0, 0.0), 0.0, 20, 0.0, "none", "update"),
        ((1.0, 0.0), 1.0, 20, 0.0, "covariate", "update and forget"),
        ((0.0, 0.0), 1.0, 20, 0.0, "label", "update and forget"),
        ((0.0, 0.0), 0.0, 50, 0.0, "label", "update and forget"),
        ((0.0, 0.0), 0.0, 28, 0.1, "none", "update"),
        ((1.0, 0.0), 1.0, 50, 0.11, "support", "ask for labels"),
    ],
)
def test_kind_and_action_follow_from_what_moved(
    mean: tuple[float, ...], score: float, labelled: int, outside: float, kind: str, action: str
) -> None:
    rng = np.random.default_rng(1)
    report = examine(QUICK, (sample(rng), sample(rng, 200, mean, score, labelled)), 0.2, outside)
    assert (report.kind, report.action) == (kind, action)
    assert (report.batch, report.prior_before, report.prior_after, report.outside) == ("a batch", 0.1, 0.2, outside)


def test_all_looks_together_alarm_no_more_often_than_the_level_says() -> None:
    test, alarms, runs = DriftTest(permutations=99, level=0.05, maximum_rows=60, centres=15), 0, 200
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        pair = (sample(rng, 60, labelled=rng.binomial(60, 0.2)), sample(rng, 60, labelled=rng.binomial(60, 0.2)))
        alarms += examine(test, pair).kind != "none"
    assert alarms <= 0.05 * runs + 3 * (runs * 0.05 * 0.95) ** 0.5


def test_more_labeled_rows_than_rows_are_refused() -> None:
    with pytest.raises(InputError, match="labelled must lie between 0 and the 5 rows, got 6"):
        Sample(np.zeros((5, 1)), np.zeros(5), 6)


def test_columns_that_moved_are_named_farthest_first() -> None:
    rng = np.random.default_rng(2)
    report = examine(QUICK, (sample(rng, 200, (0.0,) * 4), sample(rng, 200, (0.0, 0.7, 0.0, 2.0))))
    assert [column.name for column in report.columns] == ["column 3", "column 1"]
    assert report.columns[0].statistic > report.columns[1].statistic > 0.15


def test_permutations_count_themselves() -> None:
    rng = np.random.default_rng(2)
    report = examine(replace(QUICK, permutations=19), (sample(rng), sample(rng, 200, (3.0, 3.0))))
    assert report.p_value == pytest.approx(1 / 20)
    assert report.statistic > 0.5


def test_holm_is_the_stepwise_definition() -> None:
    p_values = np.array([0.04, 0.001, 0.03, 0.5])
    found = holm(p_values)
    for level in np.linspace(0.0005, 1.0, 400):
        rejected, order = set(), np.argsort(p_values)
        for step, index in enumerate(order):
            if p_values[index] > level / (4 - step):
                break
            rejected.add(int(index))
        assert set(np.flatnonzero(found <= level + 1e-12)) == rejected


def test_same_seed_same_report_and_inputs_untouched() -> None:
    rng = np.random.default_rng(3)
    pair = sample(rng, 600), sample(rng, 500)
    before = pair[0].features.copy()
    assert examine(QUICK, pair) == examine(QUICK, pair)
    np.testing.assert_array_equal(pair[0].features, before)


def test_rows_and_scores_are_drawn_together() -> None:
    rng = np.random.default_rng(4)
    features = rng.normal(size=(2000, 2))
    pair = Sample(features, features[:, 0]), Sample(features + 5, features[:, 0] + 5)
    report = examine(QUICK, pair)
    assert report.score_statistic == {c.name: c.statistic for c in report.columns}["column 0"]
    assert report.score_p_value < 1e-6


def test_samples_that_disagree_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="names must hold one name"):
        QUICK.examine("b", ["one"], (sample(rng), sample(rng)), (0.1, 0.1), 0.0)
    with pytest.raises(InputError, match="scores must hold one number"):
        Sample(np.zeros((3, 1)), np.zeros(2))
    with pytest.raises(InputError, match="scores must be finite"):
        Sample(np.zeros((3, 1)), np.full(3, np.nan))
    with pytest.raises(InputError, match="target must have the 2 columns"):
        QUICK.examine("b", ["a", "b"], (sample(rng), sample(rng, 50, (0.0,))), (0.1, 0.1), 0.0)


@pytest.mark.parametrize("kind", list(METHODS))
def test_a_method_is_a_value_under_its_own_name(kind: str) -> None:
    method = METHODS[kind]()
    assert method.kind == kind
    assert pickle.loads(pickle.dumps(method)) == method
    assert hash(method) == hash(METHODS[kind]())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("permutations", 0),
        ("level", 0.0),
        ("support", 1.1),
        ("alpha", 1.0),
        ("regularisation", 0.0),
        ("centres", 0),
        ("maximum_rows", 2),
        ("seed", -1),
    ],
)
def test_a_bad_field_is_named(field: str, value: float) -> None:
    with pytest.raises(InputError, match=f"^{field}"):
        DriftTest(**{field: value})
