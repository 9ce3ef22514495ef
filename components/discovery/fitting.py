"""One fit of DirectLiNGAM under constraints, and its repetition on a resample of the rows.

lingam finds the causal order and prunes by an adaptive lasso. Its own prior knowledge cannot say that an edge is
missing without also fixing an order, and lets the lasso drop a required edge; so edges are put right here, by least
squares on the parents that remain. Everything is in units of standard deviations of the whole table.
"""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from components.contracts import FloatArray
from components.discovery.constraints import BoolArray, Constraints, reachable

ATTEMPTS = 100
# Smallest eigenvalue of the correlation matrix below which a resample has lost rank.
SINGULAR = 1e-10

_LOCK = threading.Lock()


@dataclass(frozen=True, eq=False)
class Fit:
    """A graph in standard units.

    Attributes:
        weights: [effect, cause] direct effects.
        order: Indices of the variables, causes before effects.
        cut: Pairs (effect, cause) whose edge was removed because it was part of a forbidden path.
    """

    weights: FloatArray
    order: tuple[int, ...]
    cut: tuple[tuple[int, int], ...]


def fit_graph(values: FloatArray, constraints: Constraints, minimum_weight: float) -> Fit:
    """The constrained DirectLiNGAM graph of ``values`` [n, p], n > p, of full column rank."""
    weights, order = _search(values, constraints)
    weak = (np.abs(weights) < minimum_weight) & ~constraints.required_edge
    weights[weak] = 0.0
    for effect in np.flatnonzero((constraints.required_edge & (weights == 0)).any(axis=1)):
        parents = (weights[effect] != 0) | constraints.required_edge[effect]
        weights[effect] = _regression(values, int(effect), parents)
    return Fit(*_without_forbidden_paths(values, weights, constraints, order))


@dataclass(frozen=True, eq=False)
class Replicate:
    """Draws rows with replacement and fits them; picklable, and independent of every other replicate.

    Attributes:
        values: [n, p] the table in standard units.
        constraints: What every fit must honour.
        minimum_weight: Smallest effect that counts, in standard units.
        seed: Seed of all replicates; the item's index makes each of them different.
    """

    values: FloatArray
    constraints: Constraints
    minimum_weight: float
    seed: int

    def __call__(self, index: int) -> FloatArray:
        """[effect, cause] weights of replicate ``index``; NaN when no resample of full rank was found."""
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(index,)))
        rows, size = self.values.shape
        for _ in range(ATTEMPTS):
            drawn = self.values[rng.integers(0, rows, rows)]
            if _full_rank(drawn):
                return fit_graph(drawn, self.constraints, self.minimum_weight).weights
        return np.full((size, size), np.nan)


def _full_rank(values: FloatArray) -> bool:
    if (np.ptp(values, axis=0) == 0).any():
        return False
    return bool(np.linalg.eigvalsh(np.corrcoef(values.T))[0] > SINGULAR)


def _search(values: FloatArray, constraints: Constraints) -> tuple[FloatArray, tuple[int, ...]]:
    with _alone():
        from lingam import DirectLiNGAM
        from lingam.utils import predict_adaptive_lasso

        model = DirectLiNGAM(prior_knowledge=constraints.order_knowledge).fit(values)
        order = tuple(int(index) for index in model.causal_order_)
        weights = np.array(model.adjacency_matrix_, dtype=np.float64)
        for place, effect in enumerate(order):
            allowed = [cause for cause in order[:place] if not constraints.forbidden_edge[effect, cause]]
            if len(allowed) < place:
                weights[effect] = 0.0
                if allowed:
                    weights[effect, allowed] = predict_adaptive_lasso(values, allowed, effect)
    return weights, order


@contextmanager
def _alone() -> Iterator[None]:
    """One thread of arithmetic, and quiet about what is no fault here; both are restored on leaving.

    The packages that lingam imports warn about one another's age, and scikit-learn's lasso path warns when it stops
    early on nearly collinear columns: whichever survive are refitted. One thread keeps results equal between one
    process and many. Both settings belong to the whole interpreter, so fits in threads take turns.
    """
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits  # ships no types

    with _LOCK, threadpool_limits(1), warnings.catch_warnings():
        for category in (ConvergenceWarning, DeprecationWarning, FutureWarning, SyntaxWarning):
            warnings.simplefilter("ignore", category)
        yield


def _without_forbidden_paths(
    values: FloatArray, weights: FloatArray, constraints: Constraints, order: tuple[int, ...]
) -> tuple[FloatArray, tuple[int, ...], tuple[tuple[int, int], ...]]:
    """Cut the weakest edge of a forbidden path, required edges last, until none is left."""
    weights, cut = weights.copy(), list[tuple[int, int]]()
    while True:
        reach = reachable(weights != 0)
        broken = np.argwhere(reach & constraints.forbidden_path)
        if not len(broken):
            return weights, order, tuple(cut)
        on_path = _edges_between(weights != 0, reach, *broken[0])
        candidates = on_path & ~constraints.required_edge
        sizes = np.where(candidates if candidates.any() else on_path, np.abs(weights), np.inf)
        effect, cause = (int(index) for index in np.unravel_index(np.argmin(sizes), sizes.shape))
        parents = weights[effect] != 0
        parents[cause] = False
        weights[effect] = _regression(values, effect, parents)
        cut.append((effect, cause))


def _edges_between(edges: BoolArray, reach: BoolArray, effect: int, cause: int) -> BoolArray:
    from_cause, to_effect = reach[:, cause].copy(), reach[effect].copy()
    from_cause[cause] = to_effect[effect] = True
    return edges & np.outer(to_effect, from_cause)


def _regression(values: FloatArray, effect: int, parents: BoolArray) -> FloatArray:
    weights = np.zeros(values.shape[1])
    if parents.any():
        centred = values - values.mean(axis=0)
        weights[parents] = np.linalg.lstsq(centred[:, parents], centred[:, effect], rcond=None)[0]
    return weights
