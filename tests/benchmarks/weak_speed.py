"""Time of a step: our loop against loops written by hand, and every corrected risk against bare cross entropy.

All run in one thread on the digits pooled to 14 by 14 (196 features, 256 rows a step), with a hidden layer of 128,
beside which everything but the network weighs most, or two of 500. Loops are compared on all 60,000 rows, for how rows
are fetched matters to them. Risks are on 20,000 (5,000 with the larger network) but trained more often, for a step
costs the same in a short epoch. Bare cross entropy is trained again right before each other way, and the ratio of the
two is what counts: whatever else the machine does falls on both alike. Of each training the quicker of two epochs
counts, after a first one that does not, in seconds of work of this process; of the repeats the median.
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
UNTOLD = NoisyLabels(as_table(np.eye(10)))
MOST = 1.1  # times a bare epoch that a corrected one may cost
Steps = Callable[[], float]  # seconds of a step of one training


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
) -> Steps:
    """Steps of our loop on weak labels made once."""
    observed = setting.simulate(data, 0, sizes).observed
    training = ClassifierTraining(setting, method, Perceptron(hidden), epochs=EPOCHS, keep="last")  # type: ignore[arg-type]  # or Bare

    def steps() -> float:
        ends: list[float] = []

        def ended(step: int, total: int, metrics: Mapping[str, float]) -> None:
            ends.append(time.process_time())

        training.fit(observed, report=ended)
        return float(np.diff(ends).min()) / round(len(observed) / ROWS)

    return steps


def by_hand(data: Clean, way: Literal["loader", "indexed", "gathered"], hidden: tuple[int, ...] = SMALL) -> Steps:
    """Steps of a loop as people write it; ``gathered`` takes pains: rows put in order once, and a fused optimiser."""
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

    def steps() -> float:
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
        return min(seconds[1:]) / -(-len(x) // ROWS)

    return steps


def first(rows: int, even: bool = False) -> Clean:
    """The first training rows."""
    data = (digits().even() if even else digits()).train
    return Clean(data.features[:rows], data.labels[:rows])


def loops() -> Iterator[tuple[str, Steps]]:
    """Ours and those written by hand."""
    data = digits().train
    yield "ours, bare cross entropy", ours(UNTOLD, Bare(), data)
    yield "by hand, DataLoader", by_hand(data, "loader")
    yield "by hand, indexed", by_hand(data, "indexed")
    yield "by hand, gathered, fused", by_hand(data, "gathered")


def ten_classes() -> Iterator[tuple[str, Steps]]:
    """Ours with every way to learn from labels of ten classes."""
    data = first(20_000)
    yield "ours, bare cross entropy", ours(UNTOLD, Bare(), data)
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


def two_classes() -> Iterator[tuple[str, Steps]]:
    """Ours with every way to learn from labels of two classes; as many rows each time."""
    data, half = first(20_000, even=True), (10_000, 10_000)
    yield "ours, bare cross entropy", ours(NoisyLabels(as_table(np.eye(2))), Bare(), data)
    pu = PositiveUnlabeled(0.5)
    for correction in (Uncorrected(), NonNegative(), Floored(), Absolute()):
        yield f"PU, {correction.kind}", ours(pu, RiskMinimisation(correction=correction), data, half)
    yield "UU, absolute", ours(UnlabeledUnlabeled(0.9, 0.1, 0.5), None, data, half)
    yield "SU, absolute", ours(SimilarUnlabeled(0.7), None, data, (5_000, 10_000))
    yield "Pcomp, absolute", ours(PairwiseComparison(0.7), None, data, (10_000,))


def larger() -> Iterator[tuple[str, Steps]]:
    """A larger network, which leaves the rest little weight."""
    data, flipped = first(5_000), ComplementaryLabels(10)
    yield "ours, bare cross entropy", ours(UNTOLD, Bare(), data, hidden=LARGE)
    yield "by hand, indexed", by_hand(data, "indexed", LARGE)
    yield "noisy labels, forward", ours(NoisyLabels(pair_noise(10, 0.45)), None, data, hidden=LARGE)
    for correction in (Absolute(), NonNegative()):
        method = RiskMinimisation(Inverse(), correction)
        yield f"complementary, {correction.kind}", ours(flipped, method, data, hidden=LARGE)
    remembered = RiskMinimisation(PosteriorRewrite(True))
    yield "partial labels, PRODEN", ours(PartialLabels(10, "flip", 0.5), remembered, data, hidden=LARGE)


def speed() -> bool:
    """Whether no corrected risk costs more than it may; prints the time of a step, and how the ways compare."""
    begin, dear = time.perf_counter(), []
    parts = {
        "loops, ten classes": (loops, 5),
        "risks, ten classes": (ten_classes, REPEATS),
        "risks, two classes": (two_classes, REPEATS),
        "larger network": (larger, 5),
    }
    for title, (named, repeats) in parts.items():
        (name, bare), *ways = named()
        found: dict[str, list[tuple[float, float]]] = {way: [] for way, _ in ways}
        for _ in range(repeats):
            for way, steps in ways:
                found[way].append((bare(), steps()))
        print(f"\n| {title} | ms a step | times bare cross entropy in our loop |\n|---|---|---|")
        print(f"| {name} | {1000 * median(base for pairs in found.values() for base, _ in pairs):.3f} | 1.00 |")
        for way, pairs in found.items():
            ratio = median(mine / base for base, mine in pairs)
            print(f"| {way} | {1000 * median(mine for _, mine in pairs):.3f} | {ratio:.2f} |", flush=True)
            dear += [f"{way} {ratio:.2f}"] if ratio > MOST and not way.startswith("by hand") else []
    print(f"\n{time.perf_counter() - begin:.0f} s; more than {MOST} times: {', '.join(dear) or 'none'}")
    return not dear
