"""What is tried of learning from weak labels: MNIST pooled to 14 by 14, a small network, a few epochs, and gates."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from statistics import mean
from typing import TYPE_CHECKING

import numpy as np

from components.classifier import Adam, ClassifierTraining, Perceptron, RiskMinimisation
from components.classifier.methods.co_teaching import CoTeaching
from components.classifier.methods.volume_minimisation import VolumeMinimisation
from components.weak import (
    Absolute,
    Clean,
    ComplementaryLabels,
    Floored,
    Forward,
    Inverse,
    NoisyLabels,
    NonNegative,
    Observed,
    PairwiseComparison,
    PartialLabels,
    PositiveNegative,
    PositiveUnlabeled,
    PosteriorRewrite,
    Rewrite,
    RiskCorrection,
    Sigmoid,
    SimilarUnlabeled,
    Surrogate,
    Uncorrected,
    UnlabeledSets,
    UnlabeledUnlabeled,
)
from components.weak.nuisance.transition import relative_error
from components.weak.settings import Setting
from components.weak.transitions import Table, as_table, pair_noise, symmetric_noise
from tests.benchmarks.weak_mnist import EVEN, accuracy, digits, error

if TYPE_CHECKING:
    from components.classifier import AnyMethod
    from components.classifier.fitted import Classifier

Measure = Callable[["Classifier", Clean], float]
Key = tuple[str, str]
SYMMETRIC, PAIR = symmetric_noise(10, 0.5), pair_noise(10, 0.45)
UNTOLD = NoisyLabels(as_table(np.eye(10)))  # the labels are noisy, and the learner is not told how


@dataclass(frozen=True)
class Gate:
    """Bounds on a mean.

    Attributes:
        low: It must be at least this.
        high: It must be at most this.
    """

    low: float = -np.inf
    high: float = np.inf

    def __str__(self) -> str:
        parts = (f">= {self.low:g}" if self.low > -np.inf else "", f"<= {self.high:g}" if self.high < np.inf else "")
        return " and ".join(part for part in parts if part)

    def met(self, value: float) -> bool:
        """Whether ``value`` is within the bounds."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Trial:
    """One line of the table.

    Attributes:
        benchmark: What the labels are.
        method: What is learnt by.
        made: How the weak labels come about.
        training: What learns from them, and what it is told of them.
        number: What is measured.
        measure: Gives it.
        even: Even against odd digits, else all ten.
        sizes: Rows, or pairs, of each source.
        gate: What the mean must be.
        shuffled: Throw the labels about: whatever is then learnt was not in them.
    """

    benchmark: str
    method: str
    made: Setting
    training: ClassifierTraining
    number: str
    measure: Measure
    even: bool = False
    sizes: tuple[int, ...] | None = None
    gate: Gate = Gate()
    shuffled: bool = False

    @property
    def key(self) -> Key:
        """Names the trial."""
        return self.benchmark, self.method

    def run(self, seed: int) -> "Outcome":
        """Train once."""
        data = digits().even() if self.even else digits()
        observed = self.made.simulate(data.train, seed, self.sizes).observed
        if self.shuffled:
            observed = Observed(observed.features, np.random.default_rng(seed).permutation(observed.marks))
        begin = time.perf_counter()
        classifier = replace(self.training, seed=seed).fit(observed)
        seconds = time.perf_counter() - begin
        negative = mean(epoch.get("negative_share", 0.0) for epoch in classifier.history)
        return Outcome(self.measure(classifier, data.test), seconds, negative)


@dataclass(frozen=True)
class Outcome:
    """What a trial came to.

    Attributes:
        value: The number of the trial.
        seconds: Of its training.
        negative: Share of all steps in which the risk of some class was negative.
    """

    value: float
    seconds: float
    negative: float


def supervised() -> Iterator[Trial]:
    """All labels, and all right."""
    training = ClassifierTraining(UNTOLD, epochs=5, keep="last")
    yield Trial("supervised", "cross entropy", UNTOLD, training, "accuracy", accuracy, gate=Gate(low=0.94))


def positive_unlabeled() -> Iterator[Trial]:
    """A hundred positives and six thousand unlabeled rows."""
    setting = PositiveUnlabeled(EVEN)
    methods: dict[str, tuple[RiskCorrection, Gate]] = {
        "uPU": (Uncorrected(), Gate()),
        "nnPU": (NonNegative(), Gate(high=0.21)),
        "relu": (Floored(), Gate()),
    }
    for name, (correction, gate) in methods.items():
        method = RiskMinimisation(correction=correction)
        training = ClassifierTraining(setting, method, Perceptron((100,)), Adam(1e-3, 0.005), 100, 1000, keep="last")
        yield Trial("PU-mini", name, setting, training, "error", error(), True, (100, 6_000), gate)


def two_classes() -> Iterator[Trial]:
    """Sources of different make-up, pairs alike, pairs in order."""
    corrections: dict[str, RiskCorrection] = {"uncorrected": Uncorrected(), "relu": Floored(), "abs": Absolute()}
    for first, most in ((0.9, 0.055), (0.8, 0.065), (0.6, 0.12)):
        second = round(1 - first, 1) if first > 0.6 else 0.4
        for name, correction in corrections.items():
            yield _binary(
                f"UU ({first}, {second})",
                name,
                UnlabeledUnlabeled(first, second, EVEN),
                correction,
                (30_000, 30_000),
                most,
            )
    yield _binary("PN, all labels", "cross entropy", PositiveNegative(EVEN), Uncorrected(), (29_492, 30_508), None)
    for name in ("uncorrected", "abs"):
        yield _binary("SU, prior .7", name, SimilarUnlabeled(0.7), corrections[name], (20_000, 20_000), 0.16, 0.7)
    for name, correction in corrections.items():
        yield _binary("Pcomp, prior .7", name, PairwiseComparison(0.7), correction, (20_000,), 0.13, 0.7)
    five = UnlabeledSets(as_table(np.array([[th, 1 - th] for th in (0.1, 0.3, 0.5, 0.7, 0.9)])), (EVEN, 1 - EVEN))
    yield _binary("five unlabeled sets", "abs", five, Absolute(), (10_000,) * 5, 0.12, epochs=2)


def _binary(
    benchmark: str,
    name: str,
    setting: Setting,
    correction: RiskCorrection,
    sizes: tuple[int, ...],
    most: float | None,
    prior: float | None = None,
    epochs: int = 10,
) -> Trial:
    training = ClassifierTraining(setting, RiskMinimisation(correction=correction), epochs=epochs, keep="last")
    gate = Gate() if most is None else Gate(high=most)
    return Trial(benchmark, name, setting, training, "error", error(prior), True, sizes, gate)


def complementary() -> Iterator[Trial]:
    """Every row names one class that it is not of."""
    setting = ComplementaryLabels(10)
    methods = {
        "forward": (RiskMinimisation(Forward()), Gate(low=0.90)),
        "SCL-NL": (RiskMinimisation(Surrogate()), Gate(low=0.90)),
        "SCL-EXP": (RiskMinimisation(Surrogate("exponential")), Gate(low=0.90)),
        "abs": (RiskMinimisation(Inverse(), Absolute()), Gate(low=0.84)),
        "relu": (RiskMinimisation(Inverse(), Floored()), Gate(low=0.84)),
        "ga": (RiskMinimisation(Inverse(), NonNegative()), Gate(low=0.84)),
        "free": (RiskMinimisation(Inverse(), Uncorrected()), Gate()),
        "PC": (RiskMinimisation(Inverse(), Uncorrected(), Sigmoid()), Gate()),
    }
    for name, (method, gate) in methods.items():
        training = ClassifierTraining(setting, method, epochs=10, keep="last")
        yield Trial("complementary", name, setting, training, "accuracy", accuracy, gate=gate)


def canaries() -> Iterator[Trial]:
    """Labels thrown about: accuracy must be that of chance."""
    chance = Gate(low=0.07, high=0.13)
    for setting, name in ((UNTOLD, "cross entropy"), (ComplementaryLabels(10), "complementary, forward")):
        training = ClassifierTraining(setting, epochs=5, keep="last")
        yield Trial("labels thrown about", name, setting, training, "accuracy", accuracy, gate=chance, shuffled=True)


def partial() -> Iterator[Trial]:
    """Candidates; each wrong class is one with probability q."""
    for q, least in ((0.1, 0.93), (0.5, 0.92), (0.7, 0.91)):
        setting = PartialLabels(10, "flip", q)
        rewrites: dict[str, Rewrite] = {"PRODEN": PosteriorRewrite(True), "CC": Forward(), "RC": PosteriorRewrite()}
        for name, rewrite in rewrites.items():
            training = ClassifierTraining(setting, RiskMinimisation(rewrite), epochs=5, keep="last")
            gate = Gate(low=least) if name == "PRODEN" else Gate()
            yield Trial(f"partial labels, q = {q}", name, setting, training, "accuracy", accuracy, gate=gate)


def noisy() -> Iterator[Trial]:
    """Labels flipped to any class, or by habit to the next one."""
    told: Measure = accuracy
    symmetric, pair = "symmetric 50 %", "pair 45 %"
    yield _noisy(symmetric, "cross entropy", SYMMETRIC, UNTOLD, None, "accuracy", told)
    yield _noisy(symmetric, "forward, true T", SYMMETRIC, NoisyLabels(SYMMETRIC), None, "accuracy", told)
    yield _noisy(pair, "cross entropy", PAIR, UNTOLD, None, "accuracy", told, Gate(high=0.78))
    yield _noisy(pair, "forward, true T", PAIR, NoisyLabels(PAIR), None, "accuracy", told, Gate(low=0.94))
    volume = VolumeMinimisation()
    yield _noisy(symmetric, "VolMinNet", SYMMETRIC, UNTOLD, volume, "error of T", transition_error, Gate(high=0.1))
    yield _noisy(pair, "VolMinNet", PAIR, UNTOLD, volume, "accuracy", told)
    selecting = CoTeaching(noise_rate=0.45, gradual_epochs=3)
    yield _noisy(pair, "Co-teaching", PAIR, UNTOLD, selecting, "accuracy", told, Gate(low=0.86))


def _noisy(
    benchmark: str,
    name: str,
    made: Table,
    told: NoisyLabels,
    method: "AnyMethod | None",
    number: str,
    measure: Measure,
    gate: Gate = Gate(),
) -> Trial:
    training = ClassifierTraining(told, method, epochs=10, keep="last")
    return Trial(benchmark, name, NoisyLabels(made), training, number, measure, gate=gate)


def transition_error(classifier: "Classifier", test: Clean) -> float:
    """How far the transition that was found is from the symmetric one that was used."""
    assert classifier.found.transition is not None
    return relative_error(classifier.found.transition.matrix, np.array(SYMMETRIC))


@cache
def trials() -> dict[Key, Trial]:
    """All lines by name."""
    parts = (supervised, positive_unlabeled, two_classes, complementary, partial, noisy, canaries)
    return {trial.key: trial for part in parts for trial in part()}
