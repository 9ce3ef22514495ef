"""Let the writers of an SQLite database wait for each other.

Prefect's server begins a transaction, reads, and then writes. When somebody else has written in between, SQLite refuses
at once and does not wait, and the server answers 503 (database is locked). Python clients ask again; a page does not,
and a person who starts a run from its form while another run goes on is told that something went wrong. A transaction
that is marked as a writing one at its beginning waits for its turn instead.

SQLAlchemy finds the plugin by its entry point, when the address of a database asks for it with
``?plugin=kintsugi_sqlite_writers``.
"""

from typing import Any

from sqlalchemy import URL, event
from sqlalchemy.engine import CreateEnginePlugin, Engine

LATE, AT_ONCE = "BEGIN DEFERRED", "BEGIN IMMEDIATE"


class SqliteWriters(CreateEnginePlugin):
    """Marks every transaction of an engine that is begun in so many words as a writing one."""

    def update_url(self, url: URL) -> URL:
        """Called by SQLAlchemy, which takes its own words out of the address itself."""
        return url

    def engine_created(self, engine: Engine) -> None:
        """Called by SQLAlchemy."""
        event.listen(engine, "before_cursor_execute", _begin_as_writer, retval=True)


def _begin_as_writer(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
    return (AT_ONCE if statement == LATE else statement), parameters
