"""What is declared of a column, checked part by part with pandera: the first breach is a sentence, not a traceback.

Values of the wrong type and infinite values stop everything. Values outside a column's valid range become missing and
are counted, because real tables hold a few; a column that is mostly outside has the wrong unit.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from components.contracts import Column
from components.errors import InputError
from components.values import BETWEEN, BoolArray, places, positives, stored, strangers, texts

_LARGEST_WHOLE = 2.0**53
_PRESENT = "present in every row"


@dataclass(frozen=True, eq=False)
class Reading:
    """One column of a part, read.

    Attributes:
        values: As they are stored; labels are 1.0, 0.0, NaN or the number of their class.
        unreadable: [n] marks of the present values that could not be read.
    """

    values: "pd.Series[Any]"
    unreadable: BoolArray


Rule = tuple[str, Callable[[Reading], BoolArray]]


def read(frame: pd.DataFrame, columns: Iterable[Column]) -> dict[str, Reading]:
    """Each of ``columns`` as it is stored, from the values that the source gives."""
    found = {}
    for column in columns:
        values = frame[column.name]
        if column.role == "evaluation_label" and column.values:
            numbers, unreadable = places(values, column.values)
            found[column.name] = Reading(pd.Series(numbers, index=values.index), unreadable)
        elif column.role in ("weak_label", "evaluation_label"):
            marks, unreadable = positives(values, column.positive)
            found[column.name] = Reading(pd.Series(marks, index=values.index), unreadable)
        else:
            found[column.name] = Reading(*stored(values, column.kind))
    return found


def rules(column: Column) -> list[Rule]:
    """What each present value of ``column`` must be, in words and as a test that is true where broken."""
    if column.role == "evaluation_label" and column.values:
        return [(f"one of {', '.join(column.values)}", lambda found: found.unreadable)]
    if column.role == "observed_label" and column.values:
        words = f"one of {', '.join(column.values)} (or several with {BETWEEN} between)"
        return [(words, lambda found: strangers(found.values, column.values))]
    if column.role in ("weak_label", "evaluation_label"):
        return [("1, 0, true or false unless positive is declared", lambda found: found.unreadable)]
    kinds = {
        "number": "a number",
        "flag": "0 or 1",
        "time": "a time in ISO 8601, not a bare number",
        "category": "text",
    }
    rules: list[Rule] = [(kinds[column.kind], lambda found: found.unreadable)]
    if column.kind == "number":
        rules.append(("finite", lambda found: np.isinf(found.values)))
    if column.role == "id" and column.kind == "number":
        rules.append(("a whole number below 2**53 (declare kind: category for other ids)", _not_whole))
    if column.role == "weight":
        rules.append(("at least 0", lambda found: np.asarray(found.values < 0)))
    return rules


def _not_whole(found: Reading) -> BoolArray:
    values = found.values.to_numpy()
    return np.asarray((values != np.floor(values)) | (np.abs(values) >= _LARGEST_WHOLE))


def schema(columns: Sequence[Column], readings: Mapping[str, Reading]) -> Any:
    """The ``pandera.DataFrameSchema`` of the table as the source gives it; ``readings`` are of that table."""
    import pandera.pandas as pa

    def check(column: Column, rule: Rule) -> Any:
        words, broken = rule
        found = readings[column.name]
        kept = pd.Series(~np.asarray(broken(found), dtype=np.bool_), index=found.values.index)
        return pa.Check(lambda values: kept.loc[values.index], name=words)

    return pa.DataFrameSchema(
        {
            column.name: pa.Column(
                nullable=column.role not in ("id", "weight"), checks=[check(column, rule) for rule in rules(column)]
            )
            for column in columns
        }
    )


def validate(
    frame: pd.DataFrame,
    readings: Mapping[str, Reading],
    columns: Sequence[Column],
    names_of_rows: Callable[[int], str],
) -> None:
    """Check one part of the source; ``names_of_rows`` tells what a person calls the row at a position.

    Raises:
        InputError: A value breaks a rule; of several the first in the first row.
    """
    from pandera.errors import SchemaErrors

    try:
        schema(columns, readings).validate(frame, lazy=True, inplace=True)
    except SchemaErrors as problem:
        first = problem.failure_cases.sort_values("index", kind="stable").iloc[0]
        missing = first["check"] == "not_nullable"
        value = "nothing" if missing else repr(_shown(first["failure_case"]))
        rule = _PRESENT if missing else first["check"]
        raise InputError(
            f"column {first['column']!r} must be {rule}, got {value} in {names_of_rows(int(first['index']))}"
        ) from None


def _shown(value: object) -> object:
    plain = value.item() if isinstance(value, np.generic) else value
    return plain if isinstance(plain, str | int | float | bool) else str(plain)


def row_names(frame: pd.DataFrame, identifier: str | None, offset: int) -> Callable[[int], str]:
    """Call rows by their id where there is one, and otherwise by their place in the source, counted from 1."""

    def name(position: int) -> str:
        if identifier is None:
            return f"row {offset + position + 1}"
        written = texts(frame[identifier].iloc[[position]]).iloc[0]
        return f"row {position + 1} of a part" if pd.isna(written) else f"the row with {identifier} {written}"

    return name


def within_ranges(
    frame: pd.DataFrame, columns: Iterable[Column]
) -> tuple[pd.DataFrame, dict[str, int], dict[str, int]]:
    """The table with values out of range made missing; how many those were; how many values there were at all."""
    changed, invalid, present = {}, {}, {}
    for column in columns:
        if not _has_range(column):
            continue
        values = frame[column.name]
        low = -np.inf if column.minimum is None else column.minimum
        high = np.inf if column.maximum is None else column.maximum
        outside = (values < low) | (values > high)
        invalid[column.name], present[column.name] = int(outside.sum()), int(values.notna().sum())
        changed[column.name] = values.where(~outside)
    return frame.assign(**changed), invalid, present


def _has_range(column: Column) -> bool:
    return column.kind == "number" and (column.minimum is not None or column.maximum is not None)


def range_notes(columns: Iterable[Column], invalid: dict[str, int], present: dict[str, int]) -> list[str]:
    """One sentence for each column that had values out of range.

    Raises:
        InputError: More than half of a column's values are out of range.
    """
    notes = []
    for column in columns:
        wrong, there = invalid.get(column.name, 0), present.get(column.name, 0)
        bounds = f"[{_bound(column.minimum, '-inf')}, {_bound(column.maximum, 'inf')}]"
        unit = f" {column.unit}" if column.unit else ""
        if 2 * wrong > there:
            raise InputError(
                f"column {column.name!r} must lie in {bounds}{unit}, got {wrong} of {there} values outside; "
                "is it in another unit?"
            )
        if wrong:
            notes.append(f"{wrong} of {there} values of {column.name} lie outside {bounds}{unit} and became missing")
    return notes


def _bound(value: float | None, absent: str) -> str:
    return absent if value is None else f"{value:g}"
