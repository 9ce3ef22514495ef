"""Programs in the background: nothing of them is left behind, and nobody else is ended in their place."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.errors import InputError, OutsideError
from tasks import processes
from tasks.processes import Address, Member, Process, alive, family, kill_all

# A family of three generations that does not listen to SIGTERM; each writes its pid, the youngest leads a session.
STUBBORN = """
    import os, signal, subprocess, sys, time
    from pathlib import Path
    generation, folder = int(sys.argv[1]), Path(sys.argv[2])
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if generation < 3:
        words = [sys.executable, __file__, str(generation + 1), str(folder)]
        subprocess.Popen(words, start_new_session=generation == 2)
    (folder / f"{generation}.part").write_text(str(os.getpid()))
    (folder / f"{generation}.part").rename(folder / f"{generation}.pid")
    time.sleep(60)
"""


class Scene(Process):
    """A module of the test's as a program; ready when it has written as many pids as asked."""

    called = "scene"

    def __init__(self, folder: Path, code: str, generations: int = 3) -> None:
        (folder / "scene_of_a_test.py").write_text(textwrap.dedent(code))
        self.folder, self.generations = folder, generations
        super().__init__(folder / "scene.log")

    def pids(self) -> list[int]:
        return [int(path.read_text()) for path in sorted(self.folder.glob("*.pid"))]

    def _command(self) -> list[str]:
        return ["scene_of_a_test", "1", str(self.folder)]

    def _environment(self) -> dict[str, str]:
        return os.environ | {"PYTHONPATH": str(self.folder)}

    def _ready(self) -> bool:
        return len(self.pids()) == self.generations


def runs(pid: int) -> bool:
    """Whether a process runs, found by ``ps`` and not by the code under test."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")


def ended(pids: list[int], within: float = 20.0) -> bool:
    deadline = time.monotonic() + within
    while any(runs(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.3)


@pytest.fixture
def bystander() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True) as process:
        yield process
        process.kill()


def test_a_family_that_ignores_sigterm_is_ended_to_its_last_member(
    tmp_path: Path, impatient: None, bystander: "subprocess.Popen[bytes]"
) -> None:
    scene = Scene(tmp_path, STUBBORN)
    scene.wait()
    pids = scene.pids()
    assert all(runs(pid) for pid in pids)
    assert {member.pid for member in family(pids[0])} == set(pids)
    scene.stop()
    assert ended(pids, within=1)
    assert runs(bystander.pid)
    assert not scene.running
    scene.stop()


def test_those_that_were_orphaned_in_its_session_are_ended_too(tmp_path: Path, impatient: None) -> None:
    # The child of a child that has ended has another parent; it is found by its session.
    code = """
        import os, subprocess, sys, time
        from pathlib import Path
        folder = Path(sys.argv[2])
        if sys.argv[1] == "1":
            subprocess.run([sys.executable, __file__, "2", str(folder)], check=True)
            (folder / "1.pid").write_text(str(os.getpid()))
            time.sleep(60)
        nap = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        (folder / "2.pid").write_text(str(nap.pid))
        os._exit(0)
    """
    scene = Scene(tmp_path, code, generations=2)
    scene.wait()
    pids = scene.pids()
    assert {member.pid for member in family(pids[0])} == {pids[0]}
    assert runs(pids[1])
    scene.stop()
    assert ended(pids, within=1)


def test_nothing_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "scene_of_a_test.py").write_text(textwrap.dedent(STUBBORN))
    code = (
        "import subprocess, sys, os, time;"
        "subprocess.Popen([sys.executable, '-P', '-m', 'tasks.guarded', str(os.getpid()), 'scene_of_a_test', '1',"
        " sys.argv[1]], start_new_session=True); time.sleep(60)"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=environment) as parent:
        deadline = time.monotonic() + 30
        while len(found := list(tmp_path.glob("*.pid"))) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        pids = [int(path.read_text()) for path in found]
        parent.kill()
    assert ended(pids)


def test_a_later_process_with_the_same_id_is_left_alone(bystander: "subprocess.Popen[bytes]") -> None:
    (found,) = family(bystander.pid)
    assert alive(found)
    former = found._replace(begun=found.begun - 1, session=0)
    assert not alive(former)
    kill_all([former])
    assert bystander.poll() is None
    kill_all([found])
    assert bystander.wait(5) == -signal.SIGKILL


def test_a_name_with_brackets_and_blanks_does_not_confuse_it(tmp_path: Path) -> None:
    code = """
        import os, sys, time
        from pathlib import Path
        Path("/proc/self/comm").write_text("a) Z 1 (b")
        (Path(sys.argv[2]) / "1.pid").write_text(str(os.getpid()))
        time.sleep(60)
    """
    scene = Scene(tmp_path, code, generations=1)
    try:
        scene.wait()
        (member,) = family(scene.pids()[0])
        assert (member.parent, member.session) == (os.getpid(), member.pid)
    finally:
        scene.stop()


def test_a_process_that_has_ended_has_no_family(bystander: "subprocess.Popen[bytes]") -> None:
    bystander.kill()
    # Nobody has waited for it yet: to the kernel it is there, as a zombie.
    assert ended([bystander.pid])
    assert family(bystander.pid) == []


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


class Never(Scene):
    def _ready(self) -> bool:
        raise AssertionError("it was started, although its port is taken")


def test_a_port_that_was_asked_for_and_is_taken_is_refused_before_the_start(tmp_path: Path, taken: int) -> None:
    scene = Never(tmp_path, "raise SystemExit")
    scene.address = Address(taken)
    with pytest.raises(
        InputError, match=rf"port {taken} of 127\.0\.0\.1 must be free \(Address already in use\).*0: any"
    ):
        scene.wait()
    assert scene.pid is None
    assert not scene.log.exists()


@pytest.mark.parametrize("port", [70_000, -1])
def test_a_port_that_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(InputError, match=rf"port must lie in \[0, 65535\], got {port}"):
        Address(port).choose()


def test_a_host_that_this_machine_does_not_have_is_refused() -> None:
    with pytest.raises(InputError, match=r"port 4200 of 192\.0\.2\.1 must be free"):
        Address(4200, "192.0.2.1").choose()


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://127.0.0.1:80"),
        ("::1", "http://[::1]:80"),
        ("here", "http://here:80"),
    ],
)
def test_this_machine_reaches_it_whatever_it_listens_on(host: str, url: str) -> None:
    assert Address(80, host).url == url


def test_a_port_that_was_asked_for_is_not_replaced(tmp_path: Path) -> None:
    scene = Scene(tmp_path, "raise SystemExit('Address already in use')")
    scene.address = Address(processes.free_port())
    with pytest.raises(
        OutsideError, match=r"the scene ended before it was ready; its log .* ends: Address already in use"
    ):
        scene.wait()


def test_what_ends_by_itself_is_known_with_its_last_words(tmp_path: Path) -> None:
    lines = "; ".join(f"print('line {number}')" for number in range(12))
    scene = Scene(tmp_path, lines, generations=0)
    scene.start()
    deadline = time.monotonic() + 20
    while scene.running:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert scene.last_words() == " | ".join(f"line {number}" for number in range(4, 12))
    scene.stop()


def member(**changes: Any) -> Member:
    return Member(*(changes.get(name, 0) for name in Member._fields))


@pytest.mark.parametrize("act", [kill_all, lambda members: [processes.send(each, signal.SIGTERM) for each in members]])
def test_a_process_that_is_gone_is_no_error_and_costs_nobody_else(
    act: Callable[[list[Member]], object], bystander: "subprocess.Popen[bytes]"
) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    act([member(pid=process.pid, session=1)])
    assert not Path(f"/proc/{process.pid}").exists()
    assert bystander.poll() is None
