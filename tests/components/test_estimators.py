"""The estimators: scikit-learn's own checks, the training loop behind them, and data whose truth is known."""

import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from components.classifier import Adam, ClassifierTraining, Perceptron, RiskMinimisation
from components.errors import InputError
from components.estimators import NoisyLabelClassifier, PositiveUnlabeledClassifier, WeakClassifier, weak_accuracy
from components.estimators.held_out import held_out
from components.weak import (
    SETTINGS,
    Clean,
    ComplementaryLabels,
    KernelMean,
    NoisyLabels,
    NonNegative,
    Observed,
    PairwiseComparison,
    PartialLabels,
    PositiveConfidence,
    PositiveNegative,
    PositiveUnlabeled,
    SimilarDissimilar,
    UnlabeledSets,
)
from components.weak.transitions import pair_noise

SMALL: dict[str, Any] = {"hidden": (16,), "epochs": 20, "minibatch_rows": 32}
NO_POSITIVE = "names of classes do not say which of them is that of the known positives"
FEW = "five folds need five rows of each kind; the prior can be stated instead"
MINIBATCHES = "minibatches of repeated rows are not those of weighted rows; the law with one minibatch is tested below"
CHECKED = {
    "stated": PositiveUnlabeledClassifier(prior=0.5, positive=1, **{**SMALL, "epochs": 5}),
    "estimated": PositiveUnlabeledClassifier(positive=1, **{**SMALL, "epochs": 2}),
    "noisy": NoisyLabelClassifier(method="risk_minimisation", **SMALL),
}
EXPECTED: dict[str, dict[str, str]] = {
    "stated": {"check_classifiers_classes": NO_POSITIVE},
    "estimated": {"check_classifiers_classes": NO_POSITIVE, "check_fit2d_1feature": FEW},
    "noisy": {},
}


def expected(estimator: Any) -> dict[str, str]:
    """Checks that fail by design, with the reason."""
    which = next(name for name, checked in CHECKED.items() if checked.get_params() == estimator.get_params())
    return {"check_sample_weight_equivalence_on_dense_data": MINIBATCHES, **EXPECTED[which]}


@parametrize_with_checks(list(CHECKED.values()), expected_failed_checks=expected, xfail_strict=True)
def test_the_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


def blobs(rows: int = 300, classes: int = 2, seed: int = 0, apart: float = 3.0) -> Clean:
    """Gaussians around the corners of a simplex."""
    random = np.random.default_rng(seed)
    labels = random.integers(classes, size=rows)
    return Clean(apart * np.eye(classes, 4)[labels] + random.normal(size=(rows, 4)), labels)


def known(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features, and 1 for a known positive."""
    observed = PositiveUnlabeled(0.4).simulate(blobs(seed=seed), seed, (80, 200)).observed
    return observed.features, (observed.marks == 0).astype(int)


def test_an_estimator_is_the_training_behind_it() -> None:
    X, s = known()
    ours = PositiveUnlabeledClassifier(
        0.4, standardise=False, validation_fraction=0, random_state=3, step=0.01, **SMALL
    )
    training = ClassifierTraining(
        PositiveUnlabeled(0.4), RiskMinimisation(), Perceptron((16,)), Adam(0.01), 20, 32, seed=3
    )
    theirs = training.fit(Observed(X, 1 - s)).probabilities(X)
    np.testing.assert_array_equal(ours.fit(X, s).predict_proba(X), theirs[:, ::-1])


def test_validation_rows_decide_which_epoch_is_kept() -> None:
    X, s = known()
    ours = PositiveUnlabeledClassifier(0.4, keep="best", standardise=False, random_state=3, step=0.05, **SMALL)
    ours.fit(X, s)
    learnt, kept = held_out(Observed(X, 1 - s), 0.1, 3)
    training = ClassifierTraining(
        PositiveUnlabeled(0.4), RiskMinimisation(), Perceptron((16,)), Adam(0.05), 20, 32, seed=3
    )
    theirs = training.fit(learnt, kept)
    np.testing.assert_array_equal(ours.predict_proba(X), theirs.probabilities(X)[:, ::-1])
    errors = [entry["validation_error"] for entry in ours.history_]
    assert ours.validation_error_ == min(errors)
    assert len(set(errors)) > 1


def test_held_out_rows_are_some_of_each_source() -> None:
    marks = np.repeat([0, 1, 2], [50, 10, 2])
    observed = Observed(np.arange(62.0)[:, None], marks, np.ones(62))
    learnt, kept = held_out(observed, 0.1, 0)
    assert kept is not None
    np.testing.assert_array_equal(np.bincount(kept.marks), [5, 1, 1])
    assert sorted(np.concatenate([learnt.features, kept.features])[:, 0]) == list(range(62))
    again, other = held_out(observed, 0.1, 0)[1], held_out(observed, 0.1, 1)[1]
    assert again is not None
    assert other is not None
    np.testing.assert_array_equal(again.features, kept.features)
    assert not np.array_equal(other.features, kept.features)


@pytest.mark.parametrize(
    ("recode", "positive", "classes"),
    [
        (lambda s: np.where(s == 1, 1, -1), None, [-1, 1]),
        (lambda s: s == 1, None, [False, True]),
        (lambda s: s.astype(float), None, [0.0, 1.0]),
        (lambda s: np.where(s == 1, "ill", "unknown"), "ill", ["ill", "unknown"]),
        (lambda s: np.where(s == 1, 1, 2), 1, [1, 2]),
    ],
)
def test_the_coding_of_labels_changes_nothing(recode: Any, positive: Any, classes: list[Any]) -> None:
    X, s = known()
    base = PositiveUnlabeledClassifier(0.4, **SMALL).fit(X, s)
    coded = PositiveUnlabeledClassifier(0.4, positive=positive, **SMALL).fit(X, recode(s))
    assert coded.classes_.tolist() == classes
    column = coded.classes_.tolist().index(recode(np.array([1]))[0])
    np.testing.assert_array_equal(coded.predict_proba(X)[:, column], base.predict_proba(X)[:, 1])
    np.testing.assert_array_equal(coded.predict(X), recode(base.predict(X)))
    assert coded.weak_accuracy(X, recode(s)) == base.weak_accuracy(X, s)


def test_names_of_classes_change_nothing() -> None:
    clean = blobs(classes=3)
    observed = NoisyLabels(pair_noise(3, 0.2)).simulate(clean, 0).observed
    numbers = NoisyLabelClassifier(pair_noise(3, 0.2), **SMALL).fit(observed.features, observed.marks)
    names = np.array(["ape", "bee", "cat"])
    named = NoisyLabelClassifier(pair_noise(3, 0.2), **SMALL).fit(observed.features, names[observed.marks])
    np.testing.assert_array_equal(named.predict(observed.features), names[numbers.predict(observed.features)])
    np.testing.assert_array_equal(named.doubts_, numbers.doubts_)
    assert named.score(clean.features, names[clean.labels]) >= 0.85


def test_a_weight_is_a_number_of_rows() -> None:
    X, s = known()
    many = np.random.default_rng(0).integers(0, 3, size=len(s))
    plain = PositiveUnlabeledClassifier(0.4, hidden=(8,), epochs=30, minibatch_rows=10_000, validation_fraction=0)
    weighted, repeated = clone(plain), clone(plain)
    weighted.fit(X, s, many)
    repeated.fit(np.repeat(X, many, axis=0), np.repeat(s, many))
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-4)
    assert np.abs(plain.fit(X, s).predict_proba(X) - weighted.predict_proba(X)).max() > 1e-3  # weights do count


def test_weak_accuracy_is_the_formula_of_positives_and_unlabeled_rows() -> None:
    X, s = known()
    estimator = PositiveUnlabeledClassifier(0.4, **SMALL).fit(X, s)
    Z, t = known(seed=1)
    yes = estimator.predict(Z) == 1
    missed, taken = (~yes[t == 1]).mean(), yes[t == 1].mean()
    error = 0.4 * missed + yes[t == 0].mean() - 0.4 * taken
    assert estimator.weak_accuracy(Z, t) == pytest.approx(1 - error, abs=1e-12)
    assert weak_accuracy(estimator, Z, t) == estimator.weak_accuracy(Z, t)


def test_weak_accuracy_of_labels_without_noise_is_accuracy() -> None:
    clean = blobs(classes=3, apart=1.5)
    estimator = NoisyLabelClassifier(method="risk_minimisation", **SMALL).fit(clean.features, clean.labels)
    accuracy = estimator.score(clean.features, clean.labels)
    assert estimator.weak_accuracy(clean.features, clean.labels) == pytest.approx(accuracy, abs=1e-12)
    assert 0.5 < accuracy < 1


def test_positives_and_unlabeled_patients_nearly_replace_a_diagnosis() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(y))
    train, test = rows[:400], rows[400:]
    ill = y == 0
    s = np.zeros(len(y), dtype=int)
    s[train[ill[train]][:70]] = 1  # about half of the ill
    estimator = PositiveUnlabeledClassifier(sampling="one_sample").fit(X[train], s[train])
    supervised = WeakClassifier(PositiveNegative(ill[train].mean())).fit(X[train], ill[train])
    ours, full = ((fitted.predict(X[test]) == ill[test]).mean() for fitted in (estimator, supervised))
    assert ours >= 0.94
    assert ours >= full - 0.02
    assert (s[test] == estimator.predict(X[test])).mean() < ours  # it did not learn that unlabeled means healthy
    assert estimator.prior_.low <= ill[train].mean() <= estimator.prior_.high


def test_the_prior_is_that_of_the_rows_that_stand_for_the_population() -> None:
    clean = blobs(8000, apart=5)
    truth = 0.3
    observed = PositiveUnlabeled(truth).simulate(clean, 0, (1500, 1500)).observed  # 0.65 of all rows are positive
    X, s = observed.features, observed.marks == 0
    quick = {"epochs": 1, "hidden": ()}
    two = PositiveUnlabeledClassifier(**quick).fit(X, s).prior_
    assert two.low <= truth <= two.high
    assert two.value == pytest.approx(truth, abs=0.05)
    one = PositiveUnlabeledClassifier(sampling="one_sample", **quick).fit(X, s).prior_
    assert one.value == pytest.approx(0.5 + truth / 2, abs=0.03)
    other = PositiveUnlabeledClassifier(prior_method=KernelMean(maximum_rows=1000), **quick).fit(X, s).prior_
    assert other.value == pytest.approx(truth, abs=0.1)
    assert other.source != two.source


@pytest.mark.parametrize("told", [True, False])
def test_wrong_labels_are_found_and_do_not_harm(told: bool) -> None:
    X, y = load_digits(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(y))
    train, test = rows[:1250], rows[1250:]
    noise = pair_noise(10, 0.4)
    s = NoisyLabels(noise).simulate(Clean(X[train], y[train]), 0).observed.marks
    wrong = s != y[train]
    estimator = NoisyLabelClassifier(noise if told else None, minibatch_rows=64).fit(X[train], s)
    plain = NoisyLabelClassifier(method="risk_minimisation", minibatch_rows=64).fit(X[train], s)
    accuracy = estimator.score(X[test], y[test])
    assert accuracy >= (0.94 if told else 0.82)
    assert accuracy >= plain.score(X[test], y[test]) + 0.08
    assert roc_auc_score(wrong, estimator.doubts_) >= (0.97 if told else 0.92)
    assert estimator.noise_rate_.value == pytest.approx(wrong.mean(), abs=0.06)
    assert np.abs(estimator.transition_ - np.array(noise)).sum() <= (0 if told else 5)  # of 10 rows
    if told:  # a wrong table would make this number wrong too
        labels = NoisyLabels(noise).simulate(Clean(X[test], y[test]), 1).observed.marks
        assert estimator.weak_accuracy(X[test], labels) == pytest.approx(accuracy, abs=0.1)


def test_shuffled_labels_teach_nothing() -> None:
    clean = blobs(800, classes=4)
    shuffled = np.random.default_rng(1).permutation(clean.labels)
    fitted = NoisyLabelClassifier(np.eye(4), **SMALL)
    assert fitted.fit(clean.features, shuffled).score(clean.features, clean.labels) == pytest.approx(0.25, abs=0.12)
    assert fitted.fit(clean.features, clean.labels).score(clean.features, clean.labels) >= 0.9


def test_model_selection_needs_no_clean_label() -> None:
    simulated = PositiveUnlabeled(0.4).simulate(blobs(1000), 0, (200, 600))
    X, s = simulated.observed.features, np.where(simulated.observed.marks == 0, 1, 0)
    # Steps of nearly nothing leave the network as it began, and only an estimate without bias shows by how much.
    estimator = WeakClassifier(PositiveUnlabeled(0.4), **{**SMALL, "epochs": 10})
    search = GridSearchCV(estimator, {"step": [1e-6, 1e-2]}, scoring=weak_accuracy, cv=3).fit(X, s)
    accuracy = ((search.predict(X) == 1) == (simulated.hidden == 0)).mean()
    assert search.best_params_ == {"step": 1e-2}
    assert search.best_score_ == pytest.approx(accuracy, abs=0.05)
    assert search.cv_results_["mean_test_score"].min() < accuracy - 0.1


@pytest.mark.parametrize(
    "estimator",
    [
        PositiveUnlabeledClassifier(0.4, correction="absolute", loss="logistic", **SMALL),
        NoisyLabelClassifier(((0.9, 0.1), (0.2, 0.8)), **SMALL),
        WeakClassifier(PositiveUnlabeled(0.4), **SMALL),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_a_fitted_estimator_survives_pickle_and_clone(estimator: Any) -> None:
    X, s = known()
    fitted = estimator.fit(X, s)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(X), fitted.predict_proba(X))
    np.testing.assert_array_equal(clone(fitted).fit(X, s).predict_proba(X), fitted.predict_proba(X))
    other = clone(fitted).set_params(random_state=1).fit(X, s)
    assert not np.array_equal(other.predict_proba(X), fitted.predict_proba(X))


@pytest.mark.parametrize(
    "choice",
    [
        {"correction": "absolute"},
        {"correction": NonNegative(gamma=0.5)},
        {"loss": "logistic"},
        {"sampling": "one_sample"},
        {"weight_decay": 0.1},
        {"step": 0.02},
        {"keep": "best"},
        {"standardise": False},
        {"hidden": ()},
        {"epochs": 21},
        {"minibatch_rows": 64},
        {"validation_fraction": 0.3},
        {"random_state": np.random.RandomState(0)},
    ],
    ids=lambda choice: next(iter(choice)),  # a random state would be called by its address
)
def test_a_choice_reaches_the_training(choice: dict[str, Any]) -> None:
    X, s = known()
    usual = {**SMALL, "step": 0.05}
    base = PositiveUnlabeledClassifier(0.4, **usual).fit(X, s).predict_proba(X)
    other = PositiveUnlabeledClassifier(0.4, **{**usual, **choice}).fit(X, s).predict_proba(X)
    assert not np.array_equal(base, other)


def test_patience_ends_a_training_and_reports_come_each_epoch() -> None:
    X, s = known()
    told: list[tuple[int, int]] = []
    tired = PositiveUnlabeledClassifier(
        0.4,
        keep="best",
        patience=1,
        report=lambda step, total, _: told.append((step, total)),
        **{**SMALL, "epochs": 200},
    )
    assert len(tired.fit(X, s).history_) < 200
    assert told == [(epoch, 200) for epoch in range(len(tired.history_))]


def fit_weak(setting: Any, clean: Clean, sizes: tuple[int, ...] | None = None) -> tuple[WeakClassifier, float]:
    simulated = setting.simulate(clean, 0, sizes)
    fitted = WeakClassifier(simulated.setting, **SMALL).fit_observed(simulated.observed)
    return fitted, float((fitted.predict(clean.features) == clean.labels).mean())


@pytest.mark.parametrize(
    ("setting", "classes"),
    [
        (ComplementaryLabels(3), 3),
        (PartialLabels(3), 3),
        (UnlabeledSets(((0.8, 0.1, 0.1), (0.1, 0.7, 0.2), (0.2, 0.2, 0.6)), (1 / 3, 1 / 3, 1 / 3)), 3),
        (UnlabeledSets(((0.9, 0.1), (0.2, 0.8)), (0.5, 0.5)), 2),
    ],
    ids=lambda value: getattr(value, "kind", str(value)),
)
def test_any_setting_of_numbered_classes(setting: Any, classes: int) -> None:
    fitted, accuracy = fit_weak(setting, blobs(1000, classes, apart=5))
    assert fitted.classes_.tolist() == list(range(classes))
    assert accuracy >= 0.9


@pytest.mark.parametrize(
    "setting",
    [PositiveNegative(0.5), PositiveUnlabeled(0.5), SimilarDissimilar(0.8), PairwiseComparison(0.5)],
    ids=lambda setting: setting.kind,
)
def test_where_a_setting_speaks_of_positives_they_are_class_1(setting: Any) -> None:
    clean = blobs(1000, apart=5)
    fitted, agrees = fit_weak(setting, clean)  # the labels of clean have 0 for positive
    assert fitted.classes_.tolist() == [0, 1]
    assert agrees <= 0.1


def test_confidences_of_positives() -> None:
    random = np.random.default_rng(0)
    X = np.concatenate([random.normal(1, 1, 1000), random.normal(-1, 1, 1000)])[:, None]
    posterior = 1 / (1 + np.exp(-2 * X[:, 0]))
    fitted = WeakClassifier(PositiveConfidence(0.5), **SMALL).fit(X[:1000], posterior[:1000])
    assert np.abs(fitted.predict_proba(X)[:, 1] - posterior).mean() < 0.05


def test_pairs_are_rows_of_two_sources() -> None:
    clean = blobs(400, apart=4)
    pairs = PairwiseComparison(0.5).simulate(clean, 0, (100,)).observed
    stacked = np.stack([pairs.features[:100], pairs.features[100:]], axis=1)
    setting = PairwiseComparison(0.5)
    by_pairs = WeakClassifier(setting, **SMALL).fit_observed(setting.observe_pairs(stacked))
    by_rows = WeakClassifier(setting, **SMALL).fit(pairs.features, np.repeat([0, 1], 100))
    np.testing.assert_array_equal(by_pairs.predict_proba(clean.features), by_rows.predict_proba(clean.features))


X2, S2 = known()
Y3 = np.arange(len(S2)) % 3


@pytest.mark.parametrize(
    ("estimator", "labels", "told"),
    [
        (PositiveUnlabeledClassifier(1.2), S2, r"prior must lie in \(0, 1\), got 1.2"),
        (PositiveUnlabeledClassifier(0.4), Y3, "Only binary classification"),
        (PositiveUnlabeledClassifier(0.4), np.where(S2 == 1, 2, 0), "labels must be coded"),
        (PositiveUnlabeledClassifier(0.4), np.zeros(len(S2), dtype=int), "got 1 class"),
        (
            PositiveUnlabeledClassifier(0.4, positive="ill"),
            S2,
            r"positive must be one of the labels \[0, 1\], got 'ill'",
        ),
        (PositiveUnlabeledClassifier(0.4, correction="nnpu"), S2, "correction must be one of absolute, .*got 'nnpu'"),
        (PositiveUnlabeledClassifier(0.4, loss="hinge"), S2, "loss must be one of .*got 'hinge'"),
        (PositiveUnlabeledClassifier(prior_method="guess"), S2, "prior_method must be one of .*got 'guess'"),
        (PositiveUnlabeledClassifier(0.4, sampling="three"), S2, "sampling must be one of .*got 'three'"),
        (PositiveUnlabeledClassifier(0.1, sampling="one_sample"), S2, "prior must be at least the share of labelled"),
        (
            PositiveUnlabeledClassifier(0.4, validation_fraction=1),
            S2,
            r"validation_fraction must lie in \[0, 1\), got 1",
        ),
        (PositiveUnlabeledClassifier(0.4, epochs=0), S2, "epochs must be at least 1, got 0"),
        (PositiveUnlabeledClassifier(0.4, patience=2), S2, "patience must be 0 where keep is last, got 2"),
        (PositiveUnlabeledClassifier(0.4, step=-1), S2, "step must be positive and finite, got -1"),
        (PositiveUnlabeledClassifier(0.4, hidden=(0,)), S2, "hidden must hold"),
        (
            PositiveUnlabeledClassifier(0.4),
            (np.arange(len(S2)) == 5).astype(int),
            "validation_fraction must be 0 where",
        ),
        (NoisyLabelClassifier(np.eye(2)), Y3, r"transition must be 3 by 3, as there are classes, got shape \(2, 2\)"),
        (NoisyLabelClassifier(np.full((2, 2), 0.6)), S2, "transition must"),
        (NoisyLabelClassifier(method="guess"), S2, "method must be one of .*got 'guess'"),
        (WeakClassifier(UnlabeledSets(((0.5, 0.5), (0.5, 0.5)), (0.5, 0.5))), S2, "mixture must have rank 2"),
        (WeakClassifier(ComplementaryLabels(3)), Y3 + 1, "labels must be whole numbers from 0 to 2"),
        (WeakClassifier(PartialLabels(3)), np.zeros((len(S2), 3), dtype=bool), "at least one class in every row"),
        (WeakClassifier(PositiveConfidence()), S2.astype(float), "confidence must be above 0"),
        (WeakClassifier(PositiveUnlabeled(0.4)), S2[:-1], "marks must hold one entry for each"),
        (NoisyLabelClassifier(np.eye(2), step=1e30, epochs=3), S2, "risk must stay finite"),
    ],
)
def test_what_is_wrong_is_named(estimator: Any, labels: np.ndarray, told: str) -> None:
    with pytest.raises(InputError, match=told):
        estimator.fit(X2, labels)


def test_labels_not_seen_before_are_refused_where_they_are_scored() -> None:
    fitted = NoisyLabelClassifier(np.eye(2), **SMALL).fit(X2, S2)
    with pytest.raises(InputError, match=r"labels must be among \[0, 1\], got .*2"):
        fitted.weak_accuracy(X2, Y3)


def test_torch_waits_for_a_fit() -> None:
    code = (
        "import sys, components.estimators as e; e.PositiveUnlabeledClassifier(0.4); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def blocks(name: str) -> list[str]:
    """Python of the guide."""
    text = (Path(__file__).parents[2] / "docs" / name).read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def test_the_guide_runs_and_names_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "weak.md").read_text(encoding="utf-8")
    assert [setting.__name__ for setting in SETTINGS.values() if f"`{setting.__name__}" not in guide] == []
    exec(compile("".join(blocks("weak.md")), "docs/weak.md", "exec"), {})
    assert "accuracy" in capsys.readouterr().out
