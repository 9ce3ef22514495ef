"""The gates of learning from weak labels, each on the mean over several seeds.

Each trial is one training in a process of one thread; two run at a time.
"""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from statistics import mean

import numpy as np

from tests.benchmarks.weak_trials import Gate, Key, Outcome, Trial, trials


@dataclass(frozen=True)
class Line:
    """A line of the table as it is printed.

    Attributes:
        key: Benchmark and method.
        number: What is measured.
        values: One for each seed.
        gate: What the mean must be.
        seconds: Of a training, the mean.
    """

    key: Key
    number: str
    values: tuple[float, ...]
    gate: Gate
    seconds: float = float("nan")

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return mean(self.values)

    @property
    def met(self) -> bool:
        """Whether the gate is met."""
        return self.gate.met(self.mean)

    def __str__(self) -> str:
        verdict = ("yes" if self.met else "NO") if str(self.gate) else ""
        seconds = "" if np.isnan(self.seconds) else f"{self.seconds:.1f}"
        values = " ".join(f"{value:.3f}" for value in self.values)
        return (
            f"| {self.key[0]} | {self.key[1]} | {self.number} | {values} | {self.mean:.3f} | {self.gate} | {verdict} "
            f"| {seconds} |"
        )


def gates(seeds: int = 3, only: str = "") -> bool:
    """Whether every gate is met; ``only``: those whose benchmark holds these letters."""
    begin = time.perf_counter()
    chosen = [trial for trial in trials().values() if only in trial.benchmark]
    outcomes: dict[Key, list[Outcome]] = {}
    with ProcessPoolExecutor(2, get_context("spawn"), initializer=one_thread) as pool:
        waiting = [pool.map(_outcome, [trial.key] * seeds, range(seeds)) for trial in chosen]
        for trial, found in zip(chosen, waiting, strict=True):
            outcomes[trial.key] = list(found)
            print(f"{trial.benchmark}, {trial.method}: {time.perf_counter() - begin:.0f} s", flush=True)
    lines = [_line(trial, outcomes[trial.key]) for trial in chosen]
    lines += related({line.key: line for line in lines}, outcomes)
    seeded = ", ".join(map(str, range(seeds)))
    print(f"\n| benchmark | method | number | seeds {seeded} | mean | gate | met | s a training |\n" + "|---" * 8 + "|")
    print("\n".join(map(str, lines)))
    missed = [" ".join(line.key) for line in lines if not line.met]
    print(f"\n{len(lines)} lines in {time.perf_counter() - begin:.0f} s; missed: {', '.join(missed) or 'none'}")
    return not missed


def _outcome(key: Key, seed: int) -> Outcome:
    return trials()[key].run(seed)


def one_thread() -> None:
    """Trainings side by side must not share their threads."""
    import torch

    torch.set_num_threads(1)


def _line(trial: Trial, outcomes: list[Outcome]) -> Line:
    values = tuple(outcome.value for outcome in outcomes)
    return Line(trial.key, trial.number, values, trial.gate, mean(outcome.seconds for outcome in outcomes))


def related(lines: Mapping[Key, Line], outcomes: Mapping[Key, list[Outcome]]) -> Iterator[Line]:
    """Gates on several methods at once, where they were run."""
    if ("PU-mini", "uPU") in lines:
        yield _difference(lines, "PU-mini", "uPU", "nnPU", Gate(low=0.04))
        # How soon a risk turns negative depends on the hundred positives: from .66 to .82 with uPU over three draws.
        for name, gate in (("uPU", Gate(0.6, 0.9)), ("nnPU", Gate(0.15, 0.33))):
            shares = tuple(outcome.negative for outcome in outcomes["PU-mini", name])
            yield Line(("PU-mini", name), "steps with a negative risk", shares, gate)
    if ("complementary", "free") in lines:
        means = {method: line.mean for (benchmark, method), line in lines.items() if benchmark == "complementary"}
        bounded = min(("forward", "SCL-NL", "SCL-EXP"), key=means.__getitem__)
        corrected = sorted(("abs", "relu", "ga"), key=means.__getitem__)
        yield _difference(lines, "complementary", bounded, corrected[-1], Gate(low=0.0))
        yield _difference(lines, "complementary", corrected[0], "free", Gate(low=0.0))


def _difference(lines: Mapping[Key, Line], benchmark: str, one: str, other: str, gate: Gate) -> Line:
    first, second = lines[benchmark, one], lines[benchmark, other]
    values = tuple(a - b for a, b in zip(first.values, second.values, strict=True))
    return Line((benchmark, f"{one} - {other}"), first.number, values, gate)
