"""All that ingestion asks of Dask: lazy tables made of parts, and work on parts by threads.

Dask is loaded at the first call, because loading it takes a second, and through ``import_module``, because its
functions have no types.
"""

from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any

import pandas as pd


def empty_table(columns: Sequence[str]) -> Any:
    """A lazy table without rows."""
    return import_module("dask.dataframe").from_pandas(pd.DataFrame(columns=list(columns)), npartitions=1)


def table_of_parts(read: Callable[..., pd.DataFrame], places: Sequence[object], columns: Sequence[str]) -> Any:
    """A lazy table whose part ``i`` is ``read(places[i], columns=columns)``.

    Parts may differ in the types of their columns: validation settles those.
    """
    if not places:
        return empty_table(columns)
    meta = pd.DataFrame(columns=list(columns), dtype="str")
    names = list(columns)
    return import_module("dask.dataframe").from_map(read, places, columns=names, meta=meta, enforce_metadata=False)


def table_of_text(file: str, block_bytes: int | None, how: dict[str, Any], columns: Sequence[str]) -> Any:
    """A lazy table over a text file, cut into blocks of about ``block_bytes``; None: one part."""
    table = import_module("dask.dataframe").read_csv(file, blocksize=block_bytes, **how)
    # Not usecols: told of the columns, pandas no longer notices lines with too many cells.
    return table[list(columns)]


def stacked(tables: Sequence[Any]) -> Any:
    """Lazy tables one under the other."""
    return tables[0] if len(tables) == 1 else import_module("dask.dataframe").concat(list(tables))


def job(function: Callable[..., Any], *arguments: object) -> Any:
    """A call for later; lazy arguments become their values first."""
    return import_module("dask").delayed(function, pure=False)(*arguments)


def done(jobs: Iterable[Any]) -> tuple[Any, ...]:
    """The results of some jobs, worked on by the threads of this process."""
    results: tuple[Any, ...] = import_module("dask").compute(*jobs, scheduler="threads")
    return results
