"""Held rows with what was observed of them, their true class, and what classifiers say of each.

Rows are read in chunks, never as one table; of a row its mark, truth, weight and probabilities are kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from components.classifier import ClassifierPredictor
from components.classifier.coding import Coding
from components.contracts import BATCH, ROW, Dataset, EvaluationLabels, FloatArray
from components.errors import InputError
from components.features import FeatureMap
from components.held import CHUNK, truth_of
from components.storage import scan_rows
from components.weak.observed import Marks


@dataclass(frozen=True, eq=False)
class HeldClasses:
    """The held rows of some batches, ordered by batch and row key.

    Attributes:
        batches: Index of each batch that has such rows, to its label.
        owners: [n] index of each row's batch.
        marks: [n] or [n, K] what was observed of each row.
        truth: [n] number of the true class; NaN where it is not known.
        probabilities: Model to [n, K] probabilities of the classes.
        weights: [n] sample weights; None where the table has none.
        notes: Sentences a reader must know.
    """

    batches: Mapping[int, str]
    owners: NDArray[np.int64]
    marks: Marks
    truth: FloatArray
    probabilities: Mapping[str, FloatArray]
    weights: FloatArray | None = None
    notes: tuple[str, ...] = ()

    @property
    def known(self) -> NDArray[np.bool_]:
        """[n] marks of the rows whose truth is known."""
        return np.isfinite(self.truth)

    @property
    def mass(self) -> FloatArray:
        """[n] what each row counts."""
        return np.ones(len(self.truth)) if self.weights is None else self.weights

    def within(self, batch: int) -> Self:
        """The rows of one batch."""
        return self._rows(np.asarray(self.owners == batch))

    def beside(self, model: str, shares: FloatArray) -> Self:
        """The same rows, with a ``model`` that gives every row the same probabilities [K]."""
        same = np.broadcast_to(shares, (len(self.truth), len(shares)))
        return replace(self, probabilities={**self.probabilities, model: same})

    def _rows(self, index: NDArray[np.bool_] | NDArray[np.int64]) -> Self:
        return replace(
            self,
            owners=self.owners[index],
            marks=self.marks[index],
            truth=self.truth[index],
            probabilities={name: values[index] for name, values in self.probabilities.items()},
            weights=None if self.weights is None else self.weights[index],
        )


def held_classes(
    dataset: Dataset,
    labels: EvaluationLabels | None,
    coding: Coding,
    predictors: Mapping[str, ClassifierPredictor],
    batches: Sequence[int],
) -> HeldClasses:
    """Read the held rows of ``batches`` once and ask each of ``predictors``, all of the same classes.

    Raises:
        InputError: There are no such rows, a predictor takes features only, or classes differ.
    """
    classes = next(iter(predictors.values())).classes
    for name, predictor in predictors.items():
        if predictor.classes != classes:
            raise InputError(f"classes of {name} must be {', '.join(classes)}, got {', '.join(predictor.classes)}")
    places, notes = _places(labels, classes)
    inputs = {c.name for predictor in predictors.values() for c in _features(predictor).columns}
    weighted = dataset.names("weight")
    columns = [*inputs - {coding.column.name, *weighted}, coding.column.name, *weighted[:1]]
    parts: list[tuple[NDArray[np.int64], HeldClasses]] = []
    for frame in scan_rows(dataset, columns, CHUNK, batches, ("held",)):
        owners, truth = frame[BATCH].to_numpy(dtype=np.int64), np.full(len(frame), np.nan)
        for batch in np.unique(owners) if labels else ():
            assert labels is not None
            truth[owners == batch] = truth_of(labels, int(batch), frame[ROW][owners == batch])
        part = HeldClasses(
            {},
            owners,
            coding.marks(frame[coding.column.name]),
            _numbered(truth, places),
            {name: p.probabilities(_features(p).transform(frame)) for name, p in predictors.items()},
            frame[weighted[0]].to_numpy(dtype=np.float64) if weighted else None,
        )
        parts.append((frame[ROW].to_numpy(), part))
    if not parts:
        raise InputError(f"batches to score must have held rows, {', '.join(map(str, batches))} have none")
    held = _together(dataset, parts)
    if labels and not held.known.any():
        notes = (*notes, f"The evaluation label {labels.name} is known for no held row.")
    return replace(held, notes=notes)


def _features(predictor: ClassifierPredictor) -> FeatureMap:
    if predictor.features is None:
        raise InputError("features must be known to score rows of a table; this classifier takes features only")
    return predictor.features


def _together(dataset: Dataset, parts: Sequence[tuple[NDArray[np.int64], HeldClasses]]) -> HeldClasses:
    keys = np.concatenate([key for key, _ in parts])
    found = [part for _, part in parts]
    owners = np.concatenate([part.owners for part in found])
    weights = [part.weights for part in found if part.weights is not None]
    present = set(np.unique(owners).tolist())
    return HeldClasses(
        {batch.index: batch.label for batch in dataset.batches if batch.index in present},
        owners,
        np.concatenate([part.marks for part in found]),
        np.concatenate([part.truth for part in found]),
        {name: np.concatenate([part.probabilities[name] for part in found]) for name in found[0].probabilities},
        np.concatenate(weights) if weights else None,
    )._rows(np.lexsort((keys, owners)))


def _places(labels: EvaluationLabels | None, classes: tuple[str, ...]) -> tuple[FloatArray, tuple[str, ...]]:
    """The classifier's number of each class that truth has a number for, and what a reader must know of it."""
    if labels is None:
        return np.zeros(0), ()
    where = f"classes of evaluation label {labels.name!r}"
    if not labels.classes:  # 1: positive, the first class; 0: the other
        if len(classes) != 2:
            raise InputError(f"{where} must be the {len(classes)} of the classifier, got positive and not")
        return np.array([1.0, 0.0]), ()
    if set(labels.classes) <= set(classes):
        return np.array([classes.index(name) for name in labels.classes], dtype=np.float64), ()
    if len(labels.classes) != len(classes) or set(labels.classes) & set(classes):
        raise InputError(
            f"{where} must be {', '.join(classes)}, as the classifier has them, got {', '.join(labels.classes)}"
        )
    pairs = ", ".join(f"{ours} is {theirs}" for ours, theirs in zip(classes, labels.classes, strict=True))
    return np.arange(len(classes), dtype=np.float64), (f"Classes were matched by their place: {pairs}.",)


def _numbered(truth: FloatArray, places: FloatArray) -> FloatArray:
    """[n] the classifier's number of the class of each row."""
    known = np.isfinite(truth)
    numbers = truth[known]
    if not np.isin(numbers, np.arange(len(places))).all():
        raise InputError(f"labels of truth must be numbers from 0 to {len(places) - 1} or NaN, got others")
    found = np.full(len(truth), np.nan)
    found[known] = places[numbers.astype(np.int64)]
    return found
