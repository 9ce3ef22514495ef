"""From an estimated class prior to the belief over the label frequency that all class prior methods share."""

import numpy as np

from components.contracts import Estimate, FloatArray, LabelFrequency
from components.errors import InputError
from components.weak.class_prior import GRID, update_belief

NARROWEST = 1e-3  # relative; no estimate is more certain than the grid can hold


def belief_about_prior(
    prior: float, spread: float, share: float, previous: LabelFrequency | None, retain: float
) -> FloatArray:
    """[g] density over c = share / prior, where the logarithm of the prior is believed to be normal.

    Args:
        prior: Estimated share of positives among all rows, positive.
        spread: Standard error of its logarithm.
        share: Share of labeled rows among all rows.
        previous: The belief before; None: uniform.
        retain: Power of the previous belief, in [0, 1].
    """
    distance = (np.log(share / GRID) - np.log(prior)) / max(spread, NARROWEST)
    return update_belief(-0.5 * distance**2, previous, retain, share)


def prior_among_unlabelled(belief: LabelFrequency, share: float) -> Estimate:
    """The share of positives among the rows that are not labeled, with its interval.

    It is the class prior where positives and unlabeled rows were drawn apart (two samples). The grid of the belief
    makes it coarse where most rows are labeled: its steps are near 0.005 / (1 - share).

    Args:
        belief: Over c = P(labeled | positive), the rows of both kinds together.
        share: Share of labeled rows among all rows, in (0, 1).

    Raises:
        InputError: The share leaves no unlabeled rows, or no labeled ones.
    """
    if not 0 < share < 1:
        raise InputError(f"share must lie in (0, 1), got {share}")
    everywhere = belief.class_prior(share)
    value, low, high = (
        float(np.clip((prior - share) / (1 - share), 0.0, 1.0))
        for prior in (everywhere.value, everywhere.low, everywhere.high)
    )
    return Estimate(value, low, high, belief.source)
