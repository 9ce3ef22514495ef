"""What calibration from weak labels alone does to probabilities: the digits, clean test rows, with and without it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import mean
from typing import TYPE_CHECKING

import numpy as np

from components.classifier import ClassifierTraining, Method, RiskMinimisation
from components.contracts import FloatArray
from components.weak import (
    Absolute,
    Clean,
    ComplementaryLabels,
    Inverse,
    NoisyLabels,
    PairwiseComparison,
    PositiveUnlabeled,
    UnlabeledUnlabeled,
)
from components.weak.observed import IntArray
from components.weak.settings import Setting
from components.weak.transitions import pair_noise
from tests.benchmarks.weak_mnist import EVEN, digits

if TYPE_CHECKING:
    from components.classifier.fitted import Classifier

BINS, KEPT, EPOCHS = 15, 6_000, 10  # of probabilities; rows kept for validation; passes


@dataclass(frozen=True)
class Case:
    """Weak labels, and what learns from them.

    Attributes:
        name: Names the line.
        setting: What the labels are.
        method: None: the usual risk of the setting.
        even: Even against odd digits, else all ten.
        sizes: Rows or pairs of each source, to learn from and, a tenth as many, to calibrate by.
    """

    name: str
    setting: Setting
    method: Method | None = None
    even: bool = True
    sizes: tuple[int, ...] | None = None

    def classifier(self, seed: int) -> "Classifier":
        """Trained and calibrated."""
        data = (digits().even() if self.even else digits()).train
        parts = [Clean(data.features[part], data.labels[part]) for part in (slice(0, -KEPT), slice(-KEPT, None))]
        fewer = None if self.sizes is None else tuple(size // 10 for size in self.sizes)
        rows, kept = (
            self.setting.simulate(part, seed, sizes).observed
            for part, sizes in zip(parts, (self.sizes, fewer), strict=True)
        )
        training = ClassifierTraining(self.setting, self.method, epochs=EPOCHS, keep="last", seed=seed)  # type: ignore[arg-type]  # any method
        return training.fit(rows, kept)


def cases() -> Iterator[Case]:
    """Losses whose logits mean little, and one whose logits mean what they say."""
    yield Case("positives and unlabeled rows, sigmoid", PositiveUnlabeled(EVEN), sizes=(2_000, 20_000))
    yield Case("two unlabeled sets (0.9, 0.1), absolute", UnlabeledUnlabeled(0.9, 0.1, EVEN), sizes=(20_000, 20_000))
    yield Case("pairwise comparison, absolute", PairwiseComparison(EVEN), sizes=(20_000,))
    inverse = RiskMinimisation(Inverse(), Absolute())
    yield Case("complementary labels, absolute", ComplementaryLabels(10), inverse, even=False)
    yield Case("complementary labels, forward", ComplementaryLabels(10), even=False)
    yield Case("noisy labels, pair 45 %, forward", NoisyLabels(pair_noise(10, 0.45)), even=False)


def scores(probabilities: FloatArray, labels: IntArray) -> tuple[float, float]:
    """Expected calibration error of the likeliest class, and mean log loss."""
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    which = np.minimum((sure * BINS).astype(int), BINS - 1)
    gaps = np.bincount(which, weights=right - sure, minlength=BINS)
    own = probabilities[np.arange(len(labels)), labels].clip(1e-12)
    return float(np.abs(gaps).sum() / len(labels)), float(-np.log(own).mean())


def calibration(seeds: int = 3) -> None:
    """Prints both scores before and after, means over ``seeds``."""
    print("\n| weak labels | calibration error | calibrated | log loss | calibrated |\n|---|---|---|---|---|")
    for case in cases():
        test = (digits().even() if case.even else digits()).test
        found = []
        for seed in range(seeds):
            classifier = case.classifier(seed)
            raw = replace(classifier, calibration=None)
            found.append([scores(each.probabilities(test.features), test.labels) for each in (raw, classifier)])
        error, loss = ([mean(pair[which][score] for pair in found) for which in range(2)] for score in range(2))
        print(f"| {case.name} | {error[0]:.3f} | {error[1]:.3f} | {loss[0]:.3f} | {loss[1]:.3f} |", flush=True)
