"""Beliefs about c = P(labeled | positive), which fixes the class prior: prior = share of labeled rows / c.

Positives and unlabeled rows alone fix the prior only up to an interval. It is at least the share of labeled rows and
at most what best bin estimation finds; a method picks a belief inside by an assumption that its note names.
All beliefs live on one grid, so that they multiply from batch to batch.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from components.contracts import FloatArray, LabelFrequency, frozen
from components.errors import InputError

STEP = 0.005
GRID = frozen(np.arange(1, 201) * STEP)
FLOOR = 1e-9  # no batch may rule a value out for ever
RARE = 20  # of the rows drawn, one in so many is labeled at least, where there are that many


class Estimates(Protocol):
    """Turns rows of a batch into a belief about the label frequency."""

    def estimate(
        self,
        features: FloatArray,
        labelled: NDArray[np.bool_],
        previous: LabelFrequency | None = None,
        oversampling: float = 1.0,
    ) -> LabelFrequency:
        """The belief after rows with ``features`` [n, d] and ``labelled`` [n].

        Args:
            features: [n, d].
            labelled: [n] the row is a known positive.
            previous: The belief before; None where this is the first.
            oversampling: How many times as likely a labeled row is to be among these rows as any other.
        """


def update_belief(
    log_likelihood: FloatArray, previous: LabelFrequency | None, retain: float, share: float
) -> FloatArray:
    """[g] density on ``GRID``: likelihood times the previous belief to the power ``retain``.

    Args:
        log_likelihood: [g] over ``GRID``, -inf where a value is ruled out.
        previous: The belief before; None: uniform.
        retain: How much of the previous belief is kept, in [0, 1].
        share: Share of labeled rows in the batch; values of c below it would need a prior above one.
    """
    before = np.ones(len(GRID)) if previous is None else (on_grid(previous) + FLOOR) ** retain
    logs = np.where(share <= GRID, log_likelihood, -np.inf) + np.log(before)
    density = np.exp(logs - logs.max())
    return np.asarray(density / density.sum())


def on_grid(belief: LabelFrequency) -> FloatArray:
    """[g] the belief as masses on ``GRID``; each mass is spread over the cell around its point."""
    if np.array_equal(belief.grid, GRID):
        return belief.density
    middles = (belief.grid[1:] + belief.grid[:-1]) / 2
    edges = np.concatenate([belief.grid[:1], middles, belief.grid[-1:]])
    below = np.concatenate([[0.0], np.cumsum(belief.density)])
    reached = np.interp((GRID[1:] + GRID[:-1]) / 2, edges, below, left=0.0, right=1.0)
    return np.diff(np.concatenate([[0.0], reached, [1.0]]))


def check_bounds(retain: float, maximum_rows: int, seed: int, fewest: int = 100) -> None:
    """The rules of the fields that every estimated class prior has.

    Raises:
        InputError: A value breaks its rule.
    """
    if not 0 <= retain <= 1:
        raise InputError(f"retain must lie in [0, 1], got {retain}")
    if maximum_rows < fewest:
        raise InputError(f"maximum_rows must be at least {fewest}, got {maximum_rows}")
    if seed < 0:
        raise InputError(f"seed must be at least 0, got {seed}")


def check_rows(features: FloatArray, labelled: NDArray[np.bool_]) -> None:
    """Refuse rows that no belief can come from.

    Raises:
        InputError: Features are not a finite matrix, or not both labeled and unlabeled rows are there.
    """
    if features.ndim != 2 or labelled.shape != features.shape[:1]:
        raise InputError(f"labelled must hold one value for each row, got {labelled.shape} for {features.shape}")
    if not np.isfinite(features).all():
        raise InputError("features must be finite, found NaN or infinity")
    if labelled.all() or not labelled.any():
        raise InputError(f"labelled must hold both values, got {int(labelled.sum())} of {len(labelled)} labeled")


def share_of(labelled: NDArray[np.bool_], oversampling: float) -> float:
    """Share of labeled rows in the population that rows with ``labelled`` [n] were drawn from."""
    known = float(labelled.sum()) / oversampling
    return known / (known + float((~labelled).sum()))


def draw_rows(
    labelled: NDArray[np.bool_], oversampling: float, maximum: int, seed: int
) -> tuple[NDArray[np.int64], float]:
    """Positions, in order, of about ``maximum`` of the rows, and the oversampling among them.

    They are drawn alike, unless fewer than one in 20 of ``maximum`` would then be labeled although there are more:
    labeled rows are added up to that number, the oversampling says so, and the likelihood of the labels given that
    oversampling remains exact (Manski and McFadden, Alternative estimators and sample designs for discrete choice
    analysis, 1981).
    """
    count, fewest = len(labelled), min(int(labelled.sum()), maximum // RARE)
    if count <= maximum:
        return np.arange(count), oversampling
    generator = np.random.default_rng(seed)
    rows = generator.choice(count, maximum, replace=False)
    known = int(labelled[rows].sum())
    if known < fewest:
        others = np.setdiff1d(np.flatnonzero(labelled), rows, assume_unique=True)
        rows = np.concatenate([rows, generator.choice(others, fewest - known, replace=False)])
        rest = count - int(labelled.sum())
        oversampling *= (fewest / labelled.sum()) / ((maximum - known) / rest)
    return np.sort(rows), float(oversampling)
