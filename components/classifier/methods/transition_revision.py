"""Noisy labels with nothing known: reweight by an estimated table, then revise the table by what the weights do.

Xia, Liu, Wang, Han, Gong, Niu, Sugiyama, Are anchor points really indispensable in label-noise learning?, NeurIPS 2019.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from components.classifier.methods.checks import check_epochs, check_positive
from components.classifier.methods.method import Method
from components.errors import InputError
from components.weak.nuisance import Anchors, TransitionMethod

if TYPE_CHECKING:
    from components.classifier.learners.learner import Learner, Problem


@dataclass(frozen=True)
class TransitionRevision(Method):
    """Learns noisy labels, reweights by a table read off, and in the last epochs adds a slack to the table.

    Attributes:
        transition: How the table is estimated, when the warm-up ends.
        warm_up_epochs: Epochs in which the network learns the noisy labels as they are, 1 or more.
        reweighted_epochs: Epochs with the table as it was estimated, at least 0; the slack is learned in the rest.
        relative_step: Step size of the slack relative to the network's.
        kind: Names the method.
    """

    transition: TransitionMethod = Anchors()
    warm_up_epochs: int = 3
    reweighted_epochs: int = 3
    relative_step: float = 0.01
    kind: Literal["transition_revision"] = "transition_revision"

    def __post_init__(self) -> None:
        check_epochs(self.warm_up_epochs)
        if self.reweighted_epochs < 0:
            raise InputError(f"reweighted_epochs must be at least 0, got {self.reweighted_epochs}")
        check_positive("relative_step", self.relative_step)

    def learner(self, problem: "Problem") -> "Learner":
        """One network, the table and its slack."""
        from components.classifier.learners.transition_revision import TransitionRevisionLearner

        return TransitionRevisionLearner(self, problem)
