"""MNIST as the benchmarks of weak labels use it, whole or pooled to 14 by 14, and scores on its test rows."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from components.contracts import FloatArray
from components.weak import Clean

if TYPE_CHECKING:
    from components.classifier.fitted import Classifier

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("KINTSUGI_TEST_DATA", ROOT.parent / "shared" / "data"))
EVEN = 0.4915  # share of even digits among the training rows


@dataclass(frozen=True, eq=False)
class Digits:
    """Training and test rows, digits as labels.

    Attributes:
        train: Rows to make weak labels from.
        test: Rows to score on.
    """

    train: Clean
    test: Clean

    def even(self) -> "Digits":
        """Even digits as positives, which are class 0, against odd ones."""
        return Digits(*(Clean(part.features, part.labels % 2) for part in (self.train, self.test)))


@cache
def digits(pooled: bool = True) -> Digits:
    """MNIST with features in [0, 1]; ``pooled`` averages squares of four pixels."""
    path = DATA / "mnist.npz"
    if not path.is_file():
        sys.exit(f"needs {path}; set KINTSUGI_TEST_DATA to the folder that holds mnist.npz")
    with np.load(path) as file:
        train, test = (
            Clean(_features(file[f"x_{part}"], pooled), file[f"y_{part}"].astype(np.int64))
            for part in ("train", "test")
        )
    return Digits(train, test)


def _features(images: NDArray[np.uint8], pooled: bool) -> FloatArray:
    values = images.astype(np.float32) / 255
    return values.reshape(-1, 14, 2, 14, 2).mean((2, 4)).reshape(-1, 196) if pooled else values.reshape(-1, 784)


def accuracy(classifier: "Classifier", test: Clean) -> float:
    """Share of test rows whose class is found."""
    return float((classifier.probabilities(test.features).argmax(axis=1) == test.labels).mean())


def error(prior: float | None = None) -> Callable[["Classifier", Clean], float]:
    """What gives the error rate, of two classes; ``prior`` reweights the test rows to another share of positives."""

    def measured(classifier: "Classifier", test: Clean) -> float:
        wrong = classifier.probabilities(test.features).argmax(axis=1) != test.labels
        positive = test.labels == 0
        share = positive.mean() if prior is None else prior
        return float(share * wrong[positive].mean() + (1 - share) * wrong[~positive].mean())

    return measured
