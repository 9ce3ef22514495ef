"""The transition matrix from anchor points: rows that are almost surely of one class.

Where x is of class i for certain, P(noisy | x) = T[i, :]; such a row is sought where the noisy label i is likeliest,

    T[i, :] = P(noisy | x_i),  x_i = argmax_x P(noisy = i | x)

and, as the very highest scores are a model's overconfidence more often than its knowledge, at a percentile below.

Patrini, Rozza, Menon, Nock, Qu, Making deep neural networks robust to label noise, CVPR 2017.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from components.contracts import FloatArray
from components.errors import InputError
from components.weak.nuisance.transition import Found, Labels


@dataclass(frozen=True)
class Anchors:
    """Reads each row of T off where its own label is nearly likeliest.

    Exact if the probabilities are and every class has anchors at that percentile; without anchors the diagonal comes
    out too small, with an overconfident model too large. Rows with the same score count alike.

    Attributes:
        percentile: Where among the scores of a class its anchor is looked for, in (0, 100]; 100 takes the highest. 97
            is usual with few classes, 100 with a hundred.
        kind: Name of the method.
    """

    percentile: float = 97.0
    kind: Literal["anchors"] = "anchors"

    def __post_init__(self) -> None:
        if not 0 < self.percentile <= 100:
            raise InputError(f"percentile must lie in (0, 100], got {self.percentile}")

    @property
    def source(self) -> str:
        """How the estimate is called where it is told."""
        return f"anchor points at percentile {self.percentile:g}"

    def find(self, probabilities: FloatArray, noisy: Labels) -> Found:
        """The mean probabilities [K, K] of the rows at the percentile of each class; ``noisy`` does not enter."""
        rank = int(np.floor((len(probabilities) - 1) * self.percentile / 100))
        scores = np.partition(probabilities, rank, axis=0)[rank]
        rows = [probabilities[probabilities[:, k] == score].mean(axis=0) for k, score in enumerate(scores)]
        return np.array(rows), ()
