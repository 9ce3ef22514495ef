"""From the values of a time or group column to numbered, named batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from components.contracts import Column, TimeBatch
from components.errors import InputError
from components.ingestion.specification import Batches, Every, Specification

MOST_BATCHES = 1000
EVERYTHING = "everything"
"""Key and name of the one batch of a table without batches."""

Key = float | str

_PERIODS: dict[Every, str] = {"day": "D", "week": "W-SUN", "month": "M", "quarter": "Q", "year": "Y"}


@dataclass(frozen=True)
class KeyCount:
    """What is known of the rows that share a key.

    Attributes:
        rows: How many.
        positives: How many are positive by the weak label.
        labels: What the label column calls them; at most two are remembered.
    """

    rows: int = 0
    positives: int = 0
    labels: frozenset[str] = frozenset()

    def __add__(self, other: "KeyCount") -> "KeyCount":
        """Of both together."""
        labels = frozenset(sorted(self.labels | other.labels)[:2])
        return KeyCount(self.rows + other.rows, self.positives + other.positives, labels)


@dataclass(frozen=True)
class Planned:
    """A batch, and the keys whose rows it holds.

    Attributes:
        batch: Index, label and counts.
        keys: The keys, in order.
    """

    batch: TimeBatch
    keys: tuple[Key, ...]


def keys_of(values: "pd.Series[Any]", kind: str, every: Every | None) -> "pd.Series[Any]":
    """The key of each row: a number, the ISO text of its period's start, or its group's name; None if missing."""
    if kind == "time":
        moments = values.dt.to_period(_PERIODS[every]).dt.start_time if every else values
        codes, distinct = pd.factorize(moments)
        written = np.array([*(moment.isoformat() for moment in distinct), None], dtype=object)
        keys = pd.Series(written[codes], index=values.index)
    elif kind == "flag":
        keys = values.map({0.0: "0", 1.0: "1"})
    else:
        keys = values
    return keys.astype(object).where(values.notna(), None)


def too_many(count: int, batches: Batches) -> None:
    """Refuse a column that has more values than anyone would have batches.

    Raises:
        InputError: There are more than 1,000.
    """
    if count > MOST_BATCHES:
        raise InputError(
            f"batches.by must have at most {MOST_BATCHES:,} values, {batches.by!r} has more; "
            "set batches.every for a time, or take a coarser column"
        )


def arranged(counts: Mapping[Key, KeyCount], specification: Specification) -> tuple[list[Planned], list[str]]:
    """The batches in order, and one sentence for each thing that a reader must know of them.

    Raises:
        InputError: A group's value is not in the declared order, or a key has two labels.
    """
    batches = specification.batching
    if batches is None:
        rows = sum(count.rows for count in counts.values())
        return [Planned(TimeBatch(1, EVERYTHING, rows, 0), tuple(counts))], []
    by = specification.column(batches.by, "batches.by")
    too_many(len(counts), batches)
    labels = {key: _label(key, counts[key], batches, by) for key in counts}
    planned = [
        Planned(TimeBatch(0, labels[key], counts[key].rows, counts[key].positives), (key,))
        for key in _ordered(counts, batches)
    ]
    joined = _joined(planned, batches.rows_at_least, by)
    numbered = [replace(plan, batch=replace(plan.batch, index=number)) for number, plan in enumerate(joined, 1)]
    return numbered, _notes(numbered, batches, specification, by)


def _ordered(counts: Mapping[Key, KeyCount], batches: Batches) -> list[Key]:
    if not batches.order:
        return sorted(counts, key=lambda key: (isinstance(key, str), key))
    for key in sorted(map(str, counts)):
        if key not in batches.order:
            raise InputError(f"batches.order must name every value of {batches.by!r}, {key!r} is not in it")
    return [value for value in batches.order if value in counts]


def _label(key: Key, count: KeyCount, batches: Batches, by: Column) -> str:
    if batches.label is not None and count.labels:
        if len(count.labels) > 1:
            raise InputError(
                f"batches.label must have one value a batch, {batches.label!r} has "
                f"{' and '.join(sorted(count.labels))} where {batches.by} is {key}"
            )
        return next(iter(count.labels))
    if by.kind == "number":
        return f"{key:.12g}"
    return _moment(pd.Timestamp(str(key)), batches.every) if by.kind == "time" else str(key)


def _moment(moment: pd.Timestamp, every: Every | None) -> str:
    if every == "quarter":
        return f"{moment.year}-Q{moment.quarter}"
    if every == "week":
        return f"week of {moment:%Y-%m-%d}"
    if every is None and moment != moment.normalize():
        return moment.isoformat()
    return moment.strftime({"month": "%Y-%m", "year": "%Y"}.get(every or "day", "%Y-%m-%d"))


def _joined(planned: Sequence[Planned], rows_at_least: int, by: Column) -> list[Planned]:
    found: list[Planned] = []
    for plan in planned:
        if found and found[-1].batch.rows < rows_at_least:
            found[-1] = _together(found[-1], plan, by)
        else:
            found.append(plan)
    if len(found) > 1 and found[-1].batch.rows < rows_at_least:
        last = found.pop()
        found[-1] = _together(found[-1], last, by)
    return found


def _together(first: Planned, second: Planned, by: Column) -> Planned:
    one, two = first.batch, second.batch
    label = f"{one.label.split(' to ')[0]} to {two.label}" if by.role == "time" else f"{one.label} + {two.label}"
    batch = TimeBatch(0, label, one.rows + two.rows, one.positives + two.positives)
    return Planned(batch, first.keys + second.keys)


def _notes(planned: Sequence[Planned], batches: Batches, specification: Specification, by: Column) -> list[str]:
    notes = []
    if by.role == "group":
        time = specification.one("time")
        why = f"batches do not follow the time column {time.name}" if time else "no time column"
        notes.append(f"{why}: batches follow {by.name}, they are groups of rows and not points in time")
    for plan in planned:
        if len(plan.keys) > 1:
            notes.append(
                f"{len(plan.keys)} values of {by.name} are joined into batch {plan.batch.label}: "
                f"each alone would leave a batch of fewer than {batches.rows_at_least} rows"
            )
        if specification.labelled and not plan.batch.positives:
            notes.append(f"batch {plan.batch.label} has no positive row")
    if specification.labelled and len(planned) == 1:
        notes.append("there is one batch only, so nothing is left to update with")
    return notes
