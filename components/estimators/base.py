"""What all estimators share: checked and standardised features, rows kept for validation, one training, prediction."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from components.classifier import Adam, ClassifierTraining, Method, Perceptron
from components.contracts import FloatArray
from components.errors import InputError
from components.estimators.held_out import held_out
from components.ports import Alone, Report, silent
from components.weak import Observed, Setting
from components.weak.observed import Marks

Chosen = TypeVar("Chosen")


@dataclass(eq=False, repr=False, kw_only=True)
class WeakEstimator(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A perceptron that learns from weak labels, as scikit-learn takes its classifiers.

    After ``fit`` there are ``classes_``; ``setting_``, what the labels were taken for, with the nuisances used;
    ``classifier_``, the trained network; ``history_``, the metrics of each epoch; and ``validation_error_``, the error
    rate of the epoch that was kept, as weak labels alone tell it (None where they cannot, or no rows were kept back).

    Attributes:
        hidden: Units of each hidden layer; empty: a linear model.
        epochs: Passes over the rows.
        minibatch_rows: Rows of a minibatch, about. None: a twentieth of all rows, but 32 at least and 256 at most.
        step: Step size of Adam.
        weight_decay: Squared-norm penalty on all parameters.
        validation_fraction: Share of the rows of each source or label kept for validation, in [0, 1); 0: none.
        keep: ``last``: the last epoch. ``best``: the one whose rows kept for validation have the lowest error, as weak
            labels alone tell it, which wants a thousand such rows: with few, chance chooses and early epochs win.
        patience: Epochs without a better one after which training stops, where ``keep`` is ``best``; 0: never.
        standardise: Whether features are brought to mean 0 and variance 1 first.
        device: Where to compute, as torch names it.
        report: Gets the number of each epoch, of all epochs, and its metrics; None: nobody does.
        random_state: Seed of all chance, or what scikit-learn draws one from.
    """

    hidden: tuple[int, ...] = (128,)
    epochs: int = 30
    minibatch_rows: int | None = None
    step: float = 1e-3
    weight_decay: float = 0.0
    validation_fraction: float = 0.1
    keep: Literal["best", "last"] = "last"
    patience: int = 0
    standardise: bool = True
    device: str = "cpu"
    report: Report | None = None
    random_state: int | np.random.RandomState | None = 0

    def predict_proba(self, X: ArrayLike) -> FloatArray:
        """[n, K] probabilities of ``classes_``."""
        return np.asarray(self._probabilities(X)[:, self._columns])

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """[n] the likeliest of ``classes_``."""
        likeliest = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[likeliest])

    def weak_accuracy(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy with clean labels, in expectation, told from weak labels ``y`` coded as for ``fit``.

        Small samples can put it below 0 or above 1. See ``components.estimators.weak_accuracy`` for model selection.

        Raises:
            InputError: Labels are outside the coding, or the setting has no inverse.
        """
        import torch

        probabilities = torch.from_numpy(self._probabilities(X))
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, X)
        marks = self._marks(y)
        risk = self.setting_.risk(self.setting_.counts(marks, weights), dtype=torch.float64).validation()
        evidence = risk.evidence(torch.tensor(marks), None if weights is None else torch.tensor(weights))
        return 1 - float(risk(probabilities, evidence))  # only the order of logits matters to it

    def _checked(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[FloatArray, NDArray[Any], FloatArray | None]:
        """Rows, one label each, and weights, as scikit-learn wants them checked; sets ``classes_``."""
        rows, labels = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(labels)
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, rows, dtype=np.float64)
        self.classes_ = np.unique(labels)
        weighty = self.classes_ if weights is None else np.unique(labels[weights > 0])
        if len(weighty) < 2:
            raise InputError(f"labels must be of 2 classes or more, got 1 class, {weighty.tolist()}")
        return rows, labels, weights

    @abstractmethod
    def _marks(self, labels: ArrayLike) -> Marks:
        """Marks of ``labels`` as they come to ``fit``."""

    def _probabilities(self, X: ArrayLike) -> FloatArray:
        check_is_fitted(self, "classifier_")
        features = validate_data(self, X, reset=False, dtype=np.float64)
        return self.classifier_.probabilities(self._scaled(features))

    def _scaled(self, features: FloatArray) -> FloatArray:
        return features if self.scaler_ is None else np.asarray(self.scaler_.transform(features))

    def _standardised(self, features: FloatArray, weights: FloatArray | None) -> FloatArray:
        """``features`` of the rows to learn from, whose means and variances are remembered."""
        self.scaler_ = StandardScaler().fit(features, sample_weight=weights) if self.standardise else None
        return self._scaled(features)

    def _seed(self) -> int:
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _train(self, setting: Setting, method: Method | None, observed: Observed, positive_last: bool = False) -> Self:
        """Learn from ``observed``; ``positive_last``: ``classes_`` has the positive class last, as a setting first."""
        if self.patience and self.keep == "last":
            raise InputError(f"patience must be 0 where keep is last, got {self.patience}; or keep the best epoch")
        seed = self._seed()
        training = ClassifierTraining(
            setting=setting,
            method=method,
            network=Perceptron(tuple(self.hidden)),
            optimiser=Adam(self.step, self.weight_decay),
            epochs=self.epochs,
            minibatch_rows=min(max(len(observed) // 20, 32), 256)
            if self.minibatch_rows is None
            else self.minibatch_rows,
            keep=self.keep,
            patience=self.patience,
            seed=seed,
        )
        learnt, kept = held_out(observed, self.validation_fraction, seed)
        report = silent if self.report is None else self.report
        self.classifier_ = training.fit(learnt, kept, report, together=Alone(device=self.device))
        self._columns = np.arange(setting.class_count)[:: -1 if positive_last else 1]
        self.setting_, self.history_ = setting, self.classifier_.history
        self.validation_error_ = self.history_[self.classifier_.epoch].get("validation_error")
        return self


def weak_accuracy(
    estimator: WeakEstimator, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
) -> float:
    """``WeakEstimator.weak_accuracy`` as a scorer: ``GridSearchCV(estimator, grid, scoring=weak_accuracy)``."""
    return estimator.weak_accuracy(X, y, sample_weight)


def named(name: str, value: Chosen | str, known: Mapping[str, type[Chosen]]) -> Chosen:
    """``value``, or the one of ``known`` that it names, with its usual fields.

    Raises:
        InputError: None is called so.
    """
    if not isinstance(value, str):
        return value
    if value not in known:
        raise InputError(f"{name} must be one of {', '.join(sorted(known))}, got {value!r}")
    return known[value]()
