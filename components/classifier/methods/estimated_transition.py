"""Noisy labels with nothing known: learn them, estimate the table, correct by it.

Patrini, Rozza, Menon, Nock, Qu, Making deep neural networks robust to label noise: a loss correction approach, 2017.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from components.classifier.methods.checks import check_epochs
from components.classifier.methods.method import Method
from components.weak import Forward, Inverse, Reweight, RiskCorrection
from components.weak.nuisance import Anchors, TransitionMethod

if TYPE_CHECKING:
    from components.classifier.learners.learner import Learner, Problem


@dataclass(frozen=True)
class EstimatedNoise(Method):
    """Corrects by a table of label noise that it first estimates.

    Attributes:
        transition: How the table is estimated, when the warm-up ends.
        rewrite: How the clean risk is then written in noisy labels.
        correction: What is done where the risk of a class turns negative; for the inverse rewrite. None: its absolute
            value.
        warm_up_epochs: Epochs in which the network learns the noisy labels as they are, 1 or more.
        kind: Names the method.
    """

    transition: TransitionMethod = Anchors()
    rewrite: Forward | Inverse | Reweight = Forward()
    correction: RiskCorrection | None = None
    warm_up_epochs: int = 3
    kind: Literal["estimated_noise"] = "estimated_noise"

    def __post_init__(self) -> None:
        check_epochs(self.warm_up_epochs)

    def learner(self, problem: "Problem") -> "Learner":
        """One network and the table."""
        from components.classifier.learners.estimated_transition import EstimatedTransitionLearner

        return EstimatedTransitionLearner(self, problem)
