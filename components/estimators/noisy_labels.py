"""Labels that are wrong by habit."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from components.classifier import METHODS, Method, RiskMinimisation
from components.classifier.methods.estimated_transition import EstimatedNoise
from components.contracts import Estimate, FloatArray
from components.errors import InputError
from components.estimators.base import WeakEstimator, named
from components.weak import NoisyLabels, Observed
from components.weak.nuisance import ConfidentJoint
from components.weak.nuisance.transition import implied_noise_rate
from components.weak.observed import Marks
from components.weak.transitions import as_table

USUAL = EstimatedNoise(ConfidentJoint())


@dataclass(eq=False, repr=False)
class NoisyLabelClassifier(WeakEstimator):
    """Classes from labels of which some are wrong; how often each is taken for which other is known, or learnt.

    Labels are whatever scikit-learn takes for classes. ``fit`` leaves in ``transition_`` the table that was used or
    learnt (None where the method learns none), in ``noise_rate_`` the share of wrong labels with its interval (None
    likewise), and in ``doubts_`` for each row how doubtful its label is, in [0, 1].

    Attributes:
        transition: Probability of each label (columns) given the clean class (rows), classes in sorted order. None:
            the method finds out what it needs.
        method: How to train, or the name of a method. None: the likelihood under ``transition`` where it is given,
            else ``estimated_noise`` by the confident joint.
    """

    transition: ArrayLike | None = None
    method: Method | str | None = None

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from rows ``X`` [n, d] with labels ``y`` [n] and importance ``sample_weight`` [n].

        Raises:
            InputError: There is one class only, the transition is not of these classes, or a parameter breaks its rule.
        """
        X, y, weights = self._checked(X, y, sample_weight)
        setting = self._setting()
        observed = Observed(self._standardised(X, weights), self._marks(y), weights)
        chosen = self.method if self.method is not None or self.transition is not None else USUAL
        method = RiskMinimisation() if chosen is None else named("method", chosen, METHODS)
        self._train(setting, method, observed)
        self._remember(setting, observed)
        return self

    def _marks(self, labels: ArrayLike) -> Marks:
        values = np.asarray(labels)
        unknown = ~np.isin(values, self.classes_)
        if unknown.any():
            raise InputError(f"labels must be among {self.classes_.tolist()}, got {values[unknown][0]!r}")
        return np.searchsorted(self.classes_, values)

    def _setting(self) -> NoisyLabels:
        count = len(self.classes_)
        table = np.eye(count) if self.transition is None else np.asarray(self.transition, dtype=np.float64)
        if table.shape != (count, count):
            raise InputError(f"transition must be {count} by {count}, as there are classes, got shape {table.shape}")
        return NoisyLabels(as_table(table))

    def _remember(self, setting: NoisyLabels, observed: Observed) -> None:
        """Table, noise rate and doubts: told or found out."""
        found, labels = self.classifier_.found, np.asarray(observed.marks, dtype=np.int64)
        self.transition_: FloatArray | None = None
        self.noise_rate_: Estimate | None = None
        if found.transition is not None:
            self.setting_ = NoisyLabels(found.transition.table)
            self.transition_, self.noise_rate_ = found.transition.matrix, found.transition.noise_rate
        elif self.transition is not None:
            rate = implied_noise_rate(setting.table, labels)
            self.transition_, self.noise_rate_ = setting.table, Estimate(rate, rate, rate, "declared transition")
        self.noise_rate_ = found.numbers.get("noise_rate", self.noise_rate_)
        self.doubts_ = self.classifier_.doubts(observed)
