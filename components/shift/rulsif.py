"""Relative density ratios by least squares, with exact leave-one-out.

    r(x) = target(x) / (alpha target(x) + (1 - alpha) source(x)) = sum_l a_l exp(-|x - centre_l|^2 / (2 width^2))
    a = max(0, (H + lambda I)^-1 h)
    H = alpha E_target[phi phi'] + (1 - alpha) E_source[phi phi'],   h = E_target[phi]

Leaving one target row u and one source row v out is a downdate of rank two of one matrix that all rows share,

    H_i + lambda I = B - U_i U_i',   B = alpha m/(m-1) H_target + (1-alpha) n/(n-1) H_source + lambda I,
    U_i = [sqrt(alpha/(m-1)) phi(u_i), sqrt((1-alpha)/(n-1)) phi(v_i)]

so every left-out solution comes from one eigendecomposition per width, for every lambda and for unequal m and n.

Yamada, Suzuki, Kanamori, Hachiya, Sugiyama, Relative density-ratio estimation for robust distribution comparison,
Neural Computation 25, 2013. For alpha = 0 it is uLSIF: Kanamori, Hido, Sugiyama, JMLR 10, 2009.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from components.contracts import FloatArray, frozen
from components.errors import InputError

CHUNK = 8192


@dataclass(frozen=True, eq=False)
class DensityRatio:
    """A fitted relative density ratio.

    Attributes:
        centres: [b, d] kernel centres, rows of the target.
        coefficients: [b] nonnegative.
        width: Kernel width, in units of the features.
        regularisation: The ridge chosen.
        alpha: Share of the target in the denominator.
        loo_score: Leave-one-out objective of the chosen width and ridge; smaller is better.
        weights: [n] ratio at the source rows, scaled to mean one.
        divergence: Relative Pearson divergence, 0 where the estimate is below the value of equal distributions.
        effective_share: Kish effective sample size of ``weights`` over n, in (0, 1].
        level: Mean of the ratio over the source rows, positive.
    """

    centres: FloatArray
    coefficients: FloatArray
    width: float
    regularisation: float
    alpha: float
    loo_score: float
    weights: FloatArray
    divergence: float
    effective_share: float
    level: float

    def predict(self, x: FloatArray) -> FloatArray:
        """[k] the ratio itself, not scaled, at rows ``x`` [k, d]; the true one never exceeds 1 / alpha."""
        return _ratio(x, self.centres, self.coefficients, self.width)

    def weigh(self, x: FloatArray) -> FloatArray:
        """[k] weights of any rows ``x`` [k, d], on the scale of ``weights``."""
        return self.predict(x) / self.level


@dataclass(frozen=True)
class RuLsif:
    """Relative unconstrained least-squares importance fitting; O(rows centres^2) for each width and ridge.

    Attributes:
        kind: Name of the method.
        alpha: Share of the target in the denominator, in [0, 1); the ratio is at most 1 / alpha. 0: the plain ratio.
        centres: Number of kernel centres at most, 1 or more.
        widths: Kernel widths tried, in multiples of the median distance between rows; positive.
        regularisations: Ridges tried, positive.
        maximum_rows: Rows of each sample used for fitting at most, 3 or more; the ratio is evaluated on all rows.
        seed: Seed of the drawn rows and centres.
    """

    kind: Literal["rulsif"] = "rulsif"
    alpha: float = 0.1
    centres: int = 100
    widths: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0, 1.5)
    regularisations: tuple[float, ...] = (0.001, 0.01, 0.1, 1.0, 10.0)
    maximum_rows: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < 1:
            raise InputError(f"alpha must lie in [0, 1), got {self.alpha}")
        if self.centres < 1:
            raise InputError(f"centres must be at least 1, got {self.centres}")
        for name in ("widths", "regularisations"):
            values = getattr(self, name)
            if not values or not all(value > 0 for value in values):
                raise InputError(f"{name} must hold at least one number, all positive, got {values}")
        if self.maximum_rows < 3:
            raise InputError(f"maximum_rows must be at least 3, got {self.maximum_rows}")
        if self.seed < 0:
            raise InputError(f"seed must be at least 0, got {self.seed}")

    def fit(self, source: FloatArray, target: FloatArray) -> DensityRatio:
        """The ratio of ``target`` [m, d] to ``source`` [n, d], features on comparable scales.

        Raises:
            InputError: A sample has fewer than three rows, columns disagree, a value is not finite, or the target
                lies so far from the source that no source row gets weight.
        """
        check_samples(source, target)
        rng = np.random.default_rng(self.seed)
        near, far = (draw(sample, self.maximum_rows, rng) for sample in (source, target))
        centres = draw(far, self.centres, rng)
        unit = median_distance(np.vstack([near, far]), rng)
        at_source, at_target = squared_distances(near, centres), squared_distances(far, centres)
        candidates = [
            (score, unit * multiple, ridge)
            for multiple in self.widths
            for ridge, score in self._scores(
                kernel(at_source, unit * multiple), kernel(at_target, unit * multiple)
            )
        ]  # fmt: skip
        score, width, ridge = min(candidates)
        phi, psi = kernel(at_source, width), kernel(at_target, width)
        solution = np.linalg.solve(gram(phi, psi, self.alpha) + ridge * np.eye(len(centres)), psi.mean(axis=0))
        coefficients = np.maximum(solution, 0.0)
        raw = _ratio(source, centres, coefficients, width)
        if not raw.mean() > 0:
            raise InputError("target rows must overlap the source rows, found none that do; use correction 'none'")
        weights = raw / raw.mean()
        return DensityRatio(
            centres=frozen(centres),
            coefficients=frozen(coefficients),
            width=float(width),
            regularisation=float(ridge),
            alpha=self.alpha,
            loo_score=float(score),
            weights=frozen(weights),
            divergence=max(0.0, divergence(raw, _ratio(target, centres, coefficients, width), self.alpha)),
            effective_share=float(weights.sum() ** 2 / (len(weights) * (weights**2).sum())),
            level=float(raw.mean()),
        )

    def _scores(self, phi: FloatArray, psi: FloatArray) -> Iterator[tuple[float, float]]:
        return zip(self.regularisations, leave_one_out(phi, psi, self.alpha, self.regularisations), strict=True)


def leave_one_out(phi: FloatArray, psi: FloatArray, alpha: float, ridges: tuple[float, ...]) -> FloatArray:
    """[L] exact leave-one-out objective for each ridge.

    The i-th source and the i-th target row are left out together, for i up to the smaller sample's size, and scored by
    alpha/2 r(u)^2 + (1 - alpha)/2 r(v)^2 - r(u).

    Args:
        phi: [n, b] kernel values at the source rows, n >= 2.
        psi: [m, b] kernel values at the target rows, m >= 2.
        alpha: Share of the target in the denominator.
        ridges: [L] ridges.
    """
    n, m = len(phi), len(psi)
    pairs = min(n, m)
    shared = alpha / (m - 1) * psi.T @ psi + (1 - alpha) / (n - 1) * phi.T @ phi
    spectrum, axes = np.linalg.eigh(shared)
    u, v, h = psi[:pairs] @ axes, phi[:pairs] @ axes, psi.mean(axis=0) @ axes
    left_h = (m * h - u) / (m - 1)
    scale_u, scale_v = np.sqrt(alpha / (m - 1)), np.sqrt((1 - alpha) / (n - 1))
    products = [scale_u**2 * u * u, scale_v**2 * v * v, scale_u * scale_v * u * v, scale_u * u * left_h]
    products.append(scale_v * v * left_h)
    scores = np.empty(len(ridges))
    for index, ridge in enumerate(ridges):
        inverse = 1 / (np.maximum(spectrum, 0.0) + ridge)
        uu, vv, uv, uh, vh = (product @ inverse for product in products)
        # (I - U' B^-1 U)^-1 U' B^-1 h for each left-out pair, a 2 x 2 system
        determinant = (1 - uu) * (1 - vv) - uv**2
        along_u = scale_u * ((1 - vv) * uh + uv * vh) / determinant
        along_v = scale_v * ((1 - uu) * vh + uv * uh) / determinant
        solution = (left_h + along_u[:, None] * u + along_v[:, None] * v) * inverse
        left_out = np.maximum(solution @ axes.T, 0.0)
        at_u, at_v = (left_out * psi[:pairs]).sum(axis=1), (left_out * phi[:pairs]).sum(axis=1)
        scores[index] = np.mean(alpha / 2 * at_u**2 + (1 - alpha) / 2 * at_v**2 - at_u)
    return scores


def gram(phi: FloatArray, psi: FloatArray, alpha: float) -> FloatArray:
    """[b, b] second moment of the kernel values ``psi`` of the target and ``phi`` of the source, mixed by alpha."""
    return np.asarray(alpha / len(psi) * psi.T @ psi + (1 - alpha) / len(phi) * phi.T @ phi)


def divergence(at_source: FloatArray, at_target: FloatArray, alpha: float) -> float:
    """Relative Pearson divergence from the ratio at source and target rows; a lower bound for any ratio."""
    squares = alpha / 2 * np.mean(at_target**2) + (1 - alpha) / 2 * np.mean(at_source**2)
    return float(np.mean(at_target) - squares - 0.5)


def kernel(squared: FloatArray, width: float) -> FloatArray:
    """Gaussian kernel values from squared distances."""
    return np.asarray(np.exp(squared / (-2 * width**2)))


def squared_distances(x: FloatArray, centres: FloatArray) -> FloatArray:
    """[n, b] squared distances, never negative."""
    squared = (x**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1) - 2 * x @ centres.T
    return np.asarray(np.maximum(squared, 0.0))


def median_distance(x: FloatArray, rng: np.random.Generator) -> float:
    """Median distance between different rows among at most 500 of ``x``; 1 when all rows are equal."""
    few = draw(x, 500, rng)
    distances = np.sqrt(squared_distances(few, few)[np.triu_indices(len(few), 1)])
    apart = distances[distances > 1e-7 * (1 + distances.max())]
    return float(np.median(apart)) if len(apart) else 1.0


def draw(x: FloatArray, maximum: int, rng: np.random.Generator) -> FloatArray:
    """At most ``maximum`` rows, without replacement, in random order where some are left out."""
    return x if len(x) <= maximum else x[rng.choice(len(x), maximum, replace=False)]


def check_samples(source: FloatArray, target: FloatArray) -> None:
    """Refuse samples that cannot be compared.

    Raises:
        InputError: Fewer than three rows, columns that disagree, or a value that is not finite.
    """
    for name, sample in (("source", source), ("target", target)):
        if sample.ndim != 2 or len(sample) < 3:
            raise InputError(f"{name} must be a matrix of at least 3 rows, got shape {sample.shape}")
        if not np.isfinite(sample).all():
            raise InputError(f"{name} must be finite, found NaN or infinity")
    if source.shape[1] != target.shape[1]:
        raise InputError(f"target must have the {source.shape[1]} columns of the source, got {target.shape[1]}")


def _ratio(x: FloatArray, centres: FloatArray, coefficients: FloatArray, width: float) -> FloatArray:
    parts = (x[start : start + CHUNK] for start in range(0, len(x), CHUNK))
    return np.concatenate([kernel(squared_distances(part, centres), width) @ coefficients for part in parts])
