"""What is left of a variable after a regression on others, and tests between such remainders.

The methods that look for hidden causes ask only questions of this kind, so they are written against :class:`Tests`:
data answer it here, and a known graph can answer it as well.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, get_args

import numpy as np

from components.contracts import FloatArray
from components.discovery.hsic import FEWEST, Kernel, Width, p_value
from components.discovery.preparation import PreparedTable
from components.errors import InputError

MEMORY = 64 * 2**20
"""Bytes of kernels that are kept for later tests."""


@dataclass(frozen=True)
class Residual:
    """A variable, less its regression on others.

    Attributes:
        variable: Index of the variable.
        given: Indices of the regressors; none leaves the variable as it is.
    """

    variable: int
    given: frozenset[int] = frozenset()

    def without(self, cause: int) -> "Residual":
        """The same with one regressor less."""
        return Residual(self.variable, self.given - {cause})

    def less(self, causes: Iterable[int]) -> "Residual":
        """The same with more regressors."""
        return Residual(self.variable, self.given.union(causes))


class Tests(Protocol):
    """Who answers whether residuals are independent."""

    def independence(self, first: Residual, *second: Residual) -> float:
        """P-value of the independence of ``first`` and all of ``second`` together."""


class Regression(Protocol):
    """A way to explain one column of a table by others."""

    def residual(self, effect: int, causes: Sequence[int]) -> FloatArray:
        """[n] column ``effect`` without what the columns ``causes`` explain."""


@dataclass(frozen=True, eq=False)
class ResidualTests:
    """HSIC between the residuals of one table; kernels and p-values are kept.

    Attributes:
        regression: How residuals are taken.
        width: Rule for the kernel width.
    """

    regression: Regression
    width: Width = "median"
    _kernels: "OrderedDict[Residual, Kernel]" = field(default_factory=OrderedDict, init=False, repr=False)
    _sizes: dict[Residual, int] = field(default_factory=dict, init=False, repr=False)
    _passing: set[Residual] = field(default_factory=set, init=False, repr=False)
    _spare: list[FloatArray] = field(default_factory=list, init=False, repr=False)
    _p_values: dict[tuple[Residual, ...], float] = field(default_factory=dict, init=False, repr=False)

    def independence(self, first: Residual, *second: Residual) -> float:
        """P-value of HSIC; several residuals on the second side are tested jointly.

        The kernel of the first is kept until another first comes, those of the second as long as there is memory: the
        methods try ever new residuals against few old ones.
        """
        key = (first, *second)
        if key not in self._p_values:
            for passed in self._passing - set(key):
                self._release(passed)
            other = self._kernel(second[0], keep=True) if len(second) == 1 else self._joint(second)
            answer = p_value(self._kernel(first, keep=False), other)
            self._p_values[key] = answer
            if len(second) == 1:
                self._p_values[key[::-1]] = answer
            self._make_room(key)
        return self._p_values[key]

    def values(self, residual: Residual) -> FloatArray:
        """[n] the residual itself."""
        return self.regression.residual(residual.variable, sorted(residual.given))

    def _kernel(self, residual: Residual, keep: bool) -> Kernel:
        if residual not in self._kernels:
            self._kernels[residual] = Kernel.of(self.values(residual), self.width, self._spare)
            self._passing.add(residual)
        self._kernels.move_to_end(residual)
        if keep:
            self._passing.discard(residual)
        return self._kernels[residual]

    def _joint(self, residuals: tuple[Residual, ...]) -> Kernel:
        return Kernel.of(np.column_stack([self.values(residual) for residual in residuals]), self.width)

    def _make_room(self, used: tuple[Residual, ...]) -> None:
        for residual in set(used) & set(self._kernels):
            self._sizes[residual] = self._kernels[residual].nbytes
        while sum(self._sizes.values()) > MEMORY and len(self._kernels) > 2:
            self._release(next(iter(self._kernels)))

    def _release(self, residual: Residual) -> None:
        self._kernels.pop(residual).release()
        self._sizes.pop(residual, None)
        self._passing.discard(residual)


def check_level(name: str, level: float) -> None:
    """Raises InputError unless ``level`` is one that a p-value can be held against."""
    if not 0 < level < 1:
        raise InputError(f"{name} must lie in (0, 1), got {level}")


def check_width(width: str) -> None:
    """Raises InputError unless ``width`` is a rule for kernel widths."""
    if width not in get_args(Width):
        raise InputError(f"width must be one of {', '.join(get_args(Width))}, got {width!r}")


def check_rows(table: PreparedTable) -> None:
    """Raises InputError unless ``table`` is long enough for tests of independence."""
    rows, size = table.values.shape
    fewest = max(FEWEST, size + 2)
    if rows < fewest:
        raise InputError(f"rows must be at least {fewest} to test {size} columns for independence, got {rows}")
