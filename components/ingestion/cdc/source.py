"""The health survey NHANES, 1999 to 2023, downloaded from the CDC and made into one table.

The table has the columns, units and labels of ``tables.COLUMNS``: one row for every examined adult of a cycle.
"""

import fcntl
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle as around
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, field_validator

from components.errors import InputError, OutsideError
from components.ingestion.cdc.build import build, table_of
from components.ingestion.cdc.download import Manners, fetch, listing, missing, reach
from components.ingestion.cdc.shelf import Record, Wanted, place_of, record_of
from components.ingestion.cdc.tables import (
    COLUMNS,
    ELEVEN,
    PRE_PANDEMIC,
    RACES,
    SERVER,
    SMOKING,
    CycleName,
    chosen,
)
from components.ingestion.locations import located
from components.ingestion.parquet import Parquet
from components.ports import Report, silent

_MEGABYTE = 1e6


class NhanesCdc(BaseModel):
    """The survey's public tables, downloaded from the CDC: about 270 MB for eleven cycles, and nothing twice.

    Files that were put into the folder by hand are taken as they are.

    Attributes:
        kind: ``nhanes-cdc``.
        base_url: Where the CDC's files lie; what comes behind it is in the table of cycles.
        cycles: Which cycles to take. 2017-2020 is the pre-pandemic release, which holds the people of 2017-2018 too.
        folder: Where the files are kept. Empty: in the folder for downloads that the run lends.
        connections: Files asked for at the same time.
        refresh: Ask the CDC about the files that are there too, and take those that it has replaced.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["nhanes-cdc"] = "nhanes-cdc"
    base_url: str = SERVER
    cycles: tuple[CycleName, ...] = ELEVEN
    folder: Path | None = None
    connections: int = Field(default=4, ge=1, le=8)
    refresh: bool = False

    @field_validator("base_url")
    @classmethod
    def _web_address(cls, url: str) -> str:
        if not url.startswith(("https://", "http://")):
            raise InputError(f"source.base_url must begin with https:// or http://, got {url!r}")
        if "@" in url:
            raise InputError("source.base_url must not hold a user or password: it is recorded beside each file")
        return url.rstrip("/")

    @field_validator("cycles")
    @classmethod
    def _each_person_once(cls, names: tuple[CycleName, ...]) -> tuple[CycleName, ...]:
        if not names or len(set(names)) != len(names):
            raise InputError(f"source.cycles must name each cycle once, got {', '.join(names) or 'none'}")
        if PRE_PANDEMIC in names and "2017-2018" in names:
            raise InputError(f"source.cycles must have one of 2017-2018 and {PRE_PANDEMIC}, which share their people")
        return tuple(cycle.name for cycle in chosen(names))

    def relative_to(self, folder: Path) -> "NhanesCdc":
        """The same source, with a relative folder seen from ``folder``."""
        return self if self.folder is None else self.in_folder(Path(located(str(self.folder), folder)))

    def in_folder(self, folder: Path) -> "NhanesCdc":
        """The same source, its files kept in ``folder``."""
        return self.model_copy(update={"folder": folder})

    def names(self) -> list[str]:
        """Names of the table's columns, known before anything is downloaded."""
        return list(COLUMNS)

    def preview(self, columns: Sequence[str], rows: int) -> pd.DataFrame:
        """The first rows, at most ``rows``; while files are missing, a few rows that show what a column holds.

        Raises:
            OutsideError: Files are missing and the CDC is out of reach.
        """
        table = self._table()
        if table is not None:
            return Parquet(path=str(table)).preview(columns, rows)
        with self._ready():
            for absent in missing(self._wanted(), self._place)[:1]:
                reach(absent, self._place)
        return self._specimen().head(rows)[list(columns)]

    def open(self, columns: Sequence[str], scratch: Path) -> Any:
        """A lazy ``dask.dataframe``, one part a cycle; what is missing is downloaded first."""
        return Parquet(path=str(self._table() or self.fetch(silent))).open(columns, scratch)

    def fetch(self, report: Report) -> Path:
        """Download what is missing, check what is there, and give the table made of it.

        ``report`` hears of each file and then of each cycle.

        Raises:
            OutsideError: The CDC is out of reach or has no such file, a file is no table or no longer what it was, or
                the disk does not take it. What has come stays for the next time.
        """
        cycles, wanted = chosen(self.cycles), self._wanted()
        steps, heard = len(wanted) + len(cycles), {"files": 0.0, "megabytes": 0.0, "replaced": 0.0}

        def came(count: int, record: Record) -> None:
            heard["files"] = float(count)
            heard["megabytes"] += record.bytes / _MEGABYTE
            heard["replaced"] += float(bool(record.replaced))
            report(count - 1, steps, dict(heard))

        def built(count: int) -> None:
            report(len(wanted) + count - 1, steps, {"cycles": float(count)})

        with self._ready(), _alone(self._place):
            records = fetch(wanted, self._place, Manners(self.connections), self.refresh, came)
            table = table_of(self._place, cycles, [record.sha256 for record in records])
            if not table.is_file():
                build(self._place, cycles, table, built)
        return table

    def notes(self) -> list[str]:
        """One sentence for each file that the CDC has replaced since it was first downloaded."""
        found = [(wanted, record) for wanted in self._wanted() if (record := self._record(wanted)) and record.replaced]
        return [
            f"the CDC has replaced {wanted} since it was first downloaded "
            f"(SHA-256 {record.replaced[:12]} then, {record.sha256[:12]} now)"
            for wanted, record in found
        ]

    def stamp(self) -> str | None:
        """What tells that the table has not changed; None where that is known only after asking or downloading."""
        table = None if self.refresh else self._table()
        return table.name if table else None

    @property
    def _place(self) -> Path:
        if self.folder is None:
            raise InputError("source.folder must be given here, no run lends a folder for downloads")
        return self.folder

    def _wanted(self) -> list[Wanted]:
        return [
            Wanted(f"{file}.xpt", cycle.name, f"{self.base_url}/{cycle.path.format(file)}")
            for cycle in chosen(self.cycles)
            for file in sorted(set(cycle.files.values()))
        ]

    def _record(self, wanted: Wanted) -> Record | None:
        path = place_of(self._place, wanted.name)
        return record_of(path) if path.is_file() else None

    def _table(self) -> Path | None:
        """The table, where it has been made of the files that are there."""
        records = [self._record(wanted) for wanted in self._wanted()]
        if None in records:
            return None
        table = table_of(self._place, chosen(self.cycles), [record.sha256 for record in records if record])
        return table if table.is_file() else None

    @contextmanager
    def _ready(self) -> Iterator[None]:
        """The folder is there in this block; where files cannot be had, it holds a list of them afterwards."""
        try:
            self._place.mkdir(parents=True, exist_ok=True)
            with listing(self._wanted(), self._place):
                yield
        except OSError as problem:
            raise OutsideError(f"folder {self._place} cannot be written: {problem.strerror or problem}") from problem

    def _specimen(self) -> pd.DataFrame:
        words: Mapping[str, Sequence[str]] = {
            "cycle": self.cycles,
            "race_eth": tuple(RACES.values()),
            "smoking": SMOKING,
        }
        values = {name: islice(around(words.get(name, (0.0, 1.0))), 20) for name in COLUMNS}
        return pd.DataFrame({name: list(some) for name, some in values.items()})


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other run works in the folder; the system lets go of it if this one dies."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in folder.glob(".unfinished-*"):  # by a run that was killed
            shutil.rmtree(left, ignore_errors=True)
        yield
