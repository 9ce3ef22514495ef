"""Logits of a known distortion are put right by weak labels alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from components.classifier import Adam, ClassifierTraining, InMemory, Linear, RiskMinimisation
from components.classifier.calibration import Calibration, calibrate
from components.weak import (
    Absolute,
    Clean,
    ComplementaryLabels,
    ConfidenceDifference,
    Inverse,
    NoisyLabels,
    PairwiseComparison,
    PositiveUnlabeled,
    Setting,
    Sigmoid,
    UnlabeledUnlabeled,
)
from components.weak.transitions import pair_noise
from tests.components.classifier.test_training import clean

TWO = {
    "positive_unlabeled": PositiveUnlabeled(0.6),
    "one_sample": PositiveUnlabeled(0.6, sampling="one_sample"),
    "unlabeled_unlabeled": UnlabeledUnlabeled(0.9, 0.2, 0.6),
    "pairwise_comparison": PairwiseComparison(0.6),
    "confidence_difference": ConfidenceDifference(0.6),  # has no likelihood
}


@pytest.mark.parametrize("name", TWO)
@pytest.mark.parametrize(("scale", "offset"), [(3.0, 1.0), (0.3, -0.5)])
def test_a_distorted_posterior_is_found(name: str, scale: float, offset: float) -> None:
    """The true logit is known, so the map that undoes the distortion is too."""
    setting, world = TWO[name], clean(40_000, prior=0.6)
    rows = InMemory.of(setting.simulate(world, 0).observed)
    learner = ClassifierTraining(setting, network=Linear(), epochs=1).fit(setting.simulate(world, 1).observed).learner
    true = torch.tensor([2.5, -2.5, 0.0, 0.0])
    with torch.no_grad():
        layer = learner.networks[0][0]
        layer.weight.copy_(scale * true[None])
        layer.bias.fill_(scale * np.log(0.6 / 0.4) + offset)
    found = calibrate(learner.problem, learner, rows)
    assert found.scale == pytest.approx(1 / scale, rel=0.15)
    assert found.offsets[0] - found.offsets[1] == pytest.approx(-offset / scale, abs=0.3)


@pytest.mark.parametrize("setting", [ComplementaryLabels(3), NoisyLabels(pair_noise(3, 0.2))], ids=lambda s: s.kind)
def test_a_training_gives_probabilities_that_hold(setting: Setting) -> None:
    """Trained by a bounded loss, whose logits mean little, and compared with the exact posterior of the world."""
    method = RiskMinimisation(Inverse(), Absolute(), Sigmoid("one_versus_rest"))
    training = ClassifierTraining(setting, method, Linear(), Adam(0.02), epochs=15)
    rows, held = (setting.simulate(clean(6000, 3, seed), seed).observed for seed in (0, 1))
    test = clean(2000, 3, 5)
    exact = torch.softmax(2.5 * torch.tensor(test.features[:, :3]), dim=1).numpy()

    def divergence(found: np.ndarray) -> float:
        return float((exact * np.log(exact / np.clip(found, 1e-12, 1))).sum(axis=1).mean())

    raw = replace(training, calibrate=False).fit(rows, held)
    ready = training.fit(rows, held)
    assert raw.calibration is None
    assert divergence(ready.probabilities(test.features)) < 0.5 * divergence(raw.probabilities(test.features))
    assert divergence(ready.probabilities(test.features)) < 0.05


def test_few_rows_leave_the_logits_nearly_as_they_are() -> None:
    setting = PositiveUnlabeled(0.5)
    learner = (
        ClassifierTraining(setting, network=Linear(), epochs=1)
        .fit(setting.simulate(clean(), 0, (50, 50)).observed)
        .learner
    )
    rows = setting.observe(np.zeros((2, 4)), np.array([1, 0]))
    found = calibrate(learner.problem, learner, InMemory.of(rows))
    assert abs(np.log(found.scale)) < 0.5
    assert max(map(abs, found.offsets)) < 0.5


def test_the_map_keeps_the_order_of_the_classes_without_offsets() -> None:
    logits = torch.tensor([[1.0, -2.0, 0.5]])
    assert torch.equal(Calibration(2.0, (0.0, 0.0, 0.0))(logits), 2 * logits)
    assert torch.equal(Calibration(2.0, (1.0, -1.0))(torch.tensor([0.5])), torch.tensor([[2.0, -1.0]]))


def test_without_rows_for_validation_nothing_is_scaled() -> None:
    setting = PositiveUnlabeled(0.5)
    rows = setting.simulate(Clean(clean().features, clean().labels), 0, (50, 50)).observed
    assert ClassifierTraining(setting, epochs=1).fit(rows).calibration is None
