"""Noise that depends on the row: a table that is a function of the predicted class, smooth where rows are alike.

Cheng, Liu, Ning, Wang, Han, Niu, Gao, Sugiyama, Instance-dependent label-noise learning with manifold-regularized
transition matrix estimation, CVPR 2022. Their choice of a confident subset of the rows every few epochs is left out.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from components.classifier.methods.checks import check_epochs, check_inside, check_positive, check_weight
from components.classifier.methods.method import Method

if TYPE_CHECKING:
    from components.classifier.learners.learner import Learner, Problem


@dataclass(frozen=True)
class ManifoldRegularised(Method):
    """Learns tables of rows with the classifier, with a penalty where they differ and the rows do not.

    Attributes:
        weight: Of that penalty beside the mean surprise at the noisy labels, at least 0.
        width: Distance between predicted probabilities beyond which rows are not alike, positive.
        start: Every table begins as this much of the identity, the rest spread over all labels alike; in (0, 1). The
            authors take 0.9, from which tables move little in a short training.
        warm_up_epochs: Epochs in which the network learns the noisy labels as they are, at least 0.
        relative_step: Step size of the tables relative to the network's.
        kind: Names the method.
    """

    weight: float = 0.3
    width: float = 1.1
    start: float = 0.6
    warm_up_epochs: int = 0
    relative_step: float = 0.2
    kind: Literal["manifold_regularised"] = "manifold_regularised"

    def __post_init__(self) -> None:
        check_weight("weight", self.weight)
        check_positive("width", self.width)
        check_inside("start", self.start)
        check_epochs(self.warm_up_epochs, least=0)
        check_positive("relative_step", self.relative_step)

    def learner(self, problem: "Problem") -> "Learner":
        """One network and the map to tables."""
        from components.classifier.learners.manifold_regularised import ManifoldRegularisedLearner

        return ManifoldRegularisedLearner(self, problem)
