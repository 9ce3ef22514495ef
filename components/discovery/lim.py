"""LiM: a linear acyclic model of numbers and flags together.

Numbers follow a line with non-Gaussian noise, flags (columns of two values) a logistic regression. A penalised search
over all weights finds a graph; then every way of turning its edges round is scored by the BIC, and edges are dropped
and added while that improves.

Zeng, Shimizu, Matsui and Sun, Causal discovery for linear mixed data, CLeaR 2022.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from components.contracts import FloatArray
from components.discovery.constraints import BoolArray, Constraints
from components.discovery.found import Found, slopes
from components.discovery.preparation import PreparedTable
from components.discovery.quiet import quietly
from components.discovery.search import GraphSearch
from components.errors import InputError


@dataclass(frozen=True)
class Lim(GraphSearch):
    """Numbers and flags, linear, acyclic, no hidden causes, by the lingam package.

    Which columns are flags is found from the table: those with two values. Its weights are slopes of least squares,
    for a flag the change of its probability; knowledge is enforced only on what it found.

    Costs a penalised search over p^2 weights and 2^edges scores of some 20 ms: with 6 edges about 2 s for 1,000 rows,
    each replicate as much again.

    Attributes:
        kind: Name of the method.
        replicates: Bootstrap resamples; support and intervals come from them.
        maximum_rows: Complete rows used at most, drawn at random from those there are, in [10, 1000000].
        maximum_columns: Tables with more columns are refused, in [2, 30].
        penalty: Of the absolute weights in the first search.
        minimum_weight: Smallest weight that counts as an edge in the first search.
        most_edges: With more edges the second search, whose cost doubles with each, is left out, in [0, 16].
    """

    kind: Literal["lim"] = "lim"
    replicates: int = 10
    maximum_rows: int = 1000
    maximum_columns: int = 12
    penalty: float = 0.1
    minimum_weight: float = 0.1
    most_edges: int = 6

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.maximum_columns <= 30:
            raise InputError(f"maximum_columns must lie in [2, 30], got {self.maximum_columns}")
        if not 0 <= self.most_edges <= 16:
            raise InputError(f"most_edges must lie in [0, 16], got {self.most_edges}")
        for name in ("penalty", "minimum_weight"):
            if not 0 <= getattr(self, name) < np.inf:
                raise InputError(f"{name} must be 0 or a positive number, got {getattr(self, name)}")

    def search(self, table: PreparedTable, constraints: Constraints, threads: int = 1) -> Found:
        """The graph lingam finds.

        Raises:
            InputError: The table has too many columns.
        """
        if len(table.names) > self.maximum_columns:
            raise InputError(
                f"table must have at most maximum_columns = {self.maximum_columns} columns for LiM, got "
                f"{len(table.names)}; leave out columns, or use direct_lingam"
            )
        values, flags = _flags_as_zero_one(table.values)
        edges = self._edges(values, flags, only_first=True)
        notes: tuple[str, ...] = ()
        if edges.sum() <= self.most_edges:
            edges = self._edges(values, flags, only_first=False)
        else:
            notes = (
                f"The second search of LiM was left out: the first found {edges.sum()} edges, most_edges is "
                f"{self.most_edges}.",
            )
        return Found.directed(slopes(table.values, edges), (), notes)

    def _edges(self, values: FloatArray, flags: BoolArray, only_first: bool) -> BoolArray:
        with quietly(self.seed):
            from lingam import LiM

            model = LiM(lambda1=self.penalty, w_threshold=self.minimum_weight)
            numbers = (~flags)[None, :].astype(np.float64)
            # Its matrix is [cause, effect], unlike all others of the package.
            return np.asarray(model.fit(values, numbers, only_global=only_first) != 0).T


def _flags_as_zero_one(values: FloatArray) -> tuple[FloatArray, BoolArray]:
    """The columns with those of two values as 0 and 1, and the [p] marks of these."""
    low, high = values.min(axis=0), values.max(axis=0)
    flags = np.asarray(((values == low) | (values == high)).all(axis=0))
    return np.where(flags, values == high, values), flags
