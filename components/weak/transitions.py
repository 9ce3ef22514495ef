"""Tables of P(observed label | clean class): rows are clean classes, columns observed labels."""

import numpy as np

from components.errors import InputError

Table = tuple[tuple[float, ...], ...]


def symmetric_noise(classes: int, rate: float) -> Table:
    """A label is wrong with probability ``rate``, and then any other class alike."""
    _check(classes, rate)
    off = rate / (classes - 1)
    return as_table(np.full((classes, classes), off) + np.eye(classes) * (1 - rate - off))


def pair_noise(classes: int, rate: float) -> Table:
    """A label is that of the next class, cyclically, with probability ``rate``."""
    _check(classes, rate)
    return as_table((1 - rate) * np.eye(classes) + rate * np.roll(np.eye(classes), 1, axis=1))


def uniform_complementary(classes: int) -> Table:
    """A label names a class that is not the row's, any alike."""
    return symmetric_noise(classes, 1.0)


def as_table(values: np.ndarray) -> Table:  # type: ignore[type-arg]  # float [rows, columns]
    """A matrix as nested tuples, as settings hold it."""
    return tuple(tuple(float(value) for value in row) for row in values)


def _check(classes: int, rate: float) -> None:
    if classes < 2:
        raise InputError(f"classes must be at least 2, got {classes}")
    if not 0 <= rate <= 1:
        raise InputError(f"rate must lie in [0, 1], got {rate}")
