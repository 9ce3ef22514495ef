"""The transition matrix by counting rows whose class the model is confident of.

A row counts as of class k if its probability of k reaches what is usual among the rows labeled k,

    t[k] = mean of P(noisy = k | x) over rows labeled k
    C[k, j] = number of rows labeled j whose likeliest class of those with P(k | x) >= t[k] is k

so that no calibration is asked of the model. Columns are then scaled to the number of rows with each label, since the
rows that reach no threshold are not spread alike, and rows to sum to one.

Northcutt, Jiang, Chuang, Confident learning: estimating uncertainty in dataset labels, JAIR 70, 2021.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from components.contracts import FloatArray
from components.weak.nuisance.transition import Found, Labels, as_rows, checked


@dataclass(frozen=True)
class ConfidentJoint:
    """Counts confident rows, and says which labels are doubtful.

    Attributes:
        calibrated: Whether each label's counts are scaled to the number of rows with that label.
        kind: Name of the method.
    """

    calibrated: bool = True
    kind: Literal["confident_joint"] = "confident_joint"

    @property
    def source(self) -> str:
        """How the estimate is called where it is told."""
        return "confident joint" if self.calibrated else "confident joint, not calibrated"

    def find(self, probabilities: FloatArray, noisy: Labels) -> Found:
        """The [K, K] table, and a note where no row is confidently of a class."""
        counts = confident_counts(probabilities, noisy)
        if self.calibrated:
            labelled, counted = np.bincount(noisy, minlength=len(counts)), counts.sum(axis=0)
            counts = counts * np.where(counted > 0, labelled / np.maximum(counted, 1.0), 0.0)
        return as_rows(counts, "no row is confidently of class")

    def doubts(self, probabilities: FloatArray, noisy: Labels) -> FloatArray:
        """[n] how doubtful each row's label is, in [0, 1].

        Above one half another class stands out from what is usual for it more than the label does.

        Raises:
            InputError: Rows are not probabilities, or labels are outside the coding.
        """
        probabilities, noisy = checked(probabilities, noisy)
        # A class that nobody is labeled with has no usual probability: certainty is asked.
        beyond = probabilities - np.minimum(usual_probability(probabilities, noisy), 1.0)
        rows = np.arange(len(noisy))
        own = beyond[rows, noisy]
        beyond[rows, noisy] = -np.inf
        return np.asarray((2 + beyond.max(axis=1) - own) / 4)


def usual_probability(probabilities: FloatArray, noisy: Labels) -> FloatArray:
    """[K] mean probability of each class among the rows labeled with it; infinite where there are none."""
    classes = probabilities.shape[1]
    counts = np.bincount(noisy, minlength=classes)
    sums = np.bincount(noisy, probabilities[np.arange(len(noisy)), noisy], minlength=classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)


def confident_counts(probabilities: FloatArray, noisy: Labels) -> FloatArray:
    """[K, K] rows confidently of each class (rows) with each noisy label (columns)."""
    # A mean is rounded: where all rows have the same probability, none must fall short of it.
    reached = probabilities >= usual_probability(probabilities, noisy) * (1 - 1e-12)
    sure = reached.any(axis=1)
    counts = np.zeros((probabilities.shape[1],) * 2)
    classes = np.where(reached, probabilities, -1.0).argmax(axis=1)
    np.add.at(counts, (classes[sure], noisy[sure]), 1.0)
    return counts
