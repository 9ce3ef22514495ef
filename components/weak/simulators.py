"""Drawing weak data from clean data."""

import numpy as np

from components.contracts import FloatArray
from components.errors import InputError
from components.weak.observed import Clean, IntArray


class Pool:
    """Rows of clean data by class, in random order; each is taken once before any is taken twice.

    Attributes:
        labels: [n] class of each row.
        generator: Where chance comes from.
    """

    def __init__(self, labels: IntArray, generator: np.random.Generator) -> None:
        self.labels = labels
        self.generator = generator
        self._waiting: dict[int, list[IntArray]] = {}

    def take(self, classes: IntArray) -> IntArray:
        """A row for each entry of ``classes``, of that class.

        Raises:
            InputError: There is no row of some class.
        """
        rows = np.empty(classes.shape, dtype=np.int64)
        for label in np.unique(classes).tolist():
            here = classes == label
            rows[here] = self._next(label, int(here.sum()))
        return rows

    def _next(self, label: int, count: int) -> IntArray:
        waiting = self._waiting.setdefault(label, [])
        members = np.flatnonzero(self.labels == label)
        if len(members) == 0:
            raise InputError(f"labels must hold class {label}, which this setting draws from, got none")
        while sum(map(len, waiting)) < count:
            waiting.append(self.generator.permutation(members))
        row = np.concatenate(waiting)
        self._waiting[label] = [row[count:]]
        return np.asarray(row[:count])


def draw_sources(
    clean: Clean, mixture: FloatArray, sizes: tuple[int, ...] | None, seed: int
) -> tuple[IntArray, IntArray]:
    """Rows and the source of each, drawn source by source with class composition ``mixture`` [S, K].

    ``sizes`` [S] None: as many rows as there are, spread evenly.
    """
    many = sizes_of(sizes, len(mixture), len(clean.labels) // len(mixture))
    generator = np.random.default_rng(seed)
    pool = Pool(clean.labels, generator)
    drawn = [
        pool.take(generator.choice(mixture.shape[1], count, p=row / row.sum()))
        for row, count in zip(mixture, many, strict=True)
    ]
    return np.concatenate(drawn), np.repeat(np.arange(len(many)), many)


def draw_pairs(pool: Pool, law: FloatArray, pairs: int) -> IntArray:
    """[2 pairs] rows, all first ones and then all second ones, with classes by the joint ``law`` [K, K]."""
    flat = pool.generator.choice(law.size, pairs, p=law.ravel() / law.sum())
    first, second = np.divmod(flat, law.shape[1])
    return pool.take(np.concatenate([first, second]))


def drawn_from(probabilities: FloatArray, generator: np.random.Generator) -> IntArray:
    """[n] one column for each row of ``probabilities`` [n, S]."""
    edges = np.cumsum(probabilities, axis=1)
    edges /= edges[:, -1:]
    return np.asarray((generator.random(len(edges))[:, None] >= edges).sum(axis=1), dtype=np.int64)


def sizes_of(sizes: tuple[int, ...] | None, sources: int, usual: int) -> tuple[int, ...]:
    """``sizes``, or ``usual`` rows for each source.

    Raises:
        InputError: There is not one positive size for each source.
    """
    many = (usual,) * sources if sizes is None else tuple(int(size) for size in sizes)
    if len(many) != sources or min(many) < 1:
        raise InputError(f"sizes must be {sources} positive numbers, got {list(many)}")
    return many


def needed_posterior(clean: Clean) -> FloatArray:
    """[n] the posterior of ``clean``.

    Raises:
        InputError: It has none.
    """
    if clean.posterior is None:
        raise InputError("posterior must be given, the probability of the positive class at each row, got None")
    return clean.posterior
