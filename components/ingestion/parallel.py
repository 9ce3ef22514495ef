"""All that ingestion asks of Dask: lazy tables made of parts, and work on parts by threads.

Dask is loaded at the first call, because loading it takes a second, and through ``import_module``, because its
functions have no types.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

CELLS = 6_000_000  # of a part at most, where the source leaves the choice: 200,000 rows of 30 columns
MOST_WORKERS = 4


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


def table_of_text(
    file: str, block_bytes: int, read: Callable[..., pd.DataFrame], header: bytes, columns: Sequence[str]
) -> Any:
    """A lazy table over a text file, cut at line ends into blocks of about ``block_bytes``.

    ``read`` turns the bytes of a block, with ``header`` above it, into a table.
    """
    read_bytes = import_module("dask.bytes").read_bytes
    _, ((first, *others),) = read_bytes(file, blocksize=block_bytes, delimiter=b"\n", sample=False)
    later = import_module("dask").delayed(read, pure=True)
    parts = [later(first, b""), *(later(block, header) for block in others)]
    meta = pd.DataFrame(columns=list(columns), dtype="str")
    return import_module("dask.dataframe").from_delayed(parts, meta=meta, verify_meta=False)


def table_of_copies(frames: Iterable[pd.DataFrame], folder: Path, columns: Sequence[str]) -> Any:
    """A lazy table over copies of ``frames`` in ``folder``, one part each: they are made once, one after the other."""
    import pyarrow as pa

    folder.mkdir(parents=True, exist_ok=True)
    places = []
    for number, frame in enumerate(frames):
        places.append(folder / f"copy-{number:06d}.arrow")
        table = pa.Table.from_pandas(frame, preserve_index=False)
        with pa.OSFile(str(places[-1]), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    return table_of_parts(_copied, places, columns)


def _copied(place: Path, columns: list[str]) -> pd.DataFrame:
    import pyarrow as pa

    with pa.OSFile(str(place), "rb") as source:
        frame: pd.DataFrame = pa.ipc.open_file(source).read_all().to_pandas()
    return frame[columns]


def stacked(tables: Sequence[Any]) -> Any:
    """Lazy tables one under the other."""
    return tables[0] if len(tables) == 1 else import_module("dask.dataframe").concat(list(tables))


def job(function: Callable[..., Any], *arguments: object) -> Any:
    """A call for later; lazy arguments become their values first."""
    return import_module("dask").delayed(function, pure=False)(*arguments)


def done(jobs: Iterable[Any]) -> tuple[Any, ...]:
    """The results of some jobs, worked on by threads of this process: at most four, since each holds a part."""
    workers = min(os.cpu_count() or 1, MOST_WORKERS)
    results: tuple[Any, ...] = import_module("dask").compute(*jobs, scheduler="threads", num_workers=workers)
    return results


def rows_of_a_part(columns: int) -> int:
    """How many rows of so many columns are worked on at a time."""
    return max(CELLS // max(columns, 1), 1)
