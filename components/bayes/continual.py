"""Absorb one more batch: the prior of the update is the last posterior.

    q_t = argmin  E_q[risk on the new batch] + KL(q || q_{t-1} with a share ``retain`` of its evidence)

so nothing old is read again. After a drift less of the old evidence is retained, and no parameter ever becomes less
certain than it was before the first data.

Nguyen et al., Variational Continual Learning, ICLR 2018.
Khan and Rue, The Bayesian Learning Rule, JMLR 24, 2023.
"""

from dataclasses import dataclass
from typing import Literal

from components.bayes.gaussian import tempered
from components.bayes.ivon import Ivon
from components.contracts import Posterior
from components.errors import InputError
from components.ports import Objective, Report, silent


@dataclass(frozen=True)
class Continual:
    """Bayesian updates, batch after batch.

    Attributes:
        rule: How one batch is learnt; its ``prior_deviation`` is not used, the last posterior is the prior.
        retain: Share of the old evidence that survives an update, in (0, 1]; 1 forgets nothing.
        retain_after_drift: The same after a batch whose distribution has moved; at most ``retain``.
    """

    kind: Literal["continual"] = "continual"
    rule: Ivon = Ivon(epochs=20)
    retain: float = 1.0
    retain_after_drift: float = 0.7

    def __post_init__(self) -> None:
        for name in ("retain", "retain_after_drift"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise InputError(f"{name} must lie in (0, 1], got {value}")
        if self.retain_after_drift > self.retain:
            raise InputError(f"retain_after_drift must not exceed retain {self.retain}, got {self.retain_after_drift}")

    def prior(self, posterior: Posterior, start_prior: Posterior, drifted: bool) -> Posterior:
        """What the next batch is learnt against: ``posterior`` less what is forgotten, never below ``start_prior``."""
        return tempered(posterior, self.retain_after_drift if drifted else self.retain, start_prior)

    def update(
        self,
        objective: Objective,
        posterior: Posterior,
        start_prior: Posterior,
        drifted: bool,
        digest: str,
        report: Report = silent,
    ) -> Posterior:
        """The posterior after the batch of ``objective``.

        Args:
            objective: The risk on the new batch alone.
            posterior: What was known before it.
            start_prior: The prior of the first fit: the floor of what is forgotten.
            drifted: Whether the batch's distribution has moved.
            digest: Name of the batch, appended to the posterior's lineage.
            report: Gets the metrics of each epoch.

        Raises:
            InputError: The risk, its gradient or its curvature stopped being finite.
        """
        prior = self.prior(posterior, start_prior, drifted)
        return self.rule.fit(objective, prior, posterior.mean, digest, report)
