"""From a table's columns to the numbers a head sees, and back to what each number means.

Numbers are filled with their median, taken as logarithms where strongly skewed, standardised and clipped; flags
are standardised; categories become one column a level. A column that was missing now and then gets an indicator.
The map also remembers where the training rows lay, so that a row far from all of them can be told.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from components.contracts import Column, FloatArray, frozen
from components.errors import InputError
from components.values import flags, numbers, texts

CLIP = 6.0
SKEWED = 2.0
RARE = 0.005
SUPPORT_QUANTILE = 0.995


@dataclass(frozen=True)
class Scaled:
    """How one number or flag is turned into a feature.

    Attributes:
        name: The column.
        fill: Value that stands in for a missing one, in the column's units.
        logarithm: True when the logarithm is taken first.
        centre: Subtracted after that.
        scale: Divided by after that, positive.
        indicated: True when a second feature says whether the value was missing.
    """

    name: str
    fill: float
    logarithm: bool
    centre: float
    scale: float
    indicated: bool

    @classmethod
    def fit(cls, name: str, values: FloatArray, is_number: bool) -> Self:
        """Choose fill, logarithm, centre and scale from the values of one column (NaN: missing)."""
        present = values[np.isfinite(values)]
        if not len(present):
            raise InputError(f"column {name!r} must have at least one value among the training rows, all are missing")
        fill = float(np.median(present)) if is_number else float(present.mean() >= 0.5)
        logarithm = bool(is_number and present.min() > 0 and _skewness(present) > SKEWED)
        seen = np.log(present) if logarithm else present
        spread = float(seen.std())
        indicated = bool(np.mean(~np.isfinite(values)) >= RARE)
        return cls(name, fill, logarithm, float(seen.mean()), spread if spread > 1e-9 else 1.0, indicated)

    def features(self, values: FloatArray) -> FloatArray:
        """[n, 1 or 2] finite features."""
        missing = ~np.isfinite(values)
        filled = np.where(missing, self.fill, values)
        if self.logarithm:
            filled = np.log(np.maximum(filled, np.exp(self.centre - CLIP * self.scale)))
        scaled = np.clip((filled - self.centre) / self.scale, -CLIP, CLIP)
        return np.column_stack([scaled, missing]) if self.indicated else scaled[:, None]


@dataclass(frozen=True)
class Levels:
    """How one category is turned into features.

    Attributes:
        name: The column.
        levels: The levels that get a feature each; the commonest has none, it is the reference.
        reference: The commonest level; a missing value counts as its own level ``missing`` where it was seen.
    """

    name: str
    levels: tuple[str, ...]
    reference: str

    @classmethod
    def fit(cls, name: str, values: "pd.Series[Any]") -> Self:
        """Keep the levels that at least one row in two hundred has."""
        shares = _text(values).value_counts(normalize=True)
        kept = sorted(str(level) for level in shares.index[shares >= RARE])
        return cls(name, tuple(level for level in kept if level != shares.index[0]), str(shares.index[0]))

    def features(self, values: "pd.Series[Any]") -> FloatArray:
        """[n, number of levels] of 0 and 1; a level never seen is all zeros."""
        text = _text(values).to_numpy()
        shape = (len(text), len(self.levels))
        return np.array([text == level for level in self.levels], dtype=float).T.reshape(shape)


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """The map from rows to features, learnt from training rows and kept with the model.

    Attributes:
        columns: The declared columns it reads, in order.
        scaled: One entry a number or flag.
        levels: One entry a category.
        support_mean: [k] mean of the scaled features of the training rows.
        support_precision: [k, k] inverse covariance of them (ridged).
        support_threshold: Squared Mahalanobis distance that one training row in 200 exceeds.
    """

    columns: tuple[Column, ...]
    scaled: tuple[Scaled, ...]
    levels: tuple[Levels, ...]
    support_mean: FloatArray
    support_precision: FloatArray
    support_threshold: float

    @classmethod
    def fit(cls, frame: pd.DataFrame, columns: Sequence[Column]) -> Self:
        """Learn the map from training rows.

        Raises:
            InputError: A column has no values at all.
        """
        values = _read(frame, columns)
        numeric = [column for column in columns if column.kind != "category"]
        scaled = tuple(Scaled.fit(c.name, values[c.name].to_numpy(), c.kind == "number") for c in numeric)
        levels = tuple(Levels.fit(c.name, values[c.name]) for c in columns if c.kind == "category")
        where = _where(scaled, values)
        mean = where.mean(axis=0)
        covariance = np.atleast_2d(np.cov(where, rowvar=False)) if where.size else np.zeros((0, 0))
        precision = np.linalg.inv(covariance + 1e-3 * np.eye(len(mean)))
        distances = np.einsum("ij,jk,ik->i", where - mean, precision, where - mean)
        threshold = float(np.quantile(distances, SUPPORT_QUANTILE))
        return cls(tuple(columns), scaled, levels, frozen(mean), frozen(precision), threshold)

    @property
    def names(self) -> tuple[str, ...]:
        """Name of every feature, in the order of the columns of :meth:`transform`."""
        found: list[str] = []
        for part in self.scaled:
            found += [part.name, f"{part.name} is missing"] if part.indicated else [part.name]
        for group in self.levels:
            found += [f"{group.name} = {level}" for level in group.levels]
        return tuple(found)

    def transform(self, frame: pd.DataFrame) -> FloatArray:
        """[n, d] finite features. Values are read as ingestion reads them: what is out of its range is missing.

        Raises:
            InputError: A column is absent, or holds text where numbers are declared.
        """
        values = _read(frame, self.columns)
        parts = [part.features(values[part.name].to_numpy()) for part in self.scaled]
        parts += [group.features(values[group.name]) for group in self.levels]
        return np.hstack(parts) if parts else np.zeros((len(frame), 0))

    def outside(self, frame: pd.DataFrame) -> "np.ndarray[Any, np.dtype[np.bool_]]":
        """[n] True for a row no training row was like: too far, out of range, of unknown level, or mostly missing."""
        values = _read(frame, self.columns)
        centred = _where(self.scaled, values) - self.support_mean
        far = np.einsum("ij,jk,ik->i", centred, self.support_precision, centred) > self.support_threshold
        mostly_missing = values.isna().to_numpy().mean(axis=1) > 0.5
        unknown = np.zeros(len(frame), dtype=bool)
        for group in self.levels:
            unknown |= ~_text(values[group.name]).isin([*group.levels, group.reference, "missing"]).to_numpy()
        invalid = (frame[list(values.columns)].notna().to_numpy() & values.isna().to_numpy()).any(axis=1)
        return np.asarray(far | invalid | mostly_missing | unknown)

    def typical(self) -> pd.DataFrame:
        """Two rows that no person gave: every column at its typical value, and every column missing."""
        filled: dict[str, Any] = {part.name: part.fill for part in self.scaled}
        filled |= {group.name: group.reference for group in self.levels}
        ordered = {column.name: [filled[column.name], None] for column in self.columns}
        return pd.DataFrame(ordered).astype({part.name: "float64" for part in self.scaled})

    def to_json(self) -> dict[str, Any]:
        """Plain values that :meth:`from_json` reads back."""
        return {
            "columns": [asdict(column) for column in self.columns],
            "scaled": [asdict(part) for part in self.scaled],
            "levels": [asdict(group) for group in self.levels],
            "support_mean": self.support_mean.tolist(),
            "support_precision": self.support_precision.tolist(),
            "support_threshold": self.support_threshold,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """The map that :meth:`to_json` wrote."""
        return cls(
            tuple(Column.from_json(column) for column in value["columns"]),
            tuple(Scaled(**part) for part in value["scaled"]),
            tuple(Levels(**{**group, "levels": tuple(group["levels"])}) for group in value["levels"]),
            frozen(value["support_mean"]),
            frozen(np.reshape(value["support_precision"], (len(value["support_mean"]),) * 2)),
            float(value["support_threshold"]),
        )


def _read(frame: pd.DataFrame, columns: Sequence[Column]) -> pd.DataFrame:
    """The columns as ingestion would have stored them."""
    absent = [column.name for column in columns if column.name not in frame]
    if absent:
        raise InputError(f"the table must have the columns the model was trained on, missing: {', '.join(absent)}")
    read = {column.name: _column(frame[column.name], column) for column in columns}
    return pd.DataFrame(read, index=frame.index)


def _column(values: "pd.Series[Any]", column: Column) -> "pd.Series[Any]":
    if column.kind == "category":
        return texts(values)
    found, unreadable = flags(values) if column.kind == "flag" else numbers(values)
    if unreadable.any():
        what = "numbers" if column.kind == "number" else "0, 1, true or false"
        first = values[unreadable].tolist()[0]
        raise InputError(f"column {column.name!r} must hold {what}, got {first!r}")
    low = -np.inf if column.minimum is None else column.minimum
    high = np.inf if column.maximum is None else column.maximum
    within = np.isfinite(found) & (found >= low) & (found <= high)
    return pd.Series(np.where(within, found, np.nan), index=values.index)


def _text(values: "pd.Series[Any]") -> "pd.Series[Any]":
    return values.astype("object").where(values.notna(), "missing").astype(str)


def _where(scaled: tuple[Scaled, ...], frame: pd.DataFrame) -> FloatArray:
    parts = [part.features(frame[part.name].to_numpy())[:, 0] for part in scaled]
    return np.column_stack(parts) if parts else np.zeros((len(frame), 0))


def _skewness(values: FloatArray) -> float:
    centred = values - values.mean()
    spread = float(np.sqrt(np.mean(centred**2)))
    return float(np.mean(centred**3)) / spread**3 if spread > 0 else 0.0
