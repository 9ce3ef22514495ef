"""A Prefect API of our own, for as long as a run lasts."""

import atexit
import importlib.metadata
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from components.errors import OutsideError

HOST = "127.0.0.1"
DATABASE = "prefect.db"
LOG_LINES = 8
GRACE_SECONDS = 5.0
ATTEMPTS = 3

# The server ends itself when its parent is gone, even by SIGKILL. A watch on the parent's pid, because the kernel's
# own signal (PR_SET_PDEATHSIG) already fires when the thread that started the child ends.
_GUARDED_PREFECT = """
import os, runpy, signal, sys, threading, time
parent = int(sys.argv.pop(1))
def watch():
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)
    os._exit(1)
threading.Thread(target=watch, daemon=True).start()
sys.argv[0] = "prefect"
runpy.run_module("prefect", run_name="__main__", alter_sys=True)
"""


def free_port() -> int:
    """A TCP port of this machine that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class PrefectServer:
    """A Prefect API on a free port of this machine, with its state in a folder.

    ``start`` returns at once, so that the 3 s the server needs (9 s on an empty folder, for its migrations) pass
    while the caller imports its own modules; ``wait`` returns when it answers.
    """

    def __init__(self, home: Path) -> None:
        self.folder = home / "prefect"
        self.log = self.folder / "server.log"
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Address of the API; final once ``wait`` has returned."""
        return f"http://{HOST}:{self.port}/api"

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the server in the background; a second call does nothing.

        Raises:
            OutsideError: The folder cannot be written.
        """
        if self._process:
            return
        self.port = free_port()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _from_template(self.folder / DATABASE)
            log = self.log.open("wb")
        except OSError as error:
            raise OutsideError(
                f"the Prefect server cannot write {self.log} ({error.strerror}); set KINTSUGI_HOME"
            ) from error
        with log:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own words
                [sys.executable, "-c", _GUARDED_PREFECT, str(os.getpid()), *self._command()],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        atexit.register(self.stop)

    def wait(self, timeout: float = 120.0) -> str:
        """The URL of the API, once it answers; a port that was taken meanwhile is replaced by another.

        Raises:
            OutsideError: The server ended, or did not answer within ``timeout`` seconds.
        """
        self.start()
        attempts, deadline = 1, time.monotonic() + timeout
        while not self._healthy():
            if self._process is None or self._process.poll() is not None:
                last = self._last_words()
                self.stop()
                if "already in use" not in last or attempts == ATTEMPTS:
                    raise OutsideError(f"the Prefect server ended before it answered; its log {self.log} ends: {last}")
                attempts += 1
                self.start()
            if time.monotonic() > deadline:
                last = self._last_words()
                self.stop()
                raise OutsideError(
                    f"the Prefect server did not answer within {timeout:g} s; its log {self.log} ends: {last}"
                )
            time.sleep(0.05)
        return self.url

    def stop(self) -> None:
        """End the server: SIGTERM, and SIGKILL for its whole session after a grace time. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        atexit.unregister(self.stop)
        process.terminate()
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            _kill_session(process.pid)
            process.wait()

    def _command(self) -> list[str]:
        return ["server", "start", "--host", HOST, "--port", str(self.port)]

    def _environment(self) -> dict[str, str]:
        inherited = {
            name: value for name, value in os.environ.items() if name not in ("PREFECT_API_URL", "PREFECT_PROFILE")
        }
        return inherited | {
            "DO_NOT_TRACK": "true",
            "PREFECT_HOME": str(self.folder),
            "PREFECT_LOCAL_STORAGE_PATH": str(self.folder / "storage"),
            "PREFECT_LOGGING_LEVEL": "WARNING",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
            "PREFECT_UI_API_URL": self.url,
            "PREFECT_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            "PYTHONUNBUFFERED": "1",
        }

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=2) as answer:  # noqa: S310 - our own http address
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _last_words(self) -> str:
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return " | ".join(lines[-LOG_LINES:]) or "(empty)"


def template() -> Path:
    """Where an empty, migrated database for this version of Prefect is kept, if an install has made one."""
    return Path(sys.prefix) / "share" / "kintsugi" / f"prefect-{importlib.metadata.version('prefect')}.db"


def prepare_template() -> None:
    """Make the template: a hundred migrations once at the install and not at the first run of every home."""
    if template().exists():
        return
    template().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        with embedded_prefect(Path(home)):
            pass
        part = template().with_suffix(".part")
        with closing(sqlite3.connect(Path(home, "prefect", DATABASE))) as made, closing(sqlite3.connect(part)) as copy:
            made.backup(copy)
        part.replace(template())


def _from_template(database: Path) -> None:
    if template().exists() and not database.exists():
        part = database.with_suffix(f".{os.getpid()}.part")
        shutil.copyfile(template(), part)
        part.replace(database)


@contextmanager
def embedded_prefect(home: Path) -> Iterator[str]:
    """A Prefect API with its state in ``home/prefect``; gives its URL and stops it at the end, whatever happens.

    Raises:
        OutsideError: It does not come up.
    """
    server = PrefectServer(home)
    try:
        yield server.wait()
    finally:
        server.stop()


def _kill_session(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return
