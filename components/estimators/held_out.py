"""Rows kept for validation."""

import numpy as np

from components.errors import InputError
from components.weak import Observed


def held_out(observed: Observed, fraction: float, seed: int) -> tuple[Observed, Observed | None]:
    """Rows to learn from and rows kept for validation, with ``fraction`` of each source or label among the latter.

    At least one row of each source or label is on either side. Sets and confidences are drawn as they come. Rows
    without weight are left out.

    Raises:
        InputError: ``fraction`` lies outside [0, 1), or a source or label has one row only.
    """
    if not 0 <= fraction < 1:
        raise InputError(f"validation_fraction must lie in [0, 1), got {fraction}")
    if fraction == 0:
        return observed, None
    if observed.weights is not None:
        observed = observed.rows(np.flatnonzero(observed.weights > 0))
    labelled = observed.marks.ndim == 1 and observed.marks.dtype.kind in "iu"
    strata = observed.marks if labelled else np.zeros(len(observed), dtype=np.int64)
    generator, kept = np.random.default_rng(seed), np.zeros(len(observed), dtype=np.bool_)
    for stratum in np.unique(strata):
        rows = generator.permutation(np.flatnonzero(strata == stratum))
        if len(rows) < 2:
            raise InputError(
                f"validation_fraction must be 0 where a source, label or class has 1 row only, as {stratum} has: "
                f"got {fraction}"
            )
        kept[rows[: min(max(round(fraction * len(rows)), 1), len(rows) - 1)]] = True
    return observed.rows(np.flatnonzero(~kept)), observed.rows(np.flatnonzero(kept))
