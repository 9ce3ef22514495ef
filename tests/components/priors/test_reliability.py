"""Rank statistics against scikit-learn, and the gate that follows from them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import InputError
from components.priors import auc, judge

seeds = st.integers(0, 2**32 - 1)


@given(seed=seeds, size=st.integers(2, 40), levels=st.integers(1, 20))
def test_auc_equals_that_of_scikit_learn(seed: int, size: int, levels: int) -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.arange(size) < rng.integers(1, size))
    values = rng.integers(0, levels, size) / levels  # few levels make many ties
    assert auc(values, truth) == pytest.approx(roc_auc_score(truth, values), abs=1e-12)


def test_interval_agrees_with_a_plain_bootstrap() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(3)
    truth = np.arange(60) < 25
    values = rng.normal(truth * 0.8, 1)
    places = [np.flatnonzero(truth), np.flatnonzero(~truth)]
    draws = []
    for _ in range(1500):
        rows = np.concatenate([rng.choice(place, len(place)) for place in places])
        draws.append(roc_auc_score(truth[rows], values[rows]))
    low, high = np.quantile(draws, [0.025, 0.975])
    found = judge(values, truth, 20000, seed=1, model="some")
    # Two Monte Carlo quantiles with standard errors of about 0.004 and 0.001.
    assert (found.low, found.high) == (pytest.approx(low, abs=0.016), pytest.approx(high, abs=0.016))
    assert (found.model, found.probes) == ("some", 60)


@given(seed=seeds, signal=st.floats(-2, 4))
def test_strength_is_nothing_unless_the_whole_interval_beats_chance(seed: int, signal: float) -> None:
    rng = np.random.default_rng(seed)
    truth = np.arange(30) < 14
    found = judge(rng.normal(truth * signal, 1), truth, 300, seed)
    assert 0 <= found.low <= found.high <= 1
    assert (found.strength > 0) == (found.low > 0.5)
    assert found.strength == pytest.approx(min(1, max(0, 2 * (found.low - 0.5))))


def test_a_perfect_model_has_full_strength_and_a_liar_none() -> None:
    truth = [True] * 16 + [False] * 22
    assert judge([0.9 if true else 0.1 for true in truth], truth).strength == 1
    assert judge([0.1 if true else 0.9 for true in truth], truth).strength == 0
    even = judge([0.5] * 38, truth)
    assert (even.auc, even.low, even.high, even.strength) == (0.5, 0.5, 0.5, 0)


def test_silence_is_never_rewarded() -> None:
    truth = [True] * 16 + [False] * 22
    perfect = [0.9 if true else 0.1 for true in truth]
    silent = [np.nan if place % 2 else value for place, value in enumerate(perfect)]
    assert judge(silent, truth).auc < judge(perfect, truth).auc
    assert judge([np.nan] * 38, truth).strength == 0


def test_equal_seeds_give_equal_intervals() -> None:
    values, truth = np.linspace(0, 1, 12) ** 2, [False, True] * 6
    assert judge(values, truth, 500, seed=4) == judge(values, truth, 500, seed=4)
    assert judge(values, truth, 500, seed=4).low != judge(values, truth, 500, seed=5).low


@pytest.mark.parametrize("truth", [[True, True], [False, False], [True], []])
def test_one_sided_truth_is_refused(truth: list[bool]) -> None:
    with pytest.raises(InputError, match="truth must hold true and false"):
        judge([0.1, 0.2], truth)
