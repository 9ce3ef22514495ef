"""What every method of discovery shares: the table made fit, knowledge enforced, the bootstrap, the effects.

A method says only how it searches one table; see :class:`GraphSearch`.
"""

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from components.contracts import CausalGraph, FloatArray, PriorKnowledge
from components.discovery.additive import additive_residuals
from components.discovery.assumptions import assumption_notes, dependences, noise, residuals
from components.discovery.bootstrap import Replicates, pair_support, pairs_of, scaled
from components.discovery.constraints import Constraints, reconcile
from components.discovery.effects import percentile_interval, total_effects
from components.discovery.enforcing import enforce
from components.discovery.fit_indices import fit_indices
from components.discovery.found import Found
from components.discovery.preparation import PreparedTable, prepare
from components.errors import InputError
from components.findings import Findings
from components.ports import Map, Report

if TYPE_CHECKING:
    import pandas as pd

STRAIGHT = "Effects are curves here; the weights and total effects are those of straight lines laid through them."
PATHS, GRAPHS = 100, 20
"""How many of the best supported paths to the target, and whole graphs, are told."""


@dataclass(frozen=True)
class GraphSearch(ABC):
    """A method of discovery: a frozen dataclass with the fields below and its own, and a ``search``.

    Attributes:
        replicates: Bootstrap resamples; support and intervals come from them.
        maximum_rows: Complete rows used at most, drawn at random from those there are, in [10, 1000000].
        log_skewness: A strictly positive column with a larger skewness enters as its logarithm; 0 switches this off.
        seed: Seed of the drawn rows and of all resamples.
    """

    # A test of independence takes rows that are there twice for dependence: methods that use one set this.
    halves: ClassVar[bool] = False
    # Whether effects are curves: what is left of a variable is then what additive curves of its parents leave.
    curves: ClassVar[bool] = False

    replicates: int = 100
    maximum_rows: int = 20_000
    log_skewness: float = 2.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.replicates < 1:
            raise InputError(f"replicates must be at least 1, got {self.replicates}")
        if not 10 <= self.maximum_rows <= 1_000_000:
            raise InputError(f"maximum_rows must lie in [10, 1000000], got {self.maximum_rows}")
        if not 0 <= self.log_skewness < np.inf:
            raise InputError(f"log_skewness must be 0 or a positive number, got {self.log_skewness}")
        if self.seed < 0:
            raise InputError(f"seed must not be negative, got {self.seed}")

    @abstractmethod
    def search(self, table: PreparedTable, constraints: Constraints, threads: int = 1) -> Found:
        """Search one table of standardised columns; the result must not depend on ``threads``.

        ``constraints`` are enforced on the edges afterwards in any case; a method that can use them while it searches
        finds better graphs.
        """

    def reconcile(self, knowledge: PriorKnowledge, names: tuple[str, ...], known: tuple[str, ...]) -> Constraints:
        """What ``knowledge`` means for a graph over ``names``, columns of a table that once had ``known``."""
        return reconcile(knowledge, names, known)

    def widen(self, table: "pd.DataFrame") -> "pd.DataFrame":
        """The table the graph speaks of, where a method adds columns to the one it is given (lags of a series)."""
        return table

    def dependent_anyway(self, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        """Pairs of variables whose residuals may depend on each other without speaking against the graph."""
        return ()

    def discover(
        self, table: "pd.DataFrame", knowledge: PriorKnowledge, target: str, map: Map, report: Report
    ) -> CausalGraph:
        """The causal graph of the numeric columns of ``table``.

        Args:
            table: Rows to learn from; a row with a missing value is left out, which the graph's notes tell.
            knowledge: What is known before. Its prohibitions hold in every replicate, its required order too unless it
                contradicts itself; what could not be honoured is told in the notes.
            target: The column that stands for the label.
            map: Runs the replicates; the result does not depend on how.
            report: Told the number of edges after each replicate.

        Raises:
            InputError: The table or the knowledge breaks a rule; the message names it.
        """
        known = tuple(str(name) for name in table.columns)
        prepared = prepare(self.widen(table), target, self.maximum_rows, self.log_skewness, self.seed)
        constraints = self.reconcile(knowledge, prepared.names, known)
        standard, scale = prepared.standardised()
        found = enforce(self.search(standard, constraints, usable_cores()), standard, constraints)
        replicates = Replicates.of(self, standard, constraints, map, report)
        units = scale[:, None] / scale[None, :]
        low, high = percentile_interval(replicates.totals)
        findings = self._findings(standard, found, replicates, units, target)
        confounded, undirected = (pairs_of(prepared.names, pairs) for pairs in (found.confounded, found.undirected))
        expected = (*confounded, *undirected, *self.dependent_anyway(prepared.names))
        told = assumption_notes(findings.noise, findings.dependences, expected)
        lines = (STRAIGHT,) if self.curves and found.weights.any() else ()
        notes = (*prepared.notes, *constraints.notes, *lines, *found.notes, *replicates.notes, *told)
        return CausalGraph(
            names=prepared.names,
            weights=found.weights * units,
            order=found.order,
            support=replicates.support,
            total=total_effects(found.weights) * units,
            total_low=low * units,
            total_high=high * units,
            target=target,
            rows=len(standard.values),
            replicates=len(replicates.weights),
            confounded=confounded,
            notes=notes,
            undirected=undirected,
            findings=findings,
        )

    def _findings(
        self, table: PreparedTable, found: Found, replicates: Replicates, units: FloatArray, target: str
    ) -> Findings:
        """What stands beside the edges; paths have the ``units`` [effect, cause] of the data."""
        edges, names = found.weights != 0, table.names
        settled = not (found.confounded.any() or found.undirected.any())
        covariance = np.cov(table.values, rowvar=False, ddof=0)
        rest = additive_residuals(table.values, edges) if self.curves else residuals(table.values, found.weights)
        return Findings(
            method=getattr(self, "kind", ""),
            paths=tuple(scaled(path, units, names) for path in replicates.paths(target, PATHS)),
            graphs=replicates.graphs(GRAPHS),
            pairs=pair_support(found, replicates),
            fit=fit_indices(covariance, edges, len(table.values)) if settled else None,
            noise=noise(rest, names),
            dependences=dependences(rest, names, seed=self.seed),
            decisions=found.decisions,
        )


def usable_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))
