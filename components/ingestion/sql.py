"""Tables and queries of any database that SQLAlchemy reaches."""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from components.errors import InputError, OutsideError
from components.ingestion.locations import located
from components.ingestion.parallel import table_of_parts
from components.ingestion.reasons import reason
from components.secrets import Lookup, environment, filled, masked, shown, speakable

if TYPE_CHECKING:
    import sqlalchemy as sa

_CHUNK_ROWS = 100_000


class Sql(BaseModel):
    """A table or the result of a query, read once from beginning to end.

    Attributes:
        kind: ``sql``.
        url: Where the database is, as SQLAlchemy writes it (``sqlite:///file.db``); ``${NAME}`` stands for an
            environment variable, so that no password need be written down.
        query: What to select. Give this or ``table``.
        table: Name of a table or view, perhaps with its schema before a dot.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["sql"] = "sql"
    url: str = Field(repr=False)
    query: str | None = None
    table: str | None = None
    _lookup: Lookup = PrivateAttr(default_factory=lambda: environment)  # a default would be bound like a method

    @model_validator(mode="after")
    def _one_of_both(self) -> "Sql":
        if (self.query is None) == (self.table is None):
            given = "neither" if self.query is None else "both"
            raise InputError(f"source must have either query or table, got {given}")
        return self

    def relative_to(self, folder: Path) -> "Sql":
        """The same source; the file of a SQLite database is seen from ``folder``."""
        match = re.fullmatch(r"(sqlite(?:\+\w+)?:///)([^:/?$][^?]*)(\?.*)?", self.url)
        if not match:
            return self
        start, file, rest = match.groups()
        return self.model_copy(update={"url": start + located(file, folder) + (rest or "")})

    def with_secrets(self, lookup: Lookup) -> "Sql":
        """The same source; what ``${NAME}`` stands for is asked of ``lookup``, each time it is used."""
        copy = self.model_copy()
        copy._lookup = lookup
        return copy

    def files(self) -> tuple[str, ...]:
        """Paths that the URL names: the database where there is no host to ask for it, and options with a slash.

        Raises:
            InputError: The URL is none, or a reference in it stands for nothing.
        """
        url, _ = self._resolved()
        options = [part for value in url.query.values() for part in ((value,) if isinstance(value, str) else value)]
        file = () if url.host or url.database in (None, "", ":memory:") else (str(url.database),)
        return (*file, *(option for option in options if "/" in option))

    def names(self) -> list[str]:
        """Names of the result's columns, repeated ones included."""
        with self._connected() as connection:
            if self.table is not None:
                self._find_table(connection)
            with _asking(self._what()):
                return list(connection.execute(self._statement()).keys())

    def preview(self, columns: Sequence[str], rows: int) -> pd.DataFrame:
        """The first rows that the database gives, at most ``rows``."""
        with self._connected() as connection, _asking(self._what()):
            result = connection.execute(self._statement())
            frame = pd.DataFrame([tuple(row) for row in result.fetchmany(rows)], columns=list(result.keys()))
        return _storable(frame[list(columns)])

    def open(self, columns: Sequence[str], scratch: Path) -> Any:
        """A lazy ``dask.dataframe`` over a copy in ``scratch``, so that all passes see the same rows."""
        files: list[Path] = []
        with self._connected() as connection, _asking(self._what()):
            for chunk in pd.read_sql_query(self._statement(), connection, chunksize=_CHUNK_ROWS):
                files.append(scratch / f"chunk-{len(files):06d}.parquet")
                _storable(chunk[list(columns)]).to_parquet(files[-1], index=False)
        return table_of_parts(pd.read_parquet, files, columns)

    def _what(self) -> str:
        return f"source.table {self.table!r}" if self.table else f"source.query {self.query!r}"

    def _statement(self) -> "sa.TextClause | sa.Select[Any]":
        import sqlalchemy as sa

        if self.table is None:
            return sa.text(str(self.query))
        schema, _, name = self.table.rpartition(".")
        return sa.select(sa.text("*")).select_from(sa.table(name, schema=schema or None))

    def _find_table(self, connection: "sa.Connection") -> None:
        import sqlalchemy as sa

        schema, _, name = str(self.table).rpartition(".")
        known = sa.inspect(connection)
        if not known.has_table(name, schema=schema or None):
            tables = known.get_table_names(schema=schema or None)
            near = get_close_matches(name, tables, n=1, cutoff=0.5) or tables[:5]
            raise InputError(
                f"source.table must exist, got {self.table!r}; the database has {', '.join(near) or 'none'}"
            )

    @contextmanager
    def _connected(self) -> Iterator["sa.Connection"]:
        import sqlalchemy as sa
        from sqlalchemy.exc import DBAPIError

        engine, text = self._engine()
        try:
            try:
                connection = engine.connect()
            except (DBAPIError, OSError) as problem:
                raise OutsideError(
                    f"source.url {text} does not answer: {reason(masked(getattr(problem, 'orig', problem)))}"
                ) from speakable(problem)
            with connection:
                yield connection.execution_options(stream_results=True)
        finally:
            sa.Engine.dispose(engine)

    def _engine(self) -> tuple["sa.Engine", str]:
        import sqlalchemy as sa
        from sqlalchemy.exc import ArgumentError

        url, text = self._resolved()
        try:
            if url.get_backend_name() != "sqlite":
                return sa.create_engine(url), text
            _must_exist(url)
            engine = sa.create_engine(url)
        except ArgumentError:  # its words may hold the password
            raise _no_url(self.url) from None
        except ModuleNotFoundError as problem:
            raise OutsideError(f"source.url {text} needs the Python package {problem.name}; install it") from problem
        sa.event.listen(engine, "connect", _only_read)
        return engine, text

    def _resolved(self) -> tuple["sa.URL", str]:
        """The URL with its secrets, and as it may be shown."""
        import sqlalchemy as sa
        from sqlalchemy.exc import ArgumentError

        written = filled("source.url", self.url, self._lookup)
        try:
            url = sa.make_url(written)
        except (ArgumentError, ValueError):
            raise _no_url(self.url) from None
        return url, shown(url.render_as_string(hide_password=True))


def _must_exist(url: "sa.URL") -> None:
    # SQLite would make a new, empty database; as a URI its name would have a grammar of its own.
    if "uri" in url.query:
        raise InputError("source.url must name a SQLite file as a plain path, got the option uri; leave it out")
    if url.database and url.database != ":memory:" and not Path(url.database).is_file():
        raise InputError(f"source.url must name an existing SQLite file, found none at {url.database}")


def _only_read(connection: Any, _record: object) -> None:
    """A query may neither change the file nor write or open another one (``VACUUM INTO``, ``ATTACH``)."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.execute("pragma query_only = on")


def _no_url(written: str) -> InputError:
    # What is no URL has no place for a password either, and may hold one all the same.
    safe = re.sub(r":[^:@/]*@", ":***@", masked(shown(written)))
    return InputError(f"source.url must be a database URL such as sqlite:///file.db, got {safe!r}")


@contextmanager
def _asking(what: str) -> Iterator[None]:
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError

    try:
        yield
    except DBAPIError as problem:
        if problem.connection_invalidated:
            raise OutsideError(
                f"the database went away while {what} was read: {reason(masked(problem.orig))}"
            ) from speakable(problem)
        raise InputError(
            f"{what} must be something the database can select, but it says: {reason(masked(problem.orig))}"
        ) from speakable(problem)
    except SQLAlchemyError as problem:
        raise InputError(
            f"{what} must be something the database can select, but: {reason(masked(problem))}"
        ) from speakable(problem)


def _storable(frame: pd.DataFrame) -> pd.DataFrame:
    """Objects (decimals, dates, a mix of types) as text, the one thing every chunk agrees on."""
    mixed = {name: frame[name].map(str, na_action="ignore") for name in frame.columns if frame[name].dtype == object}
    return frame.assign(**mixed)
