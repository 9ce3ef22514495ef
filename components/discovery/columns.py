"""The columns of a table while one after another is regressed out of the rest: on the processor, or on another device.

Both hold columns of mean zero and variance one and answer the same three questions. The processor's answers do not
depend on the number of threads; another device adds in another order, so its numbers differ in the last digits.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np

from components.contracts import FloatArray
from components.discovery.constraints import Indices
from components.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

# Residual samples that are worth a second thread.
WORTH_A_THREAD = 100_000
# Numbers in one temporary of a device: of some twelve of them, 128 MiB each.
AT_ONCE = 2**24


class Columns(Protocol):
    """What the search for a causal order asks of the table."""

    @property
    def pairs_at_once(self) -> int:
        """Pairs that are looked at in one go at least, so that the loop around them costs little beside them."""

    def entropies(self, which: Indices) -> FloatArray:
        """[m] entropies of the columns ``which``."""

    def pair_entropies(self, pairs: Indices) -> FloatArray:
        """[m, 2] entropies of the standardised residuals of ``pairs`` [m, 2]: first on second, second on first."""

    def regress_out(self, cause: int, which: Indices) -> FloatArray:
        """Replace the columns ``which`` by their standardised residuals on ``cause``; [m] deviations that were left."""


class OnProcessor:
    """Compiled loops in one thread or several."""

    pairs_at_once = 8

    def __init__(self, values: FloatArray, pool: ThreadPoolExecutor | None = None, threads: int = 1) -> None:
        from components.discovery.kernels import entropy

        self._kernels, self._pool, self._threads = entropy, pool, threads
        self._Z = np.array(values.T, dtype=np.float64, order="C")
        for z in self._Z:
            if entropy.standardise(z) == 0:
                raise InputError("table must not hold constant columns")

    def entropies(self, which: Indices) -> FloatArray:
        """See :class:`Columns`."""
        out = np.empty(len(which))
        self._split(lambda start, stop: self._kernels.entropies(self._Z, which, start, stop, out), len(which), 1)
        return out

    def pair_entropies(self, pairs: Indices) -> FloatArray:
        """See :class:`Columns`."""
        out = np.empty((len(pairs), 2))
        self._split(lambda start, stop: self._kernels.pair_entropies(self._Z, pairs, start, stop, out), len(pairs), 2)
        return out

    def regress_out(self, cause: int, which: Indices) -> FloatArray:
        """See :class:`Columns`."""
        out = np.empty(len(which))
        kernel = self._kernels.regress_out
        self._split(lambda start, stop: kernel(self._Z, cause, which, start, stop, out), len(which), 1)
        return out

    def _split(self, work: Callable[[int, int], None], count: int, residuals: int) -> None:
        """Do ``work`` on 0..count in as many threads as it is worth."""
        if self._pool is None or count < 2 or count * residuals * self._Z.shape[1] < WORTH_A_THREAD:
            work(0, count)
            return
        cuts = np.linspace(0, count, self._threads + 1).astype(int)
        for done in [self._pool.submit(work, int(a), int(b)) for a, b in pairwise(cuts)]:
            done.result()


class OnDevice:
    """Torch on whatever device it names, many pairs in one operation."""

    pairs_at_once = 256

    def __init__(self, values: FloatArray, device: str) -> None:
        import torch

        try:
            Z = torch.tensor(np.ascontiguousarray(values.T), dtype=torch.float64, device=device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"device must be one that this machine has, got {device!r}: {reason}") from error
        self._Z = Z - Z.mean(dim=1, keepdim=True)
        deviation = self._Z.std(dim=1, correction=0, keepdim=True)
        if not bool((deviation > 0).all()):
            raise InputError("table must not hold constant columns")
        self._Z /= deviation

    def entropies(self, which: Indices) -> FloatArray:
        """See :class:`Columns`."""
        return np.concatenate([_entropy(self._Z[part]).numpy(force=True) for part in self._parts(which)])

    def pair_entropies(self, pairs: Indices) -> FloatArray:
        """See :class:`Columns`."""
        found = []
        for part in self._parts(pairs):
            x, y = self._Z[part[:, 0]], self._Z[part[:, 1]]
            rho = (x * y).mean(dim=1, keepdim=True)
            both = [_standardised(x - rho * y), _standardised(y - rho * x)]
            found.append(np.stack([_entropy(rest).numpy(force=True) for rest in both], axis=1))
        return np.concatenate(found)

    def regress_out(self, cause: int, which: Indices) -> FloatArray:
        """See :class:`Columns`."""
        left = []
        for part in self._parts(which):
            rho = (self._Z[part] @ self._Z[cause] / self._Z.shape[1])[:, None]
            rest = self._Z[part] - rho * self._Z[cause]
            left.append(rest.std(dim=1, correction=0).numpy(force=True))
            self._Z[part] = _standardised(rest)
        return np.concatenate(left)

    def _parts(self, which: Indices) -> list["Tensor"]:
        """Pieces small enough for the device's memory."""
        import torch

        size = max(1, AT_ONCE // self._Z.shape[1])
        return list(torch.split(torch.as_tensor(which, device=self._Z.device), size))


def _standardised(rest: "Tensor") -> "Tensor":
    rest = rest - rest.mean(dim=1, keepdim=True)
    return rest / rest.std(dim=1, correction=0, keepdim=True)


def _entropy(u: "Tensor") -> "Tensor":
    """See :mod:`components.discovery.kernels.entropy`."""
    from torch.nn.functional import softplus

    from components.discovery.kernels.entropy import COSH_OF_GAUSSIAN, COSH_WEIGHT, EXP_WEIGHT, GAUSSIAN, LN2

    cosh = (u.abs() + softplus(-2 * u.abs(), threshold=1e9)).mean(dim=1) - LN2
    exponential = (u * (-0.5 * u * u).exp()).mean(dim=1)
    return GAUSSIAN - COSH_WEIGHT * (cosh - COSH_OF_GAUSSIAN) ** 2 - EXP_WEIGHT * exponential**2
