"""Slopes that leave a residual as independent of its regressors as slopes can, by HSIC instead of least squares.

The sum of the HSIC statistics of the residual with each regressor is minimised by L-BFGS, with its exact gradient, from
the least-squares slopes on. As in the reference code of RCD the kernel of the residual has the width of the effect less
each slope times the width of its regressor.
"""

import numpy as np

from components.contracts import FloatArray
from components.discovery.hsic import Kernel, Width


def refitted(effect: FloatArray, causes: FloatArray, width: Width) -> FloatArray:
    """[n] what slopes on ``causes`` [k, n] leave of ``effect`` [n] when HSIC is least; all of mean zero."""
    from scipy.optimize import fmin_l_bfgs_b

    from components.discovery.kernels.hsic import add_centred, dependence_of_rest

    rows = len(effect)
    kernels = [Kernel.of(cause, width) for cause in causes]
    centred, diagonal = np.zeros(rows * (rows - 1) // 2), np.zeros(rows)
    for kernel in kernels:
        add_centred(centred, diagonal, kernel.whole.matrix, kernel.whole.row_means)
    size, sizes = Kernel.of(effect, width).width, np.array([kernel.width for kernel in kernels])

    def dependence(slopes: FloatArray) -> tuple[float, FloatArray]:
        answer = dependence_of_rest(effect, causes, slopes, size, sizes, centred, diagonal) / rows
        return float(answer[0]), answer[1:]

    start = np.linalg.lstsq(causes.T, effect, rcond=None)[0]
    slopes, _, _ = fmin_l_bfgs_b(dependence, start)
    return np.asarray(effect - slopes @ causes)
