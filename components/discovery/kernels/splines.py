"""Inner loops of additive regression on uniform cubic B-splines: at every row four of them differ from zero."""

import numpy as np
from numpy.typing import NDArray

from components.contracts import FloatArray
from components.discovery.kernels.compiled import compiled

Places = NDArray[np.int64]


@compiled
def basis(column: FloatArray, splines: int) -> tuple[Places, FloatArray]:
    """[n] index of the first of the four splines that are not zero, and their [n, 4] values."""
    low = column.min()
    span = column.max() - low
    cells = splines - 3
    scale = cells / span if span > 0 else 1.0
    places = np.empty(len(column), np.int64)
    values = np.empty((len(column), 4))
    for row in range(len(column)):
        position = (column[row] - low) * scale
        place = min(int(position), cells - 1)
        t = position - place
        s = 1 - t
        places[row] = place
        values[row, 0] = s * s * s / 6
        values[row, 1] = (3 * t * t * t - 6 * t * t + 4) / 6
        values[row, 2] = (3 * s * s * s - 6 * s * s + 4) / 6
        values[row, 3] = t * t * t / 6
    return places, values


@compiled
def cross_gram(
    first: Places, first_values: FloatArray, second: Places, second_values: FloatArray, splines: int
) -> FloatArray:
    """[splines, splines] sums over the rows of products of two bases."""
    gram = np.zeros((splines, splines))
    for row in range(len(first)):
        for one in range(4):
            weight = first_values[row, one]
            for other in range(4):
                gram[first[row] + one, second[row] + other] += weight * second_values[row, other]
    return gram


@compiled
def projections(places: Places, values: FloatArray, column: FloatArray, splines: int) -> FloatArray:
    """[splines] sums over the rows of a basis times ``column``."""
    sums = np.zeros(splines)
    for row in range(len(places)):
        for one in range(4):
            sums[places[row] + one] += values[row, one] * column[row]
    return sums


@compiled
def subtract_curve(residual: FloatArray, places: Places, values: FloatArray, coefficients: FloatArray) -> None:
    """Take the curve with these coefficients from ``residual``, in place."""
    for row in range(len(places)):
        at = places[row]
        residual[row] -= (
            values[row, 0] * coefficients[at]
            + values[row, 1] * coefficients[at + 1]
            + values[row, 2] * coefficients[at + 2]
            + values[row, 3] * coefficients[at + 3]
        )
