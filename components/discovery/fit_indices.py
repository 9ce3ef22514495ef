"""How well a linear model with a given graph reproduces a covariance matrix, in closed form.

Of an acyclic graph the Gaussian maximum likelihood needs no optimiser: each variable is regressed on its parents. With
residual variances s_i, sample covariance S and exogenous variables X, the discrepancy to the saturated model is

    F = sum over endogenous i of ln s_i + ln det S_XX - ln det S,    chi2 = n F.

Never choose a graph by its fit. A graph with more edges fits no worse, graphs that only turn edges round fit equally
well, and on the public benchmarks of causal discovery the agreed graphs fit worse than wrong ones. The indices tell
how much of the covariance a chosen graph leaves unexplained, and nothing else.

Bollen, Structural equations with latent variables, Wiley, 1989.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from components.contracts import FloatArray
from components.discovery.constraints import reachable
from components.errors import InputError
from components.findings import FitIndices


def fit_indices(
    covariance: ArrayLike, edges: NDArray[np.bool_], rows: int, saturated_exogenous: bool = True
) -> FitIndices | None:
    """Fit of the acyclic graph ``edges``; None where the covariance is singular, which no such model can produce.

    Args:
        covariance: [p, p] sample covariance S, divided by the number of rows (ddof 0).
        edges: [effect, cause] the directed edges. A graph that leaves pairs open has no fit: do not ask for one.
        rows: Rows the covariance was computed from, at least 2.
        saturated_exogenous: Count the covariances among exogenous variables as fitted, which the formula does; the
            degrees of freedom are then p(p+1)/2 - edges - endogenous - |X|(|X|+1)/2. False leaves out the last term,
            as semopy counts.

    Raises:
        InputError: Shapes that do not match, a cycle, or fewer than two rows.
    """
    S = np.asarray(covariance, dtype=np.float64)
    if S.ndim != 2 or S.shape != S.T.shape or edges.shape != S.shape:
        raise InputError(f"covariance and edges must be square and of one shape, got {S.shape} and {edges.shape}")
    if np.diag(reachable(edges)).any():
        raise InputError("edges must have no cycle to be scored by fit_indices, got one")
    if rows < 2:
        raise InputError(f"rows must be at least 2, got {rows}")
    whole = _log_determinant(S)
    if not np.isfinite(whole):
        return None
    size, exogenous = len(S), ~edges.any(axis=1)
    residual = np.array([_residual_variance(S, i, parents) for i, parents in enumerate(edges)])
    discrepancy = np.log(residual[~exogenous]).sum() + _log_determinant(S[np.ix_(exogenous, exogenous)]) - whole
    block = int(exogenous.sum())
    df = size * (size + 1) // 2 - int(edges.sum()) - (size - block)
    if saturated_exogenous:
        df -= block * (block + 1) // 2
    chi2 = max(rows * float(discrepancy), 0.0)
    excess = max(chi2 - df, 0.0)
    baseline = rows * (float(np.log(np.diag(S)).sum()) - whole) - size * (size - 1) // 2
    parameters = int(edges.sum()) + size
    return FitIndices(
        chi2=chi2,
        df=df,
        p_value=_upper_tail(chi2, df),
        cfi=1.0 if excess == 0 else 1 - excess / max(baseline, excess),
        rmsea=float(np.sqrt(excess / (df * (rows - 1)))) if df else float("nan"),
        bic=float(rows * np.log(residual).sum() + rows * size * (1 + np.log(2 * np.pi)) + parameters * np.log(rows)),
    )


def _residual_variance(S: FloatArray, effect: int, parents: NDArray[np.bool_]) -> float:
    if not parents.any():
        return float(S[effect, effect])
    slopes = np.linalg.solve(S[np.ix_(parents, parents)], S[parents, effect])
    return float(S[effect, effect] - S[effect, parents] @ slopes)


def _log_determinant(S: FloatArray) -> float:
    """Logarithm of det S; not finite unless S is positive definite in double precision."""
    scale = np.sqrt(np.diag(S))
    if not (scale > 0).all():
        return float("nan")
    smallest = np.linalg.eigvalsh(S / np.outer(scale, scale))
    if smallest[0] <= len(S) * np.finfo(np.float64).eps:
        return float("nan")
    return float(np.log(smallest).sum() + 2 * np.log(scale).sum())


def _upper_tail(chi2: float, df: int) -> float:
    from scipy.special import chdtrc

    return float(chdtrc(df, chi2)) if df else float("nan")
