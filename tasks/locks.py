"""Locks on files. The kernel lifts them when their owner ends, however it ends."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

SHARED, ALONE = fcntl.LOCK_SH, fcntl.LOCK_EX


@contextmanager
def locked_file(path: Path) -> Iterator[bool]:
    """Nobody else holds ``path`` while the block runs; gives whether one had to wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        waited = not try_lock(file, ALONE)
        if waited:
            lock(file, ALONE)
        yield waited


def lock(file: IO[bytes], kind: int) -> None:
    """Lock an open file, or change the lock on it; wait for whoever holds it against us."""
    fcntl.flock(file, kind)


def try_lock(file: IO[bytes], kind: int) -> bool:
    """Lock an open file if nobody holds it against us; says whether it worked."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
