"""Text tables with a header line: CSV, TSV and their kin, one file or many."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from components.errors import InputError
from components.ingestion.locations import files_of, located, same_names
from components.ingestion.parallel import stacked, table_of_text
from components.ingestion.reasons import reason

_ENDINGS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")


class Delimited(BaseModel):
    """Files of text in UTF-8 with one header line each; empty cells and ``NA``, ``NaN``, ``null`` are missing.

    Attributes:
        kind: ``csv``.
        path: A file, a folder of files, or a pattern such as ``visits-*.csv``.
        separator: What stands between two cells.
        line_breaks_in_cells: Whether quoted cells hold line breaks; each file is then read in one piece.
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
        """A lazy ``dask.dataframe`` of text columns, files in the order of their names."""
        parts = []
        for file in files_of(self.path, _ENDINGS):
            whole = self.line_breaks_in_cells or file.suffix == ".gz"
            block = None if whole else self.block_bytes
            parts.append(table_of_text(str(file), block, self._how(), list(columns)))
        return stacked(parts)

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
