"""What the learner may see, and what only an evaluation may.

Everything is points: a pair is two rows, a bag as many as it holds. What is observed of a row is its mark: the number
of its source or label, a boolean set of classes, or a confidence. Clean labels travel in an object of their own.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from components.contracts import FloatArray
from components.errors import InputError

if TYPE_CHECKING:
    from components.weak.settings.setting import Setting

IntArray = NDArray[np.int64]
Marks = NDArray[np.int64] | NDArray[np.bool_] | NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Observed:
    """Rows and what was observed of each.

    Attributes:
        features: [n, d] finite numbers.
        marks: [n] number of the source or label, [n, K] bool set of classes, or [n] confidence.
        weights: [n] nonnegative importance of each row, of which only ratios matter; None: all equal.
    """

    features: FloatArray
    marks: Marks
    weights: FloatArray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", _still(np.asarray(self.features, dtype=np.float64)))
        object.__setattr__(self, "marks", _still(np.asarray(self.marks)))
        if self.weights is not None:
            object.__setattr__(self, "weights", _still(np.asarray(self.weights, dtype=np.float64)))
        check_features(self.features)
        rows = len(self.features)
        if len(self.marks) != rows:
            raise InputError(f"marks must hold one entry for each of {rows} rows, got {len(self.marks)}")
        check_weights(self.weights, rows)

    def __len__(self) -> int:
        return len(self.features)

    def rows(self, index: IntArray) -> "Observed":
        """The rows at ``index``."""
        return Observed(self.features[index], self.marks[index], None if self.weights is None else self.weights[index])


@dataclass(frozen=True, eq=False)
class Clean:
    """Fully labelled rows to make weak ones from.

    Attributes:
        features: [n, d] finite numbers.
        labels: [n] positions of the classes, 0 to K - 1; with two classes 0 is the positive one.
        posterior: [n] probability of the positive class at each row, for the settings that observe confidences.
    """

    features: FloatArray
    labels: IntArray
    posterior: FloatArray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", _still(np.asarray(self.features, dtype=np.float64)))
        labels = np.asarray(self.labels)
        check_features(self.features)
        rows = len(self.features)
        if labels.shape != (rows,) or not whole(labels) or (labels < 0).any():
            raise InputError(f"labels must be {rows} positions of classes, 0 or more, got {_told(labels)}")
        object.__setattr__(self, "labels", _still(labels.astype(np.int64)))
        if self.posterior is not None:
            posterior = np.asarray(self.posterior, dtype=np.float64)
            if posterior.shape != (rows,) or not ((posterior >= 0) & (posterior <= 1)).all():
                raise InputError(f"posterior must be {rows} probabilities, got {_told(posterior)}")
            object.__setattr__(self, "posterior", _still(posterior))


@dataclass(frozen=True, eq=False)
class Simulated:
    """Weak data made from clean data.

    Attributes:
        setting: The setting, with what the learner is told (the proportions of the bags that were made).
        observed: All that the learner may see.
        hidden: [n] clean class positions of the rows of ``observed``, for evaluation only.
    """

    setting: "Setting"
    observed: Observed
    hidden: IntArray


def two_classes(labels: ArrayLike) -> IntArray:
    """[n] class positions, 0 for positive, from labels coded {1, 0}, {1, -1} or {True, False}.

    Raises:
        InputError: Some label is outside the coding, or both codings are mixed.
    """
    values = np.asarray(labels)
    seen = set(np.unique(values).tolist()) if values.ndim == 1 and values.dtype != object else {None}
    if not (seen <= {0, 1} or seen <= {-1, 1}):
        raise InputError(f"labels must be coded {{1, 0}}, {{1, -1}} or {{True, False}}, got {_told(values)}")
    return np.where(values == 1, 0, 1).astype(np.int64)


def numbered(name: str, values: ArrayLike, count: int) -> IntArray:
    """[n] whole numbers from 0 to ``count`` - 1.

    Raises:
        InputError: Some value is another.
    """
    numbers = np.asarray(values)
    if numbers.ndim != 1 or not whole(numbers) or not ((numbers >= 0) & (numbers < count)).all():
        raise InputError(f"{name} must be whole numbers from 0 to {count - 1}, got {_told(numbers)}")
    return numbers.astype(np.int64)


def sets_of(name: str, values: ArrayLike, classes: int) -> NDArray[np.bool_]:
    """[n, K] bool, each row with at least one class and, where it has all of them, no information.

    Raises:
        InputError: The shape is another, values are not 0 and 1, or some set is empty.
    """
    sets = np.asarray(values)
    if sets.ndim != 2 or sets.shape[1] != classes or not np.isin(sets, (0, 1)).all():
        raise InputError(f"{name} must be boolean with shape (rows, {classes}), got {_told(sets)}")
    empty = ~sets.astype(bool).any(axis=1)
    if empty.any():
        raise InputError(f"{name} must hold at least one class in every row, got none in row {int(np.argmax(empty))}")
    return sets.astype(np.bool_)


def pooled(pairs: ArrayLike) -> FloatArray:
    """[2 n, d] points of ``pairs`` [n, 2, d]: all first ones, then all second ones.

    Raises:
        InputError: The shape is another.
    """
    values = np.asarray(pairs, dtype=np.float64)
    if values.ndim != 3 or values.shape[1] != 2:
        raise InputError(f"pairs must have shape (pairs, 2, features), got {values.shape}")
    return np.concatenate([values[:, 0], values[:, 1]])


def check_features(features: FloatArray) -> None:
    """Refuse what is not a finite matrix with a row."""
    if features.ndim != 2 or len(features) == 0:
        raise InputError(f"features must have shape (rows, columns) with at least one row, got {features.shape}")
    if not np.isfinite(features).all():
        raise InputError("features must be finite, found NaN or infinity")


def check_weights(weights: FloatArray | None, rows: int) -> None:
    """Refuse weights that are not one nonnegative number for each row."""
    if weights is None:
        return
    if weights.shape != (rows,) or not (np.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
        raise InputError(f"weights must be {rows} nonnegative numbers, not all zero, got {_told(weights)}")


def whole(values: NDArray[np.generic]) -> bool:
    """Whether all values are whole numbers."""
    return values.dtype.kind in "iub" or (values.dtype.kind == "f" and bool((values == np.floor(values)).all()))


def _told(values: NDArray[np.generic]) -> str:
    if values.ndim == 1 and values.dtype != object:
        distinct = np.unique(values)
        return f"{distinct[:6].tolist()}{' and others' if len(distinct) > 6 else ''} in shape {values.shape}"
    return f"{values.dtype} in shape {values.shape}"


def _still(values: NDArray[np.generic]) -> NDArray[np.generic]:
    fixed = values.view()
    fixed.flags.writeable = False
    return fixed
