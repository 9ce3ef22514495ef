"""Finite worlds in which every setting of weak supervision can be written down without chance.

A world is a table N[x, y] of whole numbers. For each setting the weak data hold every possible row once, with its exact
probability as weight; the probabilities are worked out here from the definition of the setting, pair by pair and set by
set, and never from the code under test.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import torch

from components.weak import (
    ComplementaryLabels,
    ConfidenceDifference,
    DissimilarUnlabeled,
    LabelProportions,
    MultipleComplementary,
    NegativeUnlabeled,
    NoisyLabels,
    Observed,
    PairwiseComparison,
    PartialLabels,
    PositiveConfidence,
    PositiveNegative,
    PositiveNegativeUnlabeled,
    PositiveUnlabeled,
    Rewrite,
    RiskCorrection,
    SemiSupervised,
    Setting,
    SeveralPositives,
    SimilarDissimilar,
    SimilarDissimilarUnlabeled,
    SimilarityConfidence,
    SimilarUnlabeled,
    Uncorrected,
    UnlabeledSets,
    UnlabeledUnlabeled,
    WeakRisk,
)
from components.weak.transitions import as_table

Array = np.ndarray


@dataclass(frozen=True)
class World:
    """Joint probabilities of m points and K classes, exact fractions of small whole numbers."""

    joint: Array

    @classmethod
    def drawn(cls, seed: int, classes: int = 2) -> "World":
        rng = np.random.default_rng(seed)
        points = int(rng.integers(max(3, classes), 9))
        while True:
            counts = rng.integers(1, 12, (points, classes)).astype(float)
            world = cls(counts / counts.sum())
            if classes > 2 or abs(world.prior[0] - 0.5) > 0.04:  # alike and unlike need a class that is the larger
                return world

    @property
    def prior(self) -> Array:
        return self.joint.sum(axis=0)

    @property
    def eta(self) -> Array:
        return self.joint / self.joint.sum(axis=1, keepdims=True)

    @property
    def points(self) -> int:
        return len(self.joint)

    def clean(self, losses: Array) -> Array:
        """[K] what each class contributes to the supervised risk of ``losses`` [m, K]."""
        return (self.joint * losses).sum(axis=0)

    def mixture(self, composition: Array) -> Array:
        """[m] probabilities of the points where the classes have shares ``composition`` [K]."""
        return self.joint @ (np.asarray(composition) / self.prior)


@dataclass(frozen=True)
class Case:
    """A setting, all its possible rows with their probabilities, and the point each row is at."""

    world: World
    setting: Setting
    observed: Observed

    @property
    def at(self) -> torch.Tensor:
        return torch.from_numpy(self.observed.features[:, 0].astype(np.int64))

    @property
    def marks(self) -> torch.Tensor:
        return torch.from_numpy(np.array(self.observed.marks))

    @property
    def weights(self) -> torch.Tensor:
        return torch.from_numpy(np.array(self.observed.weights))

    def risk(
        self,
        rewrite: Rewrite | None = None,
        loss: Callable[[torch.Tensor], torch.Tensor] | None = None,
        correction: RiskCorrection | None = None,
    ) -> WeakRisk:
        counts = self.setting.counts(self.observed.marks, self.observed.weights)
        return self.setting.risk(counts, loss, rewrite, correction or Uncorrected(), torch.float64)

    def groups(self, losses: Array, rewrite: Rewrite | None = None) -> Array:
        """[K] group risks of an arbitrary table of losses [m, K], through the loss interface."""
        risk = self.risk(rewrite, loss=lambda table: table)
        evidence = risk.evidence(self.marks, self.weights)
        return risk.groups(torch.from_numpy(losses)[self.at], evidence).numpy()


def rows(setting: Setting, *blocks: tuple[object, Array]) -> Observed:
    """Every point once for each (mark, weights of the points)."""
    points = len(blocks[0][1])
    at = np.tile(np.arange(points, dtype=float), len(blocks))[:, None]
    marks = np.concatenate([np.repeat(np.asarray(mark)[None], points, axis=0) for mark, _ in blocks])
    return Observed(at, marks, np.concatenate([weights for _, weights in blocks]))


def mixed(world: World, setting: Setting, compositions: list[Array], rng: np.random.Generator) -> Case:
    """Samples with these compositions, of sizes that have nothing to do with them."""
    sizes = rng.uniform(1, 50, len(compositions))
    blocks = [(s, size * world.mixture(c)) for s, (size, c) in enumerate(zip(sizes, compositions, strict=True))]
    return Case(world, setting, rows(setting, *blocks))


def all_pairs(world: World, law: Array) -> tuple[Array, Array]:
    """[m m, 2] points of all pairs and their probability under a joint ``law`` [K, K] of their classes."""
    given = world.joint / world.prior
    density = np.einsum("xa,yb,ab->xy", given, given, law / law.sum())
    first, second = np.divmod(np.arange(world.points**2), world.points)
    return np.stack([first, second], axis=1).astype(float), density.ravel()


def weighted(observed: Observed, weights: Array) -> Observed:
    return Observed(observed.features, observed.marks, weights)


def similarities(world: World, setting: Setting, rng: np.random.Generator) -> Case:
    p, n = world.prior
    laws = {"similar": np.diag([p * p, n * n]), "dissimilar": np.array([[0, p * n], [p * n, 0]])}
    given: dict[str, Array] = {}
    chances = []
    for source in setting.sources:  # type: ignore[attr-defined]
        size = rng.uniform(1, 50)
        if source == "unlabeled":
            given[source] = np.arange(world.points, dtype=float)[:, None]
            chances.append(size * world.joint.sum(axis=1))
        else:
            pairs, density = all_pairs(world, laws[source])
            given[source] = pairs[..., None]
            chances.append(size * np.tile(density, 2))
    observed = setting.observe_pairs(**given)  # type: ignore[attr-defined]
    return Case(world, setting, weighted(observed, np.concatenate(chances)))


def comparisons(world: World, rng: np.random.Generator) -> Case:
    p, n = world.prior
    pairs, density = all_pairs(world, np.array([[p * p, p * n], [0, n * n]]))
    setting = PairwiseComparison(float(p))
    return Case(world, setting, weighted(setting.observe_pairs(pairs[..., None]), np.tile(density, 2)))


def confident_pairs(world: World, setting: Setting) -> Case:
    p, n = world.prior
    pairs, density = all_pairs(world, np.outer([p, n], [p, n]))
    first, second = (world.eta[pairs[:, side].astype(int), 0] for side in (0, 1))
    alike = first * second + (1 - first) * (1 - second)
    value = alike if isinstance(setting, SimilarityConfidence) else second - first
    observed = setting.observe_pairs(pairs[..., None], value)  # type: ignore[attr-defined]
    return Case(world, setting, weighted(observed, np.tile(density, 2)))


def positive_confidence(world: World, rng: np.random.Generator) -> Case:
    setting = PositiveConfidence(float(world.prior[0]))
    at = np.arange(world.points, dtype=float)[:, None]
    observed = setting.observe(at, world.eta[:, 0], world.joint[:, 0] / world.prior[0])
    return Case(world, setting, observed)


def one_sample(world: World, rng: np.random.Generator) -> Case:
    setting, frequency = PositiveUnlabeled(float(world.prior[0]), "one_sample"), rng.uniform(0.1, 0.9)
    known = frequency * world.joint[:, 0]
    return Case(world, setting, rows(setting, (0, known), (1, world.joint.sum(axis=1) - known)))


def labels(world: World, setting: Setting, transition: Array) -> Case:
    noisy = world.joint @ transition
    return Case(world, setting, rows(setting, *[(s, noisy[:, s]) for s in range(transition.shape[1])]))


def noisy(world: World, rng: np.random.Generator, symbols: int | None = None) -> Case:
    transition = stochastic(rng, len(world.prior), symbols or len(world.prior))
    return labels(world, NoisyLabels(as_table(transition)), transition)


def complementary(world: World, rng: np.random.Generator, biased: bool = False) -> Case:
    classes = len(world.prior)
    table = (1 - np.eye(classes)) / (classes - 1)
    if biased:
        table = table * rng.uniform(0.3, 1.0, table.shape)
        table /= table.sum(axis=1, keepdims=True)
    return labels(world, ComplementaryLabels(classes, as_table(table) if biased else None), table)


def subsets(classes: int, sizes: range) -> list[Array]:
    return [np.isin(np.arange(classes), part) for size in sizes for part in combinations(range(classes), size)]


def multiple_complementary(world: World, rng: np.random.Generator, sizes: Array | None = None) -> Case:
    classes = len(world.prior)
    law = rng.dirichlet(np.ones(classes - 1)) if sizes is None else sizes
    setting = MultipleComplementary(classes)
    many = [sum(not part[0] for part in subsets(classes, range(s, s + 1))) for s in range(1, classes)]
    blocks = [
        (part, world.joint @ np.where(part, 0, law[part.sum() - 1] / many[part.sum() - 1]))
        for part in subsets(classes, range(1, classes))
    ]
    return Case(world, setting, rows(setting, *blocks))


def partial(world: World, rng: np.random.Generator, flip: float | None = None) -> Case:
    classes = len(world.prior)
    blocks = []
    for part in subsets(classes, range(2 if flip else 1, classes + 1 if flip else classes)):
        if flip is None:
            chance = 1 / (2 ** (classes - 1) - 1)
        else:
            more = part.sum() - 1
            chance = flip**more * (1 - flip) ** (classes - 1 - more)
            chance += (1 - flip) ** (classes - 1) / (classes - 1) if more == 1 else 0
        blocks.append((part, world.joint @ np.where(part, chance, 0)))
    setting = PartialLabels(classes) if flip is None else PartialLabels(classes, "flip", flip)
    return Case(world, setting, rows(setting, *blocks))


def proportions(world: World, rng: np.random.Generator) -> Case:
    """Bags of a population whose class prior is what the bags together have."""
    classes, sizes = len(world.prior), rng.uniform(1, 9, len(world.prior) + 3)
    compositions = rng.dirichlet(np.ones(classes), len(sizes))
    together = sizes @ compositions / sizes.sum()
    moved = World(world.joint / world.prior * together)
    setting = LabelProportions(classes, as_table(compositions))
    blocks = [(s, size * moved.mixture(c)) for s, (size, c) in enumerate(zip(sizes, compositions, strict=True))]
    return Case(moved, setting, rows(setting, *blocks))


def stochastic(rng: np.random.Generator, rows: int, columns: int) -> Array:
    """Rows of probabilities, far from singular."""
    table = rng.dirichlet(np.ones(columns), rows) + 1.5 * np.eye(rows, columns)
    return np.asarray(table / table.sum(axis=1, keepdims=True))


def two_sets(world: World, rng: np.random.Generator) -> Case:
    first, second = float(rng.uniform(0.6, 0.95)), float(rng.uniform(0.05, 0.4))
    shares = [np.array([first, 1 - first]), np.array([second, 1 - second])]
    return mixed(world, UnlabeledUnlabeled(first, second, float(world.prior[0])), shares, rng)


def several_sets(world: World, rng: np.random.Generator, extra: int = 2) -> Case:
    table = np.vstack(
        [stochastic(rng, len(world.prior), len(world.prior)), rng.dirichlet(np.ones(len(world.prior)), extra)]
    )
    return mixed(world, UnlabeledSets(as_table(table), tuple(world.prior)), list(table), rng)


def several_positives(world: World, rng: np.random.Generator) -> Case:
    return mixed(world, SeveralPositives(tuple(world.prior)), [*np.eye(len(world.prior))[:-1], world.prior], rng)


def p(world: World) -> float:
    return float(world.prior[0])


Builder = Callable[[World, np.random.Generator], Case]
POS, NEG = np.array([1.0, 0.0]), np.array([0.0, 1.0])

BINARY: dict[str, Builder] = {
    "positive_negative": lambda w, r: mixed(w, PositiveNegative(p(w)), [POS, NEG], r),
    "positive_unlabeled": lambda w, r: mixed(w, PositiveUnlabeled(p(w)), [POS, w.prior], r),
    "positive_unlabeled, one sample": one_sample,
    "negative_unlabeled": lambda w, r: mixed(w, NegativeUnlabeled(p(w)), [NEG, w.prior], r),
    "positive_negative_unlabeled": lambda w, r: mixed(w, PositiveNegativeUnlabeled(p(w)), [POS, NEG, w.prior], r),
    "unlabeled_unlabeled": two_sets,
    "similar_unlabeled": lambda w, r: similarities(w, SimilarUnlabeled(p(w)), r),
    "dissimilar_unlabeled": lambda w, r: similarities(w, DissimilarUnlabeled(p(w)), r),
    "similar_dissimilar": lambda w, r: similarities(w, SimilarDissimilar(p(w)), r),
    "similar_dissimilar_unlabeled": lambda w, r: similarities(w, SimilarDissimilarUnlabeled(p(w)), r),
    "pairwise_comparison": comparisons,
    "positive_confidence": positive_confidence,
    "similarity_confidence": lambda w, _: confident_pairs(w, SimilarityConfidence(p(w))),
    "confidence_difference": lambda w, _: confident_pairs(w, ConfidenceDifference(p(w))),
}
SEVERAL: dict[str, Builder] = {
    "unlabeled_sets": several_sets,
    "semi_supervised": lambda w, r: mixed(w, SemiSupervised(tuple(w.prior)), [*np.eye(len(w.prior)), w.prior], r),
    "several_positives": lambda w, r: mixed(
        w, SeveralPositives(tuple(w.prior)), [*np.eye(len(w.prior))[:-1], w.prior], r
    ),
    "label_proportions": proportions,
    "noisy_labels": noisy,
    "noisy_labels, finer than the classes": lambda w, r: noisy(w, r, len(w.prior) + 2),
    "complementary_labels": complementary,
    "complementary_labels, biased": lambda w, r: complementary(w, r, biased=True),
    "multiple_complementary": multiple_complementary,
    "partial_labels": partial,
    "partial_labels, flip": lambda w, r: partial(w, r, flip=0.4),
}
CASES: dict[str, Builder] = {**BINARY, **SEVERAL}
INVERTIBLE = [name for name in CASES if name != "partial_labels, flip"]  # a set of all classes says nothing to invert
LIKELY = [name for name in CASES if "confidence" not in name]


def make(name: str, seed: int) -> Case:
    """The case ``name`` in a world of its own: two classes, or two to five where it has several."""
    rng = np.random.default_rng([seed, 1])
    classes = 2 if name in BINARY else int(rng.integers(3 if "complementary" in name else 2, 6))
    return CASES[name](World.drawn(seed, classes), rng)


def every_assignment(rows: int, classes: int) -> Array:
    """[K^L, L] all classes that L rows can have together."""
    return np.array(list(product(range(classes), repeat=rows)))
