"""Noise that depends on the row: rows are mixtures of parts, and so are their tables.

Parts are found in the last hidden layer of a network that learned the noisy labels; a row's table is mixed of the
tables of parts as the row is of the parts.

Xia, Liu, Han, Wang, Gong, Liu, Niu, Tao, Sugiyama, Part-dependent label noise: towards instance-dependent label noise,
NeurIPS 2020.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from components.classifier.methods.checks import check_epochs, check_positive
from components.classifier.methods.method import Method
from components.errors import InputError

if TYPE_CHECKING:
    from components.classifier.learners.learner import Learner, Problem


@dataclass(frozen=True)
class PartDependent(Method):
    """Reweights by a table for each row, and in the last epochs revises all of them by one slack.

    Attributes:
        parts: Number of parts, 2 or more.
        lowest: Percentile of a class's probability of the first of its anchors, as many as parts.
        highest: Percentile of the last.
        warm_up_epochs: Epochs in which the network learns the noisy labels as they are, 1 or more.
        reweighted_epochs: Epochs with the tables as they were estimated, at least 0; the slack is learned in the rest.
        relative_step: Step size of the slack relative to the network's.
        kind: Names the method.
    """

    parts: int = 10
    lowest: float = 97.0
    highest: float = 99.0
    warm_up_epochs: int = 3
    reweighted_epochs: int = 3
    relative_step: float = 0.01
    kind: Literal["part_dependent"] = "part_dependent"

    def __post_init__(self) -> None:
        check_epochs(self.warm_up_epochs)
        if self.parts < 2:
            raise InputError(f"parts must be at least 2, got {self.parts}")
        if not 0 <= self.lowest <= self.highest <= 100:
            raise InputError(f"lowest and highest must be percentiles in order, got {self.lowest} and {self.highest}")
        if self.reweighted_epochs < 0:
            raise InputError(f"reweighted_epochs must be at least 0, got {self.reweighted_epochs}")
        check_positive("relative_step", self.relative_step)

    def learner(self, problem: "Problem") -> "Learner":
        """One network, the tables of parts and their slack."""
        from components.classifier.learners.part_dependent import PartDependentLearner

        return PartDependentLearner(self, problem)
