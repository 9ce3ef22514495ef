"""Text tables with a header line: CSV, TSV and their kin, one file or many."""

import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from components.errors import InputError
from components.ingestion.locations import files_of, located, same_names
from components.ingestion.parallel import rows_of_a_part, stacked, table_of_copies, table_of_text
from components.ingestion.reasons import reason

_ENDINGS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")
_MISSING = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A"),
    *("NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
)  # what pandas takes for missing


class Delimited(BaseModel):
    """Files of text in UTF-8 with one header line each; empty cells and ``NA``, ``NaN``, ``null`` are missing.

    Attributes:
        kind: ``csv``.
        path: A file, a folder of files, or a pattern such as ``visits-*.csv``.
        separator: What stands between two cells.
        line_breaks_in_cells: Whether quoted cells hold line breaks; each file is then read from end to end by itself.
        block_bytes: Bytes of text that are parsed at a time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["csv"] = "csv"
    path: str | None = None
    separator: str = Field(default=",", min_length=1)
    line_breaks_in_cells: bool = False
    block_bytes: int = Field(default=32_000_000, ge=1)

    def relative_to(self, folder: Path) -> "Delimited":
        """The same source, with a relative path seen from ``folder``."""
        return self if self.path is None else self.model_copy(update={"path": located(self.path, folder)})

    def names(self) -> list[str]:
        """Names in the header, repeated ones included."""
        files = files_of(self.path, _ENDINGS)
        first = self._header(files[0])
        for file in files[1:]:
            same_names(first, self._header(file), file)
        return first

    def preview(self, columns: Sequence[str], rows: int) -> pd.DataFrame:
        """The first rows, at most ``rows`` of each file, as text."""
        files = files_of(self.path, _ENDINGS)
        frames: list[pd.DataFrame] = []
        for file in files:
            frames.append(pd.read_csv(file, nrows=rows, **self._how()))
            if sum(map(len, frames)) >= rows:
                break
        together = pd.concat(frames, ignore_index=True)
        return together.head(rows)[list(columns)]

    def open(self, columns: Sequence[str], scratch: Path) -> Any:
        """A lazy ``dask.dataframe`` of text columns, files in the order of their names.

        What cannot be cut into blocks (packed files, line breaks in cells) is read once, into copies in ``scratch``.
        """
        parts = []
        for number, file in enumerate(files_of(self.path, _ENDINGS)):
            if self.line_breaks_in_cells or file.suffix == ".gz":
                parts.append(table_of_copies(self._chunks(file, columns), scratch / str(number), columns))
            else:
                read = partial(_block, names=self._header(file), how=self._how(), columns=list(columns))
                parts.append(table_of_text(str(file), self.block_bytes, read, _first_line(file), columns))
        return stacked(parts)

    def _chunks(self, file: Path, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        rows = rows_of_a_part(len(self._header(file)))
        with pd.read_csv(file, chunksize=rows, **self._how()) as chunks:
            for chunk in chunks:
                yield chunk[list(columns)]

    def _how(self) -> dict[str, Any]:
        return {"sep": self.separator, "dtype": "str", "encoding": "utf-8-sig"}

    def _header(self, file: Path) -> list[str]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", pd.errors.ParserWarning)
                top = pd.read_csv(
                    file,
                    sep=self.separator,
                    header=None,
                    nrows=2,
                    dtype="str",
                    keep_default_na=False,
                    encoding="utf-8-sig",
                )
        except UnicodeDecodeError as problem:
            raise InputError(f"source.path must name text in UTF-8, {file} is not: {problem.reason}") from problem
        except ValueError as problem:
            raise InputError(
                f"source.path must name a text table with a header, {file} is not: {reason(problem)}"
            ) from problem
        return [str(name) for name in top.iloc[0]]


def _first_line(file: Path) -> bytes:
    """The header as it stands in the file."""
    with file.open("rb") as opened:
        return next((line for line in opened if line.strip()), b"")


def _block(text: bytes, header: bytes, names: list[str], how: dict[str, Any], columns: list[str]) -> pd.DataFrame:
    """Some lines of a file, below its ``header`` (empty where they begin with it), as text columns.

    Arrow reads them many times as fast as pandas. Where it finds anything odd pandas has the say, which forgives more
    and whose errors people know. Both read all columns: told of those that are used, pandas would not notice lines with
    too many cells.
    """
    whole = header + text
    try:
        return _by_arrow(whole, names, how["sep"])[columns]
    except ValueError:
        frame: pd.DataFrame = pd.read_csv(BytesIO(whole), **how)
        return frame[columns]


def _by_arrow(text: bytes, names: list[str], separator: str) -> pd.DataFrame:
    """The same table that pandas makes of ``text``.

    Raises:
        ValueError: It may not be.
    """
    import pyarrow as pa
    from pyarrow import csv

    if len(separator.encode()) != 1:
        raise ValueError("a separator of several characters")
    table = csv.read_csv(
        pa.BufferReader(text),
        csv.ReadOptions(use_threads=False, block_size=len(text) + 1),
        csv.ParseOptions(delimiter=separator, newlines_in_values=True),
        csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), null_values=_MISSING, strings_can_be_null=True
        ),
    )
    if table.column_names != names or set(table.schema.types) != {pa.string()}:
        raise ValueError("another header")
    frame: pd.DataFrame = table.to_pandas()
    return frame
