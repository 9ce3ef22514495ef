"""A transition matrix of which a person knows which mistakes are possible.

Of all rows of probabilities that give nothing to a forbidden cell, the nearest to an estimated row (in the divergence
KL(q || row)) is the row without those cells, scaled to sum to one.

Han, Yao, Niu, Zhou, Tsang, Zhang, Sugiyama, Masking: a new perspective of noisy supervision, NeurIPS 2018, learn T
under such a structure with an adversarial generator; here the structure is enforced as a hard mask instead.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from components.contracts import FloatArray
from components.errors import InputError
from components.weak.nuisance.anchors import Anchors
from components.weak.nuisance.confident_joint import ConfidentJoint
from components.weak.nuisance.dual import DualTransition
from components.weak.nuisance.transition import Found, Labels

Mask = tuple[tuple[bool, ...], ...]
LARGE = 0.1  # more of a row than this where nothing may be: the structure is worth a second look


@dataclass(frozen=True)
class Structured:
    """Takes an estimate's forbidden cells away.

    Attributes:
        possible: Which labels (columns) each class (rows) can be given; every class one at least.
        base: What estimates the cells.
        kind: Name of the method.
    """

    possible: Mask
    base: Anchors | DualTransition | ConfidentJoint = Anchors()
    kind: Literal["structured"] = "structured"

    def __post_init__(self) -> None:
        if not self.possible or any(len(row) != len(self.possible) for row in self.possible):
            raise InputError(f"possible must be a square table, got rows of {[len(row) for row in self.possible]}")
        for number, row in enumerate(self.possible):
            if not any(row):
                raise InputError(f"possible must allow every class some label, got none for class {number}")

    @property
    def source(self) -> str:
        """How the estimate is called where it is told."""
        return f"{self.base.source}, with a given structure"

    def find(self, probabilities: FloatArray, noisy: Labels) -> Found:
        """The [K, K] table without its forbidden cells; notes say where they held much.

        Raises:
            InputError: There are more or fewer classes than the structure has.
        """
        if probabilities.shape[1] != len(self.possible):
            raise InputError(
                f"possible must have a row for each of {probabilities.shape[1]} classes, got {len(self.possible)}"
            )
        table, notes = self.base.find(probabilities, noisy)
        mask = np.array(self.possible, dtype=np.float64)
        kept = table * mask
        shares = kept.sum(axis=1)
        # Where the estimate has nothing in any possible cell it says nothing of them.
        filled = np.where((shares > 0)[:, None], kept, mask)
        told = tuple(
            f"{1 - share:.0%} of the estimated labels of class {number} are ones the structure rules out."
            for number, share in enumerate(shares)
            if 1 - share > LARGE
        )
        return np.asarray(filled / filled.sum(axis=1, keepdims=True)), notes + told


def neighbours(classes: int) -> Mask:
    """Classes in an order, taken for the next or the one before at most (tri-diagonal)."""
    numbers = np.arange(classes)
    return _mask(np.abs(numbers[:, None] - numbers) <= 1)


def within_groups(groups: tuple[int, ...]) -> Mask:
    """Classes taken for others of their group only; ``groups`` holds the group of each class (block-diagonal)."""
    numbers = np.array(groups)
    return _mask(numbers[:, None] == numbers)


def also_taken_for(classes: int, labels: tuple[int, ...]) -> Mask:
    """Classes labeled as themselves or with one of ``labels`` (column-diagonal).

    Raises:
        InputError: A label is not a class number.
    """
    if not all(0 <= label < classes for label in labels):
        raise InputError(f"labels must be class numbers from 0 to {classes - 1}, got {labels}")
    mask = np.eye(classes, dtype=bool)
    mask[:, list(labels)] = True
    return _mask(mask)


def _mask(values: np.ndarray) -> Mask:  # type: ignore[type-arg]  # bool [classes, classes]
    return tuple(tuple(bool(value) for value in row) for row in values)
