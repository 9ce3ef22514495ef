"""What a learner remembers between batches; an update needs nothing else, least of all old rows."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from safetensors.numpy import load_file, save_file

from components.contracts import Dataset, FloatArray, LabelFrequency, Part, Posterior, frozen
from components.features import FeatureMap
from components.objective import Rows
from components.predictor import Predictor
from components.storage import load_posterior, read_json, save_posterior, write_json

REFERENCE_ROWS = 2_000
PARTS: tuple[Part, ...] = ("tune", "fit")


@dataclass(frozen=True, eq=False)
class Reference:
    """Rows that the next batch is compared with: drawn from the last batch, none of them fitted.

    Attributes:
        features: [r, d] their features.
        labelled: Number of labeled ones among them.
    """

    features: FloatArray
    labelled: int


@dataclass(frozen=True, eq=False)
class State:
    """A learner between two batches.

    Attributes:
        predictor: What it predicts with now.
        initial: The prior before the first data: no update forgets below it.
        frequency: What is believed of P(labeled | positive).
        class_prior: Share of true positives it last worked with.
        reference: What the drift of the next batch is measured against.
        absorbed: Labels of the batches it has learnt from, in order.
    """

    predictor: Predictor
    initial: Posterior
    frequency: LabelFrequency
    class_prior: float
    reference: Reference
    absorbed: tuple[str, ...]

    def with_posterior(self, posterior: Posterior) -> Self:
        """The same state with another posterior."""
        return replace(self, predictor=self.predictor.with_posterior(posterior))

    def save(self, folder: Path) -> None:
        """Write the state into ``folder``; a predictor alone can be loaded from the same folder."""
        self.predictor.save(folder)
        save_posterior(self.initial, folder / "initial.safetensors")
        save_file({"features": np.array(self.reference.features)}, folder / "reference.safetensors")
        belief = self.frequency
        write_json(
            folder / "state.json",
            {
                "class_prior": self.class_prior,
                "absorbed": list(self.absorbed),
                "reference_labelled": self.reference.labelled,
                "frequency": {
                    "grid": belief.grid.tolist(),
                    "density": belief.density.tolist(),
                    "source": belief.source,
                    "note": belief.note,
                },
            },
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote."""
        described = read_json(folder / "state.json")
        return cls(
            Predictor.load(folder),
            load_posterior(folder / "initial.safetensors"),
            LabelFrequency(**described["frequency"]),
            described["class_prior"],
            Reference(frozen(load_file(folder / "reference.safetensors")["features"]), described["reference_labelled"]),
            tuple(described["absorbed"]),
        )


def reference_of(dataset: Dataset, features: FeatureMap, batches: tuple[int, ...]) -> Reference:
    """Rows kept for tuning of ``batches``: no posterior was fitted to them, so their scores compare with fresh ones.

    Batches without such rows give the rows that were fitted.
    """
    for part in PARTS:
        sample = Rows(dataset, features, batches, part).sample()
        if sample.rows:
            break
    matrix, labelled = sample.alike
    chosen = np.sort(np.random.default_rng(0).permutation(len(matrix))[:REFERENCE_ROWS])
    return Reference(frozen(matrix[chosen]), int(labelled[chosen].sum()))
