"""The two ways a function is compiled here."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from numba import njit

Given = ParamSpec("Given")
Returned = TypeVar("Returned")

# A sum may be kept in several lanes and multiplications fused with additions; NaN and infinity keep their meaning.
IN_LANES = {"reassoc", "contract", "nsz"}


def compiled(function: Callable[Given, Returned]) -> Callable[Given, Returned]:
    """``function`` as machine code that lets other threads run and is kept on disk beside its source.

    Sums keep their written order.
    """
    made: Callable[Given, Returned] = njit(nogil=True, cache=True)(function)
    return made


def compiled_in_lanes(function: Callable[Given, Returned]) -> Callable[Given, Returned]:
    """As :func:`compiled`, with sums and products over a loop in several lanes, several times as fast.

    Equal inputs still give equal bits on one machine, whatever thread asks: the lanes are fixed when it is compiled.
    """
    made: Callable[Given, Returned] = njit(nogil=True, cache=True, fastmath=IN_LANES)(function)
    return made
