"""A posterior put to use: from rows of a table to a probability, its uncertainty, and a warning.

This is what a registry stores. A folder holds ``predictor.json`` and ``posterior.safetensors``: loading it runs
nobody's code but this package's.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from components.contracts import Column, FloatArray, Posterior
from components.errors import InputError
from components.features import FeatureMap
from components.heads import HEADS, Head
from components.predicting import Kind
from components.storage import load_posterior, read_json, save_posterior, write_json

SCHEMA = 1
CHUNK = 16_384


@dataclass(frozen=True, eq=False)
class Predictor:
    """A feature map, a head, and the posterior over the head's parameters.

    Attributes:
        features: From rows to features.
        head: From features to a logit.
        posterior: Over the head's parameters.
        draws: Posterior draws that a prediction averages over.
        seed: Of those draws; predictions are deterministic.
    """

    features: FeatureMap
    head: Head
    posterior: Posterior
    draws: int = 32
    seed: int = 0

    @property
    def inputs(self) -> tuple[Column, ...]:
        """The columns a table must have."""
        return self.features.columns

    @property
    def added(self) -> Mapping[str, Kind]:
        """The columns that :meth:`predict` makes, in order."""
        return {"probability": "number", "uncertainty": "number", "outside_support": "flag"}

    @property
    def classes(self) -> tuple[str, ...]:
        """None are named: what it predicts is positive or not."""
        return ()

    def with_posterior(self, posterior: Posterior) -> Self:
        """The same predictor with another posterior."""
        return replace(self, posterior=posterior)

    def probability(self, features: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation, over posterior draws, of P(positive), each [n], for features [n, d]."""
        import torch

        thetas = torch.from_numpy(self.posterior.sample(self.draws, self.seed))
        means, deviations = [np.zeros(0)], [np.zeros(0)]
        for begin in range(0, len(features), CHUNK):
            chunk = torch.from_numpy(np.array(features[begin : begin + CHUNK]))
            drawn = self.head.logits(thetas, chunk).sigmoid()
            means.append(drawn.mean(0).numpy())
            deviations.append(drawn.std(0).numpy())
        return np.concatenate(means), np.concatenate(deviations)

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """One row a row: ``probability``, ``uncertainty`` (its standard deviation) and ``outside_support``.

        Raises:
            InputError: A column is absent or holds text where numbers are declared.
        """
        features = self.features.transform(frame)
        probability, uncertainty = self.probability(features)
        outside = self.features.outside(frame)
        columns = {"probability": probability, "uncertainty": uncertainty, "outside_support": outside}
        return pd.DataFrame(columns, index=frame.index)

    def example(self) -> pd.DataFrame:
        """Input to show how the model is called; invented, nobody's row."""
        return self.features.typical()

    def save(self, folder: Path) -> None:
        """Write the predictor into ``folder``, which is made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        save_posterior(self.posterior, folder / "posterior.safetensors")
        described: dict[str, Any] = {"schema": SCHEMA, "draws": self.draws, "seed": self.seed}
        described |= {"head": asdict(self.head), "features": self.features.to_json()}
        write_json(folder / "predictor.json", described)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises:
            InputError: The folder holds no predictor, or one of a schema this version does not know.
        """
        described = read_json(folder / "predictor.json")
        if described.get("schema") != SCHEMA:
            raise InputError(f"schema of the predictor in {folder} must be {SCHEMA}, got {described.get('schema')!r}")
        head = HEADS[described["head"]["kind"]](**described["head"])
        posterior = load_posterior(folder / "posterior.safetensors")
        features = FeatureMap.from_json(described["features"])
        return cls(features, head, posterior, described["draws"], described["seed"])
