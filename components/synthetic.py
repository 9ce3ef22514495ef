"""Worlds whose truth is known: linear structural equation models with independent noise of unit variance."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from components.contracts import FloatArray
from components.errors import InputError

Noise = Literal["uniform", "laplace", "gaussian"]


def linear_sem(weights: ArrayLike, order: Sequence[int], rows: int, noise: Noise, seed: int) -> FloatArray:
    """[rows, p] draws of x = B x + e, the noise e independent with mean zero and variance one.

    Args:
        weights: [effect, cause] direct effects B.
        order: Indices of the variables, causes before effects.
        rows: Number of draws.
        noise: Distribution of every noise term; only the non-Gaussian ones identify all directions.
        seed: Equal seeds give equal tables.

    Raises:
        InputError: ``weights`` has an edge against ``order``, or ``noise`` is not one of the three.
    """
    matrix = np.asarray(weights, dtype=np.float64)
    if sorted(order) != list(range(len(matrix))) or np.triu(matrix[np.ix_(order, order)]).any():
        raise InputError("weights must be strictly lower triangular in order, which must hold each variable once")
    values = _noise(noise, (rows, len(matrix)), np.random.default_rng(seed))
    for effect in order:
        values[:, effect] += values @ matrix[effect]
    return values


def random_dag(p: int, parents: int, seed: int) -> tuple[FloatArray, tuple[int, ...]]:
    """A random acyclic graph: [effect, cause] weights and an order with causes first.

    Each variable gets between none and ``parents`` parents among those before it in a random order; sizes of the
    effects are uniform on [0.3, 0.9], signs are fair.

    Raises:
        InputError: ``p`` is below 1 or ``parents`` is negative.
    """
    if p < 1 or parents < 0:
        raise InputError(f"p must be at least 1 and parents at least 0, got {p} and {parents}")
    rng = np.random.default_rng(seed)
    order = rng.permutation(p)
    weights = np.zeros((p, p))
    for place, effect in enumerate(order):
        chosen = rng.permutation(order[:place])[: rng.integers(0, parents, endpoint=True)]
        weights[effect, chosen] = rng.uniform(0.3, 0.9, len(chosen)) * rng.choice([-1, 1], len(chosen))
    return weights, tuple(int(index) for index in order)


def _noise(kind: Noise, shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    if kind == "uniform":
        return rng.uniform(-np.sqrt(3), np.sqrt(3), shape)
    if kind == "laplace":
        return rng.laplace(0, np.sqrt(0.5), shape)
    if kind == "gaussian":
        return rng.standard_normal(shape)
    raise InputError(f"noise must be one of {', '.join(get_args(Noise))}, got {kind!r}")
