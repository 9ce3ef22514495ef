"""Inner loops of the Hilbert-Schmidt independence criterion.

A symmetric kernel matrix with ones on its diagonal is kept as its strict upper triangle, row after row. Sums run down
columns where they can, so that they are vectorised without being reordered.
"""

import numpy as np

from components.contracts import FloatArray
from components.discovery.kernels.compiled import compiled


@compiled
def scaled_distances(values: FloatArray, scale: float, packed: FloatArray) -> None:
    """Fill ``packed`` with ``scale`` times the squared distances between the columns of ``values`` [d, n]."""
    size, rows = values.shape
    start = 0
    for row in range(rows - 1):
        segment = packed[start : start + rows - row - 1]
        for axis in range(size):
            here, later = values[axis, row], values[axis, row + 1 :]
            for column in range(len(segment)):
                difference = here - later[column]
                square = difference * difference * scale
                segment[column] = square if axis == 0 else segment[column] + square
        start += len(segment)


@compiled
def row_sums(packed: FloatArray, rows: int) -> FloatArray:
    """[n] sums of the rows of a packed kernel matrix, diagonal included."""
    sums = np.ones(rows)
    start = 0
    for row in range(rows - 1):
        length = rows - row - 1
        segment, later = packed[start : start + length], sums[row + 1 :]
        for column in range(length):
            later[column] += segment[column]
        # Eight sums side by side are one vector; a single one would be added up number by number.
        a = b = c = d = e = f = g = h = 0.0
        whole = length // 8 * 8
        for at in range(0, whole, 8):
            a += segment[at]
            b += segment[at + 1]
            c += segment[at + 2]
            d += segment[at + 3]
            e += segment[at + 4]
            f += segment[at + 5]
            g += segment[at + 6]
            h += segment[at + 7]
        for column in range(whole, length):
            a += segment[column]
        sums[row] += ((a + b) + (c + d)) + ((e + f) + (g + h))
        start += length
    return sums


@compiled
def centred_sums(
    first: FloatArray, first_means: FloatArray, second: FloatArray, second_means: FloatArray
) -> tuple[float, float]:
    """Sums over the upper triangle of the product of two centred packed kernel matrices, and of its square."""
    rows = len(first_means)
    products, squares = np.zeros(rows), np.zeros(rows)
    first_mean, second_mean = first_means.mean(), second_means.mean()
    start = 0
    for row in range(rows - 1):
        length = rows - row - 1
        one, other = first[start : start + length], second[start : start + length]
        one_means, other_means = first_means[row + 1 :], second_means[row + 1 :]
        one_here, other_here = first_mean - first_means[row], second_mean - second_means[row]
        down, down_squares = products[row + 1 :], squares[row + 1 :]
        for column in range(length):
            product = (one[column] + one_here - one_means[column]) * (other[column] + other_here - other_means[column])
            down[column] += product
            down_squares[column] += product * product
        start += length
    return products.sum(), squares.sum()


@compiled
def pairs_within(ordered: FloatArray, distance: float) -> int:
    """Number of pairs of the sorted ``ordered`` that lie at most ``distance`` apart."""
    pairs, first = 0, 0
    for place in range(len(ordered)):
        while ordered[place] - ordered[first] > distance:
            first += 1
        pairs += place - first
    return pairs


@compiled
def median_distance(ordered: FloatArray, halvings: int) -> float:
    """Median of the positive distances between pairs of the sorted ``ordered``, to ``range / 2 ** halvings``."""
    ties = pairs_within(ordered, 0.0)
    wanted = ties + (len(ordered) * (len(ordered) - 1) // 2 - ties + 1) // 2
    low, high = 0.0, ordered[-1] - ordered[0]
    for _ in range(halvings):
        middle = (low + high) / 2
        if pairs_within(ordered, middle) >= wanted:
            high = middle
        else:
            low = middle
    return float(high)


@compiled
def gaussian_factor(values: FloatArray, scale: float, tolerance: float) -> FloatArray:
    """[r, n] F, F' F = exp(``scale`` * squared distance) of the columns of [d, n], by pivoted incomplete Cholesky.

    It stops when the trace of what is left out is below ``tolerance`` of the whole.
    """
    size, rows = values.shape
    left = np.ones(rows)
    factor = np.empty((32, rows))
    rank = 0
    while rank < rows and left.sum() > tolerance * rows:
        pivot = int(np.argmax(left))
        if rank == len(factor):
            wider = np.empty((2 * rank, rows))
            wider[:rank] = factor
            factor = wider
        column = factor[rank]
        column[:] = 0.0
        for axis in range(size):
            for row in range(rows):
                column[row] += (values[axis, row] - values[axis, pivot]) ** 2
        for row in range(rows):
            column[row] = np.exp(scale * column[row])
        _finish_column(factor, left, rank, pivot)
        rank += 1
    return factor[:rank].copy()


@compiled
def square_factor(factor: FloatArray, tolerance: float) -> FloatArray:
    """[s, n] G, G' G = the entrywise square of F' F for a ``factor`` F [r, n], in the same way."""
    width, rows = factor.shape
    left = column_squares(factor)
    left *= left
    enough = tolerance * left.sum()
    squared = np.empty((64, rows))
    rank = 0
    while rank < rows and left.sum() > enough:
        pivot = int(np.argmax(left))
        if rank == len(squared):
            wider = np.empty((2 * rank, rows))
            wider[:rank] = squared
            squared = wider
        column = squared[rank]
        column[:] = 0.0
        _subtract(column, factor, width, pivot)
        for row in range(rows):
            column[row] *= column[row]
        _finish_column(squared, left, rank, pivot)
        rank += 1
    return squared[:rank].copy()


@compiled
def column_squares(factor: FloatArray) -> FloatArray:
    """[n] sums of squares of the columns of [r, n]."""
    sums = np.zeros(factor.shape[1])
    for place in range(len(factor)):
        one = factor[place]
        for row in range(len(sums)):
            sums[row] += one[row] * one[row]
    return sums


@compiled
def _finish_column(factor: FloatArray, left: FloatArray, rank: int, pivot: int) -> None:
    """Turn column ``rank``, still that of the matrix, into that of the factor, and take it from the diagonal left."""
    column = factor[rank]
    root = np.sqrt(left[pivot])
    _subtract(column, factor, rank, pivot)
    for row in range(len(column)):
        column[row] /= root
        left[row] = max(left[row] - column[row] * column[row], 0.0)
    column[pivot] = root
    left[pivot] = 0.0


@compiled
def _subtract(column: FloatArray, columns: FloatArray, count: int, pivot: int) -> None:
    """Take from ``column`` each of the first ``count`` rows of ``columns`` times its entry at ``pivot``."""
    fours = count // 4 * 4
    for place in range(0, fours, 4):
        a, b, c, d = columns[place], columns[place + 1], columns[place + 2], columns[place + 3]
        of_a, of_b, of_c, of_d = a[pivot], b[pivot], c[pivot], d[pivot]
        for row in range(len(column)):
            column[row] -= (of_a * a[row] + of_b * b[row]) + (of_c * c[row] + of_d * d[row])
    for place in range(fours, count):
        one, weight = columns[place], columns[place, pivot]
        for row in range(len(column)):
            column[row] -= weight * one[row]


@compiled
def add_centred(total: FloatArray, diagonal: FloatArray, packed: FloatArray, means: FloatArray) -> None:
    """Add a packed kernel matrix, centred, to a packed ``total`` and its ``diagonal``."""
    mean = means.mean()
    start = 0
    for row in range(len(means)):
        diagonal[row] += 1 - 2 * means[row] + mean
        for column in range(row + 1, len(means)):
            total[start] += packed[start] - means[row] - means[column] + mean
            start += 1


@compiled
def dependence_of_rest(
    effect: FloatArray,
    causes: FloatArray,
    slopes: FloatArray,
    width: float,
    widths: FloatArray,
    centred: FloatArray,
    diagonal: FloatArray,
) -> FloatArray:
    """[1 + k] sum of K * M over all entries and its gradient by the slopes.

    K is the kernel of ``effect - slopes @ causes`` for ``causes`` [k, n], and M the ``centred`` packed matrix with its
    ``diagonal``. The kernel's width is ``width - slopes @ widths``.
    """
    count, rows = causes.shape
    rest, size = effect.copy(), width
    for place in range(count):
        rest -= slopes[place] * causes[place]
        size -= slopes[place] * widths[place]
    answer = np.zeros(1 + count)
    start = 0
    for row in range(rows):
        for column in range(row + 1, rows):
            difference = rest[row] - rest[column]
            term = np.exp(-0.5 * (difference / size) ** 2) * centred[start]
            answer[0] += term
            for place in range(count):
                change = difference * (causes[place, row] - causes[place, column]) / size**2
                answer[1 + place] += term * (change - difference**2 * widths[place] / size**3)
            start += 1
    answer *= 2
    answer[0] += diagonal.sum()
    return answer
