"""Seconds an epoch: our loop against loops written by hand, and every corrected risk against bare cross entropy.

All run in one thread on the digits pooled to 14 by 14 (60,000 rows of 196, 256 rows a step; a hidden layer of 128,
beside which everything but the network weighs most, or two of 500) in turn, again and again, so that whatever else the
machine does falls on all alike. Times are seconds of work of this process, medians over the repeats; set-up and the
first epoch of ours do not count.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Literal

import numpy as np

from components.classifier import ClassifierTraining, Method, Perceptron, RiskMinimisation
from components.weak import (
    Absolute,
    Clean,
    ComplementaryLabels,
    Floored,
    Forward,
    Inverse,
    NoisyLabels,
    NonNegative,
    PairwiseComparison,
    PartialLabels,
    PositiveUnlabeled,
    PosteriorRewrite,
    Reweight,
    SimilarUnlabeled,
    Surrogate,
    Uncorrected,
    UnlabeledUnlabeled,
)
from components.weak.settings import Setting
from components.weak.transitions import as_table, pair_noise
from tests.benchmarks.weak_mnist import digits

if TYPE_CHECKING:
    from components.classifier.learners.learner import Learner, Problem

SMALL, LARGE = (128,), (500, 500)
REPEATS, EPOCHS, ROWS, STEP = 7, 3, 256, 1e-3
Epochs = Callable[[], list[float]]  # seconds of each epoch of one training


@dataclass(frozen=True)
class Bare(Method):
    """Cross entropy as torch has it, in our loop.

    Attributes:
        kind: Names the method.
    """

    kind: Literal["bare"] = "bare"

    def learner(self, problem: "Problem") -> "Learner":
        """A network and nothing else."""
        import torch
        from torch import Tensor

        from components.classifier.learners.learner import Progress
        from components.classifier.learners.noisy_labels import NoisyLabelLearner
        from components.classifier.minibatches import Minibatch

        class Plain(NoisyLabelLearner):
            def objective(self, batch: Minibatch, progress: Progress) -> Tensor:
                logits = self.logits(batch.features)
                if logits.ndim == 1:
                    return torch.nn.functional.binary_cross_entropy_with_logits(logits, 1 - batch.marks.float())
                return torch.nn.functional.cross_entropy(logits, batch.marks)

        return Plain(problem)


def ours(
    setting: Setting,
    method: Method | None,
    data: Clean,
    sizes: tuple[int, ...] | None = None,
    hidden: tuple[int, ...] = SMALL,
) -> Epochs:
    """Epochs of our loop on weak labels made once."""
    observed = setting.simulate(data, 0, sizes).observed
    training = ClassifierTraining(setting, method, Perceptron(hidden), epochs=EPOCHS, keep="last")  # type: ignore[arg-type]  # or Bare

    def epochs() -> list[float]:
        ends: list[float] = []

        def ended(step: int, total: int, metrics: Mapping[str, float]) -> None:
            ends.append(time.process_time())

        training.fit(observed, report=ended)
        return np.diff(ends).tolist()

    return epochs


def by_hand(data: Clean, way: Literal["loader", "indexed", "gathered"], hidden: tuple[int, ...] = SMALL) -> Epochs:
    """Epochs of a loop as people write it; ``gathered`` takes pains: rows put in order once, and a fused optimiser."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    x, y = torch.tensor(data.features, dtype=torch.float32), torch.tensor(data.labels)

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        order = torch.randperm(len(x))
        if way == "gathered":
            yield from zip(x[order].split(ROWS), y[order].split(ROWS), strict=True)
        else:
            yield from ((x[index], y[index]) for index in order.split(ROWS))

    loader = DataLoader(TensorDataset(x, y), ROWS, shuffle=True)

    def epochs() -> list[float]:
        network = Perceptron(hidden).build(x.shape[1], 10)
        optimiser = torch.optim.Adam(network.parameters(), STEP, fused=way == "gathered" or None)
        seconds = []
        for _ in range(EPOCHS):
            begin, total = time.process_time(), 0.0
            for features, labels in loader if way == "loader" else batches():
                optimiser.zero_grad()
                loss = torch.nn.functional.cross_entropy(network(features), labels)
                loss.backward()
                optimiser.step()
                total += loss.item()
            seconds.append(time.process_time() - begin)
        return seconds[1:]

    return epochs


def ten_classes() -> Iterator[tuple[str, Epochs]]:
    """The hand-written loops, and ours with every way to learn from labels of ten classes."""
    data = digits().train
    untold = NoisyLabels(as_table(np.eye(10)))
    yield "ours, bare cross entropy", ours(untold, Bare(), data)
    yield "by hand, DataLoader", by_hand(data, "loader")
    yield "by hand, indexed", by_hand(data, "indexed")
    yield "by hand, gathered, fused", by_hand(data, "gathered")
    noisy, flipped = NoisyLabels(pair_noise(10, 0.45)), ComplementaryLabels(10)
    yield "noisy labels, forward", ours(noisy, None, data)
    yield "noisy labels, backward abs", ours(noisy, RiskMinimisation(Inverse()), data)
    yield "noisy labels, reweight", ours(noisy, RiskMinimisation(Reweight()), data)
    yield "complementary, forward", ours(flipped, None, data)
    for correction in (Absolute(), Floored(), NonNegative(), Uncorrected()):
        yield f"complementary, {correction.kind}", ours(flipped, RiskMinimisation(Inverse(), correction), data)
    yield "complementary, SCL-EXP", ours(flipped, RiskMinimisation(Surrogate("exponential")), data)
    partial = PartialLabels(10, "flip", 0.5)
    yield "partial labels, CC", ours(partial, RiskMinimisation(Forward()), data)
    yield "partial labels, RC", ours(partial, None, data)
    yield "partial labels, PRODEN", ours(partial, RiskMinimisation(PosteriorRewrite(True)), data)


def two_classes() -> Iterator[tuple[str, Epochs]]:
    """Ours with every way to learn from labels of two classes; as many rows each time."""
    data, half = digits().even().train, (30_000, 30_000)
    yield "ours, bare cross entropy", ours(NoisyLabels(as_table(np.eye(2))), Bare(), data)
    pu = PositiveUnlabeled(0.5)
    for correction in (Uncorrected(), NonNegative(), Floored(), Absolute()):
        yield f"PU, {correction.kind}", ours(pu, RiskMinimisation(correction=correction), data, half)
    yield "UU, absolute", ours(UnlabeledUnlabeled(0.9, 0.1, 0.5), None, data, half)
    yield "SU, absolute", ours(SimilarUnlabeled(0.7), None, data, (15_000, 30_000))
    yield "Pcomp, absolute", ours(PairwiseComparison(0.7), None, data, (30_000,))


def larger() -> Iterator[tuple[str, Epochs]]:
    """A larger network, which leaves the rest little weight."""
    data, flipped = digits().train, ComplementaryLabels(10)
    yield "ours, bare cross entropy", ours(NoisyLabels(as_table(np.eye(10))), Bare(), data, hidden=LARGE)
    yield "by hand, indexed", by_hand(data, "indexed", LARGE)
    yield "by hand, gathered, fused", by_hand(data, "gathered", LARGE)
    yield "noisy labels, forward", ours(NoisyLabels(pair_noise(10, 0.45)), None, data, hidden=LARGE)
    for correction in (Absolute(), NonNegative()):
        method = RiskMinimisation(Inverse(), correction)
        yield f"complementary, {correction.kind}", ours(flipped, method, data, hidden=LARGE)
    remembered = RiskMinimisation(PosteriorRewrite(True))
    yield "partial labels, PRODEN", ours(PartialLabels(10, "flip", 0.5), remembered, data, hidden=LARGE)


def speed() -> None:
    """Seconds an epoch, and how they compare."""
    parts = {"ten classes": ten_classes, "two classes": two_classes, "ten classes, larger network": larger}
    for title, named in parts.items():
        ways = dict(named())
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(REPEATS):
            for name, epochs in ways.items():
                seconds[name].append(median(epochs()))
        bare = seconds["ours, bare cross entropy"]
        print(f"\n| {title} | s an epoch | times bare cross entropy in our loop |\n|---|---|---|")
        for name, found in seconds.items():
            ratio = median(mine / base for mine, base in zip(found, bare, strict=True))
            print(f"| {name} | {median(found):.3f} | {ratio:.2f} |", flush=True)
