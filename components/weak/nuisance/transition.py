"""How often each class is labeled as which other, estimated from noisy posteriors, with an interval for each cell.

A method turns predicted probabilities of the noisy label into a table T[clean, noisy] = P(noisy | clean); the rows are
then resampled to see how far the table would move with other rows. The interval knows nothing of the error of the
model that predicted: probabilities should come from rows the model has not seen.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from components.contracts import Estimate, FloatArray, frozen
from components.errors import InputError
from components.weak.channel import check_stochastic
from components.weak.nuisance.hull import nearest_in_hull
from components.weak.transitions import Table, as_table

SUM = 1e-3  # probabilities may come as 16 bit numbers

Labels = NDArray[np.int64]
Found = tuple[FloatArray, tuple[str, ...]]


class EstimatesTransition(Protocol):
    """Finds T in probabilities and labels that have been checked."""

    @property
    def source(self) -> str:
        """How the estimate is called where it is told."""

    def find(self, probabilities: FloatArray, noisy: Labels) -> Found:
        """The [K, K] table, rows of probabilities, and what a reader must know of it.

        Args:
            probabilities: [n, K] predicted P(noisy label | x), rows sum to one.
            noisy: [n] label of each row, 0 to K - 1.
        """


@dataclass(frozen=True, eq=False)
class EstimatedTransition:
    """P(noisy label | clean class), estimated.

    Attributes:
        matrix: [K, K] rows are clean classes, columns noisy labels; rows sum to one.
        low: [K, K] lower ends of the cells' 95 % intervals.
        high: [K, K] upper ends.
        noise_rate: Share of wrong labels that goes with the table and the shares of the labels.
        source: How it was found.
        notes: What a reader must know of it.
    """

    matrix: FloatArray
    low: FloatArray
    high: FloatArray
    noise_rate: Estimate
    source: str
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("matrix", "low", "high"):
            object.__setattr__(self, name, frozen(getattr(self, name)))
        check_stochastic("matrix", self.matrix)
        if not self.matrix.shape == self.low.shape == self.high.shape == self.matrix.shape[::-1]:
            raise InputError(
                f"matrix must be square and low and high like it, got {self.matrix.shape}, {self.low.shape} and "
                f"{self.high.shape}"
            )
        if not ((self.low <= self.matrix) & (self.matrix <= self.high)).all():
            raise InputError(f"matrix must lie between low and high, got {self.matrix.tolist()}")

    @property
    def table(self) -> Table:
        """The matrix as settings hold it."""
        return as_table(self.matrix)

    def cell(self, clean: int, noisy: int) -> Estimate:
        """P(``noisy`` | ``clean``) with its interval."""
        at = clean, noisy
        return Estimate(float(self.matrix[at]), float(self.low[at]), float(self.high[at]), self.source)


def estimate_transition(
    method: EstimatesTransition,
    probabilities: FloatArray,
    noisy: Labels,
    replicates: int = 100,
    seed: int = 0,
) -> EstimatedTransition:
    """What ``method`` finds, with intervals from resampled rows.

    Args:
        method: How the table is found.
        probabilities: [n, K] predicted P(noisy label | x), best of rows the model has not seen.
        noisy: [n] label of each row, 0 to K - 1.
        replicates: Number of resamples, 1 or more.
        seed: Seed of the resamples.

    Raises:
        InputError: Rows are not probabilities, labels are outside the coding, or there are no resamples.
    """
    if replicates < 1:
        raise InputError(f"replicates must be at least 1, got {replicates}")
    if seed < 0:
        raise InputError(f"seed must be at least 0, got {seed}")
    probabilities, noisy = checked(probabilities, noisy)
    matrix, notes = method.find(probabilities, noisy)
    rate = implied_noise_rate(matrix, noisy)
    generator, tables, rates = np.random.default_rng(seed), [matrix], [rate]
    for _ in range(replicates):
        rows = generator.integers(len(noisy), size=len(noisy))
        tables.append(method.find(probabilities[rows], noisy[rows])[0])
        rates.append(implied_noise_rate(tables[-1], noisy[rows]))
    low, high = np.quantile(tables, (0.025, 0.975), axis=0)
    least, most = np.quantile(rates, (0.025, 0.975))
    return EstimatedTransition(
        matrix=matrix,
        low=np.minimum(low, matrix),
        high=np.maximum(high, matrix),
        noise_rate=Estimate(rate, min(float(least), rate), max(float(most), rate), method.source),
        source=method.source,
        notes=notes,
    )


def checked(probabilities: FloatArray, noisy: Labels, name: str = "probabilities") -> tuple[FloatArray, Labels]:
    """Probabilities whose rows sum to one exactly, and labels as numbers.

    Args:
        probabilities: [n, K] to be checked.
        noisy: [n] to be checked.
        name: What the probabilities are called in a message.

    Raises:
        InputError: Rows are not probabilities, or labels are outside the coding.
    """
    values, labels = np.asarray(probabilities, dtype=np.float64), np.asarray(noisy)
    if values.ndim != 2 or values.shape[1] < 2 or not len(values):
        raise InputError(f"{name} must be a matrix [rows, classes] of two classes or more, got {values.shape}")
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise InputError(f"{name} must be finite and not negative, got {_worst(values)}")
    off = np.abs(values.sum(axis=1) - 1)
    if off.max() > SUM:
        raise InputError(f"{name} must sum to one in every row, got {values[int(off.argmax())].tolist()}")
    if labels.shape != values.shape[:1]:
        raise InputError(f"noisy must hold one label for each of {len(values)} rows, got shape {labels.shape}")
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= values.shape[1]:
        raise InputError(
            f"noisy must hold class numbers from 0 to {values.shape[1] - 1}, got {np.unique(labels)[:20].tolist()}"
        )
    return values / values.sum(axis=1, keepdims=True), labels.astype(np.int64)


def as_rows(counts: FloatArray, why: str) -> Found:
    """``counts`` [K, K] with rows that sum to one; a class without any is taken to be labeled as itself.

    Args:
        counts: [K, K] not negative.
        why: What is missing for a class without counts; enters the note.
    """
    totals = counts.sum(axis=1)
    empty = totals <= 0
    table = np.where(empty[:, None], np.eye(len(counts)), counts / np.where(empty, 1.0, totals)[:, None])
    notes = (f"{why} {_listed(empty)}: taken to be always labeled as itself.",) if empty.any() else ()
    return np.asarray(table), notes


def implied_noise_rate(matrix: FloatArray, noisy: Labels) -> float:
    """Share of wrong labels, where the clean shares are those that explain the shares of ``noisy`` [n] best."""
    shares = np.bincount(noisy, minlength=len(matrix)) / len(noisy)
    clean, _ = nearest_in_hull(matrix, shares)
    return float(np.clip(1 - clean @ np.diag(matrix), 0.0, 1.0))


def relative_error(estimate: FloatArray, truth: FloatArray) -> float:
    """Sum of absolute differences of all cells over the sum of all cells of ``truth``: the literature's measure."""
    return float(np.abs(estimate - truth).sum() / np.abs(truth).sum())


def _worst(values: FloatArray) -> float:
    return float(values[~np.isfinite(values)][0] if not np.isfinite(values).all() else values.min())


def _listed(which: NDArray[np.bool_]) -> str:
    return ", ".join(str(number) for number in np.flatnonzero(which))
