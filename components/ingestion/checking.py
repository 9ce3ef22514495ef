"""What can be known to be wrong before a table is read: a minute's mistake should not cost an hour."""

from collections import Counter
from difflib import get_close_matches

import pandas as pd

from components.contracts import Column
from components.errors import InputError
from components.ingestion.specification import Specification
from components.ingestion.validation import read, row_names, validate
from components.values import texts

_PREVIEW_ROWS = 1000


def check(specification: Specification) -> None:
    """Look at the header and the first 1,000 rows of the source.

    Raises:
        InputError: The source is missing or empty, columns are unknown or doubled, values do not fit what is declared,
            or, when 1,000 rows are the whole table, a label has one class only.
        OutsideError: A database does not answer, or the package that holds the table is not installed.
    """
    check_names(specification, specification.source.names())
    used = used_columns(specification)
    first = specification.source.preview([column.name for column in used], _PREVIEW_ROWS)
    if first.empty:
        raise InputError("source must have at least one row, found a header and nothing below it")
    identifier = specification.one("id")
    readings = read(first, used)
    validate(first, readings, used, row_names(first, identifier.name if identifier else None, 0))
    if len(first) < _PREVIEW_ROWS and not specification.keep:
        for column in used:
            if column.role in ("weak_label", "evaluation_label"):
                values = readings[column.name].values
                check_classes(column, values.eq(1).sum(), values.notna().sum(), len(values))


def used_columns(specification: Specification) -> list[Column]:
    """The declared columns whose values matter: all but the ignored ones that nothing else speaks of."""
    spoken_of = {condition.column for condition in specification.keep}
    if specification.batching is not None:
        spoken_of.add(specification.batching.label or "")
    return [column for column in specification.declared if column.role != "ignored" or column.name in spoken_of]


def check_names(specification: Specification, names: list[str]) -> None:
    """Compare the names in the source with the declared ones.

    Raises:
        InputError: A name is doubled, missing or not declared where all must be.
    """
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise InputError(
            f"source must name each column once, its header has {doubled[0]!r} {names.count(doubled[0])} times"
        )
    for name in specification.columns:
        if name not in names:
            near = get_close_matches(name, names, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"it has {', '.join(names[:20])}"
            raise InputError(f"columns must name columns of the source, which has no {name!r}; {hint}")
    if specification.undeclared == "refuse":
        extra = [name for name in names if name not in specification.columns]
        if extra:
            raise InputError(f"undeclared: refuse allows declared columns only, the source also has {', '.join(extra)}")


def check_classes(column: Column, positives: int, known: int, rows: int) -> None:
    """Refuse a label that tells nothing.

    Raises:
        InputError: All its values are missing; or it is the weak label and all rows, or none, are positive.
    """
    positive = ", ".join(column.positive) or "1 or true"
    if not known:
        raise InputError(f"{column.role} {column.name!r} must have values, all of its {rows} are missing")
    if column.role == "weak_label" and positives in (0, rows):
        which = "none" if not positives else "all"
        raise InputError(
            f"{column.role} {column.name!r} must have positive rows and others, got {which} of {rows} rows "
            f"with a positive value ({positive})"
        )


def kept(values: pd.DataFrame, specification: Specification) -> "pd.Series[bool]":
    """Marks of the rows that fulfil every condition of ``keep``."""
    marks = pd.Series(True, index=values.index)
    for condition in specification.keep:
        column = values[condition.column]
        is_text = specification.column(condition.column, "keep").kind == "category"
        if condition.minimum is not None:
            marks &= column >= condition.minimum
        if condition.maximum is not None:
            marks &= column <= condition.maximum
        if condition.equals is not None:
            wanted = texts(pd.Series([condition.equals])).iloc[0] if is_text else condition.equals
            marks &= column.eq(wanted).fillna(False).astype(bool)
    return marks
