"""Classifiers from weak labels with the interface of scikit-learn; torch is imported when they are fitted."""

from components.estimators.base import WeakEstimator, weak_accuracy
from components.estimators.noisy_labels import NoisyLabelClassifier
from components.estimators.positive_unlabeled import PositiveUnlabeledClassifier
from components.estimators.weak_classifier import WeakClassifier

__all__ = [
    "NoisyLabelClassifier",
    "PositiveUnlabeledClassifier",
    "WeakClassifier",
    "WeakEstimator",
    "weak_accuracy",
]
