"""Noise that depends on the row, where somebody said of each label how sure they were.

Berthon, Han, Niu, Liu, Sugiyama, Confidence scores make instance-dependent label-noise learning possible, ICML 2021.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from components.classifier.methods.checks import check_epochs
from components.classifier.methods.method import Method
from components.errors import InputError
from components.weak.nuisance import Anchors, TransitionMethod

if TYPE_CHECKING:
    from components.classifier.learners.learner import Learner, Problem


@dataclass(frozen=True)
class ConfidenceScored(Method):
    """Corrects each row by a table of its own, worked out from the confidence in its label.

    Rows kept for validation need no confidence: they are judged by the mean table.

    Attributes:
        confidence: P(the label is right | label, x) of each row that is learnt from, in their order.
        transition: What tells, when the warm-up ends, where wrong labels go.
        warm_up_epochs: Epochs in which the network learns the noisy labels as they are, 1 or more.
        kind: Names the method.
    """

    confidence: tuple[float, ...]
    transition: TransitionMethod = Anchors()
    warm_up_epochs: int = 3
    kind: Literal["confidence_scored"] = "confidence_scored"

    def __post_init__(self) -> None:
        check_epochs(self.warm_up_epochs)
        wrong = [value for value in self.confidence if not 0 <= value <= 1]
        if wrong:
            raise InputError(f"confidence must lie in [0, 1], got {wrong[0]}")

    def learner(self, problem: "Problem") -> "Learner":
        """One network and what tells the tables."""
        from components.classifier.learners.confidence_scored import ConfidenceScoredLearner

        return ConfidenceScoredLearner(self, problem)
