"""One part of a source on its way to disk: validated, keyed, split by batch key, and counted."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components.contracts import PART, ROW, Column
from components.ingestion.batching import EVERYTHING, Key, KeyCount, keys_of, too_many
from components.ingestion.checking import kept, used_columns
from components.ingestion.fingerprint import Fingerprint, fingerprint, parts, row_keys
from components.ingestion.specification import Specification
from components.ingestion.validation import read, row_names, validate, within_ranges
from components.values import texts

LABEL = "label"
_KEY = "_key"
ROW_GROUP = 50_000


@dataclass(frozen=True)
class Tally:
    """What was met in some part of the source; tallies add up.

    Attributes:
        read: Rows read.
        left_out: Rows that ``keep`` left out.
        keyless: Rows dropped because the batch column is missing.
        weak_missing: Kept rows whose weak label is missing.
        positives: Kept rows whose weak label is positive.
        known: Kept rows whose evaluation label is known.
        known_positives: Kept rows whose evaluation label is positive.
        invalid: Values out of range, by column.
        present: Values there were before those were made missing, by column.
        keys: Counts by batch key.
        content: Fingerprint of the stored table.
        evaluation: Fingerprint of the evaluation labels.
    """

    read: int = 0
    left_out: int = 0
    keyless: int = 0
    weak_missing: int = 0
    positives: int = 0
    known: int = 0
    known_positives: int = 0
    invalid: Counter[str] = field(default_factory=Counter)
    present: Counter[str] = field(default_factory=Counter)
    keys: Mapping[Key, KeyCount] = field(default_factory=dict)
    content: Fingerprint = Fingerprint()
    evaluation: Fingerprint = Fingerprint()

    def __add__(self, other: "Tally") -> "Tally":
        """Of both parts."""
        sums: dict[str, Any] = {
            f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self) if f.name != "keys"
        }
        keys = dict(self.keys)
        for key, count in other.keys.items():
            keys[key] = keys.get(key, KeyCount()) + count
        return Tally(**sums, keys=keys)


def stored_columns(specification: Specification) -> tuple[Column, ...]:
    """The columns of the dataset: all but the ignored ones and the evaluation label; the weak label is a flag."""
    found = []
    for column in specification.declared:
        if column.role == "weak_label":
            found.append(Column(**{**vars(column), "kind": "flag"}))
        elif column.role not in ("ignored", "evaluation_label"):
            found.append(column)
    return tuple(found)


def key_folder(folder: Path, key: Key) -> Path:
    """Where the rows of one batch key wait; the key itself may hold any character."""
    return folder / hashlib.sha256(repr(key).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Stage:
    """Writes parts of a source below a folder, one file a batch key.

    Attributes:
        specification: What is declared.
        folder: Holds ``rows/`` and ``labels/`` afterwards.
        seed: Decides which rows are fit, tune and held rows.
    """

    specification: Specification
    folder: Path
    seed: int

    def __call__(self, frame: pd.DataFrame, number: int, offset: int) -> Tally:
        """Write part ``number``, whose first row is row ``offset`` of the source."""
        raw, used = frame.reset_index(drop=True), used_columns(self.specification)
        identifier = self.specification.one("id")
        readings = read(raw, used)
        validate(raw, readings, used, row_names(raw, identifier.name if identifier else None, offset))
        count, values = len(raw), pd.DataFrame({name: found.values for name, found in readings.items()})
        del frame, raw, readings
        rows = (
            pd.RangeIndex(offset, offset + len(values)).to_series() if identifier is None else values[identifier.name]
        )
        values[ROW] = row_keys(rows.reset_index(drop=True))
        values, left_out = self._kept(values)
        values, invalid, present = within_ranges(values, used)
        values[_KEY] = self._keys(values)
        keyed = values[values[_KEY].notna()].reset_index(drop=True)
        counted = self._written(keyed, number)
        return counted + Tally(
            read=count,
            left_out=left_out,
            keyless=len(values) - len(keyed),
            invalid=Counter(invalid),
            present=Counter(present),
        )

    def _kept(self, values: pd.DataFrame) -> tuple[pd.DataFrame, int]:
        marks = kept(values, self.specification)
        return values if marks.all() else values[marks].reset_index(drop=True), int((~marks).sum())

    def _keys(self, values: pd.DataFrame) -> "pd.Series[Any]":
        batching = self.specification.batching
        if batching is None:
            return pd.Series(EVERYTHING, index=values.index, dtype=object)
        kind = self.specification.column(batching.by, "batches.by").kind
        return keys_of(values[batching.by], kind, batching.every)

    def _written(self, values: pd.DataFrame, number: int) -> Tally:
        columns, weak = stored_columns(self.specification), self.specification.one("weak_label")
        values = values.assign(**{PART: parts(values[ROW].to_numpy(), self.seed)})
        missing = 0
        if weak is not None:
            missing = int(values[weak.name].isna().sum())
            values = values.assign(**{weak.name: values[weak.name].fillna(0.0)})
        names = [column.name for column in columns]
        keys = self._by_key(values, weak)
        if self.specification.batching is not None:
            too_many(len(keys), self.specification.batching)
        self._write(values, columns, number)
        labels = self._labels(values)
        return Tally(
            weak_missing=missing,
            positives=sum(count.positives for count in keys.values()),
            known=int(labels[LABEL].notna().sum()),
            known_positives=int(labels[LABEL].sum()),
            keys=keys,
            content=fingerprint(values, [*names, ROW, PART]),
            evaluation=fingerprint(labels, [ROW, LABEL]),
        )

    def _by_key(self, values: pd.DataFrame, weak: Column | None) -> dict[Key, KeyCount]:
        batching = self.specification.batching
        label = batching.label if batching else None
        found: dict[Key, KeyCount] = {}
        for key, group in values.groupby(_KEY):
            called = [] if label is None else sorted(texts(group[label]).dropna().unique())[:2]
            positives = 0 if weak is None else int(group[weak.name].sum())
            found[key] = KeyCount(len(group), positives, frozenset(called))  # type: ignore[index]
        return found

    def _write(self, values: pd.DataFrame, columns: tuple[Column, ...], number: int) -> None:
        codes, keys = pd.factorize(values[_KEY])
        order = np.lexsort((values[ROW].to_numpy(), codes))
        counts = np.bincount(codes, minlength=len(keys))
        begins = np.cumsum(counts) - counts
        ordered = values.iloc[order]
        tables = {"rows": _table(ordered, _arrow_schema(columns))}
        if self.specification.one("evaluation_label"):
            tables["labels"] = _table(self._labels(ordered), labels_schema())
        for key, begin, count in zip(keys, begins, counts, strict=True):
            for name, table in tables.items():
                _write_table(table.slice(begin, count), key_folder(self.folder / name, key), number)

    def _labels(self, values: pd.DataFrame) -> pd.DataFrame:
        column = self.specification.one("evaluation_label")
        if column is None:
            return pd.DataFrame({ROW: [], LABEL: []})
        return pd.DataFrame({ROW: values[ROW], LABEL: values[column.name]})


def _arrow_schema(columns: tuple[Column, ...]) -> Any:
    import pyarrow as pa

    kinds = {"number": pa.float64(), "flag": pa.float64(), "category": pa.string(), "time": pa.timestamp("us")}
    fields = [(column.name, kinds[column.kind]) for column in columns]
    return pa.schema([*fields, (ROW, pa.int64()), (PART, pa.string())])


def labels_schema() -> Any:
    """Of the staged evaluation labels."""
    import pyarrow as pa

    return pa.schema([(ROW, pa.int64()), (LABEL, pa.float64())])


def _table(values: pd.DataFrame, schema: Any) -> Any:
    import pyarrow as pa

    return pa.Table.from_pandas(values[schema.names], schema=schema, preserve_index=False)


def _write_table(table: Any, folder: Path, number: int) -> None:
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / f"part-{number:06d}.parquet", row_group_size=ROW_GROUP, compression="zstd")
