"""Classifiers from weak labels: networks, one training loop, and the methods that learn what they are not told.

``ClassifierTraining(setting).fit(observed)`` trains; what is descended on is put together in ``components.weak`` or by
a method of this package. Importing it does not import torch; training does.
"""

from components.classifier.methods import (
    METHODS,
    AnyMethod,
    ConfidenceScored,
    CoTeaching,
    CoTeachingPlus,
    EstimatedNoise,
    ManifoldRegularised,
    Method,
    PartDependent,
    RiskMinimisation,
    Sigua,
    TotalVariation,
    TransitionRevision,
    VolumeMinimisation,
)
from components.classifier.networks import Linear, Network, Perceptron
from components.classifier.optimisers import Adam, Optimiser, Sgd
from components.classifier.parquet import ParquetRows
from components.classifier.predictor import ClassifierPredictor
from components.classifier.rows import Chunk, InMemory, Source
from components.classifier.training import ClassifierTraining

__all__ = [
    "METHODS",
    "Adam",
    "AnyMethod",
    "Chunk",
    "ClassifierPredictor",
    "ClassifierTraining",
    "CoTeaching",
    "CoTeachingPlus",
    "ConfidenceScored",
    "EstimatedNoise",
    "InMemory",
    "Linear",
    "ManifoldRegularised",
    "Method",
    "Network",
    "Optimiser",
    "ParquetRows",
    "PartDependent",
    "Perceptron",
    "RiskMinimisation",
    "Sgd",
    "Sigua",
    "Source",
    "TotalVariation",
    "TransitionRevision",
    "VolumeMinimisation",
]
