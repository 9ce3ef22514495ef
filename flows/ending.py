"""How a run from the command line ends when it is told to, or when the disk lets it down."""

import errno
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from components.errors import OutsideError

DISK_FAULTS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.EIO, errno.ESTALE),
)


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
