"""Rows of an ingested table, streamed from Parquet: the table is never in memory whole."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.classifier.coding import Coding
from components.classifier.rows import BUFFER, Chunk
from components.contracts import ROW, Dataset, Part
from components.features import FeatureMap
from components.storage import scan_rows, stream_rows


@dataclass(frozen=True, eq=False)
class ParquetRows:
    """Rows of some batches and one part of a dataset; 8 bytes a row stay in memory, and a chunk of 65,536 rows.

    Attributes:
        dataset: The table. A column of sample weights, where it has one, weighs the rows.
        features: Turns its rows into features.
        coding: Its label, and how that is read.
        batches: Indices of the batches.
        part: Which part of each batch.
    """

    dataset: Dataset
    features: FeatureMap
    coding: Coding
    batches: tuple[int, ...]
    part: Part = "fit"

    @property
    def width(self) -> int:
        """Number of features."""
        return len(self.features.names)

    def chunks(self, seed: int | None = None) -> Iterator[Chunk]:
        """All rows once; shuffled within buffers of about 200,000 rows, or by batch and row key for no ``seed``.

        Raises:
            InputError: A label is outside the coding of the setting.
        """
        weights = self.dataset.names("weight")
        read = (*self.features.columns, self.coding.column)
        columns = list(dict.fromkeys([*(column.name for column in read), *weights]))
        if seed is None:
            frames = scan_rows(self.dataset, columns, BUFFER, self.batches, (self.part,))
        else:
            frames = stream_rows(self.dataset, columns, BUFFER, self.batches, (self.part,), seed)
        return (self._chunk(frame, weights) for frame in frames)

    def _chunk(self, frame: pd.DataFrame, weights: tuple[str, ...]) -> Chunk:
        return Chunk(
            np.searchsorted(self._keys, frame[ROW].to_numpy()),
            self.features.transform(frame).astype(np.float32),
            self.coding.marks(frame[self.coding.column.name]),
            frame[weights[0]].to_numpy(dtype=np.float64) if weights else None,
        )

    @cached_property
    def _keys(self) -> NDArray[np.int64]:
        """Row keys in increasing order: the number of a row is its place among them."""
        frames = scan_rows(self.dataset, [], BUFFER, self.batches, (self.part,))
        return np.sort(np.concatenate([frame[ROW].to_numpy() for frame in frames]))
