"""What is scored, what is left out, and the errors that name their field."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from components.errors import InputError
from components.evaluation import METHODS, METRICS, Bootstrapped, Scored, limits


def scored(rows: int = 120, seed: int = 0) -> Scored:
    generator = np.random.default_rng(seed)
    probability = generator.random(rows)
    truth = (generator.random(rows) < probability).astype(float)
    return Scored(
        truth,
        {"kintsugi": probability, "logistic regression": generator.random(rows)},
        ["1999-2000", "2001-2002"] * (rows // 2),
        {"sex": ["female"] * (rows - 30) + ["male"] * 30},
        "glycohemoglobin",
    )


FAST = Bootstrapped(resamples=20)


def test_every_model_is_scored_on_all_rows_each_batch_and_each_large_group() -> None:
    card = FAST.score(scored())
    cells = {(s.batch, s.slice) for s in card.scores}
    assert cells == {("all", "all"), ("1999-2000", "all"), ("2001-2002", "all"), ("all", "sex=female")}
    assert len(card.scores) == 4 * 2 * len(METRICS)
    assert (card.label, card.weak) == ("glycohemoglobin", False)
    assert list(METHODS) == ["bootstrapped"]


def test_a_cell_is_the_metric_of_its_rows() -> None:
    given = scored()
    card = FAST.score(given)
    female, first = np.arange(120) < 90, np.arange(120) % 2 == 0
    for metric, function in METRICS.items():
        p = given.probabilities["logistic regression"]
        by_group = card.value("logistic regression", metric, slice="sex=female")
        by_batch = card.value("logistic regression", metric, batch="1999-2000")
        assert by_group.value == pytest.approx(function(given.truth[female], p[female]))
        assert by_batch.value == pytest.approx(function(given.truth[first], p[first]))
        assert (by_group.rows, by_batch.rows) == (90, 60)
        assert by_group.low <= by_group.value <= by_group.high


def test_rows_of_unknown_truth_are_left_out_and_counted() -> None:
    given = scored()
    truth = given.truth.copy()
    truth[:7] = np.nan
    reported: list[dict[str, float]] = []

    def report(step: int, total: int, metrics: Mapping[str, float]) -> None:
        reported.append({"step": step, "total": total, **metrics})

    card = FAST.score(replace(given, truth=truth), report)
    found = card.value("kintsugi", "brier")
    assert found.rows == 113
    assert found.value == pytest.approx(METRICS["brier"](given.truth[7:], given.probabilities["kintsugi"][7:]))
    assert [entry["step"] for entry in reported] == list(range(int(reported[0]["total"])))
    assert reported[0]["rows_unknown"] == 7
    assert reported[0]["brier"] == found.value


def test_one_class_leaves_rankings_undefined() -> None:
    card = FAST.score(replace(scored(), truth=np.zeros(120)))
    assert np.isnan(card.value("kintsugi", "auc").value)
    assert np.isfinite(card.value("kintsugi", "log_loss").value)


def test_differences_are_ours_minus_theirs_on_all_rows_and_groups() -> None:
    given = scored()
    card, differences = FAST.score(given), FAST.differences(given)
    assert {d.slice for d in differences} == {"all", "sex=female"}
    for found in differences:
        ours = card.value("kintsugi", found.metric, slice=found.slice).value
        theirs = card.value("logistic regression", found.metric, slice=found.slice).value
        assert found.estimate == pytest.approx(ours - theirs, abs=1e-12)
        assert found.low <= found.estimate <= found.high


def test_the_arrays_given_are_not_changed_and_cannot_be() -> None:
    truth = np.array([0.0, 1.0, np.nan])
    given = Scored(truth, {"kintsugi": np.array([0.1, 0.9, 0.5])}, ["a"] * 3, {}, "y")
    truth[0] = 1.0
    assert given.truth[0] == 0
    assert not given.truth.flags.writeable
    assert given.unknown == 1


@pytest.mark.parametrize(("field", "value"), [("resamples", 19), ("minimum_slice_rows", 0), ("seed", -1)])
def test_a_bad_field_is_named(field: str, value: int) -> None:
    with pytest.raises(InputError, match=field):
        replace(Bootstrapped(), **{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("truth", np.full(120, 2.0)),
        ("truth", np.zeros((120, 1))),
        ("probabilities", {"other": np.full(120, 0.5)}),
        ("probabilities", {"kintsugi": np.full(119, 0.5)}),
        ("probabilities", {"kintsugi": np.full(120, 1.5)}),
        ("probabilities", {"kintsugi": np.full(120, np.nan)}),
        ("batches", ["a"]),
        ("slices", {"sex": ["female"]}),
    ],
)
def test_bad_predictions_are_named(field: str, value: Any) -> None:
    with pytest.raises(InputError, match=field):
        replace(scored(), **{field: value})


def test_truth_must_be_known_somewhere() -> None:
    with pytest.raises(InputError, match="truth must be known"):
        FAST.score(replace(scored(), truth=np.full(120, np.nan)))


def test_steps_that_do_not_help_are_told() -> None:
    given = scored()
    better = given.probabilities["kintsugi"]
    worse = np.clip(better + np.where(given.truth > 0, -0.2, 0.2), 0.01, 0.99)
    # Better than `worse` overall, and worse than it in the second batch only.
    mixed = np.where(
        np.arange(120) % 2 == 0, np.abs(given.truth - 0.001), np.clip(worse + 0.05 * (1 - 2 * given.truth), 0.01, 0.99)
    )
    card = FAST.score(replace(given, probabilities={"kintsugi": better, "worse": worse, "mixed": mixed}))
    (sentence,) = limits(card, ("kintsugi", "worse"))
    assert "“worse” is not better than “kintsugi”" in sentence
    assert "2 of 2 batches" in sentence
    assert limits(card, ("worse", "kintsugi")) == ()
    assert limits(card, ("worse", "never scored", "kintsugi")) == ()
    (same,) = limits(card, ("kintsugi", "kintsugi"))
    assert "is not better" in same
    told = limits(card, ("worse", "mixed"))
    assert len(told) == 1
    assert "1 of 2 batches: 2001-2002" in told[0]
    assert limits(card, ("worse", "kintsugi"), "auc") == ()


def test_sample_weights_stand_for_repeated_rows() -> None:
    rng = np.random.default_rng(3)
    truth, probability = rng.integers(0, 2, 60).astype(float), rng.uniform(size=60)
    weights = rng.integers(0, 4, 60).astype(float)
    often = np.repeat(np.arange(60), weights.astype(int))
    weighted = Scored(truth, {"kintsugi": probability}, ["b"] * 60, {}, "y", weights=weights)
    repeated = Scored(truth[often], {"kintsugi": probability[often]}, ["b"] * len(often), {}, "y")
    for metric in ("log_loss", "brier", "auc", "average_precision", "prevalence_bias"):
        one, two = (
            Bootstrapped(resamples=20).score(scored).value("kintsugi", metric) for scored in (weighted, repeated)
        )
        assert one.value == pytest.approx(two.value, abs=1e-12)
    with pytest.raises(InputError, match="weights must be 60 nonnegative numbers"):
        Scored(truth, {"kintsugi": probability}, ["b"] * 60, {}, "y", weights=-weights)
