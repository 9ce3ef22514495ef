"""Where the replicates inside a stage run: here, in threads, in processes, on Ray."""

import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

from components.errors import InputError, OutsideError
from components.ports import Item, Map, Result, in_order
from tasks.processes import family, kill_all
from tasks.settings import Settings, quiet_environment

RAY_OBJECT_STORE_BYTES = 200 * 2**20
HEAD_SECONDS, HEAD_MISSED = 1.0, 3  # how often Ray's head is looked for, and how often in vain
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


def compute_in_one_thread() -> None:
    """Let BLAS, OpenMP and torch compute in one thread, in the thread that calls and from now on.

    The order in which they add numbers, and so the last bits of a result, depends on how many threads share them:
    with one, a model is the same on every machine and every runner. Parallel are the maps and the training workers.
    """
    import torch
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
    torch.set_num_threads(1)


@contextmanager
def open_map(settings: Settings) -> Iterator[Map]:
    """The parallel map that ``settings.map`` names; what it started is stopped at the end.

    Results come in the order of the items. An exception of the function comes out as it is, and drops the items
    that have not begun.

    Raises:
        OutsideError: Workers could not be started.
    """
    match settings.map:
        case "inline":
            yield in_order
        case "threads":
            with _threads(settings.worker_count) as mapped:
                yield mapped
        case "processes":
            with _processes(settings.worker_count) as mapped:
                yield mapped
        case "ray":
            with _ray(settings) as mapped:
                yield mapped


@contextmanager
def _threads(workers: int) -> Iterator[Map]:
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(workers, thread_name_prefix="map")

    def mapped(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterable[Result]:
        return pool.map(function, items)

    try:
        yield mapped
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _processes(workers: int) -> Iterator[Map]:
    from joblib.externals.loky import ProcessPoolExecutor

    # loky and not concurrent.futures: its workers do not import the caller's main module, and get their environment
    # before their first import, which is the only time BLAS reads the number of threads.
    pool = ProcessPoolExecutor(workers, env=ONE_THREAD)
    with tempfile.TemporaryDirectory(prefix="kintsugi-map-") as folder:

        def mapped(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterable[Result]:
            shipped = _ship(function, Path(folder))
            return _collect(pool.map(partial(_call_shipped, shipped), items))

        try:
            yield mapped
        except BaseException:
            # As if they had died, which loky knows how to take. Its own kill_workers fails, with a traceback of a
            # thread of its own, at every item that was cancelled when its reader was interrupted.
            for pid in list(pool._processes):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            raise
        finally:
            pool.shutdown(wait=True)


def prepare_ray(settings: Settings) -> None:
    """Set what Ray reads when it is imported: it counts nobody, asks for a token, and keeps to this machine if local.

    A driver without the token could not reach the head it starts.
    """
    quiet_environment()
    if settings.ray_address == "local":
        # In spite of its name it is read everywhere: without clusters Ray's servers listen on the loopback address.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")


@contextmanager
def ray_session(settings: Settings) -> Iterator[ModuleType]:
    """Ray, joined or started as ``settings`` say; what was started here is stopped at the end.

    Raises:
        OutsideError: It does not answer.
    """
    prepare_ray(settings)
    import ray

    on_terminate = signal.getsignal(signal.SIGTERM)  # ray.init replaces it
    started = _connect(ray, settings)
    try:
        with _while_its_head_lives(ray, settings.ray_address) if started else nullcontext():
            yield ray
    finally:
        if started is not None:
            ray.shutdown()
            signal.signal(signal.SIGTERM, on_terminate)
            shutil.rmtree(started, ignore_errors=True)


@contextmanager
def ray_where_wanted(settings: Settings) -> Iterator[None]:
    """Ray for the whole block, where any stage will use it.

    Stages run in threads, and only the main thread can join or start Ray; they then find it there.

    Raises:
        OutsideError: It does not answer.
    """
    wanted = "ray" in (settings.map, settings.runner)
    with ray_session(settings) if wanted else nullcontext():
        yield


@contextmanager
def _ray(settings: Settings) -> Iterator[Map]:
    with ray_session(settings) as ray:
        yield _ray_map(ray)


def _ray_map(ray: ModuleType) -> Map:
    remote: Any = ray.remote(_call)
    resources: Any = ray.cluster_resources

    def mapped(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterable[Result]:
        try:
            shared = ray.put(function)
        except TypeError as error:
            raise _unpicklable(function, error) from error
        cpus = int(resources().get("CPU", 1))
        return _gather(ray, partial(remote.remote, shared), items, 2 * max(1, cpus))

    return mapped


def _connect(ray: ModuleType, settings: Settings) -> Path | None:
    """Join or start Ray; the folder of a Ray that is ours to stop, None for one that ran before us."""
    if ray.is_initialized():
        return None
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("a Ray map must be opened in the main thread: ray.init hangs in any other")
    # Sockets live below this folder, and their paths may have about 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    ours: dict[str, Any] = {
        "num_cpus": settings.worker_count,
        "object_store_memory": RAY_OBJECT_STORE_BYTES,
        "include_dashboard": False,
        "_temp_dir": str(folder),
    }
    local = settings.ray_address == "local"
    try:
        if not local:
            _knock(settings.ray_address)
        ray.init(address=settings.ray_address, log_to_driver=False, logging_level="error", **(ours if local else {}))
    except (OSError, RuntimeError, ValueError) as error:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
        raise OutsideError(
            f"Ray at {settings.ray_address!r} does not answer ({_first_line(error)}); start it, "
            "or set KINTSUGI_MAP=processes"
        ) from error
    return folder


@contextmanager
def _while_its_head_lives(ray: ModuleType, address: str) -> Iterator[None]:
    """End this process with a sentence when Ray's head is gone.

    Nothing else can be done: Ray itself ends its driver then, without a word, from C++ and after a minute. What the
    run leaves behind is what a killed one leaves, and the next run tidies it up.
    """
    client = address.startswith("ray://")
    head = address if client else ray.get_runtime_context().gcs_address
    over = threading.Event()

    def watch() -> None:
        missed = 0
        while missed < HEAD_MISSED and not over.wait(HEAD_SECONDS):
            try:
                _knock(head)
                missed = 0
            except OSError:
                missed += 1
        if not over.is_set():
            print(
                f"\nkintsugi: Ray's head at {head} has gone in the middle of the run; see that it is there "
                "(KINTSUGI_RAY_ADDRESS) and run again: finished stages are not repeated",
                file=sys.stderr,
                flush=True,
            )
            kill_all([member for member in family(os.getpid()) if member.pid != os.getpid()])  # what is left of Ray
            os._exit(1)

    watcher = threading.Thread(target=watch, name="head of Ray", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _knock(address: str) -> None:
    """Raise OSError when nobody listens; ray.init itself would try for minutes and then end the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=5).close()


def _gather(ray: ModuleType, submit: Callable[[Item], Any], items: Sequence[Item], window: int) -> Iterator[Any]:
    """Results in order, with at most ``window`` items under way.

    What has not begun after a failure is never submitted, and nothing is ever cancelled: a ``ray.cancel`` that meets
    the completion of its task ends the whole driver process (a failed check in Ray 2.60's task manager).
    """
    waiting = iter(items)
    pending = deque(submit(item) for item in islice(waiting, window))
    try:
        while pending:
            result = ray.get(pending.popleft())
            pending.extend(submit(item) for item in islice(waiting, 1))
            yield result
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        raise OutsideError(
            f"a Ray worker died ({_first_line(error)}); try fewer workers with KINTSUGI_WORKERS"
        ) from error


def _collect(results: Iterator[Result]) -> Iterator[Result]:
    from joblib.externals.loky import BrokenProcessPool

    try:
        yield from results
    except BrokenProcessPool as error:
        raise OutsideError(
            f"a worker process died ({_first_line(error)}), most often for want of memory; "
            "try fewer workers with KINTSUGI_WORKERS"
        ) from error


def _ship(function: Callable[[Item], Result], folder: Path) -> str:
    """Write a function once, with all the data bound to it, for every worker to read once."""
    import cloudpickle

    handle, path = tempfile.mkstemp(dir=folder)
    with os.fdopen(handle, "wb") as file:
        try:
            cloudpickle.dump(function, file)
        except Exception as error:
            raise _unpicklable(function, error) from error
    return path


@lru_cache(maxsize=1)
def _shipped(path: str) -> Callable[[Any], Any]:
    import pickle

    with Path(path).open("rb") as file:
        function: Callable[[Any], Any] = pickle.load(file)  # noqa: S301 - written by our own parent a moment ago
    return function


def _call_shipped(path: str, item: Item) -> Any:
    return _shipped(path)(item)


def _call(function: Callable[[Item], Result], item: Item) -> Result:
    return function(item)


def _unpicklable(function: Callable[[Item], Result], error: Exception) -> InputError:
    inner: Any = function
    while isinstance(inner, partial):
        inner = inner.func
    name = getattr(inner, "__qualname__", repr(inner))
    return InputError(
        f"function {name} must be picklable to run in another process ({_first_line(error)}); use map=threads"
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
