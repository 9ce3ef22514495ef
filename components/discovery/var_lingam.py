"""VAR-LiNGAM: effects within and between the moments of a time series.

A vector autoregression takes away what the past explains; DirectLiNGAM orders what is left; then each variable is
regressed on the present ones before it and on all of the past, and an adaptive lasso prunes. Past values are variables
of the graph ("x[t-1]") without causes of their own.

Hyvarinen, Zhang, Shimizu and Hoyer, Estimation of a structural vector autoregression model using non-Gaussianity,
JMLR 11, 2010.
"""

import re
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np

from components.discovery.adjacency import adjacency
from components.discovery.causal_order_search import causal_order
from components.discovery.constraints import Constraints
from components.discovery.found import Found
from components.discovery.preparation import PreparedTable
from components.discovery.search import GraphSearch
from components.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

LAGGED = re.compile(r"\[t-(\d+)\]$")


@dataclass(frozen=True)
class VarLingam(GraphSearch):
    """Linear, non-Gaussian, acyclic within a moment; the rows of the table are equally spaced moments, oldest first.

    Past values enter as further columns; a row needs all of them. The bootstrap resamples rows together with their
    past, so its intervals hold for the noise of a model with enough lags. Knowledge speaks of the present values.

    Costs what DirectLiNGAM costs on (lags + 1) times as many columns.

    Attributes:
        kind: Name of the method.
        lags: Moments into the past that may act on the present, in [1, 20].
        minimum_weight: Smallest direct effect kept, in standard deviations of the effect per standard deviation of
            the cause.
    """

    kind: Literal["var_lingam"] = "var_lingam"
    lags: int = 1
    minimum_weight: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.lags <= 20:
            raise InputError(f"lags must lie in [1, 20], got {self.lags}")
        if not 0 <= self.minimum_weight < 1:
            raise InputError(f"minimum_weight must lie in [0, 1), got {self.minimum_weight}")

    def widen(self, table: "pd.DataFrame") -> "pd.DataFrame":
        """The columns of ``table``, then those of one moment before, and so on; missing where the table begins.

        Raises:
            InputError: A column already has the name of a past one.
        """
        import pandas as pd

        taken = [str(name) for name in table.columns if LAGGED.search(str(name))]
        if taken:
            raise InputError(f"table must have no column named like a past value, got {', '.join(taken)}; rename it")
        past = [table.shift(lag).add_suffix(f"[t-{lag}]") for lag in range(1, self.lags + 1)]
        return pd.concat([table, *past], axis=1)

    def dependent_anyway(self, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        """Pairs of past values, between which the graph has no edges."""
        return tuple(combinations((name for name in names if LAGGED.search(name)), 2))

    def search(self, table: PreparedTable, constraints: Constraints, threads: int = 1) -> Found:
        """The causal order of what the past does not explain, then the edges from the past and along it."""
        lags = np.array([int(found[1]) if (found := LAGGED.search(name)) else 0 for name in table.names])
        now, past = np.flatnonzero(lags == 0), np.flatnonzero(lags > 0)
        centred = table.values - table.values.mean(axis=0)
        rest = centred[:, now] - centred[:, past] @ np.linalg.lstsq(centred[:, past], centred[:, now], rcond=None)[0]
        cell = np.ix_(now, now)
        lean = constraints.lean[cell] / len(rest)
        ordered = causal_order(rest, constraints.before[cell], lean, threads) if len(now) > 1 else (0,)
        oldest_first = past[np.argsort(-lags[past], kind="stable")]
        order = tuple(int(index) for index in (*oldest_first, *now[list(ordered)]))
        forbidden = constraints.forbidden_edge | (lags > 0)[:, None]
        weights = adjacency(table.values, order, forbidden)
        weights[(np.abs(weights) < self.minimum_weight) & ~constraints.required_edge] = 0.0
        return Found.directed(weights, order)
