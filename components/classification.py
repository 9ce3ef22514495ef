"""From weak labels of any kind in a table to a classifier: what the rows say, how it is learnt, what came of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd

from components.classifier.coding import Coding
from components.classifier.networks import Linear, Perceptron
from components.classifier.parquet import ParquetRows
from components.classifier.predictor import ClassifierPredictor
from components.classifier.rows import BUFFER
from components.classifier.training import ClassifierTraining
from components.contracts import BATCH, PART, ROW, Column, Dataset, Estimate
from components.errors import InputError
from components.features import FeatureMap
from components.sampling import draw_rows
from components.storage import scan_rows
from components.weak import AnySetting, Declared, NoiseUnknown, NoisyLabels, Observed, PriorUnknown, Setting, Unsettled
from components.weak.nuisance import EstimatedTransition
from components.weak.settings.labels import LabelSetting

if TYPE_CHECKING:
    from components.classifier.fitted import Classifier

GIVEN = "given"


@dataclass(frozen=True, eq=False)
class LearntClassifier:
    """A trained classifier with what was found out on the way.

    Attributes:
        predictor: From rows of a table to probabilities of the classes.
        coding: How the label column was read; its setting holds the nuisances that were used, given or estimated.
        estimates: Nuisances by name (``class_prior``, ``noise_rate``, ...), each with its interval and its source.
        transition: P(observed label | class) where it was estimated.
        history: Metrics of each epoch.
        epoch: The epoch that was kept, from 0.
        batches: Indices of the batches it learnt from.
        notes: Sentences a reader must know.
    """

    predictor: ClassifierPredictor
    coding: Coding
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    transition: EstimatedTransition | None = None
    history: tuple[Mapping[str, float], ...] = ()
    epoch: int = 0
    batches: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def nuisances(self) -> dict[str, Estimate]:
        """The numbers that the labels leave open, by name: estimated ones, and those that were given."""
        setting = self.coding.setting
        told = {each.name: getattr(setting, each.name) for each in fields(setting)}
        if "class_prior" in self.estimates:
            told.pop("prior")
        given: dict[str, float] = {name: value for name, value in told.items() if isinstance(value, float)}
        if isinstance(told.get("prior"), tuple):
            named = zip(self.predictor.classes, told["prior"], strict=True)
            given |= {f"prior of {name}": share for name, share in named}
        return {**self.estimates, **{name: Estimate(value, value, value, GIVEN) for name, value in given.items()}}

    def transitions(self) -> pd.DataFrame | None:
        """One row a cell of P(label | class), estimated or given; None where labels do not go by such a table."""
        if self.transition is None and not isinstance(self.coding.setting, LabelSetting):
            return None
        given = np.asarray(getattr(self.coding.setting, "table", None))
        found = self.transition
        matrix, low, high = (given,) * 3 if found is None else (found.matrix, found.low, found.high)
        source = GIVEN if found is None else found.source
        labels = self.coding.column.values or tuple(map(str, range(matrix.shape[1])))
        rows = [
            (name, label, matrix[i, j], low[i, j], high[i, j], source)
            for i, name in enumerate(self.predictor.classes)
            for j, label in enumerate(labels)
        ]
        return pd.DataFrame(rows, columns=["class", "label", "value", "low", "high", "source"])


@dataclass(frozen=True, eq=False)
class Prepared:
    """What is learnt from, and what is kept to choose the epoch and to calibrate.

    Attributes:
        training: How it is learnt; what the data's owner declares of a nuisance is in it.
        rows: Rows to learn from.
        validation: Rows kept; None where there are none.
    """

    training: ClassifierTraining
    rows: ParquetRows
    validation: ParquetRows | None


def prepare(training: ClassifierTraining, dataset: Dataset, batches: Sequence[int]) -> Prepared:
    """The rows of some ``batches`` as ``training`` reads them; all their labels are read once to see that they can be.

    Raises:
        InputError: Label and setting do not fit, a label is outside the coding, or there is no row to learn from.
    """
    column = label_of(dataset)
    setting = _told(training.setting, dataset, column)
    coding = coding_of(column, setting)
    names = [c.name for c in dataset.columns if c.role == "feature"]
    sample = draw_rows(dataset, names, batches, ("fit",))
    if not len(sample):
        raise InputError(f"batches must have rows to learn from, got none of part fit in {dataset.rows} rows")
    features = FeatureMap.fit(sample, tuple(dataset.column(name) for name in names))
    for frame in scan_rows(dataset, [column.name], BUFFER, batches):
        coding.marks(frame[column.name])
    rows = ParquetRows(dataset, features, coding, tuple(batches), "fit")
    kept = replace(rows, part="tune")
    has_kept = any(len(frame) for frame in scan_rows(dataset, [], BUFFER, batches, ("tune",)))
    return Prepared(replace(training, setting=setting), rows, kept if has_kept else None)


def learnt(prepared: Prepared, classifier: "Classifier", classes: tuple[str, ...] = ()) -> LearntClassifier:
    """What came of a training; ``classes`` name the classes, empty: as the label or its setting names them."""
    found, setting = classifier.found, cast(AnySetting, classifier.learner.problem.setting)
    if found.transition is not None:
        setting = NoisyLabels(found.transition.table)
    coding = replace(prepared.rows.coding, setting=setting)
    network = prepared.training.network
    if not isinstance(network, Perceptron | Linear):
        raise InputError(f"network must be one that can be kept, perceptron or linear, got {network!r}")
    predictor = ClassifierPredictor.of(classifier, network, classes or coding.classes, prepared.rows.features)
    estimates = dict(found.numbers)
    if found.transition is not None:
        estimates.setdefault("noise_rate", found.transition.noise_rate)
    return LearntClassifier(
        predictor,
        coding,
        estimates,
        found.transition,
        classifier.history,
        classifier.epoch,
        prepared.rows.batches,
        tuple(dict.fromkeys((*found.notes, *(found.transition.notes if found.transition else ())))),
    )


def doubtful_rows(prepared: Prepared, classifier: "Classifier") -> Iterator[pd.DataFrame]:
    """Batch, row key, id, part, label and doubt of every row of the batches that were learnt from, chunk by chunk.

    Nothing comes where labels of the setting cannot be wrong.
    """
    rows, label = prepared.rows, prepared.rows.coding.column.name
    identifier = rows.dataset.names("id")
    names = list(dict.fromkeys([*identifier, *(column.name for column in rows.features.columns), label]))
    for frame in scan_rows(rows.dataset, names, BUFFER, rows.batches):
        marks = rows.coding.marks(frame[label])
        try:
            doubts = classifier.doubts(Observed(rows.features.transform(frame), marks))
        except InputError:  # what they say of doubts; the labels themselves were read above
            return
        yield frame[[BATCH, ROW, *identifier, PART, label]].assign(doubt=doubts)


def label_of(dataset: Dataset) -> Column:
    """The label that a classifier learns from: the observed one, else the weak one.

    Raises:
        InputError: There is neither.
    """
    names = (*dataset.names("observed_label"), *dataset.names("weak_label"))
    if not names:
        raise InputError("columns must have one of role observed_label or weak_label to learn from, got none")
    return dataset.column(names[0])


def coding_of(column: Column, setting: Setting | Unsettled) -> Coding:
    """How ``column`` is read in a setting, which need not be settled yet.

    Raises:
        InputError: They do not fit.
    """
    told = _counted(setting, column)
    return Coding(column, cast(AnySetting, told.provisional if isinstance(told, NoiseUnknown | PriorUnknown) else told))


def _told(setting: Setting | Unsettled, dataset: Dataset, column: Column) -> Setting | Unsettled:
    """The setting with what the table itself says of it: its classes, and how many positives carry a label."""
    stated = dataset.label_frequency
    if isinstance(setting, PriorUnknown) and stated is not None:
        declared = Declared(value=stated.value, low=stated.low, high=stated.high, source=stated.source)
        return replace(setting, class_prior=declared)
    return _counted(setting, column)


def _counted(setting: Setting | Unsettled, column: Column) -> Setting | Unsettled:
    if isinstance(setting, NoiseUnknown) and setting.classes is None and column.values:
        return replace(setting, classes=len(column.values))
    return setting
