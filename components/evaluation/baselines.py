"""What most people would do: call every unlabeled row negative and fit a standard classifier.

Their probabilities estimate P(labeled | x), not P(positive | x); the gap to ours is what the corrections are worth.
"""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from components.contracts import FloatArray
from components.errors import InputError


class Predictor(Protocol):
    """Something that gives each row a probability."""

    def probability(self, features: FloatArray) -> FloatArray:
        """[n] probabilities of the rows of ``features`` [n, d]."""


@dataclass(frozen=True, eq=False)
class _Fitted:
    model: Any

    def probability(self, features: FloatArray) -> FloatArray:
        return np.asarray(self.model.predict_proba(features)[:, 1], dtype=np.float64)


@dataclass(frozen=True)
class NaiveLogistic:
    """Logistic regression of "labeled" on standardised features; missing values are set to the median.

    Attributes:
        regularisation: Inverse strength of the ridge penalty; larger means weaker.
    """

    kind: Literal["logistic regression"] = "logistic regression"
    regularisation: float = 1.0

    def __post_init__(self) -> None:
        if self.regularisation <= 0:
            raise InputError(f"regularisation must be positive, got {self.regularisation}")

    def fit(
        self, features: FloatArray, labelled: FloatArray, seed: int, weights: FloatArray | None = None
    ) -> Predictor:
        """Learn from features [n, d] and labelled [n] (1: labeled positive, 0: unlabeled), rows weighted [n] or not."""
        from sklearn.impute import SimpleImputer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        model = make_pipeline(
            SimpleImputer(strategy="median", keep_empty_features=True),
            StandardScaler(),
            LogisticRegression(C=self.regularisation, max_iter=1000, random_state=seed),
        )
        return _Fitted(model.fit(features, _both_classes(labelled), logisticregression__sample_weight=weights))


@dataclass(frozen=True)
class NaiveBoosting:
    """Gradient boosted trees of "labeled" on the features; missing values go their own way in each tree.

    Attributes:
        rounds: Number of trees.
        learning_rate: Step of each tree, in (0, 1].
        leaves: Most leaves of a tree.
    """

    kind: Literal["gradient boosting"] = "gradient boosting"
    rounds: int = 150
    learning_rate: float = 0.05
    leaves: int = 15

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise InputError(f"rounds must be at least 1, got {self.rounds}")
        if not 0 < self.learning_rate <= 1:
            raise InputError(f"learning_rate must lie in (0, 1], got {self.learning_rate}")
        if self.leaves < 2:
            raise InputError(f"leaves must be at least 2, got {self.leaves}")

    def fit(
        self, features: FloatArray, labelled: FloatArray, seed: int, weights: FloatArray | None = None
    ) -> Predictor:
        """Learn from features [n, d], NaN for missing, and labelled [n] (1: labeled, 0: not), rows weighted or not."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        model = HistGradientBoostingClassifier(
            max_iter=self.rounds,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.leaves,
            early_stopping=False,
            random_state=seed,
        )
        # scikit-learn cannot bin a column without any value.
        empty = np.atleast_1d(np.isnan(features).all(axis=0))
        kept = features if not empty.any() else features[:, ~empty]
        return _WithoutEmpty(model.fit(kept, _both_classes(labelled), sample_weight=weights), ~empty)


@dataclass(frozen=True, eq=False)
class _WithoutEmpty:
    model: Any
    kept: NDArray[np.bool_]

    def probability(self, features: FloatArray) -> FloatArray:
        return _Fitted(self.model).probability(features if self.kept.all() else features[:, self.kept])


def _both_classes(labelled: FloatArray) -> FloatArray:
    if not np.array_equal(np.unique(labelled), (0, 1)):
        raise InputError(
            "labelled must hold both 0 and 1 and nothing else; a baseline needs labeled and unlabeled rows"
        )
    return labelled
