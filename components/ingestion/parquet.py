"""Parquet tables, one file or many."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict

from components.errors import InputError
from components.ingestion.locations import files_of, located, same_names
from components.ingestion.parallel import rows_of_a_part, stacked, table_of_copies, table_of_parts
from components.ingestion.reasons import reason

_ENDINGS = (".parquet", ".pq")
_BUFFER = 2**20  # bytes of a column read ahead, so that a row group is never in memory whole


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
        """A lazy ``dask.dataframe``, one part a row group, files in the order of their names.

        A file with a row group too large for a part is read once, into smaller copies in ``scratch``.
        """
        most, parts = rows_of_a_part(len(columns)), []
        for number, file in enumerate(files_of(self.path, _ENDINGS)):
            groups = _row_groups(file)
            if max(groups, default=0) > most:
                parts.append(table_of_copies(_pieces(file, columns, most), scratch / str(number), columns))
            else:
                parts.append(table_of_parts(_row_group, [(str(file), group) for group in range(len(groups))], columns))
        return stacked(parts)


def _row_group(place: tuple[str, int], columns: list[str]) -> pd.DataFrame:
    import pyarrow.parquet as pq

    file, group = place
    with pq.ParquetFile(file) as opened:
        frame: pd.DataFrame = opened.read_row_group(group, columns=columns).to_pandas()
    return frame[columns].reset_index(drop=True)


def _row_groups(file: Path) -> list[int]:
    """Rows of each row group."""
    import pyarrow.parquet as pq

    metadata = pq.read_metadata(file)
    return [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]


def _pieces(file: Path, columns: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False) as opened:
        for batch in opened.iter_batches(batch_size=rows, columns=list(columns)):
            yield batch.to_pandas()[list(columns)].reset_index(drop=True)


def _schema_names(file: Path) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(file).names)
    except (pa.ArrowInvalid, OSError) as problem:
        raise InputError(f"source.path must name Parquet files, {file} is none: {reason(problem)}") from problem
