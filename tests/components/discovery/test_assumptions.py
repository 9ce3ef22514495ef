"""Checks of assumptions on worlds where they hold and on worlds where they do not."""

import io
import warnings
from contextlib import redirect_stdout
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from components.contracts import PriorKnowledge
from components.discovery import CamUv, DirectLingam
from components.discovery.assumptions import assumption_notes, dependences, dependent, noise, residuals
from components.findings import Dependence, Noise
from components.ports import in_order, silent
from components.synthetic import linear_sem, random_dag

NAMES = tuple("abcdefgh")


def pairs(*p_values: float) -> list[Dependence]:
    return [Dependence("a", f"b{index}", p) for index, p in enumerate(p_values)]


def test_a_curve_is_a_departure_for_lines_and_none_for_a_method_of_curves() -> None:
    x, noise_of_y = np.random.default_rng(3).uniform(-1, 1, (2, 400))
    table = pd.DataFrame({"x": x, "y": x**2 + 0.3 * noise_of_y + x})
    for method, departs in ((DirectLingam(replicates=1), True), (CamUv(replicates=1), False)):
        told = replace(PriorKnowledge.unknown(("x", "y")), path=[[-1, 0], [-1, -1]])
        graph = method.discover(table, told, "y", in_order, silent)
        assert graph.weights[1, 0]
        assert any("depend on each other" in note for note in graph.notes) == departs
        assert any("Effects are curves" in note for note in graph.notes) != departs


def test_the_residuals_of_the_true_graph_are_its_noise() -> None:
    weights, order = random_dag(5, 3, 2)
    values = linear_sem(weights, order, 50, "laplace", 2) + 100
    mixing = np.linalg.inv(np.eye(5) - weights)
    made = (values - values.mean(axis=0)) @ np.linalg.inv(mixing).T
    np.testing.assert_allclose(residuals(values, weights), made, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "skewness", "kurtosis", "gaussian"),
    [("gaussian", 0, 0, True), ("uniform", 0, -1.2, False), ("laplace", 0, 3, False)],
)
def test_the_shape_of_known_noise_is_seen(kind: str, skewness: float, kurtosis: float, gaussian: bool) -> None:
    weights, order = random_dag(4, 2, 1)
    values = linear_sem(weights, order, 20_000, kind, 5)  # type: ignore[arg-type]  # one of the three
    for shape in noise(residuals(values, weights), NAMES[:4]):
        # Five standard errors of the moments at this size; those of the Laplace are the widest.
        assert shape.skewness == pytest.approx(skewness, abs=0.3)
        assert shape.kurtosis == pytest.approx(kurtosis, abs=0.8 if kind == "laplace" else 0.2)
        assert (shape.p_value > 1e-3) == gaussian


def test_a_gaussian_shape_is_rejected_as_often_as_it_should_be() -> None:
    values = np.random.default_rng(0).normal(size=(200, 500))
    p_values = [shape.p_value for shape in noise(residuals(values, np.zeros((500, 500))), [str(i) for i in range(500)])]
    # The test is asymptotic; at 200 rows its p-values are uniform to within what 500 of them can show.
    assert kstest(p_values, "uniform").pvalue > 0.01


def test_a_short_table_and_a_residual_of_rounding_have_no_p_value() -> None:
    values = np.random.default_rng(0).normal(size=(19, 2))
    few = noise(residuals(values, np.zeros((2, 2))), "ab")
    assert all(np.isnan(shape.p_value) and np.isfinite(shape.kurtosis) for shape in few)
    values = np.repeat(np.random.default_rng(0).normal(size=(40, 1)), 2, axis=1)
    first, second = noise(residuals(values, np.array([[0, 0], [1, 0]])), "ab")
    assert np.isfinite(first.p_value)
    assert np.isnan(second.p_value)
    assert dependences(residuals(values[:5], np.zeros((2, 2))), "ab") == ()


@pytest.mark.parametrize("seed", range(3))
def test_lingam_finds_the_same_p_values(seed: int) -> None:
    weights, order = random_dag(5, 3, seed)
    values = linear_sem(weights, order, 300, "uniform", seed)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        from lingam import DirectLiNGAM

        model = DirectLiNGAM().fit(values)
        other = model.get_error_independence_p_values(values)
    found = dependences(residuals(values, model.adjacency_matrix_), NAMES[:5], width="first_100")
    assert len(found) == 10
    assert [each.p_value for each in found] == sorted(each.p_value for each in found)
    for each in found:
        assert each.p_value == pytest.approx(other[NAMES.index(each.first), NAMES.index(each.second)], abs=1e-9)


def test_only_so_many_rows_are_tested_and_the_seed_chooses_them() -> None:
    values = np.random.default_rng(0).normal(size=(400, 3))
    nothing = np.zeros((3, 3))
    drawn = [dependences(residuals(values, nothing), "abc", rows=100, seed=seed) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    rest = residuals(values, nothing)
    assert dependences(rest, "abc", rows=400, seed=5) == dependences(rest, "abc", rows=900)


@given(p_values=st.lists(st.floats(0, 1), max_size=8), level=st.floats(0.001, 0.5))
@settings(deadline=None, max_examples=200, derandomize=True)
def test_holms_correction_by_its_definition(p_values: list[float], level: float) -> None:
    ordered = sorted(p_values)
    adjusted = [max(min(1.0, (len(ordered) - k) * ordered[k]) for k in range(i + 1)) for i in range(len(ordered))]
    expected = [p for p, q in zip(ordered, adjusted, strict=True) if q <= level]
    # Multiplying and dividing may round apart on the edge itself.
    if all(abs(q - level) > 1e-12 for q in adjusted):
        assert [each.p_value for each in dependent(pairs(*p_values), level)] == expected


def test_where_the_model_holds_there_is_seldom_an_alarm_and_a_hidden_cause_raises_one() -> None:
    alarms = 0
    for seed in range(60):
        weights, order = random_dag(5, 2, seed)
        values = linear_sem(weights, order, 250, "laplace", seed)
        alarms += bool(dependent(dependences(residuals(values, weights), NAMES[:5])))
    # At most 5 % of 60 are expected; 10 or more have a chance of one in a thousand.
    assert alarms < 10
    rng = np.random.default_rng(0)
    hidden, rest = rng.laplace(size=500), rng.laplace(size=(500, 3))
    values = np.column_stack([rest[:, 0] + hidden, rest[:, 1] + hidden, rest[:, 2]])
    (found,) = dependent(dependences(residuals(values, np.zeros((3, 3))), "abc"))
    assert (found.first, found.second) == ("a", "b")


def test_notes_say_what_was_found_and_nothing_otherwise() -> None:
    shapes = [Noise(name, 0, 0, p) for name, p in zip("abc", (0.3, 0.01, 0.05), strict=True)]
    (note,) = assumption_notes(shapes, pairs(0.03, 0.5))
    assert "2 of 3 residuals look Gaussian" in note
    assert "a, c." in note
    # One Gaussian residual hides no direction, and a p-value that is not there says nothing.
    assert assumption_notes([shapes[0], shapes[1], Noise("d", 0, 0, float("nan"))], []) == ()
    (note,) = assumption_notes([], pairs(0.01, 0.5, 0.001, 0.9))
    assert "2 of 4 pairs" in note
    assert "a and b2, a and b0." in note
    (note,) = assumption_notes([], pairs(0.01, 0.5, 0.001, 0.9), open_pairs=[("b2", "a"), ("x", "y")])
    assert "1 of 3 pairs" in note
    assert "a and b0." in note
    assert assumption_notes([], pairs(0.01, 0.5, 0.001, 0.9), open_pairs=[("b2", "a"), ("b0", "a")]) == ()
    (note,) = assumption_notes([], pairs(*[0.0] * 9))
    assert note.count(" and b") == 6
    assert "and 3 more" in note
