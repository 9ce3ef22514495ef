"""What a linear acyclic model assumes of its noise, held against the residuals of a found graph.

Two things are looked at: whether each residual is Gaussian, which hides directions from the methods that live on other
shapes, and whether any two residuals depend on each other, which independent noise must not.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from components.contracts import FloatArray
from components.discovery.hsic import FEWEST, Kernel, Width, p_value
from components.findings import Dependence, Noise

LEVEL = 0.05
# Rows below which the test of a Gaussian shape has no p-value to be trusted.
FEWEST_FOR_SHAPE = 20
# Names that a sentence holds before it says how many more there are.
NAMED = 6


def residuals(values: FloatArray, weights: FloatArray) -> FloatArray:
    """[n, p] what the edges [effect, cause] ``weights`` leave of the columns of ``values``, of mean zero."""
    centred = values - values.mean(axis=0)
    return np.asarray(centred - centred @ weights.T)


def noise(rest: FloatArray, names: Sequence[str]) -> tuple[Noise, ...]:
    """Shape of every residual; the p-value is that of D'Agostino and Pearson's K^2 test of skewness and kurtosis.

    ``rest`` [n, p] is what the parents leave of columns that had a standard deviation of about one.

    The test does not see a shape other than the Gaussian with the same two moments. Of fewer than 20 rows, and of a
    residual without spread, the p-value is NaN.
    """
    from scipy.stats import kurtosis, normaltest, skew

    found = []
    for name, left in zip(names, rest.T, strict=True):
        # What is left of a column that its parents determine is rounding.
        if left.std() <= 1e-9:
            found.append(Noise(name, float("nan"), float("nan"), float("nan")))
            continue
        p = float(normaltest(left).pvalue) if len(left) >= FEWEST_FOR_SHAPE else float("nan")
        found.append(Noise(name, float(skew(left)), float(kurtosis(left)), p))
    return tuple(found)


def dependences(
    rest: FloatArray,
    names: Sequence[str],
    rows: int = 1000,
    seed: int = 0,
    width: Width = "median",
) -> tuple[Dependence, ...]:
    """P-value of the independence (HSIC) of every two residuals, smallest first; none for fewer than 6 rows.

    Costs about 10 ms a variable and 0.3 ms a pair for 1,000 rows: some 7 s and 250 MB for 200 variables.

    Args:
        rest: [n, p] what the parents leave of each column.
        names: Of the p columns.
        rows: Rows tested at most, drawn by ``seed``: with many, any small departure is seen.
        seed: Seed of the drawn rows.
        width: Rule for the kernel width.
    """
    if len(rest) < FEWEST:
        return ()
    if len(rest) > rows:
        rest = rest[np.sort(np.random.default_rng(seed).choice(len(rest), rows, replace=False))]
    kernels = [Kernel.of(column, width) for column in rest.T]
    found = [
        Dependence(names[i], names[j], p_value(kernels[i], kernels[j])) for i, j in combinations(range(len(names)), 2)
    ]
    return tuple(sorted(found, key=lambda each: each.p_value))


def dependent(found: Sequence[Dependence], level: float = LEVEL) -> tuple[Dependence, ...]:
    """Those that stay after Holm's correction: with probability ``level`` at most, any of them is a false alarm."""
    ordered = sorted(found, key=lambda each: each.p_value)
    kept = 0
    while kept < len(ordered) and ordered[kept].p_value <= level / (len(ordered) - kept):
        kept += 1
    return tuple(ordered[:kept])


def assumption_notes(
    shapes: Sequence[Noise], found: Sequence[Dependence], open_pairs: Sequence[tuple[str, str]] = ()
) -> tuple[str, ...]:
    """What a reader of the graph must know of its assumptions; nothing where nothing speaks against them.

    Args:
        shapes: From :func:`noise`.
        found: From :func:`dependences`.
        open_pairs: Pairs that the graph itself calls confounded or undirected; their residuals may well depend.
    """
    notes = []
    gaussian = [shape.name for shape in shapes if shape.p_value >= LEVEL]
    if len(gaussian) > 1:
        notes.append(
            f"{len(gaussian)} of {len(shapes)} residuals look Gaussian (D'Agostino and Pearson, p >= {LEVEL}): "
            f"{_listed(gaussian)}. Where noise is Gaussian the data do not tell the direction between two of them."
        )
    told = {frozenset(pair) for pair in open_pairs}
    tested = [each for each in found if frozenset((each.first, each.second)) not in told]
    against = dependent(tested)
    if against:
        pairs = [f"{each.first} and {each.second}" for each in against]
        notes.append(
            f"The residuals of {len(pairs)} of {len(tested)} pairs depend on each other (HSIC, Holm's correction at "
            f"{LEVEL}): {_listed(pairs)}. Suspect a hidden cause, an effect of a shape that the "
            "method does not know, or a wrong edge."
        )
    return tuple(notes)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
