"""People with undiagnosed diabetes among the adults of eleven survey cycles, found from diagnoses alone.

A diagnosis is a positive label; who has none is unlabeled, and some of those are ill as the laboratory tells, which no
model is shown. Half of the people are learnt from, the other half scored. Diagnosed people are not a random draw of
those who are ill, so what class prior estimation and PU learning assume does not hold here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import mean, stdev

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.classifier import Adam, ClassifierTraining, Perceptron, RiskMinimisation
from components.contracts import Estimate, FloatArray
from components.ingestion import load_specification
from components.weak import (
    BestBin,
    ClassPrior,
    CrossEntropy,
    Forward,
    Observed,
    PositiveNegative,
    PositiveUnlabeled,
    SaturatingLogistic,
)
from tests.benchmarks.weak_mnist import DATA

TABLE = DATA / "health" / "nhanes_adults_1999_2023.parquet"
TOP = 0.05
Scores = Callable[[FloatArray], FloatArray]
Flags = NDArray[np.bool_]
FEATURES = tuple(column.name for column in load_specification("nhanes-cycles").declared if column.role == "feature")


@dataclass(frozen=True, eq=False)
class People:
    """Some of the people.

    Attributes:
        features: [n, d] standardised, gaps filled with medians and marked.
        told: [n] have been told of diabetes.
        ill: [n] have it, diagnosed or not; for scoring only.
    """

    features: FloatArray
    told: Flags
    ill: Flags


def halves(seed: int) -> tuple[People, People]:
    """Two halves of the people whose truth is known; features are scaled by the first."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    table = pd.read_parquet(TABLE, columns=[*FEATURES, "dx_diabetes", "any_diabetes"])
    table = table.dropna(subset=["dx_diabetes", "any_diabetes"])
    words = [name for name in FEATURES if not pd.api.types.is_numeric_dtype(table[name])]
    table[words] = table[words].astype(object).fillna("unknown")
    numbers = [name for name in FEATURES if name not in words]
    prepared = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler()), numbers),
        (OneHotEncoder(sparse_output=False, handle_unknown="ignore"), words),
    )
    learnt, scored = train_test_split(table, test_size=0.5, random_state=seed, stratify=table["dx_diabetes"])
    prepared.fit(learnt)
    first, second = (
        People(
            np.asarray(prepared.transform(part), dtype=np.float64),
            part["dx_diabetes"].to_numpy(dtype=float) == 1,
            part["any_diabetes"].to_numpy(dtype=float) == 1,
        )
        for part in (learnt, scored)
    )
    return first, second


def models(people: People, prior: float, seed: int) -> Iterator[tuple[str, Scores]]:
    """Each model by name, learnt from diagnoses; the last one has the truth, as nobody has."""
    setting, logistic = PositiveUnlabeled(prior, "one_sample"), RiskMinimisation(loss=CrossEntropy())
    yield "nnPU, sigmoid loss, network", _network(people, setting, None, seed)
    yield "nnPU, cross entropy, network", _network(people, setting, logistic, seed)
    yield "PU by likelihood, network", _network(people, setting, RiskMinimisation(Forward()), seed)
    true = PositiveUnlabeled(float(people.ill.mean()), "one_sample")
    yield "nnPU, cross entropy, told the true prior", _network(people, true, logistic, seed)
    share = float(people.told.mean())
    yield "unlabeled as negative, network", _network(people, PositiveNegative(share), None, seed)
    for name, make in (("logistic regression", _logistic), ("gradient boosting", _boosting)):
        yield f"unlabeled as negative, {name}", make(people.features, people.told, seed)
    yield "gradient boosting told the truth", _boosting(people.features, people.ill, seed)


def _network(
    people: People, setting: PositiveUnlabeled | PositiveNegative, method: RiskMinimisation | None, seed: int
) -> Scores:
    training = ClassifierTraining(
        setting, method, Perceptron((64,)), Adam(1e-3, 1e-4, "cosine"), epochs=30, keep="last", seed=seed
    )
    classifier = training.fit(Observed(people.features, setting.coded(people.told)))
    return lambda features: classifier.probabilities(features)[:, 0]


def _logistic(features: FloatArray, labels: Flags, seed: int) -> Scores:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=1000).fit(features, labels)
    return lambda rows: np.asarray(model.predict_proba(rows)[:, 1])


def _boosting(features: FloatArray, labels: Flags, seed: int) -> Scores:
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(early_stopping=True, random_state=seed).fit(features, labels)
    return lambda rows: np.asarray(model.predict_proba(rows)[:, 1])


def scored(people: People, scores: FloatArray) -> dict[str, float]:
    """How well scores tell who is ill, among all and among those who have not been told."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    hidden, rest = people.ill[~people.told], scores[~people.told]
    top = np.argsort(-rest, kind="stable")[: round(TOP * len(rest))]
    return {
        "AUC, all": float(roc_auc_score(people.ill, scores)),
        "AP, all": float(average_precision_score(people.ill, scores)),
        "AUC, undiagnosed": float(roc_auc_score(hidden, rest)),
        "AP, undiagnosed": float(average_precision_score(hidden, rest)),
        f"found in the top {TOP:.0%}": float(hidden[top].sum()),
        "of": float(hidden.sum()),
        "said to be ill": float(scores.mean()),
    }


def health(seeds: int = 3) -> None:
    """Undiagnosed people found, against models that take the unlabeled for healthy."""
    if not TABLE.is_file():
        print(f"\nno table {TABLE}; set KINTSUGI_TEST_DATA to the folder of the test data")
        return
    found: dict[str, list[dict[str, float]]] = {}
    print("\n| seed | prior, best bin | best bin of trees | saturating logistic | truth | told |\n" + "|---" * 6 + "|")
    for seed in range(seeds):
        learnt, kept = halves(seed)
        priors: tuple[ClassPrior, ...] = (BestBin(seed=seed), BestBin(scorer="trees", seed=seed), SaturatingLogistic())
        estimates = [_prior(learnt, method) for method in priors]
        print(f"| {seed} | {' | '.join(map(_told, estimates))} | {learnt.ill.mean():.3f} | {learnt.told.mean():.3f} |")
        for name, model in models(learnt, estimates[0].value, seed):
            found.setdefault(name, []).append(scored(kept, model(kept.features)))
    numbers = list(next(iter(found.values()))[0])
    print("\n| model | " + " | ".join(numbers) + " |" + "\n" + "|---" * (len(numbers) + 1) + "|")
    for name, runs in found.items():
        print(f"| {name} | " + " | ".join(_spread([run[number] for run in runs]) for number in numbers) + " |")


def _prior(people: People, method: ClassPrior) -> Estimate:
    return method.estimate(people.features, people.told).class_prior(float(people.told.mean()))


def _told(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def _spread(values: list[float]) -> str:
    digits = 0 if max(values) > 1 else 3
    return f"{mean(values):.{digits}f} ± {stdev(values) if len(values) > 1 else 0:.{digits}f}"
