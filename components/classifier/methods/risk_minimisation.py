"""Descend on the risk of a setting whose nuisances are known: every combination of rewrite, correction and loss."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from components.classifier.methods.method import Method
from components.weak import Loss, Rewrite, RiskCorrection

if TYPE_CHECKING:
    from components.classifier.learners.learner import Learner, Problem


@dataclass(frozen=True)
class RiskMinimisation(Method):
    """The risk that ``components.weak`` puts together; None takes what is usual for the setting.

    Attributes:
        rewrite: How the clean risk is written in what was observed.
        correction: What is done where the risk of a class turns negative; for the inverse rewrite.
        loss: Losses of all classes from logits.
        kind: Names the method.
    """

    rewrite: Rewrite | None = None
    correction: RiskCorrection | None = None
    loss: Loss | None = None
    kind: Literal["risk_minimisation"] = "risk_minimisation"

    def learner(self, problem: "Problem") -> "Learner":
        """A network that descends on the risk."""
        from components.classifier.learners.risk_minimisation import RiskLearner

        risk = problem.setting.risk(problem.counts, self.loss, self.rewrite, self.correction)
        return RiskLearner(problem, risk)
