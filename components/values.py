"""From whatever a source gives (text, integers, booleans, dates) to the four kinds of column that are stored.

The same table read from CSV, Parquet or a database gives the same values, to the last bit.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.contracts import ColumnKind, FloatArray

BoolArray = NDArray[np.bool_]

BETWEEN = "|"  # of the values of a set: "cat|dog"

_WORDS = {"true": "1", "false": "0"}


def texts(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Text without blanks around it; empty is missing, and whole numbers lose their ``.0``."""
    if pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype):
        numbers = values.astype("float64") if pd.api.types.is_float_dtype(values.dtype) else values
        written = numbers.map(_shortest, na_action="ignore")
    else:
        written = values if isinstance(values.dtype, pd.StringDtype) else values.map(str, na_action="ignore")
    text = written.astype("str").str.strip().str.replace(r"^([+-]?\d+)\.0+$", r"\1", regex=True)
    return text.where(text != "", None)


def _shortest(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else repr(float(number))


def numbers(values: "pd.Series[Any]") -> tuple[FloatArray, BoolArray]:
    """Float64 with NaN for missing, and a mark where something is present that is no number."""
    if pd.api.types.is_numeric_dtype(values.dtype):
        return values.to_numpy(dtype=np.float64, na_value=np.nan) + 0.0, np.zeros(len(values), dtype=np.bool_)
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return np.full(len(values), np.nan), values.notna().to_numpy()
    return _parsed(values)


def _parsed(values: "pd.Series[Any]") -> tuple[FloatArray, BoolArray]:
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = values if isinstance(values.dtype, pd.StringDtype) else texts(values)
    cells = pc.utf8_trim_whitespace(pa.array(plain, type=pa.string(), from_pandas=True))
    try:
        parsed = pc.cast(pc.if_else(pc.equal(cells, ""), None, cells), pa.float64())
        return parsed.to_numpy(zero_copy_only=False) + 0.0, np.zeros(len(values), dtype=np.bool_)
    except pa.ArrowInvalid:
        text = texts(values)
        found = text.map(_number_or_none, na_action="ignore")
        return found.to_numpy(dtype=np.float64, na_value=np.nan) + 0.0, (found.isna() & text.notna()).to_numpy()


def _number_or_none(text: str) -> float | None:
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def flags(values: "pd.Series[Any]") -> tuple[FloatArray, BoolArray]:
    """1.0, 0.0 or NaN, and a mark where something is neither 0, 1, true nor false."""
    found, unreadable = numbers(values)
    if unreadable.any():
        found, unreadable = numbers(texts(values).str.lower().replace(_WORDS))
    wrong = unreadable | ~(np.isnan(found) | np.isin(found, (0.0, 1.0)))
    return np.where(wrong, np.nan, found), wrong


def times(values: "pd.Series[Any]") -> tuple["pd.Series[Any]", BoolArray]:
    """Points in time (UTC, microseconds), and a mark where something is present that is none.

    Bare numbers are refused: 1999 could be a year or a number of seconds.
    """
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        found = pd.to_datetime(values, utc=True)
    else:
        written = texts(values)
        bare = written.str.fullmatch(r"[+-]?\d+(\.\d*)?").fillna(True).astype(bool)
        found = pd.to_datetime(written.where(~bare, None), format="ISO8601", errors="coerce", utc=True)
    naive = found.dt.tz_localize(None).astype("datetime64[us]")
    return naive, (naive.isna() & values.notna()).to_numpy()


def stored(values: "pd.Series[Any]", kind: ColumnKind) -> tuple["pd.Series[Any]", BoolArray]:
    """The column as it is stored, and marks of the present values that cannot be read: they are stored as missing."""
    if kind == "category":
        return texts(values), np.zeros(len(values), dtype=np.bool_)
    if kind == "time":
        return times(values)
    found, unreadable = numbers(values) if kind == "number" else flags(values)
    return pd.Series(found, index=values.index), unreadable


def positives(values: "pd.Series[Any]", positive: tuple[str, ...]) -> tuple[FloatArray, BoolArray]:
    """1.0 for the values that mean positive, 0.0 for the others, NaN for missing; and a mark where unreadable.

    With nothing in ``positive`` only 1, 0, true and false can be read. Capitals do not matter.
    """
    if not positive:
        return flags(values)
    written = texts(values).str.lower()
    wanted = texts(pd.Series(list(positive), dtype="str")).str.lower()
    found = np.where(written.isna(), np.nan, written.isin(wanted.tolist()).to_numpy(dtype=np.float64))
    return found, np.zeros(len(values), dtype=np.bool_)


def places(values: "pd.Series[Any]", names: tuple[str, ...]) -> tuple[FloatArray, BoolArray]:
    """Place of each value among ``names``, NaN for missing; and a mark where it is none of them."""
    written = texts(values)
    found = pd.Index(names).get_indexer(pd.Index(written.astype(object)))
    missing = written.isna().to_numpy()
    return np.where(found < 0, np.nan, found.astype(np.float64)), (found < 0) & ~missing


def strangers(values: "pd.Series[Any]", names: tuple[str, ...]) -> BoolArray:
    """Marks where a present text is none of ``names``, nor several of them with bars between."""
    codes, written = pd.factorize(values)
    wrong = [any(part.strip() not in names for part in str(text).split(BETWEEN)) for text in written]
    return np.array([*wrong, False], dtype=np.bool_)[codes]  # missing has the code -1
