import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from components.errors import InputError, OutsideError
from tasks.compute import open_map
from tasks.settings import Settings

local = pytest.mark.parametrize("kind", ["inline", "threads", "processes"])


def replicate(data: np.ndarray, seed: int) -> float:
    rows = np.random.default_rng(seed).integers(0, len(data), len(data))
    return float(np.linalg.slogdet(data[rows].T @ data[rows])[1])


def slow_first(item: int) -> int:
    time.sleep(0.3 if item == 0 else 0.0)
    return item


def fail_on_two(item: int) -> int:
    if item == 2:
        raise InputError("item must not be 2, got 2")
    return item


def die_on_two(item: int) -> int:
    if item == 2:
        os._exit(3)
    return item


def threads_of_blas(item: int) -> str:
    return os.environ.get("OMP_NUM_THREADS", "unset")


def expected() -> list[float]:
    return [replicate(data(), seed) for seed in range(8)]


def data() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((40, 3))


@local
def test_every_map_gives_the_same_numbers(kind: str) -> None:
    with open_map(Settings(map=kind, workers=2)) as mapped:
        assert list(mapped(partial(replicate, data()), range(8))) == expected()


@local
def test_results_keep_the_order_of_the_items(kind: str) -> None:
    with open_map(Settings(map=kind, workers=2)) as mapped:
        assert list(mapped(slow_first, range(5))) == list(range(5))


@local
def test_an_exception_comes_out_as_it_is_and_the_map_goes_on_working(kind: str) -> None:
    with open_map(Settings(map=kind, workers=2)) as mapped:
        results = iter(mapped(fail_on_two, range(9)))
        assert [next(results), next(results)] == [0, 1]
        with pytest.raises(InputError, match="must not be 2"):
            list(results)
        assert list(mapped(slow_first, [7])) == [7]


def test_results_come_before_the_last_is_there() -> None:
    gate = threading.Event()
    with open_map(Settings(map="threads", workers=2)) as mapped:
        results = iter(mapped(lambda item: gate.wait(20) if item else True, [0, 1]))
        assert next(results)
        gate.set()
        assert next(results)


def test_a_dying_worker_is_an_error_and_not_a_hang() -> None:
    start = time.monotonic()
    with (
        pytest.raises(OutsideError, match="worker process died"),
        open_map(Settings(map="processes", workers=2)) as mapped,
    ):
        list(mapped(die_on_two, range(4)))
    assert time.monotonic() - start < 30


def test_a_function_that_cannot_travel_is_named() -> None:
    lock = threading.Lock()

    def hold(item: int) -> bool:
        return lock.locked() or bool(item)

    with (
        open_map(Settings(map="processes", workers=1)) as mapped,
        pytest.raises(InputError, match=r"function .*hold must be picklable.*map=threads"),
    ):
        mapped(hold, [1])


def test_workers_use_one_thread_each_and_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with open_map(Settings(map="processes", workers=2)) as mapped:
        assert list(mapped(threads_of_blas, range(3))) == ["1"] * 3
        pids = set(mapped(worker, range(4)))
    assert os.getpid() not in pids
    assert not any(alive(pid) for pid in pids)


def test_ray_gives_the_same_numbers_and_errors() -> None:
    import ray

    before = signal.getsignal(signal.SIGTERM)
    with open_map(Settings(map="ray", workers=2)) as mapped:
        assert list(mapped(partial(replicate, data()), range(8))) == expected()
        with pytest.raises(InputError, match="must not be 2") as failed:
            list(mapped(fail_on_two, range(4)))
        assert failed.type is InputError
        for _ in range(60):  # a cancelled task that completes meanwhile would end this whole process
            with pytest.raises(InputError):
                list(mapped(fail_on_two, range(9)))
        with pytest.raises(OutsideError, match="Ray worker died"):
            list(mapped(die_on_two, range(4)))
        with open_map(Settings(map="ray", workers=2)) as again:
            assert list(again(slow_first, range(3))) == [0, 1, 2]
        assert ray.is_initialized()
    assert not ray.is_initialized()
    assert signal.getsignal(signal.SIGTERM) == before


def test_ray_is_not_started_in_a_thread() -> None:
    with ThreadPoolExecutor(1) as pool:
        opened = pool.submit(open_map(Settings(map="ray", workers=1)).__enter__)
        with pytest.raises(RuntimeError, match="main thread"):
            opened.result(60)


def test_an_absent_ray_cluster_is_named() -> None:
    with (
        pytest.raises(OutsideError, match="KINTSUGI_MAP=processes"),
        open_map(Settings(map="ray", ray_address="127.0.0.1:1")),
    ):
        pass


def worker(item: int) -> int:
    time.sleep(0.05)
    return os.getpid()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


LISTENING = """
import psutil
from tasks.compute import ray_session
from tasks.settings import Settings
with ray_session(Settings(map="ray", workers=1)) as ray:
    ray.get(ray.remote(lambda: 1).remote())
    ours = {child.pid for child in psutil.Process().children(recursive=True)} | {psutil.Process().pid}
    open_ = [each for each in psutil.net_connections("tcp") if each.pid in ours and each.status == "LISTEN"]
    assert len(open_) > 3, open_
    print(sorted({each.laddr.ip.removeprefix("::ffff:") for each in open_}))
"""


def test_a_ray_that_a_run_starts_listens_to_this_machine_only() -> None:
    done = subprocess.run([sys.executable, "-c", LISTENING], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == "['127.0.0.1']", done.stdout + done.stderr
