"""PC and FCI: graphs from tests of conditional independence, linear and Gaussian ones (Fisher's z).

Both start from all pairs, drop a pair that some set of neighbours makes independent, and orient what colliders and
acyclicity leave no choice about. PC assumes that nothing is hidden; FCI allows for hidden causes.

Spirtes, Glymour and Scheines, Causation, prediction, and search, MIT Press, 2000. Zhang, On the completeness of
orientation rules for causal discovery in the presence of latent confounders and selection bias, AIJ 172, 2008. Colombo
and Maathuis, Order-independent constraint-based causal structure learning, JMLR 15, 2014.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from components.discovery.causal_learn import background, read_marks, require_causal_learn
from components.discovery.constraints import Constraints
from components.discovery.found import Found
from components.discovery.preparation import PreparedTable
from components.discovery.quiet import quietly
from components.discovery.residuals import check_level
from components.discovery.search import GraphSearch
from components.errors import InputError


@dataclass(frozen=True)
class Pc(GraphSearch):
    """PC in its order-independent form, by the causal-learn package (an extra).

    Needs no particular noise, but cannot tell graphs apart that imply the same independences: pairs whose direction is
    open are undirected. Two heads on one edge contradict the assumption that nothing is hidden and are undirected too.
    Knowledge orients edges and saves tests.

    Costs tests in numbers that grow with the largest neighbourhood, in the worst case exponentially: about 0.1 s for
    10 columns, 2 s for 40 with 3 parents each, hardly more with more rows; each replicate as much again.

    Attributes:
        kind: Name of the method.
        alpha: Level of each test, in (0, 1); no correction is made for their number.
        maximum_condition: Largest number of variables conditioned on; -1: no limit.
    """

    halves: ClassVar[bool] = True

    kind: Literal["pc"] = "pc"
    alpha: float = 0.05
    maximum_condition: int = -1

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.kind, self.alpha, self.maximum_condition)

    def search(self, table: PreparedTable, constraints: Constraints, threads: int = 1) -> Found:
        """The completed partially directed graph."""
        with quietly(self.seed):
            from causallearn.search.ConstraintBased.PC import pc

            found = pc(
                table.values,
                self.alpha,
                "fisherz",
                stable=True,
                uc_rule=0,
                uc_priority=2,
                background_knowledge=background(constraints, table.names),
                show_progress=False,
                node_names=list(table.names),
                max_k=None if self.maximum_condition < 0 else self.maximum_condition,
            )
        return read_marks(np.asarray(found.G.graph, dtype=np.int64), table.values, table.names, hidden=False)


@dataclass(frozen=True)
class Fci(GraphSearch):
    """FCI, by the causal-learn package (an extra).

    Allows for hidden causes and selection, and so can say less: an edge means that the cause acts on the effect,
    perhaps through others; two heads that neither acts on the other and a hidden cause acts on both (confounded); a
    circle at an end that either is possible (undirected, with a decision that tells the mark: ``o->`` still says that
    the second does not act on the first). Knowledge orients edges and saves tests.

    Costs more than PC: about 0.1 s for 10 columns, 3 s for 40 with 3 parents each; each replicate as much again.

    Attributes:
        kind: Name of the method.
        replicates: Bootstrap resamples; support and intervals come from them.
        alpha: Level of each test, in (0, 1); no correction is made for their number.
        maximum_condition: Largest number of variables conditioned on; -1: no limit.
        maximum_path: Longest discriminating path looked for; -1: no limit.
    """

    halves: ClassVar[bool] = True

    kind: Literal["fci"] = "fci"
    replicates: int = 50
    alpha: float = 0.05
    maximum_condition: int = -1
    maximum_path: int = -1

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.kind, self.alpha, self.maximum_condition)
        if self.maximum_path < -1:
            raise InputError(f"maximum_path must be -1 or more, got {self.maximum_path}")

    def search(self, table: PreparedTable, constraints: Constraints, threads: int = 1) -> Found:
        """The partial ancestral graph."""
        with quietly(self.seed):
            from causallearn.search.ConstraintBased.FCI import fci

            graph, _ = fci(
                table.values,
                "fisherz",
                self.alpha,
                self.maximum_condition,
                self.maximum_path,
                background_knowledge=background(constraints, table.names),
                show_progress=False,
                node_names=list(table.names),
            )
        return read_marks(np.asarray(graph.graph, dtype=np.int64), table.values, table.names, hidden=True)


def _check(kind: str, alpha: float, maximum_condition: int) -> None:
    check_level("alpha", alpha)
    if maximum_condition < -1:
        raise InputError(f"maximum_condition must be -1 or more, got {maximum_condition}")
    require_causal_learn(kind)
