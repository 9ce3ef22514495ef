"""What a change of one variable does to another, along every path at once."""

import numpy as np
from numpy.typing import ArrayLike

from components.contracts import FloatArray


def total_effects(weights: ArrayLike) -> FloatArray:
    """[effect, cause] total effects (I - B)^-1 - I of acyclic direct effects, exactly 0 where there is no path.

    Any leading axes are kept. The inverse is summed as B + B^2 + ... + B^(p-1), which stops because the graph has no
    cycle, and which unlike an inversion leaves no rounding dust where no path exists. Costs O(p^4).
    """
    direct = np.asarray(weights, dtype=np.float64)
    total = np.zeros_like(direct)
    for _ in range(direct.shape[-1] - 1):
        total = direct + direct @ total
    return total


def percentile_interval(replicates: FloatArray, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
    """Lower and upper ends of the bootstrap percentile interval over the first axis of [replicates, p, p]."""
    tail = (1 - level) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail], axis=0)
    return low, high
