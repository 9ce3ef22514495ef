import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from components.errors import OutsideError
from tasks import processes, servers
from tasks.servers import PrefectServer, embedded_prefect, free_port


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def gone(pid: int, within: float = 15.0) -> bool:
    """Whether a process ends in time; a zombie whose parent is gone counts as ended."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.1)
    return False


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all servers of this file: only the first pays for the migrations."""
    return tmp_path_factory.mktemp("home")


def test_free_ports_can_be_listened_on() -> None:
    port = free_port()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        assert listener.getsockname()[1] == port


@pytest.mark.server
def test_a_server_starts_answers_and_leaves_no_process(home: Path) -> None:
    server = PrefectServer(home)
    start = time.monotonic()
    server.start()
    assert time.monotonic() - start < 1
    pid = server.pid
    assert pid is not None
    url = server.wait()
    assert answers(url)
    assert (home / "prefect" / "prefect.db").is_file()
    server.stop()
    assert gone(pid)
    assert not answers(url)
    server.stop()


def fail_beside_it(home: Path, seen: list[str]) -> None:
    with embedded_prefect(home) as url:
        assert answers(url)
        seen.append(url)
        raise ZeroDivisionError


@pytest.mark.server
def test_it_is_stopped_when_the_block_fails_and_a_taken_port_is_replaced(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        seen: list[str] = []
        ports = iter([taken.getsockname()[1], free_port()])
        monkeypatch.setattr(processes, "free_port", lambda: next(ports))
        # The stranger on that port accepts connections and says nothing; health checks must not wait for it long.
        with pytest.raises(ZeroDivisionError):
            fail_beside_it(home, seen)
        assert seen
        assert not answers(seen[0])
        assert next(ports, None) is None


@pytest.mark.server
def test_it_ends_when_its_parent_is_killed(home: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tasks.servers import PrefectServer;"
        "server = PrefectServer(Path(sys.argv[1])); server.wait(); print(server.pid, server.url, flush=True);"
        "import time; time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(home)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        pid, url = parent.stdout.readline().split()
    assert answers(url)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    assert gone(int(pid))
    assert not answers(url)


def command(*words: str) -> Callable[[PrefectServer], list[str]]:
    return lambda _: list(words)


def test_a_server_that_ends_early_is_reported_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PrefectServer, "_command", command("prefect", "server", "start", "--prot", "1"))
    with pytest.raises(OutsideError, match=r"ended before it was ready.*server\.log ends: .*--prot"):
        PrefectServer(tmp_path).wait()


def test_a_server_that_never_answers_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PrefectServer, "_command", command("http.server", "0"))
    server = PrefectServer(tmp_path)
    server.start()
    pid = server.pid
    assert pid is not None
    with pytest.raises(OutsideError, match=r"was not ready within 0\.5 s"):
        server.wait(timeout=0.5)
    assert gone(pid)


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutsideError, match=r"cannot write .*set KINTSUGI_HOME"):
        PrefectServer(tmp_path / "file").start()


def test_a_new_home_starts_from_the_template_when_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "template.db"
    made.write_bytes(b"migrated")
    monkeypatch.setattr(servers, "template", lambda: made)
    servers._from_template(tmp_path / "prefect.db")
    assert (tmp_path / "prefect.db").read_bytes() == b"migrated"
    (tmp_path / "prefect.db").write_bytes(b"used")
    servers._from_template(tmp_path / "prefect.db")
    assert (tmp_path / "prefect.db").read_bytes() == b"used"


@pytest.mark.server
def test_the_template_is_a_migrated_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "share" / "template.db"
    monkeypatch.setattr(servers, "template", lambda: made)
    servers.prepare_template()
    with closing(sqlite3.connect(made)) as database:
        tables = {row[0] for row in database.execute("select name from sqlite_master where type = 'table'")}
    assert {"flow_run", "task_run", "artifact", "alembic_version"} <= tables
    before = made.stat().st_mtime_ns
    servers.prepare_template()
    assert made.stat().st_mtime_ns == before
