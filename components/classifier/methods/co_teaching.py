"""Two networks, each of which chooses the rows that the other learns from.

A network that chose for itself would go on believing its own mistakes; what looks easy to a network that began
elsewhere is less likely to be the same mistake.

Han, Yao, Yu, Niu, Xu, Hu, Tsang, Sugiyama, Co-teaching: robust training of deep neural networks with extremely noisy
labels, NeurIPS 2018.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from components.classifier.methods.small_loss import SmallLoss

if TYPE_CHECKING:
    from components.classifier.learners.learner import Learner, Problem


@dataclass(frozen=True)
class CoTeaching(SmallLoss):
    """Co-teaching: each network learns from the rows with the smallest losses of the other.

    Attributes:
        kind: Names the method.
    """

    kind: Literal["co_teaching"] = "co_teaching"

    def learner(self, problem: "Problem") -> "Learner":
        """Two networks."""
        from components.classifier.learners.co_teaching import CoTeachingLearner

        return CoTeachingLearner(problem, self)
