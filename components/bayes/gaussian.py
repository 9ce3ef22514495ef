"""Arithmetic of Gaussian posteriors in natural parameters: learning adds, unlearning subtracts.

With precision S and shift b = S * mean, independent evidence on the same parameters combines as

    S = S_0 + sum_k (S_k - S_0)        b = b_0 + sum_k (b_k - b_0)

so merging the posteriors of several shards, removing one of them and forgetting are sums and products of vectors.

Khan and Rue, The Bayesian Learning Rule, JMLR 24, 2023.
"""

from collections.abc import Sequence

import numpy as np

from components.contracts import FloatArray, Posterior
from components.errors import InputError

Layout = tuple[tuple[str, tuple[int, ...]], ...]


def isotropic(layout: Layout, deviation: float) -> Posterior:
    """N(0, deviation^2) on every parameter of ``layout``, with no data absorbed."""
    if not 0 < deviation < np.inf:
        raise InputError(f"deviation must be positive and finite, got {deviation}")
    size = sum(int(np.prod(shape)) for _, shape in layout)
    return Posterior(layout, np.full(size, deviation**-2.0), np.zeros(size))


def from_moments(
    layout: Layout, mean: FloatArray, precision: FloatArray, rows: float, lineage: tuple[str, ...]
) -> Posterior:
    """The Gaussian with this [P] mean and [P] precision."""
    return Posterior(layout, precision, np.asarray(precision) * np.asarray(mean), rows, lineage)


def tempered(posterior: Posterior, retain: float, floor: Posterior | None = None) -> Posterior:
    """The posterior with a share ``retain`` of its evidence kept and its mean where it was.

    Args:
        posterior: What is known.
        retain: Share kept, in (0, 1]; 1 keeps everything.
        floor: No parameter becomes less certain than here, usually the prior of the first fit; None: no bound.
    """
    if not 0 < retain <= 1:
        raise InputError(f"retain must lie in (0, 1], got {retain}")
    precision, shift = retain * posterior.precision, retain * posterior.shift
    if floor is not None:
        _same_layout(posterior, floor)
        below = precision < floor.precision
        precision = np.where(below, floor.precision, precision)
        shift = np.where(below, floor.precision * posterior.mean, shift)
    return Posterior(posterior.layout, precision, shift, retain * posterior.rows, posterior.lineage)


def merged(posteriors: Sequence[Posterior], prior: Posterior) -> Posterior:
    """The posterior of all the data of ``posteriors``, each of which was learnt from its own data and ``prior``.

    The precision is exact; the mean is exact where the parameters are independent of each other in every posterior.
    With curvature far from diagonal, fit the shards against the K-th root of the prior instead.

    Raises:
        InputError: The evidence contradicts itself so far that no positive precision is left.
    """
    precision, shift = prior.precision.copy(), prior.shift.copy()
    rows, lineage = prior.rows, prior.lineage
    for posterior in posteriors:
        _same_layout(posterior, prior)
        precision += posterior.precision - prior.precision
        shift += posterior.shift - prior.shift
        rows += posterior.rows - prior.rows
        lineage += _absorbed(posterior, prior)
    return Posterior(prior.layout, _positive(precision), shift, rows, lineage)


def removed(posterior: Posterior, part: Posterior, prior: Posterior) -> Posterior:
    """``posterior`` as it was before the data that took ``prior`` to ``part`` were absorbed.

    Raises:
        InputError: ``posterior`` has not absorbed what ``part`` has, or no positive precision is left.
    """
    _same_layout(posterior, prior)
    _same_layout(part, prior)
    lineage = list(posterior.lineage)
    for digest in _absorbed(part, prior):
        if digest not in lineage:
            raise InputError(f"part must have been absorbed by the posterior, {digest!r} is not in its lineage")
        lineage.reverse()
        lineage.remove(digest)
        lineage.reverse()
    precision = posterior.precision - (part.precision - prior.precision)
    shift = posterior.shift - (part.shift - prior.shift)
    rows = posterior.rows - (part.rows - prior.rows)
    return Posterior(posterior.layout, _positive(precision), shift, rows, tuple(lineage))


def divergence(posterior: Posterior, prior: Posterior) -> float:
    """Kullback-Leibler divergence KL(posterior || prior) in nats: how much was learnt."""
    _same_layout(posterior, prior)
    ratio = prior.precision / posterior.precision
    distance = prior.precision * (posterior.mean - prior.mean) ** 2
    return float(0.5 * np.sum(ratio - 1 - np.log(ratio) + distance))


def _absorbed(posterior: Posterior, prior: Posterior) -> tuple[str, ...]:
    known = len(prior.lineage)
    if posterior.lineage[:known] != prior.lineage:
        raise InputError(f"prior must be where the posterior started, its lineage {prior.lineage} does not begin it")
    return posterior.lineage[known:]


def _same_layout(posterior: Posterior, other: Posterior) -> None:
    if posterior.layout != other.layout:
        raise InputError(f"layout of the posteriors must be the same, got {posterior.layout} and {other.layout}")


def _positive(precision: FloatArray) -> FloatArray:
    lowest = float(precision.min()) if precision.size else 1.0
    if not lowest > 0:
        raise InputError(
            f"precision must stay positive, the lowest became {lowest}; more is taken away than was learnt"
        )
    return precision
