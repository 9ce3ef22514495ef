"""A table of numbers made fit for discovery, or a named reason why it is not."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.contracts import FloatArray
from components.errors import InputError

# Unexplained share of variance, 1 - R^2, under which a column counts as a copy: |rho| > 1 - 1e-12 for two columns.
COPY = 2e-12


@dataclass(frozen=True, eq=False)
class PreparedTable:
    """Finite numbers with full column rank.

    Attributes:
        names: The p columns that were kept, in the order of the table.
        values: [n, p] complete rows, skewed columns as logarithms.
        notes: Sentences about what was left out or changed.
    """

    names: tuple[str, ...]
    values: FloatArray
    notes: tuple[str, ...]

    def standardised(self) -> tuple["PreparedTable", FloatArray]:
        """The table with columns of mean zero and variance one, and the [p] standard deviations they had."""
        scale = self.values.std(axis=0)
        return replace(self, values=(self.values - self.values.mean(axis=0)) / scale), scale


def prepare(table: pd.DataFrame, target: str, maximum_rows: int, log_skewness: float, seed: int) -> PreparedTable:
    """Complete rows of ``table``, without constant columns and copies, at most ``maximum_rows`` drawn by ``seed``.

    Raises:
        InputError: The table has no usable rows, fewer than two usable columns, text, infinities or twice the same
            name; or the target is missing or constant.
    """
    _check_columns(table, target)
    names = tuple(str(name) for name in table.columns)
    values: FloatArray = table.to_numpy(dtype=np.float64, na_value=np.nan)
    _check_finite(values, names)
    values, notes = _complete_rows(values, maximum_rows, seed)
    varies = np.asarray(np.ptp(values, axis=0) > 0)
    if not varies[names.index(target)]:
        raise InputError(
            f"target must vary over the complete rows, but {target!r} is always "
            f"{values[0, names.index(target)]:g}; choose other columns or fill missing values"
        )
    notes += [f"{name} was left out: it has the same value in every row." for name in _where(names, ~varies)]
    values, names = values[:, varies], _where(names, varies)
    values, logged = _take_logarithms(values, names, log_skewness)
    values, names, copies = _without_copies(values, names, target)
    if len(names) < 2:
        raise InputError(f"table must have two columns that vary and are not copies, only {names[0]!r} is left")
    return PreparedTable(names, values, (*notes, *logged, *copies))


def _check_columns(table: pd.DataFrame, target: str) -> None:
    names = [str(name) for name in table.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"table must not have two columns of one name, got {', '.join(twice)} twice; rename them")
    if target not in names:
        raise InputError(f"target must be a column of the table, got {target!r}; it has {', '.join(names)}")
    if len(names) < 2:
        raise InputError(f"table must have at least two columns to relate, got only {target!r}; add features")
    types = pd.api.types
    other = [
        f"{name} ({kind})"
        for name, kind in zip(names, table.dtypes, strict=True)
        if not types.is_numeric_dtype(kind) or types.is_complex_dtype(kind)
    ]
    if other:
        raise InputError(f"table must hold only numbers, got {', '.join(other)}; encode or leave out these columns")


def _check_finite(values: FloatArray, names: tuple[str, ...]) -> None:
    infinite = _where(names, np.asarray(np.isinf(values).any(axis=0)))
    if infinite:
        raise InputError(f"table must not hold infinite values, found some in {', '.join(infinite)}; make them missing")


def _complete_rows(values: FloatArray, maximum_rows: int, seed: int) -> tuple[FloatArray, list[str]]:
    rows, size = values.shape
    complete = values[~np.isnan(values).any(axis=1)]
    if len(complete) <= size:
        raise InputError(
            f"table must have more complete rows than columns, got {len(complete)} complete of {rows} rows and {size} "
            "columns; add rows or leave out columns with many missing values"
        )
    notes = []
    if len(complete) < rows:
        notes.append(f"Only the {len(complete)} of {rows} rows without a missing value were used.")
    if len(complete) > maximum_rows:
        notes.append(f"A random {maximum_rows} of the {len(complete)} complete rows were used.")
        chosen = np.random.default_rng(seed).choice(len(complete), maximum_rows, replace=False)
        complete = complete[np.sort(chosen)]
    return complete, notes


def _take_logarithms(values: FloatArray, names: tuple[str, ...], above: float) -> tuple[FloatArray, list[str]]:
    if above == 0:
        return values, []
    centred = values - values.mean(axis=0)
    skewness = (centred**3).mean(axis=0) / (centred**2).mean(axis=0) ** 1.5
    chosen = (values > 0).all(axis=0) & (skewness > above)
    notes = [
        f"{names[index]} entered as its natural logarithm (skewness {skewness[index]:.1f}): its effects are per unit "
        "of the logarithm."
        for index in np.flatnonzero(chosen)
    ]
    return np.log(values, out=values.copy(), where=chosen), notes


def _without_copies(
    values: FloatArray, names: tuple[str, ...], target: str
) -> tuple[FloatArray, tuple[str, ...], list[str]]:
    """Leave out each column that the target and the columns before it determine."""
    standard = (values - values.mean(axis=0)) / values.std(axis=0)
    kept, notes = [names.index(target)], []
    for index in range(len(names)):
        if index == kept[0]:
            continue
        known = standard[:, kept]
        solution = np.linalg.lstsq(known, standard[:, index], rcond=None)[0]
        if np.mean((standard[:, index] - known @ solution) ** 2) > COPY:
            kept.append(index)
        else:
            sources = ", ".join(names[kept[place]] for place in np.flatnonzero(np.abs(solution) > 1e-6))
            notes.append(f"{names[index]} was left out: it is a linear function of {sources}.")
    kept.sort()
    return values[:, kept], tuple(names[index] for index in kept), notes


def _where(names: tuple[str, ...], mask: NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(name for name, chosen in zip(names, mask, strict=True) if chosen)
