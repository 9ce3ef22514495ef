"""Co-teaching among the rows that the two networks call differently, which keeps them from becoming one.

Yu, Han, Yao, Niu, Tsang, Sugiyama, How does disagreement help generalization against label corruption?, ICML 2019.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from components.classifier.methods.small_loss import SmallLoss
from components.errors import InputError

if TYPE_CHECKING:
    from components.classifier.learners.learner import Learner, Problem


@dataclass(frozen=True)
class CoTeachingPlus(SmallLoss):
    """Co-teaching with disagreement: only rows that the networks call differently are chosen from.

    Where they agree on the whole minibatch, all its rows are chosen from.

    Attributes:
        joint_epochs: Epochs of plain Co-teaching first, after the warm-up if there is one.
        kind: Names the method.
    """

    joint_epochs: int = 0
    kind: Literal["co_teaching_plus"] = "co_teaching_plus"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.joint_epochs < 0:
            raise InputError(f"joint_epochs must be at least 0, got {self.joint_epochs}")

    def learner(self, problem: "Problem") -> "Learner":
        """Two networks."""
        from components.classifier.learners.co_teaching_plus import CoTeachingPlusLearner

        return CoTeachingPlusLearner(problem, self)
