"""Gates pass, fail and decide at the boundary; the registry file is read or refused by name."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.contracts import Score, Scorecard
from components.errors import InputError
from components.evaluation import Difference, Gate, decide, load_gates

REGISTRY = Path(__file__).parents[3] / "mlflow" / "registry.yaml"


def score(metric: str, value: float, group: str = "all", rows: int = 300, model: str = "kintsugi") -> Score:
    return Score(model, "all", group, metric, value, value - 0.01, value + 0.01, rows)


def card(*scores: Score, weak: bool = False) -> Scorecard:
    return Scorecard(scores, "label", weak)


def judge(gate: Gate, scorecard: Scorecard, *differences: Difference) -> tuple[bool, bool, str]:
    (result,) = decide(scorecard, (gate,), differences)
    return result.passed, result.judged, result.sentence


@pytest.mark.parametrize(("value", "passed"), [(0.04, True), (0.05, True), (0.0501, False), (float("nan"), False)])
def test_a_limit_holds_up_to_and_at_the_limit(value: float, passed: bool) -> None:
    gate = Gate("prevalence_error", limit=0.05)
    assert judge(gate, card(score("prevalence_error", value)))[:2] == (passed, True)


@pytest.mark.parametrize(("value", "passed"), [(0.81, True), (0.8, True), (0.79, False)])
def test_a_limit_on_a_metric_that_is_better_higher(value: float, passed: bool) -> None:
    assert judge(Gate("auc", limit=0.8), card(score("auc", value)))[0] is passed


def test_the_bound_is_the_unfavourable_end() -> None:
    assert not judge(Gate("brier", limit=0.105, at="bound"), card(score("brier", 0.1)))[0]
    assert judge(Gate("brier", limit=0.11, at="bound"), card(score("brier", 0.1)))[0]
    assert not judge(Gate("auc", limit=0.795, at="bound"), card(score("auc", 0.8)))[0]
    assert judge(Gate("auc", limit=0.79, at="bound"), card(score("auc", 0.8)))[0]


@pytest.mark.parametrize(
    ("metric", "margin", "at", "passed"),
    [
        ("log_loss", 0.01, "estimate", True),
        ("log_loss", 0.009, "estimate", False),
        ("log_loss", 0.03, "bound", True),
        ("log_loss", 0.029, "bound", False),
        ("auc", 0.0, "estimate", True),
        ("auc", 0.0, "bound", False),
        ("auc", 0.01, "bound", True),
        ("auc", -0.01, "estimate", True),
        ("auc", -0.011, "estimate", False),
    ],
)
def test_a_margin_against_another_model(metric: str, margin: float, at: Any, passed: bool) -> None:
    gate = Gate(metric, "champion", margin=margin, at=at)
    found = Difference(metric, "champion", "all", 0.01, -0.01, 0.03, 300)
    assert judge(gate, card(score(metric, 0.5, model="champion")), found)[:2] == (passed, True)


def test_no_champion_passes_and_a_missing_baseline_fails() -> None:
    ours = card(score("log_loss", 0.4))
    assert judge(Gate("log_loss", "champion", margin=0.0), ours)[:2] == (True, False)
    passed, judged, sentence = judge(Gate("log_loss", "gradient boosting", margin=0.0), ours)
    assert (passed, judged) == (False, True)
    assert "gradient boosting was not computed" in sentence
    assert not judge(Gate("log_loss", "gradient boosting", margin=0.0, slice="each"), ours)[0]


def test_a_champion_that_was_scored_but_not_compared_fails() -> None:
    both = card(score("log_loss", 0.4), score("log_loss", 0.4, model="champion"))
    assert not judge(Gate("log_loss", "champion", margin=0.0), both)[0]


def test_each_group_is_judged_by_the_worst_that_is_large_enough() -> None:
    gate = Gate("prevalence_error", limit=0.12, slice="each", minimum_rows=200)
    groups = card(
        score("prevalence_error", 0.5),
        score("prevalence_error", 0.05, "sex=female"),
        score("prevalence_error", 0.11, "sex=male"),
        score("prevalence_error", 0.4, "age=90", rows=199),
    )
    passed, judged, sentence = judge(gate, groups)
    assert (passed, judged) == (True, True)
    assert "sex=male (the worst of 2 groups)" in sentence
    assert not judge(replace(gate, minimum_rows=199), groups)[0]
    assert judge(replace(gate, minimum_rows=301), groups)[:2] == (True, False)
    assert judge(Gate("prevalence_error", limit=0.4, slice="age=90"), groups)[0]
    assert not judge(Gate("prevalence_error", limit=0.4, slice="age=10"), groups)[0]


@pytest.mark.parametrize(
    ("truth", "weak", "judged"),
    [("true", True, False), ("true", False, True), ("weak", True, True), ("weak", False, False), ("any", True, True)],
)
def test_gates_ask_for_their_kind_of_truth(truth: Any, weak: bool, judged: bool) -> None:
    gate = Gate("brier", limit=0.01, truth=truth)
    assert judge(gate, card(score("brier", 0.1), weak=weak))[:2] == (not judged, judged)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("metric", "logloss"),
        ("metric", "prevalence_bias"),
        ("metric", ["brier"]),
        ("against", ""),
        ("against", "kintsugi"),
        ("limit", None),
        ("limit", float("nan")),
        ("limit", "0.1"),
        ("margin", 0.1),
        ("at", "middle"),
        ("slice", "sex"),
        ("slice", 3),
        ("against", 3),
        ("minimum_rows", 0),
        ("minimum_rows", 2.5),
        ("truth", "maybe"),
        ("why", 3),
    ],
)
def test_a_bad_field_is_named(field: str, value: Any) -> None:
    with pytest.raises(InputError, match=field):
        replace(Gate("brier", limit=0.1), **{field: value})


def test_the_registry_file_of_this_repository_is_valid() -> None:
    gates = load_gates(REGISTRY)
    assert {gate.against for gate in gates} == {"value", "champion", "logistic regression", "gradient boosting"}
    assert all(gate.why for gate in gates)
    assert any(gate.truth == "weak" for gate in gates)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gates: [{metrics: brier, limit: 0.1}]", "did you mean 'metric'"),
        ("gates: [{metric: brier, limt: 0.1}]", "'limt' in gate 1.*did you mean 'limit'"),
        ("gates: [{metric: brier, limit: 0.1}, {metric: accuracy, limit: 0.1}]", "metric .*'accuracy' .gate 2"),
        ("gates: [{limit: 0.1}]", "metric must be given"),
        ("gates: [brier]", "gate 1 .* must be a mapping"),
        ("gates: {}", "list under 'gates'"),
        ("gate: []", "list under 'gates'"),
        ("gates: []\nalias: x", "did you mean 'aliases'"),
        ("gates: [", "valid YAML"),
        ("", "list under 'gates'"),
    ],
)
def test_a_bad_registry_file_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "registry.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_gates(path)


def test_a_missing_registry_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml"):
        load_gates(tmp_path / "none.yaml")
