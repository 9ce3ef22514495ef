"""How a run from the command line ends when it is told to, or when the disk lets it down."""

import errno
import logging
import multiprocessing
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from components.errors import OutsideError

DISK_FAULTS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.EIO, errno.ESTALE),
)
SENDING_SECONDS = 5.0


@contextmanager
def on_a_disk(home: Path) -> Iterator[None]:
    """Turn a disk that takes nothing more, or gives back something else than it was given, into one sentence.

    Raises:
        OutsideError: It did while the block ran.
    """
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FAULTS:
            what = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
            raise OutsideError(
                f"the disk fails the run ({what}); see whether the home folder {home} is there, has room and can be "
                "written, and run again: finished stages are not repeated"
            ) from error
        if error.errno is None and type(error) is OSError:  # as Arrow says it
            raise OutsideError(
                f"a file below {home} is damaged ({str(error).splitlines()[0].rstrip('.')}); remove the folder "
                f"{home / 'datasets'} and run again: it is made anew from the source"
            ) from error
        raise


def end_children() -> None:
    """A pool that was interrupted may leave its workers, and Python waits for them before it ends, for ever."""
    for child in multiprocessing.active_children():
        if child.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)  # a worker of loky has no kill()
        child.join()


def end_on_termination() -> None:
    """Let SIGTERM close what was begun. While a flow runs Prefect takes the signal, and then hands it on."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def send_or_forget() -> None:
    """Send the logs and events that wait in Prefect's queues, and forget what its server does not take in time.

    Before a process ends Prefect tries each of them for ten seconds, and there may be dozens: who has read that the
    server does not answer would wait for minutes.
    """
    if "prefect" not in sys.modules:
        return
    from prefect.events.worker import EventsWorker

    worker: Any = EventsWorker
    senders = tuple(worker._instances.values())  # of logs too: there is one list for all
    for sender in senders:
        sender._logger.setLevel(logging.CRITICAL)  # it would say on the terminal how many are left
    worker.drain_all(timeout=SENDING_SECONDS)
    for sender in senders:
        with suppress(queue.Empty):
            while True:
                sender._queue.get_nowait()
        sender._queue.put_nowait(None)  # as Prefect says that nothing more comes
