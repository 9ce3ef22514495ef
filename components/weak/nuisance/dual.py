"""The transition matrix as a product of two that are easier to estimate.

Between the clean class and the noisy label stands the class that the model predicts, Y':

    T = club @ spade,  club[i, l] = P(Y' = l | clean = i),  spade[l, j] = P(noisy = j | Y' = l)

The first is read off anchor points, where the model's posterior stands for that of its own prediction; the second is
counted, without any posterior. It helps where the model is overconfident, and only there: with exact noisy
posteriors the anchors alone give T, and the product is T spade.

Yao, Liu, Han, Gong, Deng, Niu, Sugiyama, Dual T: reducing estimation error for transition matrix, NeurIPS 2020.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from components.contracts import FloatArray
from components.weak.nuisance.anchors import Anchors
from components.weak.nuisance.transition import Found, Labels, as_rows


@dataclass(frozen=True)
class DualTransition:
    """Multiplies what anchors say of the prediction with what is counted of the labels.

    Attributes:
        anchors: Where the first factor is read off.
        kind: Name of the method.
    """

    anchors: Anchors = Anchors()
    kind: Literal["dual"] = "dual"

    @property
    def source(self) -> str:
        """How the estimate is called where it is told."""
        return f"dual transition with {self.anchors.source}"

    def find(self, probabilities: FloatArray, noisy: Labels) -> Found:
        """The [K, K] product, and a note where a class is never predicted."""
        club, notes = self.anchors.find(probabilities, noisy)
        spade, missing = labels_given_prediction(probabilities, noisy)
        return np.asarray(club @ spade), notes + missing


def labels_given_prediction(probabilities: FloatArray, noisy: Labels) -> Found:
    """[K, K] share of each noisy label (columns) among the rows with each predicted class (rows)."""
    counts = np.zeros((probabilities.shape[1],) * 2)
    np.add.at(counts, (probabilities.argmax(axis=1), noisy), 1.0)
    return as_rows(counts, "the model never predicts class")
