"""Stochastic integrated gradient underweighted ascent: unlearn a little of what was probably learnt wrongly.

    small_loss   mean loss of the kept rows - ascent * mean loss of the next ones
    backward     mean of L where L >= 0 and of -reversal * L elsewhere, L the backward-corrected loss of a row

Han, Niu, Yu, Yao, Xu, Tsang, Sugiyama, SIGUA: forgetting may make learning with noisy labels more robust, ICML 2020.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from components.classifier.methods.small_loss import SmallLoss
from components.errors import InputError

if TYPE_CHECKING:
    from components.classifier.learners.learner import Learner, Problem

Variant = Literal["small_loss", "backward"]


@dataclass(frozen=True)
class Sigua(SmallLoss):
    """SIGUA: descends on trusted rows and climbs, in smaller steps, on doubtful ones.

    Attributes:
        variant: ``small_loss``: rows are doubtful whose losses are too large to be kept; ``backward``: rows whose loss,
            corrected by the transition of the setting, is negative. The latter needs no noise rate.
        ascent: Size of the step up on the doubtful rows of ``small_loss``.
        next_share: Share of the rows not kept, those with the smallest losses, that ``small_loss`` climbs on; the rest
            is left alone.
        reversal: Size of the step up on the doubtful rows of ``backward``, in [0, 1].
        kind: Names the method.
    """

    variant: Variant = "small_loss"
    ascent: float = 0.01
    next_share: float = 0.4
    reversal: float = 1.0
    kind: Literal["sigua"] = "sigua"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.variant not in ("small_loss", "backward"):
            raise InputError(f"variant must be small_loss or backward, got {self.variant!r}")
        for name in ("ascent", "next_share", "reversal"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must lie in [0, 1], got {getattr(self, name)}")

    def learner(self, problem: "Problem") -> "Learner":
        """One network, and a second for the warm-up where the noise rate is to be estimated."""
        from components.classifier.learners.sigua import BackwardSiguaLearner, SiguaLearner

        return SiguaLearner(problem, self) if self.variant == "small_loss" else BackwardSiguaLearner(problem, self)
