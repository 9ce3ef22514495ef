"""Programs of ours in the background: started with a log, waited for, and ended with all they have started.

A program is started through :mod:`tasks.guarded`, which ends it when this process is gone, even by SIGKILL.
"""

import atexit
import os
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, NamedTuple

from components.errors import InputError, OutsideError

HOST = "127.0.0.1"
EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104  # recognised, never chosen
LAST_PORT = 65_535
LOG_LINES = 8
GRACE_SECONDS = 5.0
ATTEMPTS = 3
POLL_SECONDS = 0.05


class Member(NamedTuple):
    """A process as it was when it was looked at.

    Attributes:
        pid: Its id.
        parent: Its parent's id.
        session: Its session, which has the id of the process that began it.
        begun: Clock ticks from the start of the machine to its own: no later process with this id has the same.
    """

    pid: int
    parent: int
    session: int
    begun: int


class Address:
    """Where a server listens: a port that was asked for, or any free one.

    ``asked`` is the port a person wants, 0 for any.
    """

    def __init__(self, asked: int = 0, host: str = HOST) -> None:
        self.asked, self.host, self.port = asked, host, asked

    @property
    def url(self) -> str:
        """How this machine reaches it; final once the server answers."""
        name = HOST if self.host in EVERYWHERE else self.host
        return f"http://[{name}]:{self.port}" if ":" in name else f"http://{name}:{self.port}"

    def choose(self) -> None:
        """Take a port for the next start.

        Raises:
            InputError: The one that was asked for is taken, or the machine has no such host.
        """
        if not self.asked:
            self.port = free_port()
            return
        if not 0 < self.asked <= LAST_PORT:
            raise InputError(f"port must lie in [0, {LAST_PORT}], got {self.asked}")
        try:
            _bound(self.host, self.asked).close()
        except OSError as error:
            raise InputError(
                f"port {self.asked} of {self.host} must be free ({error.strerror}); end the program that listens "
                "there, or choose another port (0: any free one)"
            ) from error


class Process(ABC):
    """A program in the background, with its log in a file.

    ``start`` returns at once, so that the seconds it needs pass while the caller does other things; ``wait`` returns
    when it is ready. A subclass says what is run and when it is ready.
    """

    called: ClassVar[str]

    def __init__(self, log: Path, address: Address | None = None) -> None:
        self.log = log
        self.address = address or Address()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """Where it listens, final once ``wait`` has returned."""
        return self.address.port

    @property
    def url(self) -> str:
        """Address for programs, final once ``wait`` has returned it; empty where it has none."""
        return ""

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended by itself."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it in the background; a second call does nothing.

        Raises:
            OutsideError: Its log cannot be written.
            InputError: The port that was asked for is taken.
        """
        if self._process:
            return
        self.address.choose()
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            self._prepare()
            log = self.log.open("wb")
        except OSError as error:
            raise OutsideError(
                f"the {self.called} cannot write {self.log} ({error.strerror}); set KINTSUGI_HOME"
            ) from error
        with log:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own words
                [sys.executable, "-P", "-m", "tasks.guarded", str(os.getpid()), *self._command()],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        atexit.register(self.stop)

    def wait(self, timeout: float = 120.0) -> str:
        """Its address, once it is ready; a port that was taken meanwhile is replaced, unless a person asked for it.

        Raises:
            OutsideError: It ended, or was not ready within ``timeout`` seconds.
        """
        self.start()
        attempts, deadline = 1, time.monotonic() + timeout
        while not self._ready():
            if not self.running:
                last = self.last_words()
                self.stop()
                if self.address.asked or "already in use" not in last or attempts == ATTEMPTS:
                    raise OutsideError(f"the {self.called} ended before it was ready; its log {self.log} ends: {last}")
                attempts += 1
                self.start()
            if time.monotonic() > deadline:
                last = self.last_words()
                self.stop()
                raise OutsideError(
                    f"the {self.called} was not ready within {timeout:g} s; its log {self.log} ends: {last}"
                )
            time.sleep(POLL_SECONDS)
        return self.url

    def stop(self) -> None:
        """End it and all it has started: politely, and by SIGKILL after a grace time. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        atexit.unregister(self.stop)
        members = self._end(process)
        try:
            process.wait(GRACE_SECONDS)
            await_end(members, GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            kill_all(members)
            process.wait()

    def last_words(self) -> str:
        """The last lines of its log."""
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return " | ".join(lines[-LOG_LINES:]) or "(empty)"

    def _end(self, process: "subprocess.Popen[bytes]") -> list[Member]:
        """Ask it to end; gives all that have to be gone before it counts as stopped."""
        members = family(process.pid)
        process.terminate()
        return members

    def _prepare(self) -> None:  # noqa: B027 - most need nothing
        """Make what must be there before it starts."""

    @abstractmethod
    def _command(self) -> list[str]:
        """Name of a Python module, and its arguments."""

    @abstractmethod
    def _environment(self) -> dict[str, str]:
        """All the variables it sees."""

    @abstractmethod
    def _ready(self) -> bool:
        """Whether it does its work by now."""


def free_port() -> int:
    """A TCP port of this machine that nobody listens on right now."""
    with _bound(HOST, 0) as probe:
        return int(probe.getsockname()[1])


def family(pid: int) -> list[Member]:
    """A process that runs, its children, their children, and so on."""
    everyone = {member.pid: member for member in _everyone()}
    children: dict[int, list[Member]] = {}
    for member in everyone.values():
        children.setdefault(member.parent, []).append(member)
    members = [everyone[pid]] if pid in everyone else []
    for member in members:  # grows while it is walked through
        members += children.get(member.pid, [])
    return members


def alive(member: Member) -> bool:
    """Whether it still runs."""
    found = _look(member.pid)
    return found is not None and found.begun == member.begun


def await_end(members: Collection[Member], seconds: float) -> bool:
    """Wait until all have ended; False when some have not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while any(alive(member) for member in members):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def kill_all(members: Collection[Member]) -> None:
    """SIGKILL for those that still run, and for all in the sessions they began, which may have grown meanwhile."""
    for member in members:
        if alive(member):
            send(member, signal.SIGKILL)
    # The number of a session is not given to another process while a member of the session lives.
    sessions = {member.pid for member in members if member.session == member.pid}
    for member in _everyone():
        if member.session in sessions:
            send(member, signal.SIGKILL)


def send(member: Member, sign: signal.Signals) -> None:
    """Send a signal to a process, which may have ended."""
    with suppress(ProcessLookupError):
        os.kill(member.pid, sign)


def _look(pid: int) -> Member | None:
    """What the kernel says of a process; None when it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()  # from the third field on; the second is a name that may hold anything
    return None if fields[0] in "ZX" else Member(pid, int(fields[1]), int(fields[3]), int(fields[19]))


def _everyone() -> Iterator[Member]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and (found := _look(int(folder.name))):
            yield found


def _bound(host: str, port: int) -> socket.socket:
    kind, _, _, _, place = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    probe = socket.socket(kind, socket.SOCK_STREAM)
    try:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: not held up by old connections
        probe.bind(place)
    except BaseException:
        probe.close()
        raise
    return probe
