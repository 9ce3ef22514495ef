"""A description of a plain table of numbers that nobody has described, for a causal graph and no more."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from components.errors import InputError
from components.ingestion.delimited import Delimited
from components.ingestion.parquet import Parquet
from components.ingestion.specification import Declared, Specification
from components.values import stored

SEPARATORS = {".csv": ",", ".tsv": "\t"}
ENDINGS = (*SEPARATORS, ".parquet", ".pq")
_PREVIEW_ROWS = 1000


def is_table(reference: str) -> bool:
    """Whether ``reference`` names a table itself and not a description of one."""
    return reference.removesuffix(".gz").endswith(ENDINGS)


def inferred(path: Path, columns: Sequence[str] = ()) -> Specification:
    """Every column of the table, or those of ``columns``, as a number or, where it holds 0 and 1 only, a flag.

    Raises:
        InputError: There is no such table or column, or a column holds text.
    """
    separator = SEPARATORS.get(Path(str(path).removesuffix(".gz")).suffix)
    source = Delimited(path=str(path), separator=separator) if separator else Parquet(path=str(path))
    names = source.names()
    for name in columns:
        if name not in names:
            raise InputError(f"source.columns must name columns of {path}, got {name!r}; it has {', '.join(names)}")
    chosen = list(columns) or list(dict.fromkeys(names))
    first = source.preview(chosen, _PREVIEW_ROWS)
    declared = {name: Declared(kind="flag" if _is_flag(first[name]) else "number") for name in chosen}
    for name in chosen:
        _refuse_text(first[name], chosen)
    called = re.sub(r"[^a-z0-9]+", "-", path.name.split(".")[0].lower()).strip("-") or "table"
    return Specification(name=called, source=source, columns=declared)


def _is_flag(values: "pd.Series[Any]") -> bool:
    numbers, unreadable = stored(values, "number")
    there = numbers.dropna()
    return bool(len(there) and not unreadable.any() and there.isin([0, 1]).all())


def _refuse_text(values: "pd.Series[Any]", chosen: Sequence[str]) -> None:
    _, unreadable = stored(values, "number")
    if unreadable.any():
        others = ", ".join(name for name in chosen if name != values.name)
        raise InputError(
            f"column {values.name!r} must hold numbers for a causal graph, got {values[unreadable].iloc[0]!r}; encode "
            f"it, or name the columns to use: --set 'source.columns=[{others}]'"
        )
