"""Some known positives, and rows that nobody looked at."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.multiclass import type_of_target

from components.classifier import RiskMinimisation
from components.contracts import Estimate, FloatArray
from components.errors import InputError
from components.estimators.base import WeakEstimator, named
from components.weak import (
    CLASS_PRIORS,
    CORRECTIONS,
    LOSSES,
    POSITIVE,
    BestBin,
    ClassPrior,
    Inverse,
    Loss,
    Observed,
    PositiveUnlabeled,
    PriorUnknown,
    RiskCorrection,
)
from components.weak.observed import Marks, two_classes
from components.weak.settings.two_classes import Sampling


@dataclass(eq=False, repr=False)
class PositiveUnlabeledClassifier(WeakEstimator):
    """Positive or not, from some known positives and rows without a label.

    Labels are {1, 0}, {1, -1} or {True, False}: known positive, unlabeled. ``fit`` leaves the class prior that was
    used, with its interval where it was estimated, in ``prior_``. Sample weights do not enter that estimate. In
    ``classes_`` the label of the unlabeled rows stands for the negative class.

    Attributes:
        prior: Share of positives among the unlabeled rows, in (0, 1); of one sample, among all rows. None: estimated,
            as large as the rows allow, which is too large where no row can be nothing but positive.
        sampling: ``two_samples``: the unlabeled rows stand for the population. ``one_sample``: all rows together do,
            and some of their positives carry a label.
        prior_method: How the prior is estimated, or the name of a method. None: best bin estimation.
        correction: What is done where the risk of a class turns negative, or its name. None: the step of nnPU.
        loss: Of the logits, or its name. None: sigmoid.
        positive: The label of known positives, where it is none of the usual ones; any one other label is unlabeled.
    """

    prior: float | None = None
    sampling: Sampling = "two_samples"
    prior_method: ClassPrior | str | None = None
    correction: RiskCorrection | str | None = None
    loss: Loss | str | None = None
    positive: int | str | None = None

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from rows ``X`` [n, d] with labels ``y`` [n] and importance ``sample_weight`` [n].

        Raises:
            InputError: A label is outside the coding, one kind of row is missing, or a parameter breaks its rule.
        """
        X, y, weights = self._checked(X, y, sample_weight)
        if len(self.classes_) > 2:
            # scikit-learn's words, which its checks look for
            raise InputError(f"Only binary classification is supported. The type of the target is {type_of_target(y)}.")
        marks, features = self._marks(y), self._standardised(X, weights)
        self.prior_ = self._class_prior(features, marks == POSITIVE)
        method = RiskMinimisation(
            Inverse(),
            None if self.correction is None else named("correction", self.correction, CORRECTIONS),
            None if self.loss is None else named("loss", self.loss, LOSSES),
        )
        setting = PositiveUnlabeled(self.prior_.value, self.sampling)
        positive_last = bool(self._marks(self.classes_)[-1] == POSITIVE)
        return self._train(setting, method, Observed(features, marks, weights), positive_last)

    def _marks(self, labels: ArrayLike) -> Marks:
        if self.positive is None:
            return two_classes(labels)
        if self.positive not in self.classes_.tolist():
            raise InputError(f"positive must be one of the labels {self.classes_.tolist()}, got {self.positive!r}")
        return two_classes(np.asarray(labels) == self.positive)

    def _class_prior(self, features: FloatArray, labelled: NDArray[np.bool_]) -> Estimate:
        if self.prior is not None:
            return Estimate(self.prior, self.prior, self.prior, "declared")
        method = named("prior_method", BestBin() if self.prior_method is None else self.prior_method, CLASS_PRIORS)
        return PriorUnknown(method, self.sampling).estimate(features, labelled)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.classifier_tags.poor_score = True  # to agree with labels that leave positives out is not the aim
        return tags
