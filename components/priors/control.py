"""How much of what a language model said survives when the variables get neutral names.

A model that has read the data set's papers knows the graph from the names. What it still says when the variables are
called V1, V2, ... cannot be remembered; it comes from the statistics it was shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from components.contracts import Evidence, FloatArray
from components.priors.elicited import Kind
from components.priors.reliability import auc


@dataclass(frozen=True)
class Survival:
    """What the answers under neutral names have in common with those under the true ones.

    Attributes:
        pairs: Pairs and kinds with an answer under both.
        correlation: Of the two logits over those; NaN where either does not vary.
        auc: Chance that a pair with a true-name probability above 1/2 has a higher neutral-name probability than one
            below; NaN where all are on one side.
        claims: Claims under the true names.
        kept: Those of them that also hold under neutral names.
    """

    pairs: int
    correlation: float
    auc: float
    claims: int
    kept: int

    def metrics(self) -> dict[str, float]:
        """The numbers that are known."""
        share = self.kept / self.claims if self.claims else np.nan
        known = {"renamed_correlation": self.correlation, "renamed_auc": self.auc, "renamed_claims_kept": share}
        return {name: float(value) for name, value in known.items() if np.isfinite(value)}

    def told(self) -> str:
        """The measure in a sentence."""
        numbers = []
        if np.isfinite(self.correlation):
            numbers.append(f"correlation {self.correlation:.2f}")
        if np.isfinite(self.auc):
            numbers.append(f"AUC {self.auc:.2f}")
        alike = f"; over {self.pairs} answers: {', '.join(numbers)}" if numbers else ""
        return (
            f"With neutral names {self.kept} of {self.claims} claims still hold{alike}. What does not hold then "
            "comes from the names, and may have been learnt by heart."
        )


def survival(
    named: Mapping[Kind, FloatArray],
    renamed: Mapping[Kind, FloatArray],
    claims: Sequence[Evidence],
    renamed_claims: Sequence[Evidence],
) -> Survival:
    """Compare the answers under both namings.

    Args:
        named: [effect, cause] probabilities under the true names, by kind.
        renamed: The same variables under neutral names.
        claims: What follows from the first.
        renamed_claims: What follows from the second; both lists use the true names.
    """
    first, second = (np.concatenate([matrices[kind].ravel() for kind in named]) for matrices in (named, renamed))
    both = np.isfinite(first) & np.isfinite(second)
    first, second = first[both], second[both]
    logits = [np.log(each) - np.log1p(-each) for each in (first, second)]
    varies = both.any() and min(map(np.ptp, logits)) > 0
    above = first > 0.5
    held = {(claim.effect, claim.cause, claim.claim) for claim in renamed_claims}
    return Survival(
        int(both.sum()),
        float(np.corrcoef(*logits)[0, 1]) if varies else float("nan"),
        auc(second.tolist(), above.tolist()) if above.any() and not above.all() else float("nan"),
        len(claims),
        sum((claim.effect, claim.cause, claim.claim) in held for claim in claims),
    )
