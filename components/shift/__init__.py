"""Training rows from one population, decisions for another.

A density ratio says how much more often the target holds a row; the causal graph says which correction it is for; and
drift tests say whether a new batch has moved at all.
"""

from typing import get_args

from components.shift.correction import FittedRatio, LabeledRows, Ratio, ShiftWeights, choose, correct
from components.shift.drift import DriftTest, Sample
from components.shift.rulsif import DensityRatio, RuLsif

RatioMethod = RuLsif
DriftMethod = DriftTest

METHODS: dict[str, type[RatioMethod | DriftMethod]] = {
    method.kind: method for method in get_args(RatioMethod | DriftMethod)
}

__all__ = [
    "METHODS",
    "DensityRatio",
    "DriftMethod",
    "DriftTest",
    "FittedRatio",
    "LabeledRows",
    "Ratio",
    "RatioMethod",
    "RuLsif",
    "Sample",
    "ShiftWeights",
    "choose",
    "correct",
]
