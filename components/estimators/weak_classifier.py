"""Any setting of weak supervision."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import _check_sample_weight, validate_data

from components.classifier import METHODS, Method
from components.estimators.base import WeakEstimator, named
from components.weak import Observed, Setting
from components.weak.observed import Marks
from components.weak.settings.confidences import ConfidenceSetting
from components.weak.settings.sources import TwoClassSetting


@dataclass(eq=False, repr=False)
class WeakClassifier(WeakEstimator):
    """Classes from whatever the setting says that labels are.

    ``classes_`` are the numbers 0 to K - 1 of the setting's classes. Where a setting speaks of positives, they are 0
    and 1, and 1 is positive.

    Attributes:
        setting: What labels are, with the nuisances that are known.
        method: How to train, or the name of a method. None: the usual risk of the setting.
    """

    setting: Setting
    method: Method | str | None = None

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from rows ``X`` [n, d] with labels ``y`` as ``setting.coded`` reads them: [n], or [n, K] sets.

        Raises:
            InputError: A label is outside the coding, a source is empty, or a parameter breaks its rule.
        """
        features = validate_data(self, X, dtype=np.float64)
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, features, dtype=np.float64)
        return self._fit(self.setting.observe(features, y, weights))

    def fit_observed(self, observed: Observed) -> Self:
        """Learn from what ``setting.observe_pairs`` makes of pairs, or ``setting.simulate`` of clean data."""
        validate_data(self, observed.features, dtype=np.float64)
        return self._fit(observed)

    def _fit(self, observed: Observed) -> Self:
        speaks_of_positives = isinstance(self.setting, TwoClassSetting | ConfidenceSetting)
        self.classes_ = np.arange(self.setting.class_count)
        scaled = Observed(self._standardised(observed.features, observed.weights), observed.marks, observed.weights)
        method = None if self.method is None else named("method", self.method, METHODS)
        return self._train(self.setting, method, scaled, positive_last=speaks_of_positives)

    def _marks(self, labels: ArrayLike) -> Marks:
        return self.setting.coded(labels)
