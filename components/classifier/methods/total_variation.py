"""Noisy labels with nothing known: a table beside a classifier whose predictions lie as far apart as they can.

Noise brings predictions nearer to each other, whatever the table: total variation distances shrink. So of the pairs
(classifier, table) that explain the labels, that with the most distant clean predictions has the table right.

Zhang, Niu, Sugiyama, Learning noise transition matrix from only noisy labels via total variation regularization, ICML
2021.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from components.classifier.methods.checks import check_inside, check_positive, check_weight
from components.classifier.methods.method import Method
from components.errors import InputError

if TYPE_CHECKING:
    from components.classifier.learners.learner import Learner, Problem

TableKind = Literal["categorical", "dirichlet"]


@dataclass(frozen=True)
class TotalVariation(Method):
    """Learns the table with the classifier, with a reward for predictions that differ among rows.

    Attributes:
        weight: Of the mean distance between predictions of paired rows, at least 0.
        table: ``categorical``: its cells are learned by gradient; ``dirichlet``: the law of each of its rows is counted
            from predicted classes and noisy labels, and a table drawn from it at each step.
        start: Diagonal of a categorical table at the start, in (0, 1).
        held_epochs: First epochs in which a categorical table stays as it starts, at least 0.
        relative_step: Step size of a categorical table relative to the network's.
        strength: What the diagonal of a Dirichlet table starts with beyond the 1 of every cell.
        retained: Share of the counts that a step leaves, in (0, 1).
        gain: What a row of the minibatch adds to them, positive.
        kind: Names the method.
    """

    weight: float = 0.1
    table: TableKind = "categorical"
    start: float = 0.5
    held_epochs: int = 1
    relative_step: float = 5.0
    strength: float = 10.0
    retained: float = 0.999
    gain: float = 0.01
    kind: Literal["total_variation"] = "total_variation"

    def __post_init__(self) -> None:
        check_weight("weight", self.weight)
        if self.table not in get_args(TableKind):
            raise InputError(f"table must be one of {', '.join(get_args(TableKind))}, got {self.table!r}")
        for name in ("start", "retained"):
            check_inside(name, getattr(self, name))
        if self.held_epochs < 0:
            raise InputError(f"held_epochs must be at least 0, got {self.held_epochs}")
        for name in ("relative_step", "strength", "gain"):
            check_positive(name, getattr(self, name))

    def learner(self, problem: "Problem") -> "Learner":
        """One network and the table."""
        from components.classifier.learners.total_variation import TotalVariationLearner

        return TotalVariationLearner(self, problem)
