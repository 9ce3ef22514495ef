"""What a learner remembers between batches; an update needs nothing else, least of all old rows' labels."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from components.contracts import FloatArray, LabelFrequency, Posterior, frozen
from components.predictor import Predictor
from components.storage import load_posterior, read_json, save_posterior, write_json

REFERENCE_ROWS = 2_000


@dataclass(frozen=True, eq=False)
class State:
    """A learner between two batches.

    Attributes:
        predictor: What it predicts with now.
        initial: The prior before the first data: no update forgets below it.
        frequency: What is believed of P(labeled | positive).
        class_prior: Share of true positives it last worked with.
        reference: [r, d] features of some training rows, what drift is measured against.
        absorbed: Labels of the batches it has learnt from, in order.
    """

    predictor: Predictor
    initial: Posterior
    frequency: LabelFrequency
    class_prior: float
    reference: FloatArray
    absorbed: tuple[str, ...]

    def with_posterior(self, posterior: Posterior) -> Self:
        """The same state with another posterior."""
        return replace(self, predictor=self.predictor.with_posterior(posterior))

    def save(self, folder: Path) -> None:
        """Write the state into ``folder``; a predictor alone can be loaded from the same folder."""
        self.predictor.save(folder)
        save_posterior(self.initial, folder / "initial.safetensors")
        np.save(folder / "reference.npy", self.reference, allow_pickle=False)
        belief = self.frequency
        write_json(
            folder / "state.json",
            {
                "class_prior": self.class_prior,
                "absorbed": list(self.absorbed),
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
            frozen(np.load(folder / "reference.npy", allow_pickle=False)),
            tuple(described["absorbed"]),
        )
