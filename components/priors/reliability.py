"""What the answers of a language model are worth, judged on statements whose truth is known."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from components.contracts import Reliability
from components.errors import InputError


def auc(probabilities: Sequence[float], truth: Sequence[bool]) -> float:
    """Chance that a true statement gets a higher probability than a false one; ties and NaN count half.

    Raises:
        InputError: There is no true or no false statement.
    """
    return float(_doubled_wins(probabilities, truth).mean() / 2)


def judge(
    probabilities: Sequence[float], truth: Sequence[bool], resamples: int = 2000, seed: int = 0, model: str = ""
) -> Reliability:
    """Area under the ROC curve with its 95 % percentile bootstrap interval, and the strength that follows.

    True and false statements are resampled apart. The strength is 0 where the interval holds chance, else
    min(1, 2 (low - 1/2)): how far even the lower end lies on the way from chance to perfection. A statement
    without an answer (NaN) counts half against every other, so silence is never rewarded.

    Raises:
        InputError: There is no true or no false statement.
    """
    wins = _doubled_wins(probabilities, truth)
    rng = np.random.default_rng(seed)
    # Whole numbers up to the one division: a rounding error must not lift an AUC of 1/2 above chance.
    true, false = (rng.multinomial(size, np.full(size, 1 / size), resamples) for size in wins.shape)
    low, high = np.quantile(((true @ wins) * false).sum(axis=1) / (2 * wins.size), [0.025, 0.975])
    strength = 0.0 if low <= 0.5 else min(1.0, 2 * (float(low) - 0.5))
    return Reliability(model, float(wins.mean() / 2), float(low), float(high), strength, len(truth))


def _doubled_wins(probabilities: Sequence[float], truth: Sequence[bool]) -> NDArray[np.int64]:
    """[true, false] 2 where the true statement has the higher probability, 0 where the lower, else 1."""
    values, labels = np.asarray(probabilities, dtype=np.float64), np.asarray(truth, dtype=bool)
    if values.shape != labels.shape or labels.all() or not labels.any():
        raise InputError(f"truth must hold true and false, one for each of {len(values)} probabilities, got {truth}")
    true, false = values[labels][:, None], values[~labels][None, :]
    return np.asarray(1 + (true > false).astype(np.int64) - (true < false))
