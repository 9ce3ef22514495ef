"""The protocols of the papers at full size, 28 by 28: minutes to hours each.

    python tests/benchmarks/weak_reproduce.py [--only NAME ...] [--epochs N] [--seed 0] [--folder build/reproduce]

Writes NAME.csv, the curve of the test rows epoch by epoch, as it goes, and NAME.json at the end; a run that was stopped
goes on from its checkpoint. Ends with 1 where a target is missed. ``--epochs`` cuts a protocol short to see that it
works; its number then means nothing. Uses a GPU where there is one, and then the convolutional network of Co-teaching;
a processor would need days for that one and takes a perceptron.
"""

import argparse
import csv
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[2]))  # so that the other benchmarks are found

from components.classifier import Adam, ClassifierTraining, Optimiser, Perceptron, RiskMinimisation, Sgd
from components.classifier.methods.co_teaching import CoTeaching
from components.ports import Alone
from components.weak import (
    Clean,
    NoisyLabels,
    NonNegative,
    PartialLabels,
    PositiveUnlabeled,
    PosteriorRewrite,
    Uncorrected,
    UnlabeledUnlabeled,
)
from components.weak.losses import columns
from components.weak.settings import Setting
from components.weak.transitions import as_table, pair_noise, symmetric_noise
from tests.benchmarks.weak_mnist import EVEN, digits
from tests.benchmarks.weak_trials import Gate

if TYPE_CHECKING:
    from components.classifier import AnyMethod, Method
    from components.classifier.networks import BuildsNetwork

ON_GPU = torch.cuda.is_available()
LAST = 10  # epochs whose mean is reported beside the last one


@dataclass(frozen=True)
class Protocol:
    """One experiment of a paper.

    Attributes:
        title: What is done.
        setting: How the weak labels come about.
        method: What is descended on.
        network: From features to logits.
        optimiser: How parameters move.
        epochs: Passes over the rows.
        rows: Rows of a minibatch.
        gate: What the number of the last epoch must be.
        even: Even against odd digits, and errors; else all ten, and accuracies.
        sizes: Rows of each source.
        told: What the learner is told of the weak labels; None: all.
    """

    title: str
    setting: Setting
    method: "AnyMethod | Method | None"
    network: "BuildsNetwork"
    optimiser: Optimiser
    epochs: int
    rows: int
    gate: Gate
    even: bool = False
    sizes: tuple[int, ...] | None = None
    told: Setting | None = None

    @property
    def number(self) -> str:
        """What is measured."""
        return "error" if self.even else "accuracy"


class Watched:
    """Builds networks and keeps hold of them, so that their curve on test rows can be drawn while they learn.

    Attributes:
        networks: Those built; the classifier is the mean of their log probabilities.
    """

    def __init__(self, build: "BuildsNetwork", test: Clean, device: str) -> None:
        self._build, self.networks = build, list[nn.Module]()
        self._features = torch.tensor(test.features, dtype=torch.float32, device=device)
        self._labels = torch.tensor(test.labels, device=device)

    def __call__(self, width: int, outputs: int) -> nn.Module:
        """A fresh network."""
        self.networks.append(self._build(width, outputs))
        return self.networks[-1]

    def __str__(self) -> str:
        """The same in every process: a checkpoint is known by it."""
        return getattr(self._build, "__qualname__", str(self._build))

    def accuracy(self) -> float:
        """Share of test rows whose class is found."""
        with torch.no_grad():
            right = [
                (self._scores(features).argmax(dim=1) == labels).sum()
                for features, labels in zip(self._features.split(2_000), self._labels.split(2_000), strict=True)
            ]
        return float(torch.stack(right).sum()) / len(self._labels)

    def _scores(self, features: Tensor) -> Tensor:
        logs = [torch.log_softmax(columns(network(features)), dim=-1) for network in self.networks]
        return torch.stack(logs).mean(dim=0)


def nine_layers(width: int, outputs: int) -> nn.Module:
    """The convolutional network of Co-teaching for square pictures of one channel."""
    side = round(width**0.5)

    def layer(before: int, after: int, padding: int = 1) -> list[nn.Module]:
        return [nn.Conv2d(before, after, 3, padding=padding), nn.BatchNorm2d(after), nn.LeakyReLU(0.01)]

    return nn.Sequential(
        nn.Unflatten(1, (1, side, side)),
        *layer(1, 128), *layer(128, 128), *layer(128, 128), nn.MaxPool2d(2), nn.Dropout2d(0.25),
        *layer(128, 256), *layer(256, 256), *layer(256, 256), nn.MaxPool2d(2), nn.Dropout2d(0.25),
        *layer(256, 512, 0), *layer(512, 256, 0), *layer(256, 128, 0), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(128, outputs),
    )  # fmt: skip


def protocols() -> Mapping[str, Protocol]:
    """All experiments by name."""
    deep = Perceptron((300,) * 4, normalised=True).build
    pu, small, large = PositiveUnlabeled(EVEN), (100, 59_900), (1_000, 60_000)
    shallow, ridge = Perceptron((100,)).build, Adam(1e-3, 0.005)
    upu, nnpu = RiskMinimisation(correction=Uncorrected()), RiskMinimisation(correction=NonNegative())
    found: dict[str, Protocol] = {
        "figure1-upu": Protocol(
            "uPU, 100 P, 59,900 U", pu, upu, shallow, ridge, 100, 30_000, Gate(low=0.30), True, small
        ),
        "figure1-nnpu": Protocol(
            "nnPU, 100 P, 59,900 U", pu, nnpu, shallow, ridge, 100, 30_000, Gate(high=0.215), True, small
        ),
        "nnpu": Protocol("nnPU, 1,000 P, 60,000 U", pu, nnpu, deep, ridge, 100, 30_000, Gate(), True, large),
    }
    for first, most in ((0.9, 0.025), (0.8, 0.035)):
        uu = UnlabeledUnlabeled(first, round(1 - first, 1), EVEN)
        found[f"uu-{first:g}"] = Protocol(
            f"UU ({first}, {uu.second})", uu, upu, deep, Sgd(1e-3, 0.0, 1e-4), 200, 128, Gate(high=most), True,
            (30_000, 30_000),
        )  # fmt: skip
    untold = NoisyLabels(as_table(np.eye(10)))
    network: Callable[[int, int], nn.Module] = nine_layers if ON_GPU else Perceptron((500, 500)).build
    for name, noise, rate, least in (
        ("co-teaching-pair", pair_noise(10, 0.45), 0.45, 0.87),
        ("co-teaching-symmetric", symmetric_noise(10, 0.5), 0.5, 0.91),
    ):
        method = CoTeaching(noise_rate=rate, gradual_epochs=10)
        found[name] = Protocol(
            f"Co-teaching, {rate:.0%} wrong", NoisyLabels(noise), method, network, Adam(1e-3, decay="linear"), 200, 128,
            Gate(low=least), told=untold,
        )  # fmt: skip
    for name, remembered in (("proden", True), ("rc", False)):
        rewrite = RiskMinimisation(PosteriorRewrite(remembered))
        found[name] = Protocol(
            f"{name.upper()}, uniform candidate sets", PartialLabels(10), rewrite, deep, Adam(1e-3, 1e-5, "cosine"),
            250, 256, Gate(low=0.975),
        )  # fmt: skip
    return found


def reproduce(name: str, protocol: Protocol, epochs: int, seed: int, folder: Path) -> bool:
    """Whether the experiment meets its target."""
    folder.mkdir(parents=True, exist_ok=True)
    data = digits(pooled=False).even() if protocol.even else digits(pooled=False)
    simulated = protocol.setting.simulate(data.train, seed, protocol.sizes)
    together = Alone(device="cuda" if ON_GPU else "cpu")
    watched, begin = Watched(protocol.network, data.test, together.device), time.perf_counter()
    training = ClassifierTraining(
        protocol.told or protocol.setting,
        protocol.method,  # type: ignore[arg-type]  # any method will do
        watched,
        protocol.optimiser,
        epochs,
        protocol.rows,
        keep="last",
        seed=seed,
    )
    curve = folder / f"{name}.csv"

    def drawn(epoch: int, total: int, metrics: dict[str, float]) -> None:
        right = watched.accuracy()
        value = 1 - right if protocol.even else right
        with curve.open("a" if epoch else "w", newline="") as file:
            csv.writer(file).writerow([epoch + 1, f"{value:.4f}", f"{metrics['risk']:.5f}"])
        if epoch < 3 or (epoch + 1) % 10 == 0 or epoch + 1 == total:
            said = f"{name}: epoch {epoch + 1}/{total}, {protocol.number} {value:.4f}, risk {metrics['risk']:.4f}"
            print(f"{said}, {time.perf_counter() - begin:.0f} s", flush=True)

    training.fit(simulated.observed, report=drawn, checkpoint=folder / f"{name}-{seed}-{epochs}", together=together)
    values = [float(row[1]) for row in csv.reader(curve.read_text().splitlines())]
    told = {
        "protocol": protocol.title,
        "number": protocol.number,
        "epochs": epochs,
        "last": values[-1],
        "mean_of_last": mean(values[-LAST:]),
        "best": min(values) if protocol.even else max(values),
        "target": str(protocol.gate),
        "met": protocol.gate.met(values[-1]),
        "seconds": round(time.perf_counter() - begin),
    }
    (folder / f"{name}.json").write_text(json.dumps(told, indent=2) + "\n")
    print(json.dumps(told), flush=True)
    return protocol.gate.met(values[-1])


def main() -> None:
    """Run the chosen protocols."""
    every = protocols()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=tuple(every), default=tuple(every))
    parser.add_argument("--epochs", type=int, help="fewer than the protocol says, to see that it works")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("build/reproduce"))
    given = parser.parse_args()
    met = [
        reproduce(name, every[name], given.epochs or every[name].epochs, given.seed, given.folder)
        for name in given.only
    ]
    sys.exit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
