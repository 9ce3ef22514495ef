"""What puts any model to use: rows of a table in, columns beside them out."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from components.contracts import Column
from components.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["number", "text", "flag"]
LIKELIEST = "likeliest"  # the column that names the likeliest class


class TablePredictor(Protocol):
    """What a registry stores, a server serves and tables are scored with."""

    @property
    def inputs(self) -> tuple[Column, ...]:
        """The columns a table must have."""

    @property
    def added(self) -> Mapping[str, Kind]:
        """The columns that :meth:`predict` makes, in order, with their kinds."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; empty: it says how probable a positive is."""

    def predict(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """One row a row.

        Raises:
            InputError: A column is absent or holds text where numbers are declared.
        """

    def example(self) -> "pd.DataFrame":
        """Input to show how the model is called; invented, nobody's row."""


def saved_predictor(folder: Path) -> TablePredictor:
    """The predictor that was saved into ``folder``, whatever its kind.

    Raises:
        InputError: The folder holds none, or one that this version cannot read.
    """
    if (folder / "classifier.json").is_file():
        from components.classifier.predictor import ClassifierPredictor

        return ClassifierPredictor.load(folder)
    if (folder / "predictor.json").is_file():
        from components.predictor import Predictor

        return Predictor.load(folder)
    raise InputError(f"folder must hold a predictor (predictor.json or classifier.json), {folder} holds neither")
