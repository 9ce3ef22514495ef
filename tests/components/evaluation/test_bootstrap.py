"""Bootstrap intervals: coverage, pairing, and the laws of resampling."""

import time

import numpy as np
import pytest

from components.evaluation import METRICS, resample


def test_interval_of_a_mean_covers_it() -> None:
    covered = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        truth = (generator.random(150) < 0.3).astype(float)
        # With constant predictions the bias is a constant minus the mean of the truth, whose expectation is 0.3.
        found = resample(truth, {"kintsugi": np.full(150, 0.3)}, 200, seed, ("prevalence_bias",))
        interval = found.interval("kintsugi", "prevalence_bias")
        covered += interval.low <= 0 <= interval.high
    # 95 % nominal; binomial noise over 200 draws is 1.5 %.
    assert 180 <= covered <= 199


def test_interval_width_agrees_with_the_standard_error() -> None:
    generator = np.random.default_rng(0)
    truth, probability = (generator.random(2000) < 0.4).astype(float), generator.random(2000)
    interval = resample(truth, {"a": probability}, 2000, 0, ("brier",)).interval("a", "brier")
    error = ((probability - truth) ** 2).std() / np.sqrt(2000)
    # 2.5 % and 97.5 % quantiles from 2000 replicates are known to about 4 %.
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_equal_models_do_not_differ() -> None:
    generator = np.random.default_rng(1)
    truth, probability = (generator.random(300) < 0.4).astype(float), generator.random(300)
    found = resample(truth, {"a": probability, "b": probability.copy()}, 50, 3)
    for metric in METRICS:
        gap = found.paired_difference("a", "b", metric)
        assert (gap.estimate, gap.low, gap.high) == (0, 0, 0)


def test_pairing_removes_what_models_share() -> None:
    generator = np.random.default_rng(2)
    truth, probability = (generator.random(400) < 0.4).astype(float), generator.random(400)
    nearly = np.clip(probability + 0.01 * generator.normal(size=400), 0.001, 0.999)
    found = resample(truth, {"a": probability, "b": nearly}, 200, 0, ("brier",))
    paired, alone = found.paired_difference("a", "b", "brier"), found.interval("a", "brier")
    assert paired.estimate == pytest.approx(
        found.interval("a", "brier").estimate - found.interval("b", "brier").estimate
    )
    assert paired.high - paired.low < 0.2 * (alone.high - alone.low)


def test_same_seed_same_resamples_whatever_the_models() -> None:
    generator = np.random.default_rng(4)
    truth, one, two = (generator.random(90) < 0.4).astype(float), generator.random(90), generator.random(90)
    alone = resample(truth, {"a": one}, 40, 7)
    together = resample(truth, {"b": two, "a": one}, 40, 7)
    other = resample(truth, {"a": one}, 40, 8)
    np.testing.assert_array_equal(alone.replicates[0], together.replicates[1])
    assert not np.array_equal(alone.replicates, other.replicates, equal_nan=True)


def test_blocks_of_resamples_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(5)
    truth, one = (generator.random(90) < 0.4).astype(float), generator.random(90)
    whole = resample(truth, {"a": one}, 40, 7)
    monkeypatch.setattr("components.evaluation.bootstrap._CELLS", 90 * 3)
    np.testing.assert_allclose(resample(truth, {"a": one}, 40, 7).replicates, whole.replicates, rtol=1e-12)


def test_an_undefined_metric_has_no_interval() -> None:
    interval = resample(np.zeros(30), {"a": np.linspace(0, 1, 30)}, 20, 0).interval("a", "auc")
    assert np.isnan([interval.estimate, interval.low, interval.high]).all()


def test_intervals_hold_their_estimate() -> None:
    # The shares of positives are met exactly, so every resample is worse calibrated than the rows.
    probability = np.repeat([0.2, 0.4, 0.6, 0.8], 50)
    truth = np.concatenate([np.arange(50) < 50 * share for share in (0.2, 0.4, 0.6, 0.8)]).astype(float)
    found = resample(truth, {"a": probability}, 200, 0)
    assert found.replicates[0, found.metrics.index("calibration_error")].min() > 1e-6
    interval = found.interval("a", "calibration_error")
    assert interval.low == interval.estimate
    assert interval.estimate == pytest.approx(0, abs=1e-12)
    assert interval.high > 0.01


def test_two_hundred_resamples_of_six_models_are_quick() -> None:
    generator = np.random.default_rng(6)
    truth = (generator.random(1500) < 0.3).astype(float)
    models = {str(number): generator.random(1500) for number in range(6)}
    start = time.perf_counter()
    found = resample(truth, models, 200, 0)
    # Takes 0.15 s; the bound leaves room for a busy machine.
    assert time.perf_counter() - start < 3
    assert found.replicates.shape == (6, len(METRICS), 200)
