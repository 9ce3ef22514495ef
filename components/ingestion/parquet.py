"""Parquet tables, one file or many."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict

from components.errors import InputError
from components.ingestion.locations import files_of, located, same_names
from components.ingestion.parallel import table_of_parts
from components.ingestion.reasons import reason

_ENDINGS = (".parquet", ".pq")


class Parquet(BaseModel):
    """Parquet files with the same columns.

    Attributes:
        kind: ``parquet``.
        path: A file, a folder of files, or a pattern such as ``visits-*.parquet``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["parquet"] = "parquet"
    path: str | None = None

    def relative_to(self, folder: Path) -> "Parquet":
        """The same source, with a relative path seen from ``folder``."""
        return self if self.path is None else self.model_copy(update={"path": located(self.path, folder)})

    def names(self) -> list[str]:
        """Names in the schema, repeated ones included."""
        files = files_of(self.path, _ENDINGS)
        first = _schema_names(files[0])
        for file in files[1:]:
            same_names(first, _schema_names(file), file)
        return first

    def preview(self, columns: Sequence[str], rows: int) -> pd.DataFrame:
        """The first rows of the table, at most ``rows``."""
        import pyarrow.parquet as pq

        frames: list[pd.DataFrame] = []
        for file in files_of(self.path, _ENDINGS):
            with pq.ParquetFile(file) as opened:
                for batch in opened.iter_batches(batch_size=rows, columns=list(columns)):
                    frames.append(batch.to_pandas())
                    if sum(map(len, frames)) >= rows:
                        return pd.concat(frames, ignore_index=True).head(rows)
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(columns))

    def open(self, columns: Sequence[str], scratch: Path) -> Any:
        """A lazy ``dask.dataframe``, one part a row group, files in the order of their names."""
        files = files_of(self.path, _ENDINGS)
        places = [(str(file), group) for file in files for group in range(_row_groups(file))]
        return table_of_parts(_row_group, places, columns)


def _row_group(place: tuple[str, int], columns: list[str]) -> pd.DataFrame:
    import pyarrow.parquet as pq

    file, group = place
    with pq.ParquetFile(file) as opened:
        frame: pd.DataFrame = opened.read_row_group(group, columns=columns).to_pandas()
    return frame[columns].reset_index(drop=True)


def _row_groups(file: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(file).num_row_groups)


def _schema_names(file: Path) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(file).names)
    except (pa.ArrowInvalid, OSError) as problem:
        raise InputError(f"source.path must name Parquet files, {file} is none: {reason(problem)}") from problem
