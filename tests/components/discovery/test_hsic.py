"""HSIC: laws of a test of independence, and lingam's own test as the oracle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from components.discovery import hsic
from components.discovery.hsic import Kernel, independence, p_value
from components.errors import InputError

# Incomplete factors leave out 1e-13 of the trace.
FACTORS = 1e-11
SHAPES = ("uniform", "normal", "laplace", "exponential", "cube", "rounded", "flag")
laws = settings(deadline=None, max_examples=25, derandomize=True)


def sample(shape: str, rows: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if shape == "flag":
        return np.asarray(rng.random(rows) < 0.3, dtype=np.float64)
    drawn = rng.normal(size=rows) if shape in ("cube", "rounded") else getattr(rng, shape)(size=rows)
    return np.asarray(drawn**3 if shape == "cube" else drawn.round(1) if shape == "rounded" else drawn)


@given(
    seed=st.integers(0, 10**6),
    first=st.sampled_from(SHAPES[:6]),
    second=st.sampled_from(SHAPES[:6]),
    rows=st.sampled_from([6, 40, 99, 101, 300, 700, 1100]),
    columns=st.integers(1, 3),
)
@laws
def test_with_its_width_it_is_the_test_of_lingam(seed: int, first: str, second: str, rows: int, columns: int) -> None:
    from lingam.hsic import hsic_test_gamma

    x = sample(first, rows, seed)
    y = np.column_stack([sample(second, rows, seed + 1 + column) for column in range(columns)])
    y[:, 0] += 0.3 * x**2
    statistic, expected = hsic_test_gamma(x, y)
    found = independence(Kernel.of(x, "first_100"), Kernel.of(y, "first_100"))
    assert found.statistic == pytest.approx(statistic, abs=FACTORS)
    assert found.p_value == pytest.approx(expected, abs=FACTORS)


def test_factors_and_matrices_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    for rows in (60, 500, 2000):
        for seed, (first, second) in enumerate([("normal", "laplace"), ("uniform", "cube"), ("rounded", "flag")]):
            x = sample(first, rows, seed)
            y = sample(second, rows, seed + 9) + 2 / np.sqrt(rows) * x**2
            answers = []
            for whole in (True, False):
                monkeypatch.setattr(hsic, "LARGEST_MATRIX", rows if whole else 5)
                monkeypatch.setattr(hsic, "FACTORED_ROWS", rows + 1)
                kernels = Kernel.of(x), Kernel.of(y)
                assert kernels[0].compact is not whole
                answers.append(p_value(*kernels))
            assert answers[0] == pytest.approx(answers[1], abs=FACTORS)


def test_few_outliers_make_the_matrix_the_cheaper_form() -> None:
    assert Kernel.of(sample("normal", 1000, 0)).compact
    assert not Kernel.of(sample("cube", 1000, 0)).compact
    assert not Kernel.of(sample("normal", 100, 0)).compact
    assert Kernel.of(sample("cube", 5001, 0)).compact


@given(seed=st.integers(0, 10**6), rows=st.sampled_from([30, 700]), shape=st.sampled_from(SHAPES))
@laws
def test_it_is_symmetric_and_knows_no_order_of_rows(seed: int, rows: int, shape: str) -> None:
    x = sample(shape, rows, seed)
    y = np.column_stack([sample("laplace", rows, seed + 1) + x, sample("uniform", rows, seed + 2)])
    shuffled = np.random.default_rng(seed).permutation(rows)
    one, other, joint = Kernel.of(x), Kernel.of(y[:, 0]), Kernel.of(y)
    assert p_value(one, other) == pytest.approx(p_value(other, one), rel=1e-9)
    assert Kernel.of(x[shuffled]).width == one.width
    assert Kernel.of(y[shuffled]).width == joint.width
    for second, values in ((other, y[:, 0]), (joint, y)):
        moved = p_value(Kernel.of(x[shuffled]), Kernel.of(values[shuffled]))
        assert moved == pytest.approx(p_value(one, second), abs=FACTORS)


@given(seed=st.integers(0, 10**6), factor=st.sampled_from([-8.0, 1e-3, 1e5]), shift=st.sampled_from([0.0, 3.0]))
@laws
def test_units_do_not_matter(seed: int, factor: float, shift: float) -> None:
    x, y = sample("laplace", 80, seed), sample("normal", 80, seed + 1)
    assert p_value(Kernel.of(shift + factor * x), Kernel.of(y)) == pytest.approx(
        p_value(Kernel.of(x), Kernel.of(y)), abs=1e-8
    )


@given(seed=st.integers(0, 10**6), shape=st.sampled_from(SHAPES), rows=st.integers(6, 300))
@laws
def test_the_width_is_the_median_positive_distance(seed: int, shape: str, rows: int) -> None:
    x = sample(shape, rows, seed)
    if np.ptp(x) == 0:
        return
    distances = np.sort(np.abs(x[:, None] - x)[np.triu_indices(rows, 1)])
    distances = distances[distances > 0]
    lower_median = distances[(len(distances) - 1) // 2]
    assert Kernel.of(x).width == pytest.approx(np.sqrt(0.5) * lower_median, abs=1e-9 * np.ptp(x))


def test_the_width_of_many_rows_is_nearly_that_of_all() -> None:
    x = sample("exponential", 4000, 0)
    median = np.median(np.abs(x[:, None] - x)[np.triu_indices(4000, 1)])
    assert Kernel.of(x).width == pytest.approx(np.sqrt(0.5) * median, rel=0.01)


@pytest.mark.parametrize("shape", ["laplace", "rounded", "flag"])
def test_p_values_are_uniform_under_independence(shape: str) -> None:
    pairs = [(sample(shape, 150, seed), sample("normal", 150, 7000 + seed)) for seed in range(500)]
    p_values = [p_value(Kernel.of(x), Kernel.of(y)) for x, y in pairs]
    assert kstest(p_values, "uniform").pvalue > 0.01


def test_a_square_is_seen_where_there_is_no_correlation() -> None:
    for seed in range(20):
        x = sample("uniform", 200, seed) - 0.5
        y = x**2 + 0.05 * sample("normal", 200, seed + 50)
        assert p_value(Kernel.of(x), Kernel.of(y)) < 1e-6


def test_a_constant_is_independent_of_everything() -> None:
    x = sample("normal", 50, 0)
    for width in ("median", "first_100"):
        assert p_value(Kernel.of(np.full(50, 3.0), width), Kernel.of(x, width)) == 1.0


def test_a_flag_that_is_rare_at_the_beginning_has_a_width() -> None:
    flag = np.zeros(300)
    flag[250:] = 1.0
    x = sample("normal", 300, 0) + flag
    assert Kernel.of(flag, "first_100").width == Kernel.of(flag).width > 0
    assert p_value(Kernel.of(flag, "first_100"), Kernel.of(x, "first_100")) < 1e-3


def test_too_few_or_unequal_rows_are_named() -> None:
    with pytest.raises(InputError, match="rows must be at least 6 for a test of independence, got 5"):
        Kernel.of(np.arange(5.0))
    with pytest.raises(InputError, match="equally many rows, got 8 and 9"):
        p_value(Kernel.of(np.arange(8.0)), Kernel.of(np.arange(9.0)))


def test_memory_given_back_is_used_again() -> None:
    spare: list[np.ndarray] = []
    kernel, other = (Kernel.of(sample("normal", 50, seed), spare=spare) for seed in range(2))
    before = p_value(kernel, other)
    assert kernel.nbytes > 50 * 49 * 4
    matrix = kernel.whole.matrix
    kernel.release()
    third = Kernel.of(sample("uniform", 50, 2), spare=spare)
    assert third.whole.matrix is matrix
    assert p_value(kernel, other) == before
