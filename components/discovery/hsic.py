"""A test of independence of two samples that may depend in any way: HSIC with Gaussian kernels.

With centred kernel matrices K and L the statistic is sum(K * L) / n; under independence it follows nearly a gamma
distribution whose mean and variance are known from the two matrices. Nothing is sampled: short or joint samples use the
matrices themselves, others their factors by pivoted incomplete Cholesky, which change the p-value by less than 1e-11.
The kernel of a sample is made once and can be tested against many others.

Gretton et al., A kernel statistical test of independence, NIPS 2007.
"""

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from components.contracts import FloatArray
from components.errors import InputError

Width = Literal["median", "first_100"]

FEWEST = 6
"""Rows that the variance under independence needs."""

# From so many rows on factors are used, if the sample is not too spread out: outliers far from each other, and several
# columns, give factors of a rank so high that the matrix of 4 n^2 bytes is cheaper.
FACTORED_ROWS = 500
ROWS_PER_CELL = 40
LARGEST_MATRIX = 5000
# Share of the trace that factors may leave out.
LEFT_OUT = 1e-13
# Evenly spaced order statistics that stand for a column when its median distance is taken.
QUANTILES = 500


@dataclass(frozen=True, eq=False)
class Whole:
    """A kernel matrix.

    Attributes:
        matrix: Its strict upper triangle, row after row.
        row_means: [n] means of its rows.
        mean: Mean of its entries off the diagonal.
    """

    matrix: FloatArray
    row_means: FloatArray
    mean: float


@dataclass(frozen=True, eq=False)
class Factored:
    """A centred kernel matrix K by its factors.

    Attributes:
        factor: [r, n] F with F' F = K.
        squares: [s, n] G with G' G = K * K.
        diagonal: [n] diagonal of K.
        mean: Mean of the entries off the diagonal before centring.
    """

    factor: FloatArray
    squares: FloatArray
    diagonal: FloatArray
    mean: float


@dataclass(frozen=True, eq=False)
class Kernel:
    """The Gaussian kernel of one sample; made by :meth:`of`, its matrix or factors when a test first needs them.

    Attributes:
        columns: [d, n] the sample, one row of this array per column.
        width: Standard deviation of the kernel; 0 when all rows of the sample are the same.
        spare: Memory of matrices that nobody needs any more; taken before new memory, which costs more than the sums.
    """

    columns: FloatArray
    width: float
    spare: list[FloatArray] = field(default_factory=list, repr=False)

    @classmethod
    def of(cls, values: FloatArray, width: Width = "median", spare: list[FloatArray] | None = None) -> "Kernel":
        """The kernel of a sample.

        Args:
            values: [n] numbers, or [n, d] rows that are one variable together.
            width: ``median``: the square root of half the squared median distance, added up over the columns, which
                does not depend on the order of the rows. ``first_100``: from the first 100 rows alone, as the lingam
                package has it.
            spare: See the attribute.

        Raises:
            InputError: There are fewer rows than the test needs.
        """
        columns = np.ascontiguousarray(np.atleast_2d(values.T), dtype=np.float64)
        if columns.shape[1] < FEWEST:
            raise InputError(f"rows must be at least {FEWEST} for a test of independence, got {columns.shape[1]}")
        return cls(columns, _width(columns, width), [] if spare is None else spare)

    @cached_property
    def compact(self) -> bool:
        """Factors of it are cheaper than the matrix: one column with few occupied cells of one kernel width each."""
        rows = self.columns.shape[1]
        if rows < FACTORED_ROWS or rows > LARGEST_MATRIX or len(self.columns) > 1:
            return rows > LARGEST_MATRIX
        cells = len(np.unique(np.floor((self.columns[0] - self.columns[0].min()) / self.width)))
        return cells * ROWS_PER_CELL <= rows

    @cached_property
    def whole(self) -> Whole:
        """The matrix."""
        from components.discovery.kernels.hsic import row_sums, scaled_distances

        rows = self.columns.shape[1]
        matrix = self.spare.pop() if self.spare else np.empty(rows * (rows - 1) // 2)
        scaled_distances(self.columns, -0.5 / self.width**2, matrix)
        np.exp(matrix, out=matrix)
        sums = row_sums(matrix, rows)
        return Whole(matrix, sums / rows, (sums.sum() - rows) / (rows * (rows - 1)))

    @cached_property
    def factored(self) -> Factored:
        """The factors."""
        from components.discovery.kernels.hsic import column_squares, gaussian_factor, square_factor

        rows = self.columns.shape[1]
        factor = gaussian_factor(self.columns, -0.5 / self.width**2, LEFT_OUT)
        sums = factor.sum(axis=1)
        factor -= (sums / rows)[:, None]
        mean = (float(sums @ sums) - rows) / (rows * (rows - 1))
        return Factored(factor, square_factor(factor, LEFT_OUT), column_squares(factor), mean)

    def release(self) -> None:
        """Give its matrix to the spare ones; the kernel makes a new one if it is tested again."""
        if "whole" in self.__dict__:
            self.spare.append(self.__dict__.pop("whole").matrix)

    @property
    def nbytes(self) -> int:
        """Memory it holds now."""
        size = self.columns.nbytes
        if "whole" in self.__dict__:
            size += self.whole.matrix.nbytes
        if "factored" in self.__dict__:
            size += self.factored.factor.nbytes + self.factored.squares.nbytes
        return size


@dataclass(frozen=True)
class Independence:
    """The outcome of one test.

    Attributes:
        statistic: n times the biased HSIC.
        p_value: Of the hypothesis that the two samples are independent.
    """

    statistic: float
    p_value: float


def independence(first: Kernel, second: Kernel) -> Independence:
    """Test two samples of the same rows; symmetric in its arguments. A sample without spread is independent of all.

    Raises:
        InputError: The samples differ in length.
    """
    from scipy.special import gammaincc

    n = first.columns.shape[1]
    if second.columns.shape[1] != n:
        raise InputError(f"samples must have equally many rows, got {n} and {second.columns.shape[1]}")
    if first.width == 0 or second.width == 0:
        return Independence(0.0, 1.0)
    if first.compact and second.compact:
        total, squares, mean = _of_factors(first.factored, second.factored)
    else:
        total, squares, mean = _of_matrices(first.whole, second.whole)
    variance = 2 * (n - 4) * (n - 5) / (n * (n - 1) * (n - 2) * (n - 3)) * squares / (n * (n - 1))
    p_value = gammaincc(mean**2 / variance, total * mean / (variance * n * n))
    return Independence(total / n, float(p_value))


def p_value(first: Kernel, second: Kernel) -> float:
    """P-value of the hypothesis that two samples are independent."""
    return independence(first, second).p_value


def _width(columns: FloatArray, width: Width) -> float:
    """Kernel width, 0 only where all rows are the same."""
    if width == "first_100":
        size = _first_rows_width(columns[:, :100].T)
        if size > 0:
            return size
    return float(np.sqrt(sum(_median_width(column) ** 2 for column in columns)))


def _median_width(column: FloatArray) -> float:
    from components.discovery.kernels.hsic import median_distance

    ordered = np.sort(column)
    if len(ordered) > QUANTILES:
        places = ((np.arange(QUANTILES) + 0.5) * len(ordered) / QUANTILES).astype(np.intp)
        ordered = ordered if ordered[places[0]] == ordered[places[-1]] else ordered[places]
    return float(np.sqrt(0.5)) * median_distance(ordered, 40)


def _first_rows_width(rows: FloatArray) -> float:
    """Lingam's rule to the last bit, whose rounding decides what counts as a positive distance between equal rows."""
    lengths = np.sum(rows * rows, axis=1)[:, None]
    distances = (lengths + lengths.T - 2 * (rows @ rows.T))[_upper(len(rows))]
    positive = distances[distances > 0]
    return float(np.sqrt(0.5 * np.median(positive))) if len(positive) else 0.0


@lru_cache(maxsize=4)
def _upper(rows: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return np.triu_indices(rows, 1)


def _of_matrices(first: Whole, second: Whole) -> tuple[float, float, float]:
    """Sum of K * L, sum of its square off the diagonal, and mean of the statistic under independence."""
    from components.discovery.kernels.hsic import centred_sums

    total, squares = centred_sums(first.matrix, first.row_means, second.matrix, second.row_means)
    diagonal = _diagonal(first) * _diagonal(second)
    return 2 * total + float(diagonal.sum()), 2 * squares, _mean(first, second, len(diagonal))


def _of_factors(first: Factored, second: Factored) -> tuple[float, float, float]:
    total = float(np.sum((first.factor @ second.factor.T) ** 2))
    diagonal = first.diagonal * second.diagonal
    squares = np.sum((first.squares @ second.squares.T) ** 2) - diagonal @ diagonal
    return total, float(squares), _mean(first, second, len(diagonal))


def _diagonal(form: Whole) -> FloatArray:
    centred: FloatArray = 1 - 2 * form.row_means + form.row_means.mean()
    return centred


def _mean(first: Whole | Factored, second: Whole | Factored, rows: int) -> float:
    return (1 - first.mean) * (1 - second.mean) / rows
