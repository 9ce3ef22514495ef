"""Settings that observe pairs of rows with two classes: alike or not, or which is the more positive.

A pair is taken apart into two points; their source is the kind of pair, or their place in it. ``observe_pairs`` takes
pairs [n, 2, d] as they come.

Bao, Niu, Sugiyama, Classification from pairwise similarity and unlabeled data, 2018.
Shimada, Bao, Sato, Sugiyama, Classification from pairwise similarities/dissimilarities and unlabeled data via empirical
risk minimization, 2021. Feng et al., Pointwise binary classification with pairwise confidence comparisons, 2021.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from components.contracts import FloatArray
from components.errors import InputError
from components.weak.losses import CrossEntropy, Loss, Squared
from components.weak.observed import Clean, Observed, Simulated, pooled
from components.weak.settings.setting import between, binary
from components.weak.settings.sources import TwoClassSetting
from components.weak.simulators import Pool, draw_pairs, sizes_of


class SimilaritySetting(TwoClassSetting):
    """Pairs of equal class, pairs of different class, or unlabeled rows: two or three of these sources.

    Attributes:
        sources: Which of them, in the order of their numbers.
    """

    usual_loss: ClassVar[Loss] = Squared()
    sources: ClassVar[tuple[Literal["similar", "dissimilar", "unlabeled"], ...]]

    def __post_init__(self) -> None:
        between("prior", self.prior, forbidden=0.5)

    @property
    def unlabeled(self) -> int | None:
        """The rows that are in no pair, where there are such."""
        return self.sources.index("unlabeled") if "unlabeled" in self.sources else None

    @property
    def composition(self) -> FloatArray:
        """The points of pairs alike, the points of pairs that differ, and the unlabeled rows."""
        p, n = binary(self.prior)
        known = {"similar": [p**2, n**2] / (p**2 + n**2), "dissimilar": np.array([0.5, 0.5]), "unlabeled": [p, n]}
        return np.array([known[source] for source in self.sources], dtype=np.float64)

    def observe_pairs(
        self,
        similar: FloatArray | None = None,
        dissimilar: FloatArray | None = None,
        unlabeled: FloatArray | None = None,
    ) -> Observed:
        """Points of ``similar`` and ``dissimilar`` pairs [n, 2, d] and ``unlabeled`` rows [n, d].

        Raises:
            InputError: A source of the setting is missing, or one is given that it does not have.
        """
        given = {"similar": similar, "dissimilar": dissimilar, "unlabeled": unlabeled}
        for name, values in given.items():
            if (values is not None) != (name in self.sources):
                raise InputError(f"{name} must {'' if name in self.sources else 'not '}be given for {self.kind}")
        parts = [np.asarray(given[name]) if name == "unlabeled" else pooled(given[name]) for name in self.sources]  # type: ignore[arg-type]
        if any(part.ndim != 2 or part.shape[1] != parts[0].shape[1] for part in parts):
            raise InputError(f"features must agree in their columns, got shapes {[part.shape for part in parts]}")
        marks = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        return Observed(np.concatenate(parts), marks)

    def simulate(self, clean: Clean, seed: int = 0, sizes: tuple[int, ...] | None = None) -> Simulated:
        """``sizes``: pairs of each kind, and unlabeled rows (None: as many in all as ``clean`` has rows)."""
        p, n = binary(self.prior)
        laws = {"similar": np.diag([p**2, n**2]), "dissimilar": np.array([[0, 1.0], [1.0, 0]])}
        many = sizes_of(sizes, len(self.sources), len(clean.labels) // (2 * len(self.sources)))
        pool = Pool(clean.labels, np.random.default_rng(seed))
        rows = [
            pool.take(pool.generator.choice(2, count, p=[p, n])) if source == "unlabeled" else
            draw_pairs(pool, laws[source], count)
            for source, count in zip(self.sources, many, strict=True)
        ]  # fmt: skip
        index, marks = np.concatenate(rows), np.repeat(np.arange(len(rows)), [len(part) for part in rows])
        return Simulated(self, Observed(clean.features[index], marks), clean.labels[index])


@dataclass(frozen=True)
class SimilarUnlabeled(SimilaritySetting):
    """Pairs known to be of equal class, and rows without a label.

    Attributes:
        prior: Share of positives in the population, in (0, 1) and not 1/2.
        kind: Names the setting.
    """

    prior: float
    kind: Literal["similar_unlabeled"] = "similar_unlabeled"
    sources = ("similar", "unlabeled")


@dataclass(frozen=True)
class DissimilarUnlabeled(SimilaritySetting):
    """Pairs known to be of different class, and rows without a label.

    Attributes:
        prior: Share of positives in the population, in (0, 1) and not 1/2.
        kind: Names the setting.
    """

    prior: float
    kind: Literal["dissimilar_unlabeled"] = "dissimilar_unlabeled"
    sources = ("dissimilar", "unlabeled")


@dataclass(frozen=True)
class SimilarDissimilar(SimilaritySetting):
    """Pairs known to be of equal class, and pairs known to be of different class.

    Attributes:
        prior: Share of positives in the population, in (0, 1) and not 1/2.
        kind: Names the setting.
    """

    prior: float
    kind: Literal["similar_dissimilar"] = "similar_dissimilar"
    sources = ("similar", "dissimilar")


@dataclass(frozen=True)
class SimilarDissimilarUnlabeled(SimilaritySetting):
    """Pairs known to be of equal class, pairs known to be of different class, and rows without a label.

    Attributes:
        prior: Share of positives in the population, in (0, 1) and not 1/2.
        kind: Names the setting.
    """

    prior: float
    kind: Literal["similar_dissimilar_unlabeled"] = "similar_dissimilar_unlabeled"
    sources = ("similar", "dissimilar", "unlabeled")


@dataclass(frozen=True)
class PairwiseComparison(TwoClassSetting):
    """Pairs whose first row is at least as likely positive as the second: never a negative before a positive.

    Attributes:
        prior: Share of positives in the population, in (0, 1).
        kind: Names the setting.
    """

    prior: float
    kind: Literal["pairwise_comparison"] = "pairwise_comparison"
    usual_loss: ClassVar[Loss] = CrossEntropy()

    @property
    def composition(self) -> FloatArray:
        """The first rows of pairs, and the second rows."""
        p, n = binary(self.prior)
        return np.asarray(np.array([[p, n**2], [p**2, n]]) / (1 - p * n))

    def observe_pairs(self, pairs: FloatArray) -> Observed:
        """Points of ``pairs`` [n, 2, d], the more positive one first."""
        points = pooled(pairs)
        return Observed(points, np.repeat([0, 1], len(points) // 2))

    def simulate(self, clean: Clean, seed: int = 0, sizes: tuple[int, ...] | None = None) -> Simulated:
        """``sizes`` (pairs,); None: half as many as ``clean`` has rows."""
        (many,) = sizes_of(sizes, 1, len(clean.labels) // 2)
        p, n = binary(self.prior)
        pool = Pool(clean.labels, np.random.default_rng(seed))
        rows = draw_pairs(pool, np.array([[p**2, p * n], [0, n**2]]), many)
        return Simulated(self, Observed(clean.features[rows], np.repeat([0, 1], many)), clean.labels[rows])
