"""Two who read and then write one SQLite database: the second waits for the first and is not refused."""

import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import OperationalError

from tasks.servers import WRITERS_WAIT, PrefectServer


def opened(file: Path, query: str = "") -> Engine:
    """An engine that begins its transactions as Prefect's server does."""
    engine = create_engine(f"sqlite:///{file}{query}", connect_args={"timeout": 20, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _no_begin_of_its_own(connection, record) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")

    @event.listens_for(engine, "begin")
    def _begin(connection) -> None:
        connection.exec_driver_sql("BEGIN DEFERRED")

    return engine


def two_writers(engine: Engine) -> int:
    """One reads, another one writes, the first writes; gives the number of rows at the end."""
    with engine.begin() as first:
        first.exec_driver_sql("create table runs (id integer)")
    other = threading.Thread(target=lambda: _write(engine))
    with engine.begin() as first:
        first.exec_driver_sql("select count(*) from runs").all()
        other.start()
        other.join(1)  # as a plain reader the first holds nobody up
        first.exec_driver_sql("insert into runs values (1)")
    other.join(30)
    with engine.begin() as last:
        return int(last.exec_driver_sql("select count(*) from runs").scalar_one())


def _write(engine: Engine) -> None:
    with engine.begin() as second:
        second.exec_driver_sql("insert into runs values (2)")


def test_both_write_when_the_address_asks_for_it(tmp_path: Path) -> None:
    engine = opened(tmp_path / "runs.db", f"?plugin={WRITERS_WAIT}")
    assert two_writers(engine) == 2
    engine.dispose()


def test_without_it_sqlite_refuses_at_once(tmp_path: Path) -> None:
    engine = opened(tmp_path / "runs.db")
    with pytest.raises(OperationalError, match="database is locked"):
        two_writers(engine)
    engine.dispose()


def test_the_prefect_server_asks_for_it_on_its_own_file_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "PREFECT_API_DATABASE_CONNECTION_URL"
    monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", raising=False)
    own = PrefectServer(tmp_path)._environment()[name]
    assert own == f"sqlite+aiosqlite:///{tmp_path / 'prefect' / 'prefect.db'}?plugin={WRITERS_WAIT}"
    given = "postgresql+asyncpg://somewhere/prefect"
    assert PrefectServer(tmp_path, database_url=given)._environment()[name] == given
    monkeypatch.setenv(name, given)
    assert PrefectServer(tmp_path)._environment()[name] == given
