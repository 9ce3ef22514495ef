"""Room for packages that were not made to run among others."""

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

_LOCK = threading.Lock()


@contextmanager
def quietly(seed: int) -> Iterator[list[warnings.WarningMessage]]:
    """Nobody else inside, one thread of arithmetic, seeded global random numbers, nothing printed; all is put back.

    One thread of arithmetic keeps results equal between one process and many. All of this belongs to the whole
    interpreter, so searches in threads take turns; processes do not.

    Yields:
        What the block warns of, which nobody else hears.
    """
    import numpy as np
    from threadpoolctl import threadpool_limits  # ships no types

    with _LOCK, threadpool_limits(1), warnings.catch_warnings(record=True) as said, redirect_stdout(io.StringIO()):
        warnings.simplefilter("always")
        state = np.random.get_state()  # what the packages draw from
        np.random.seed(seed % 2**32)
        try:
            yield said
        finally:
            np.random.set_state(state)
