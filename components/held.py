"""Held rows, scored as they pass by: what is kept of a row is its key, its truth and the models' probabilities.

Features are read in chunks, never as one table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.contracts import BATCH, ROW, Dataset, EvaluationLabels, FloatArray
from components.errors import InputError
from components.evaluation import Groups
from components.evaluation import Predictor as Baseline
from components.features import FeatureMap
from components.predictor import Predictor
from components.storage import scan_rows

CHUNK = 200_000


@dataclass(frozen=True, eq=False)
class Refitted:
    """A baseline with the feature map it was fitted on.

    Attributes:
        features: From rows to features.
        fitted: From features to a probability.
    """

    features: FeatureMap
    fitted: Baseline


Model = Predictor | Refitted


@dataclass(frozen=True, eq=False)
class Held:
    """The held rows of some batches, ordered by batch and row key.

    Attributes:
        dataset: The table they are in.
        batches: Indices of their batches, in increasing order.
        keys: [n] row keys.
        owners: [n] index of each row's batch.
        truth: [n] 1, 0 or NaN for unknown.
        weights: [n] sample weights; None where the table has none.
        groups: Group column to the group of each row.
    """

    dataset: Dataset
    batches: tuple[int, ...]
    keys: NDArray[np.int64]
    owners: NDArray[np.int32]
    truth: FloatArray
    weights: FloatArray | None
    groups: Mapping[str, Groups]

    @property
    def labels(self) -> Groups:
        """Label of each row's batch."""
        names = {batch.index: batch.label for batch in self.dataset.batches}
        codes = np.searchsorted(self.batches, self.owners)
        return Groups(tuple(names[index] for index in self.batches), codes.astype(np.int32))

    def within(self, batches: Sequence[int]) -> "Held":
        """The rows of some of the batches."""
        rows = np.isin(self.owners, batches)
        if rows.all():
            return self
        weights = None if self.weights is None else self.weights[rows]
        groups = {name: found.chosen(rows) for name, found in self.groups.items()}
        kept = tuple(sorted(batches))
        return Held(self.dataset, kept, self.keys[rows], self.owners[rows], self.truth[rows], weights, groups)

    def probabilities(self, models: Mapping[str, Model]) -> dict[str, FloatArray]:
        """Model name to [n] probabilities of all these rows, whose features are read once, in chunks."""
        columns = {column.name for model in models.values() for column in model.features.columns}
        found: dict[str, FloatArray] = {name: np.full(len(self.keys), np.nan) for name in models}
        starts = {batch: int(np.searchsorted(self.owners, batch)) for batch in self.batches}
        ends = {batch: int(np.searchsorted(self.owners, batch, side="right")) for batch in self.batches}
        for frame in scan_rows(self.dataset, sorted(columns), CHUNK, self.batches, ("held",)):
            at = np.empty(len(frame), dtype=np.int64)
            for batch in self.batches:
                mine = (frame[BATCH] == batch).to_numpy()
                own = self.keys[starts[batch] : ends[batch]]
                at[mine] = starts[batch] + np.searchsorted(own, frame[ROW].to_numpy()[mine])
            # Most models share one feature map; what it makes of the rows is worked out once.
            seen: dict[int, FloatArray] = {}
            for name, model in models.items():
                if id(model.features) not in seen:
                    seen[id(model.features)] = model.features.transform(frame)
                found[name][at] = _probability(model, seen[id(model.features)])
        return found


def _probability(model: Model, features: FloatArray) -> FloatArray:
    return model.probability(features)[0] if isinstance(model, Predictor) else model.fitted.probability(features)


def held_rows(dataset: Dataset, labels: EvaluationLabels | None, batches: Sequence[int]) -> Held:
    """The held rows of those of ``batches`` that have a row of known truth; truth is the weak label without ``labels``.

    Raises:
        InputError: No held row has a known truth.
    """
    parts = [part for batch in sorted(batches) if (part := _of_batch(dataset, labels, batch)) is not None]
    if not parts:
        name = labels.name if labels else dataset.weak_label
        raise InputError(f"evaluation label {name!r} must be known for at least one held row, none is")
    weighted = dataset.names("weight")
    return Held(
        dataset,
        tuple(int(part[BATCH].iloc[0]) for part in parts),
        np.concatenate([part[ROW].to_numpy() for part in parts]),
        np.concatenate([part[BATCH].to_numpy(dtype=np.int32) for part in parts]),
        np.concatenate([part["truth"].to_numpy() for part in parts]),
        np.concatenate([part[weighted[0]].to_numpy(dtype=float) for part in parts]) if weighted else None,
        {name: _together([part[name] for part in parts]) for name in dataset.names("group")},
    )


def _of_batch(dataset: Dataset, labels: EvaluationLabels | None, batch: int) -> pd.DataFrame | None:
    """Key, truth, sample weight and groups (as categories) of the held rows of one batch; None without known truth."""
    groups, rest = dataset.names("group"), [ROW, BATCH, dataset.weak_label, *dataset.names("weight")]
    chunks: list[pd.DataFrame] = []
    texts: dict[str, list[pd.Series[Any]]] = {name: [] for name in groups}
    for frame in scan_rows(dataset, [*rest[2:], *groups], CHUNK, (batch,), ("held",)):
        chunks.append(frame[rest])
        for name in groups:
            texts[name].append(frame[name].astype(str).astype("category"))
    if not chunks:
        return None
    named = {name: pd.api.types.union_categoricals(parts) for name, parts in texts.items()}
    rows = pd.concat(chunks, ignore_index=True).assign(**named).sort_values(ROW, kind="stable", ignore_index=True)
    truth = rows[dataset.weak_label].to_numpy(dtype=float) if labels is None else truth_of(labels, batch, rows[ROW])
    return rows.assign(truth=truth) if np.isfinite(truth).any() else None


def truth_of(labels: EvaluationLabels, batch: int, keys: "pd.Series[Any]") -> FloatArray:
    """[n] the evaluation label of the rows of a batch that have ``keys``; NaN where it is not known."""
    import pyarrow.dataset as parquet

    mine = parquet.field(BATCH) == batch
    table = parquet.dataset(labels.path).to_table(columns=[ROW, "label"], filter=mine).to_pandas()
    return np.asarray(table.set_index(ROW)["label"].reindex(keys), dtype=np.float64)


def _together(values: Sequence["pd.Series[Any]"]) -> Groups:
    joined = pd.api.types.union_categoricals(list(values))
    return Groups(tuple(map(str, joined.categories)), joined.codes.astype(np.int32))
