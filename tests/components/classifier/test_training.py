"""The loop: what it descends on, that it resumes to the bit, shares work, keeps the best epoch, stops in time."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from components.classifier import Adam, ClassifierTraining, Linear, Perceptron, RiskMinimisation, Sgd
from components.classifier.calibration import Calibration
from components.classifier.minibatches import Minibatches
from components.classifier.optimisers import Decay
from components.errors import InputError
from components.ports import ALONE
from components.storage import read_json
from components.weak import (
    SETTINGS,
    Absolute,
    Clean,
    ComplementaryLabels,
    CrossEntropy,
    Floored,
    Inverse,
    NegativeUnlabeled,
    NoisyLabels,
    NonNegative,
    Observed,
    PartialLabels,
    PositiveNegative,
    PositiveUnlabeled,
    PosteriorRewrite,
    Reweight,
    Setting,
    Surrogate,
    Uncorrected,
)
from components.weak.transitions import pair_noise
from tests.components.test_learning_together import together

TRAINING = ClassifierTraining(PositiveUnlabeled(0.4), network=Perceptron((8,)), epochs=4, minibatch_rows=40)


def clean(rows: int = 400, classes: int = 2, seed: int = 0, prior: float | None = None) -> Clean:
    """Gaussians around the corners of a simplex; ``prior``: share of the first of two, with the exact posterior."""
    random = np.random.default_rng(seed)
    labels = random.integers(classes, size=rows) if prior is None else (random.random(rows) > prior).astype(int)
    features = 2.5 * np.eye(classes, 4)[labels] + random.normal(size=(rows, 4))
    if prior is None:
        return Clean(features, labels)
    logit = 2.5 * (features[:, 0] - features[:, 1]) + np.log(prior / (1 - prior))
    return Clean(features, labels, 1 / (1 + np.exp(-logit)))


def observed(seed: int = 0) -> Observed:
    return PositiveUnlabeled(0.4).simulate(clean(seed=seed), seed, (100, 300)).observed


def weights(fitted) -> list[torch.Tensor]:
    return list(fitted.learner.state_dict().values())


@pytest.mark.parametrize("remembered", [False, True])
@pytest.mark.parametrize("decay", ["constant", "linear", "cosine"])
def test_full_batch_gradient_descent_is_that_of_the_risk(decay: Decay, remembered: bool) -> None:
    """One minibatch, one plain step an epoch: the parameters are those a loop of ten lines gets."""
    setting = PartialLabels(3) if remembered else PositiveUnlabeled(0.4)
    method = RiskMinimisation(PosteriorRewrite(remembered=True)) if remembered else RiskMinimisation()
    rows = setting.simulate(clean(classes=setting.class_count), 0).observed
    plain = Sgd(0.5, momentum=0.0, decay=decay)
    fitted = ClassifierTraining(setting, method, Linear(), plain, 5, minibatch_rows=400, keep="last").fit(rows)
    risk = setting.risk(setting.counts(rows.marks), rewrite=method.rewrite)
    features, evidence = torch.tensor(rows.features).float(), risk.evidence(torch.tensor(rows.marks))
    evidence = evidence.spread() if remembered else evidence
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Linear().build(4, 3 if remembered else 1)
    for epoch in range(5):
        network.zero_grad()
        logits = network(features)
        risk(logits, evidence).backward()
        left = {"constant": 1.0, "linear": 1 - epoch / 5, "cosine": (1 + np.cos(np.pi * epoch / 5)) / 2}[decay]
        with torch.no_grad():
            for parameter in network.parameters():
                parameter -= 0.5 * left * parameter.grad
        if remembered:
            evidence = evidence.remembering(risk.beliefs(logits, evidence))
    for mine, expected in zip(fitted.learner.networks.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-4, atol=1e-6)


def test_epochs_are_shuffled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    epoch = Minibatches.epoch

    def told(self: Minibatches, seed: int):
        seeds.append(seed)
        return epoch(self, seed)

    monkeypatch.setattr(Minibatches, "epoch", told)
    TRAINING.fit(observed())
    assert len(set(seeds)) == len(seeds) == 4


@pytest.mark.parametrize("optimiser", [Adam(0.01, 1e-3, "cosine"), Sgd(0.05, 0.9, decay="linear")], ids=repr)
@pytest.mark.parametrize("method", ["risk", "remembering"])
def test_a_training_that_was_stopped_ends_with_the_same_bits(
    optimiser: Adam | Sgd, method: str, tmp_path: Path
) -> None:
    training = replace(TRAINING, optimiser=optimiser)
    rows, held = observed(), observed(1)
    if method == "remembering":
        setting = PartialLabels(3, generator="flip", flip=0.3)
        rows, held = (setting.simulate(clean(classes=3, seed=seed), seed).observed for seed in (0, 1))
        training = replace(training, setting=setting, method=RiskMinimisation(PosteriorRewrite(remembered=True)))
    whole = training.fit(rows, held)

    class StoppedError(Exception):
        pass

    def stop(step: int, total: int, metrics: object) -> None:
        if step == 1:
            raise StoppedError

    with pytest.raises(StoppedError):
        training.fit(rows, held, report=stop, checkpoint=tmp_path / "course")
    seen: list[int] = []
    went_on = training.fit(rows, held, lambda step, *_: seen.append(step), tmp_path / "course")
    assert seen == [2, 3]
    assert whole.history == went_on.history
    assert whole.epoch == went_on.epoch
    assert all(torch.equal(*pair) for pair in zip(weights(whole), weights(went_on), strict=True))


def test_the_best_epoch_outlives_a_stop(tmp_path: Path) -> None:
    """The longest training is the worst one here: what is kept lies before the stop."""
    training = replace(TRAINING, optimiser=Adam(0.05), epochs=12)
    rows, held = observed(), observed(1)
    whole = training.fit(rows, held)
    assert whole.epoch < 11
    replace(training, epochs=whole.epoch + 1).fit(rows, held, checkpoint=tmp_path / "course")
    went_on = training.fit(rows, held, checkpoint=tmp_path / "course")
    assert went_on.epoch == whole.epoch
    assert all(torch.equal(*pair) for pair in zip(weights(whole), weights(went_on), strict=True))


def test_a_checkpoint_of_another_training_is_refused_and_stays(tmp_path: Path) -> None:
    TRAINING.fit(observed(), checkpoint=tmp_path / "course")
    before = (tmp_path / "course" / "learner.safetensors").read_bytes()
    for training, rows in ((replace(TRAINING, seed=1), observed()), (TRAINING, observed(2))):
        with pytest.raises(InputError, match="checkpoint must be that of this training"):
            training.fit(rows, checkpoint=tmp_path / "course")
    assert (tmp_path / "course" / "learner.safetensors").read_bytes() == before
    longer = replace(TRAINING, epochs=6).fit(observed(), checkpoint=tmp_path / "course")  # more epochs are welcome
    assert len(longer.history) == 6


def test_features_that_turn_bad_stop_the_training_and_the_last_good_epoch_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = observed()
    done: list[int] = []

    def spoil(step: int, *_: object) -> None:
        done.append(step)
        if step == 1:
            held[0].features.fill_(torch.nan)

    held: list = []
    original = Minibatches._held

    def remembered(self, chunk):
        held.append(original(self, chunk))
        return held[-1]

    monkeypatch.setattr(Minibatches, "_held", remembered)
    with pytest.raises(InputError, match="risk must stay finite, got nan in epoch 3, step 1; the state after epoch 2"):
        TRAINING.fit(rows, report=spoil, checkpoint=tmp_path / "course")
    assert done == [0, 1]
    assert read_json(tmp_path / "course" / "course.json")["epoch"] == 2
    monkeypatch.undo()
    went_on, whole = TRAINING.fit(rows, checkpoint=tmp_path / "course"), TRAINING.fit(rows)
    assert all(torch.equal(*pair) for pair in zip(weights(went_on), weights(whole), strict=True))


def test_a_step_that_is_too_long_is_told_before_anything_is_kept(tmp_path: Path) -> None:
    training = replace(TRAINING, optimiser=Sgd(1e30), method=RiskMinimisation(loss=CrossEntropy()))
    with pytest.raises(InputError, match=r"nothing was learnt; lower optimiser\.step = 1e\+30"):
        training.fit(observed(), checkpoint=tmp_path / "course")
    assert not (tmp_path / "course").exists()


EACH = {
    "positive_unlabeled": (PositiveUnlabeled(0.4), RiskMinimisation(correction=NonNegative())),
    "absolute": (PositiveUnlabeled(0.4), RiskMinimisation(correction=Absolute())),
    "complementary": (ComplementaryLabels(3), RiskMinimisation(Inverse(), Floored())),
    "forward": (NoisyLabels(pair_noise(3, 0.3)), RiskMinimisation()),
    "reweight": (NoisyLabels(pair_noise(3, 0.3)), RiskMinimisation(Reweight())),
    "surrogate": (ComplementaryLabels(3), RiskMinimisation(Surrogate("exponential"))),
    "remembering": (
        PartialLabels(3, generator="flip", flip=0.3),
        RiskMinimisation(PosteriorRewrite(remembered=True)),
    ),
}


@pytest.mark.parametrize("name", EACH)
def test_workers_that_share_the_rows_give_what_one_gives(name: str) -> None:
    setting, method = EACH[name]
    training = replace(TRAINING, setting=setting, method=method)
    rows, held = (setting.simulate(clean(classes=setting.class_count, seed=seed), seed).observed for seed in (0, 1))
    one = training.fit(rows, held, together=ALONE)
    several = together(3, lambda worker: training.fit(rows, held, together=worker))
    for fitted in several:
        assert fitted.epoch == one.epoch
        for mine, alone in zip(weights(fitted), weights(one), strict=True):
            torch.testing.assert_close(mine, alone, rtol=1e-3, atol=1e-5)
        for mine, alone in zip(fitted.history, one.history, strict=True):
            assert mine == pytest.approx(alone, rel=1e-3, abs=1e-5)


def test_batch_normalisation_is_refused_on_several_workers() -> None:
    training = replace(TRAINING, network=Perceptron((8,), normalised=True))
    assert len(training.fit(observed()).history) == 4
    with pytest.raises(InputError, match=r"network\.normalised must be false on 2 workers"):
        together(2, lambda worker: training.fit(observed(), together=worker))


def test_the_epoch_with_the_lowest_validation_error_is_kept() -> None:
    training = replace(TRAINING, epochs=12, optimiser=Adam(0.05))
    fitted = training.fit(observed(), observed(1))
    errors = [entry["validation_error"] for entry in fitted.history]
    assert errors[fitted.epoch] == min(errors)
    assert len(set(errors)) > 1
    shorter = replace(training, epochs=fitted.epoch + 1, keep="last").fit(observed(), observed(1))
    assert all(torch.equal(*pair) for pair in zip(weights(fitted), weights(shorter), strict=True))
    last = replace(training, keep="last").fit(observed(), observed(1))
    assert last.epoch == 11


def test_patience_ends_a_training_that_no_longer_gains() -> None:
    training = replace(TRAINING, epochs=60, optimiser=Adam(0.05), patience=3)
    fitted = training.fit(observed(), observed(1))
    assert len(fitted.history) == fitted.epoch + 4 < 60


def test_validation_agrees_with_the_true_error() -> None:
    """What weak labels alone say of the error is near what the hidden labels say."""
    setting = PositiveUnlabeled(0.5)
    training = replace(TRAINING, setting=setting, epochs=3, calibrate=False)
    sim = setting.simulate(clean(20_000, seed=5), 1, (4000, 8000))
    fitted = training.fit(observed(), sim.observed)
    test = clean(4000, seed=9)
    wrong = (fitted.probabilities(test.features).argmax(axis=1) != test.labels).mean()
    assert fitted.history[fitted.epoch]["validation_error"] == pytest.approx(wrong, abs=0.03)


def test_marks_thrown_about_bring_accuracy_to_chance() -> None:
    setting = ComplementaryLabels(3)
    training = ClassifierTraining(setting, network=Linear(), epochs=15, optimiser=Adam(0.01), keep="last")
    rows, test = setting.simulate(clean(3000, 3), 0).observed, clean(3000, 3, seed=7)

    def accuracy(known: Observed) -> float:
        return float((training.fit(known).probabilities(test.features).argmax(axis=1) == test.labels).mean())

    thrown = [
        accuracy(Observed(rows.features, np.random.default_rng(seed).permutation(rows.marks))) for seed in range(6)
    ]
    assert accuracy(rows) > 0.85
    assert abs(np.mean(thrown) - 1 / 3) < 0.17  # a classifier without information prefers some classes by chance


@pytest.mark.parametrize("kind", sorted(SETTINGS))
def test_every_setting_trains_through_the_same_loop(kind: str) -> None:
    setting = example(kind)
    two = setting.class_count == 2
    sim = setting.simulate(clean(3000, prior=0.7) if two else clean(3000, setting.class_count), 0)
    fitted = ClassifierTraining(
        sim.setting, network=Linear(), epochs=12, optimiser=Adam(0.02), minibatch_rows=100, keep="last"
    ).fit(sim.observed)
    test = clean(1000, setting.class_count, seed=3)
    right = (fitted.probabilities(test.features).argmax(axis=1) == test.labels).mean()
    assert right > (0.7 if two else 0.6)


def example(kind: str) -> Setting:
    from components import weak

    thirds = (1 / 3, 1 / 3, 1 / 3)
    own: dict[str, Setting] = {
        "unlabeled_unlabeled": weak.UnlabeledUnlabeled(0.9, 0.2, 0.5),
        "unlabeled_sets": weak.UnlabeledSets(((0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.8)), thirds),
        "semi_supervised": weak.SemiSupervised(thirds),
        "several_positives": weak.SeveralPositives(thirds),
        "label_proportions": weak.LabelProportions(2, tuple((0.1 + 0.1 * bag, 0.9 - 0.1 * bag) for bag in range(9))),
        "noisy_labels": NoisyLabels(pair_noise(3, 0.2)),
        "complementary_labels": ComplementaryLabels(3),
        "multiple_complementary": weak.MultipleComplementary(4),
        "partial_labels": PartialLabels(3, generator="flip", flip=0.3),
        "positive_confidence": weak.PositiveConfidence(),
    }
    return own.get(kind) or SETTINGS[kind](prior=0.7)  # type: ignore[call-arg]


def test_doubts_are_the_posterior_of_a_wrong_label() -> None:
    """With a table that is known, by Bayes' rule written out."""
    table = ((0.8, 0.15, 0.05), (0.1, 0.9, 0.0), (0.2, 0.2, 0.6))
    setting = NoisyLabels(table)
    rows = setting.simulate(clean(300, 3), 0).observed
    fitted = ClassifierTraining(setting, network=Linear(), epochs=3, optimiser=Adam(0.05)).fit(rows)
    known, labels = fitted.probabilities(rows.features), rows.marks.astype(int)
    likelihood = np.array(table)[:, labels].T
    right = known * likelihood
    right = right[np.arange(300), labels] / right.sum(axis=1)
    np.testing.assert_allclose(fitted.doubts(rows), 1 - right, rtol=1e-12)
    scaled = replace(fitted, calibration=Calibration(0.3, (0.5, 0.0, -0.5)))
    assert np.abs(scaled.probabilities(rows.features) - known).max() > 0.1
    right = scaled.probabilities(rows.features) * likelihood
    right = right[np.arange(300), labels] / right.sum(axis=1)
    np.testing.assert_allclose(scaled.doubts(rows), 1 - right, rtol=1e-12)
    partial = PartialLabels(3).simulate(clean(60, 3), 0).observed
    with pytest.raises(InputError, match="setting must have marks that can be wrong, got partial_labels"):
        ClassifierTraining(PartialLabels(3), network=Linear(), epochs=1).fit(partial).doubts(partial)


@pytest.mark.parametrize(
    "setting", [PositiveUnlabeled(0.4), PositiveUnlabeled(0.4, "one_sample"), NegativeUnlabeled(0.4)]
)
def test_the_doubt_of_an_unlabeled_row_is_that_it_is_of_the_class_that_is_known(setting: Setting) -> None:
    """By Bayes' rule written out; a label that is there is never doubted."""
    rows = setting.simulate(clean(600, prior=0.4), 0, (90, 410)).observed
    fitted = ClassifierTraining(setting, network=Linear(), epochs=2).fit(rows)
    fitted = replace(fitted, calibration=Calibration(0.7, (0.2, -0.2)))
    column, unlabeled = int(isinstance(setting, NegativeUnlabeled)), rows.marks == 1
    known = fitted.probabilities(rows.features)[:, column]
    if getattr(setting, "sampling", "") == "one_sample":  # some of the known class are not among the unlabeled
        left = known * (1 - (1 - unlabeled.mean()) / 0.4)
        known = left / (left + 1 - known)
    doubts = fitted.doubts(rows)
    np.testing.assert_allclose(doubts[unlabeled], known[unlabeled], rtol=1e-9)
    assert not doubts[~unlabeled].any()


BAD = [
    ({"epochs": 0}, "epochs must be at least 1, got 0"),
    ({"minibatch_rows": 0}, "minibatch_rows must be at least 1, got 0"),
    ({"patience": -1}, "patience must be at least 0, got -1"),
    ({"seed": -1}, "seed must be at least 0, got -1"),
]


@pytest.mark.parametrize(("fields", "message"), BAD)
def test_fields_are_checked(fields: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(TRAINING, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Adam(step=0.0), "step must be positive and finite, got 0.0"),
        (lambda: Adam(weight_decay=-1.0), "weight_decay must be at least 0 and finite, got -1.0"),
        (lambda: Sgd(momentum=1.0), r"momentum must lie in \[0, 1\), got 1.0"),
        (lambda: Sgd(decay="steep"), "decay must be one of constant, linear, cosine, got 'steep'"),  # type: ignore[arg-type]
        (lambda: Perceptron((8, 0)), r"hidden must hold numbers of units, 1 or more, got \(8, 0\)"),
    ],
)
def test_parts_are_checked(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_a_source_without_rows_and_rows_of_another_width_are_refused() -> None:
    with pytest.raises(InputError, match="counts must be positive, so every source needs a row"):
        TRAINING.fit(PositiveUnlabeled(0.4).observe(np.zeros((5, 2)), np.zeros(5)))
    wide = PositiveUnlabeled(0.4).observe(np.zeros((6, 7)), np.array([1, 0, 0, 0, 0, 0]))
    with pytest.raises(InputError, match="validation must have the 4 features of rows, got 7"):
        TRAINING.fit(observed(), wide)


def test_the_uncorrected_risk_of_positives_and_unlabeled_turns_negative_and_the_corrected_does_not() -> None:
    rows = PositiveUnlabeled(0.4).simulate(clean(), 0, (12, 300)).observed
    free, mended = (
        replace(
            TRAINING,
            method=RiskMinimisation(correction=correction),
            network=Perceptron((64,)),
            optimiser=Adam(0.01),
            epochs=60,
            minibatch_rows=400,
        ).fit(rows)
        for correction in (Uncorrected(), NonNegative())
    )
    assert free.history[-1]["risk"] < 0 < mended.history[-1]["risk"]
    shares = [np.mean([entry["negative_share"] for entry in fitted.history]) for fitted in (free, mended)]
    assert shares[0] > shares[1]


def test_positives_and_negatives_are_supervised_learning() -> None:
    world = clean(600)
    training = ClassifierTraining(PositiveNegative(0.5), network=Linear(), epochs=30, optimiser=Adam(0.02), keep="last")
    rows = training.setting.observe(world.features, 1 - world.labels)
    test = clean(2000, seed=4)
    assert (training.fit(rows).probabilities(test.features).argmax(axis=1) == test.labels).mean() > 0.95
