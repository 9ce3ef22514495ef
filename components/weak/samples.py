"""Tables with a weak label, read as samples of known mixtures.

A table with a weak label is one sample of the population in which a labeled row is a known positive. The unlabeled
source is therefore all rows, labeled ones included: taking them out would leave fewer positives in it than the class
prior says.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from components.contracts import FloatArray, WeakData
from components.errors import InputError


def positive_unlabeled(
    features: ArrayLike,
    labelled: ArrayLike,
    class_prior: float,
    target_prior: float | None = None,
    mixture_prior: float | None = None,
    weights: ArrayLike | None = None,
) -> WeakData:
    """Rows of one sample, some of which are known positives.

    Args:
        features: [n, d] finite numbers.
        labelled: [n] bool, the row is a known positive.
        class_prior: Share of positives in the population the rows came from, in (0, 1).
        target_prior: Share of positives in the population the risk is for. None: ``class_prior``.
        mixture_prior: Share of positives among all rows once ``weights`` are on them. None: ``class_prior``.
        weights: [n, 2] nonnegative importance of each row as a labeled row and as a row; only the ratios within a
            column matter, and the first column counts on labeled rows only. None: all equal.

    Raises:
        InputError: A prior lies outside (0, 1), no row is labeled, or a shape disagrees.
    """
    target = class_prior if target_prior is None else target_prior
    mixed = class_prior if mixture_prior is None else mixture_prior
    for name, value in (("class_prior", class_prior), ("target_prior", target), ("mixture_prior", mixed)):
        if not 0 < value < 1:
            raise InputError(f"{name} must lie in (0, 1), got {value}")
    known = _labels(features, labelled)
    sources = np.column_stack([known, np.ones_like(known)])
    return WeakData(
        features=np.asarray(features, dtype=np.float64),
        sources=_read_only(sources),
        weights=_mean_one(np.ones(sources.shape) if weights is None else np.asarray(weights, np.float64), sources),
        mixture=np.array([[1.0, 0.0], [mixed, 1.0 - mixed]]),
        prior=np.array([target, 1.0 - target]),
    )


def fully_labelled(features: ArrayLike, labelled: ArrayLike, weights: ArrayLike | None = None) -> WeakData:
    """The naive reading: every row without a label is a negative.

    Args:
        features: [n, d] finite numbers.
        labelled: [n] bool; both values must occur.
        weights: [n] nonnegative importance of each row; None: all equal.

    Raises:
        InputError: One class has no row, or a shape disagrees.
    """
    known = _labels(features, labelled)
    if known.all():
        raise InputError("labelled must be false for at least one row, got true for all")
    sources = np.column_stack([known, ~known])
    importance = np.ones(len(known)) if weights is None else np.asarray(weights, dtype=np.float64)
    if importance.shape != known.shape:
        raise InputError(f"weights must have shape {known.shape}, got {importance.shape}")
    share = float(importance[known].sum() / importance.sum())
    return WeakData(
        features=np.asarray(features, dtype=np.float64),
        sources=_read_only(sources),
        weights=_mean_one(np.repeat(importance[:, None], 2, axis=1), sources),
        mixture=np.eye(2),
        prior=np.array([share, 1.0 - share]),
    )


def _labels(features: ArrayLike, labelled: ArrayLike) -> NDArray[np.bool_]:
    known = np.array(labelled, dtype=np.bool_)
    if known.shape != np.shape(features)[:1]:
        raise InputError(f"labelled must hold one value for each row, got {known.shape} for {np.shape(features)}")
    if not known.any():
        raise InputError("labelled must be true for at least one row, got none")
    return known


def _mean_one(weights: FloatArray, sources: NDArray[np.bool_]) -> FloatArray:
    if weights.shape != sources.shape:
        raise InputError(f"weights must have shape {sources.shape}, got {weights.shape}")
    inside = np.where(sources, weights, 0.0)
    totals = inside.sum(axis=0)
    if not (totals > 0).all():
        raise InputError(f"weights must be positive somewhere in every source, got totals {totals.tolist()}")
    return np.asarray(inside * (sources.sum(axis=0) / totals))


def _read_only(sources: NDArray[np.bool_]) -> NDArray[np.bool_]:
    sources.flags.writeable = False
    return sources
