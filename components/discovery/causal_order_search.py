"""The causal order of DirectLiNGAM, exactly and with few comparisons.

One variable after another is found that is most independent of its regression residuals, and regressed out of the rest:

    D_ij = [H(x_j) + H(x_i | x_j)] - [H(x_i) + H(x_j | x_i)],    M_i = sum over j of min(0, D_ij)^2,    next is argmin M

D_ij is the mean log-likelihood ratio of i -> j over j -> i. It is antisymmetric, so a pair is looked at once; the
entropies of the next round are those of residuals already computed; and since M_i only grows, most pairs are never
looked at (Shimizu et al., JMLR 12, 2011; Hyvarinen and Smith, JMLR 14, 2013; the bounding of partial sums as in
Shahbazinia et al., ParaLiNGAM, 2021). The result is that of the full search.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np

from components.contracts import FloatArray
from components.discovery.columns import WORTH_A_THREAD, Columns, OnDevice, OnProcessor
from components.discovery.constraints import BoolArray, Indices
from components.errors import InputError

# Residual samples that are worth no search for what could be left out.
WORTH_NO_SEARCH = 100_000
# Rows of the first rough look that decides where to begin.
ROUGH = 512
# A column whose standard deviation falls to this share of what it was is a linear function of those regressed out.
GONE = 1e-7


def causal_order(
    values: FloatArray,
    before: BoolArray | None = None,
    lean: FloatArray | None = None,
    threads: int = 1,
    exhaustive: bool = False,
    device: str = "cpu",
) -> tuple[int, ...]:
    """Indices of the columns of ``values`` [n, p], causes first.

    Costs about 2 ns a sample for each residual looked at: between 5 and 20 % of (p^3 - p) / 3 residuals where there are
    causes, all of them where there is nothing to be found. Takes one copy of the table.

    Args:
        values: Columns of full rank, in any units.
        before: [effect, cause] True where the cause must come first; acyclic and transitively closed.
        lean: [i, j] antisymmetric, added to D_ij: what is believed before of i -> j against j -> i, as log odds over n.
        threads: Threads to use; the result is the same to the last bit.
        exhaustive: Look at every pair; for tests.
        device: Where to compute, as torch names it; ``cpu`` uses compiled loops instead of torch.

    Raises:
        InputError: A column is a linear function of others, or there is no such device.
    """
    rows, size = values.shape
    waits = np.zeros((size, size), dtype=np.bool_) if before is None else before
    leaning = np.zeros((size, size)) if lean is None else lean
    with ExitStack() as stack:
        several = threads > 1 and rows * size > WORTH_A_THREAD
        pool = stack.enter_context(ThreadPoolExecutor(threads)) if several else None
        columns = OnProcessor(values, pool, threads) if device == "cpu" else OnDevice(values, device)
        search = _Rounds(columns, rows, leaning, _rough_look(values, leaning))
        order: list[int] = []
        left = np.arange(size)
        while len(left) > 1:
            candidates = left[~waits[np.ix_(left, left)].any(axis=1)]
            chosen = search.next(left, candidates, exhaustive)
            order.append(chosen)
            left = left[left != chosen]
            search.remove(chosen, left)
        return (*order, *(int(last) for last in left))


class _Rounds:
    """The state of the search between rounds; see :mod:`components.discovery.kernels.rounds`."""

    def __init__(self, columns: Columns, rows: int, lean: FloatArray, guess: FloatArray) -> None:
        from components.discovery.kernels import rounds

        size = len(lean)
        self._kernels, self._columns, self._rows = rounds, columns, rows
        self._lean, self._guess = lean, guess
        self._H = columns.entropies(np.arange(size))
        self._D = np.full((size, size), np.nan)
        self._residual = np.full((size, size), np.nan)
        self._pairs = np.empty((size * (size - 1) // 2 + size, 2), dtype=np.int64)

    def next(self, left: Indices, candidates: Indices, exhaustive: bool) -> int:
        """The most exogenous of ``candidates`` among the variables ``left``."""
        if len(candidates) == 1:
            return int(candidates[0])
        every = len(left) * (len(left) - 1) // 2
        all_at_once = exhaustive or every * self._rows < WORTH_NO_SEARCH
        most = every if all_at_once else min(self._columns.pairs_at_once, every)
        while count := self._kernels.propose(self._D, self._guess, left, candidates, most, self._pairs):
            pairs = self._pairs[:count]
            found = self._columns.pair_entropies(pairs)
            self._kernels.absorb(pairs, count, found, self._H, self._lean, self._D, self._residual)
        return int(self._kernels.winner(self._D, left, candidates))

    def all_pairs(self) -> FloatArray:
        """[i, j] D of all pairs, 0 on the diagonal."""
        first, second = np.triu_indices(len(self._D), 1)
        pairs = np.stack([first, second], axis=1)
        found = self._columns.pair_entropies(pairs)
        self._kernels.absorb(pairs, len(pairs), found, self._H, self._lean, self._D, self._residual)
        return np.nan_to_num(self._D)

    def remove(self, chosen: int, left: Indices) -> None:
        """Regress ``chosen`` out of the variables ``left``."""
        known = np.isfinite(self._D)
        self._guess[known] = self._D[known]
        remaining = self._columns.regress_out(chosen, left)
        if (remaining < GONE).any():
            raise InputError(
                f"table must have full column rank, but column {int(left[np.argmin(remaining)])} (from 0) is a linear "
                "function of others; leave it out"
            )
        # The entropies of the residuals that were compared are those of the columns of the next round.
        self._H[left] = self._residual[left, chosen]
        unknown = left[np.isnan(self._H[left])]
        if len(unknown):
            self._H[unknown] = self._columns.entropies(unknown)
        self._D[:] = np.nan
        self._residual[:] = np.nan


def _rough_look(values: FloatArray, lean: FloatArray) -> FloatArray:
    """All D_ij on evenly spaced rows: worth little, but it says where to begin. Zeros where it is not worth it."""
    rows, size = values.shape
    some = values[:: max(rows // ROUGH, 1)]
    if size < 3 or rows < 4 * ROUGH or (np.ptp(some, axis=0) == 0).any():
        return np.zeros((size, size))
    search = _Rounds(OnProcessor(some), len(some), lean, np.zeros((size, size)))
    return search.all_pairs()
