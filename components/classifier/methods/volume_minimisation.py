"""Noisy labels with nothing known: of all tables that explain them, the one that mixes classes least.

P(noisy | x) lies in the simplex that the rows of T span. Of those simplices the smallest, by |det T|, has the true T
for its corners, if rows lie scattered enough: no row need be of one class for certain.

Li, Liu, Han, Niu, Sugiyama, Provably end-to-end label-noise learning without anchor points, ICML 2021.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from components.classifier.methods.checks import check_positive, check_weight
from components.classifier.methods.method import Method
from components.errors import InputError

if TYPE_CHECKING:
    from components.classifier.learners.learner import Learner, Problem


@dataclass(frozen=True)
class VolumeMinimisation(Method):
    """Learns the table with the classifier, with a penalty on its volume.

    Attributes:
        penalty: Weight of log |det T| beside the mean surprise at the noisy labels, at least 0.
        start: Cells beside the diagonal begin at 1 / (1 + exp(-start)) of the cell on it.
        relative_step: Step size of the table relative to the network's.
        kind: Names the method.
    """

    penalty: float = 1e-4
    start: float = -2.0
    relative_step: float = 10.0
    kind: Literal["volume_minimisation"] = "volume_minimisation"

    def __post_init__(self) -> None:
        check_weight("penalty", self.penalty)
        check_positive("relative_step", self.relative_step)
        if not -20 <= self.start <= 20:
            raise InputError(f"start must lie in [-20, 20], got {self.start}")

    def learner(self, problem: "Problem") -> "Learner":
        """One network and the table."""
        from components.classifier.learners.volume_minimisation import VolumeMinimisationLearner

        return VolumeMinimisationLearner(self, problem)
