"""DirectLiNGAM: a linear acyclic model with non-Gaussian noise, found one exogenous variable after another.

In x = B x + e with independent, non-Gaussian e, a variable that is more independent of its regression residuals than
every other variable is a cause of none before it; it is put first, regressed out of the rest, and the search repeats.
An adaptive lasso then prunes the effects of earlier on later variables.

Shimizu et al., DirectLiNGAM: a direct method for learning a linear non-Gaussian structural equation model,
JMLR 12, 2011. Hyvarinen and Smith, Pairwise likelihood ratios for estimation of non-Gaussian structural equation
models, JMLR 14, 2013.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from components.contracts import CausalGraph, FloatArray, PriorKnowledge
from components.discovery.constraints import Constraints, reachable, reconcile
from components.discovery.effects import percentile_interval, total_effects
from components.discovery.fitting import Fit, Replicate, fit_graph
from components.discovery.preparation import prepare
from components.errors import InputError
from components.ports import Map, Report

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class DirectLingam:
    """DirectLiNGAM with prior knowledge and bootstrap support.

    Attributes:
        kind: Name of the method.
        replicates: Bootstrap resamples; support and intervals come from them, at about half a second each for 20,000
            rows of 11 columns.
        minimum_weight: Smallest direct effect kept, in standard deviations of the effect per standard deviation of
            the cause.
        maximum_rows: Complete rows used at most, drawn at random from those there are, in [10, 500000].
        log_skewness: A strictly positive column with a larger skewness enters as its logarithm; 0 switches this off.
        seed: Seed of the drawn rows and of all resamples.
    """

    kind: Literal["direct_lingam"] = "direct_lingam"
    replicates: int = 100
    minimum_weight: float = 0.01
    maximum_rows: int = 20_000
    log_skewness: float = 2.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.replicates < 1:
            raise InputError(f"replicates must be at least 1, got {self.replicates}")
        if not 0 <= self.minimum_weight < 1:
            raise InputError(f"minimum_weight must lie in [0, 1), got {self.minimum_weight}")
        # A standardised value is below sqrt(rows), and lingam takes its cosh, which overflows past 710.
        if not 10 <= self.maximum_rows <= 500_000:
            raise InputError(f"maximum_rows must lie in [10, 500000], got {self.maximum_rows}")
        if not 0 <= self.log_skewness < np.inf:
            raise InputError(f"log_skewness must be 0 or a positive number, got {self.log_skewness}")
        if self.seed < 0:
            raise InputError(f"seed must not be negative, got {self.seed}")

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
        prepared = prepare(table, target, self.maximum_rows, self.log_skewness, self.seed)
        constraints = reconcile(knowledge, prepared.names, tuple(str(name) for name in table.columns))
        scale = prepared.values.std(axis=0)
        values = (prepared.values - prepared.values.mean(axis=0)) / scale
        units = scale[:, None] / scale[None, :]
        fit = fit_graph(values, constraints, self.minimum_weight)
        replicates = self._replicates(values, constraints, map, report)
        low, high = percentile_interval(total_effects(replicates))
        missed = _missed_notes(prepared.names, fit, constraints)
        if len(replicates) < self.replicates:
            missed.append(f"{self.replicates - len(replicates)} replicates found no resample of full rank.")
        return CausalGraph(
            names=prepared.names,
            weights=fit.weights * units,
            order=fit.order,
            support=(replicates != 0).mean(axis=0),
            total=total_effects(fit.weights) * units,
            total_low=low * units,
            total_high=high * units,
            target=target,
            rows=len(values),
            replicates=len(replicates),
            notes=(*prepared.notes, *constraints.notes, *missed),
        )

    def _replicates(self, values: FloatArray, constraints: Constraints, map: Map, report: Report) -> FloatArray:
        replicate = Replicate(values, constraints, self.minimum_weight, self.seed)
        found = []
        for index, weights in enumerate(map(replicate, range(self.replicates))):
            report(index, self.replicates, {"edges": float(np.count_nonzero(np.nan_to_num(weights)))})
            if np.isfinite(weights).all():
                found.append(weights)
        if not found:
            raise InputError(
                f"table must have enough rows that a resample keeps its rank, got {len(values)} complete rows of "
                f"{values.shape[1]} columns; add rows or leave out rare flags"
            )
        return np.stack(found)


def _missed_notes(names: tuple[str, ...], fit: Fit, constraints: Constraints) -> list[str]:
    notes = [
        f"The edge {names[j]} -> {names[i]} was removed: it was part of a forbidden path."
        + (" It was required." if constraints.required_edge[i, j] else "")
        for i, j in fit.cut
    ]
    missing = constraints.required_path & ~reachable(fit.weights != 0)
    notes += [
        f"The data show no path {names[j]} -> ... -> {names[i]}, which was required; only its order was kept."
        for i, j in np.argwhere(missing)
    ]
    return notes
