"""How a label column of a table is read in a setting: from what people write to marks."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.contracts import Column
from components.errors import InputError
from components.values import BETWEEN
from components.weak import AnySetting
from components.weak.observed import Marks
from components.weak.settings.sets import SetSetting


@dataclass(frozen=True)
class Coding:
    """A label column and the setting its values are read in.

    Values of kind number are read as the setting codes them; see ``Setting.coded``. Values of kind category are names,
    and the place of a name in ``Column.values`` is the number of its source, label or class; a set of classes is
    written with bars between. A row without a value has no label, where the setting knows rows without one.

    Attributes:
        column: The label.
        setting: What its values say of the classes.
    """

    column: Column
    setting: AnySetting

    def __post_init__(self) -> None:
        sets, names = isinstance(self.setting, SetSetting), self.column.values
        where = f"values of column {self.column.name!r}"
        if sets and not names:
            raise InputError(f"{where} must name the classes for {self.setting.kind}, got none")
        count = self.setting.class_count if sets else self.setting.symbol_count
        unlabeled = self.setting.unlabeled
        if names and len(names) not in {count, count if unlabeled is None else count - 1}:
            what = "classes" if sets else "kinds of label"
            raise InputError(f"{where} must be the {count} {what} of {self.setting.kind}, got {', '.join(names)}")

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes: those of the labels where labels are classes, else invented."""
        count = self.setting.class_count
        if self.setting.labels_are_classes and len(self.column.values) >= count:
            return self.column.values[:count]
        return ("positive", "negative") if count == 2 else tuple(map(str, range(count)))

    def marks(self, values: "pd.Series[str] | pd.Series[float]") -> Marks:
        """Marks of the values of some rows, as they are stored.

        Raises:
            InputError: A value is outside the coding, or absent where every row must have one.
        """
        absent = values.isna().to_numpy()
        unlabeled = self.setting.unlabeled
        if absent.any() and unlabeled is None:
            raise InputError(
                f"column {self.column.name!r} must have a value in every row for {self.setting.kind}, "
                f"{int(absent.sum())} of {len(values)} rows looked at have none"
            )
        present = values[~absent]
        try:
            read = self._named(present) if self.column.values else self.setting.coded(present.to_numpy())
        except InputError as error:
            raise InputError(f"column {self.column.name!r}: {error}") from error
        if not absent.any():
            return read
        marks = np.full(len(values), unlabeled, dtype=np.int64)
        marks[~absent] = read
        return marks

    def _named(self, values: "pd.Series[str] | pd.Series[float]") -> Marks:
        if isinstance(self.setting, SetSetting):
            return self.setting.coded(self._sets(values))
        places = pd.Index(self.column.values).get_indexer(pd.Index(values.astype(str)))
        if (places < 0).any():
            raise InputError(self._strange(values[places < 0].iloc[0]))
        return places.astype(np.int64)

    def _sets(self, values: "pd.Series[str] | pd.Series[float]") -> NDArray[np.bool_]:
        codes, written = pd.factorize(values)
        sets = np.zeros((len(written), len(self.column.values)), dtype=np.bool_)
        for number, text in enumerate(written):
            for name in str(text).split(BETWEEN):
                if name.strip() not in self.column.values:
                    raise InputError(self._strange(name.strip()))
                sets[number, self.column.values.index(name.strip())] = True
        return sets[codes]

    def _strange(self, value: object) -> str:
        return f"values must be among {', '.join(self.column.values)}, got {value!r}"
