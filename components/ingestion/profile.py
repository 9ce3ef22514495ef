"""What the columns of a stored table look like, in one pass that never holds the table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components.contracts import Column, FloatArray
from components.ingestion.parallel import done, job

QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)
POINTS = 2_000


@dataclass(frozen=True, eq=False)
class Summary:
    """What is kept of the values of one column in some part of the table; summaries add up.

    Attributes:
        rows: Rows, with and without a value.
        present: Rows with a value.
        mean: Mean of the numbers.
        squares: Sum of their squared distances to the mean.
        points: [k] numbers of equal rank distance within each part, at most 2,000 a part.
        weights: [k] how many values each point stands for.
        distinct: The values of a category.
    """

    rows: int
    present: int
    mean: float = 0.0
    squares: float = 0.0
    points: FloatArray = field(default_factory=lambda: np.empty(0))
    weights: FloatArray = field(default_factory=lambda: np.empty(0))
    distinct: frozenset[str] = frozenset()

    def __add__(self, other: "Summary") -> "Summary":
        """Of both parts together (Chan, Golub and LeVeque's update of mean and squares)."""
        present = self.present + other.present
        gap, share = other.mean - self.mean, other.present / max(present, 1)
        return Summary(
            rows=self.rows + other.rows,
            present=present,
            mean=self.mean + gap * share,
            squares=self.squares + other.squares + gap**2 * self.present * share,
            points=np.concatenate([self.points, other.points]),
            weights=np.concatenate([self.weights, other.weights]),
            distinct=self.distinct | other.distinct,
        )

    def quantile(self, share: float) -> float:
        """The value that ``share`` of the values lie below; exact for parts of at most 2,000 values."""
        if not len(self.points):
            return float("nan")
        order = np.argsort(self.points, kind="stable")
        centres = np.cumsum(self.weights[order]) - self.weights[order] / 2
        return float(np.interp(share * (self.present - 1) + 0.5, centres, self.points[order]))


def profile(files: Sequence[Path], columns: Sequence[Column], invalid: Mapping[str, int]) -> pd.DataFrame:
    """One row a column: role, kind, rows, missing, mean, std, quantiles, distinct and invalid.

    ``missing`` is a share in [0, 1]; ``distinct`` counts the values of a category; ``invalid`` counts values that were
    out of range and became missing. The rank of a quantile is off by at most 1 in 2,000.
    """
    found = done([job(_summarised, file, tuple(columns)) for file in files])
    rows = [
        _described(column, reduce(Summary.__add__, (part[column.name] for part in found)), invalid.get(column.name, 0))
        for column in columns
    ]
    return pd.DataFrame(rows)


def _summarised(file: Path, columns: Sequence[Column]) -> dict[str, Summary]:
    frame = pd.read_parquet(file, columns=[column.name for column in columns])
    return {column.name: _summary(frame[column.name], column) for column in columns}


def _summary(values: "pd.Series[Any]", column: Column) -> Summary:
    there = values.dropna()
    if column.kind == "category":
        # An id differs in every row: its values are not worth the memory.
        return Summary(len(values), len(there), distinct=frozenset() if column.role == "id" else frozenset(there))
    if column.kind == "time" or there.empty:
        return Summary(len(values), len(there))
    numbers = np.sort(there.to_numpy(dtype=np.float64))
    kept = min(len(numbers), POINTS)
    chosen = ((np.arange(kept) + 0.5) * len(numbers) / kept).astype(np.int64)
    mean = float(numbers.mean())
    squares = float(((numbers - mean) ** 2).sum())
    return Summary(
        len(values), len(there), mean, squares, numbers[chosen], np.full(kept, len(numbers) / kept, np.float64)
    )


def _described(column: Column, summary: Summary, invalid: int) -> dict[str, object]:
    numeric = column.kind in ("number", "flag") and summary.present > 0
    nothing = float("nan")
    spread = np.sqrt(summary.squares / (summary.present - 1)) if numeric and summary.present > 1 else nothing
    return {
        "column": column.name,
        "role": column.role,
        "kind": column.kind,
        "rows": summary.rows,
        "missing": 1 - summary.present / summary.rows,
        "mean": summary.mean if numeric else nothing,
        "std": float(spread),
        **{f"q{share:g}": summary.quantile(share) for share in QUANTILES},
        "distinct": float(len(summary.distinct)) if column.kind == "category" and column.role != "id" else nothing,
        "invalid": invalid,
    }
