"""Beside other packages, on the same rows: nnPU beside pulearn, doubtful labels beside cleanlab.

Neither package is a dependency; a part whose package is not installed says so and is left out. libcll, which knows
complementary labels, has no way to run without a GPU, so there is no line of it here.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import mean

import numpy as np
from numpy.typing import NDArray

from components.classifier import Adam, ClassifierTraining, Linear, Network, Perceptron
from components.classifier.methods.co_teaching import CoTeaching
from components.classifier.methods.estimated_transition import EstimatedNoise
from components.classifier.methods.volume_minimisation import VolumeMinimisation
from components.contracts import FloatArray
from components.weak import Clean, NoisyLabels, Observed, PositiveUnlabeled
from components.weak.transitions import as_table, pair_noise, symmetric_noise
from tests.benchmarks.weak_mnist import EVEN, accuracy, digits

UNTOLD = NoisyLabels(as_table(np.eye(10)))
EPOCHS, FOLDS = 10, 3
Predicts = Callable[[Clean], NDArray[np.int64]]
Runs = dict[str, list[tuple[float, ...]]]


def peers(seeds: int = 3) -> None:
    """Other packages on the same rows."""
    positive_unlabeled(seeds)
    doubtful(seeds)


def positive_unlabeled(seeds: int) -> None:
    """A hundred positives and six thousand unlabeled rows: error on the test rows, and seconds."""
    data = digits().even()
    found: Runs = {}
    for seed in range(seeds):
        observed = PositiveUnlabeled(EVEN).simulate(data.train, seed, (100, 6_000)).observed
        for name, fit in _pu_ways(observed, seed):
            begin = time.perf_counter()
            predict = fit()
            seconds = time.perf_counter() - begin
            found.setdefault(name, []).append((float((predict(data.test) != data.test.labels).mean()), seconds))
    _table(("nnPU, 100 positives, 6,000 unlabeled", "error", "s"), found)


def _pu_ways(observed: Observed, seed: int) -> Iterator[tuple[str, Callable[[], Predicts]]]:
    def ours(network: Network, decay: float) -> Callable[[], Predicts]:
        training = ClassifierTraining(
            PositiveUnlabeled(EVEN), None, network, Adam(1e-3, decay), 100, 1000, keep="last", seed=seed
        )

        def fit() -> Predicts:
            classifier = training.fit(observed)
            return lambda test: classifier.probabilities(test.features).argmax(axis=1)

        return fit

    yield "ours, linear", ours(Linear(), 0.0)
    yield "ours, one hidden layer of 100", ours(Perceptron((100,)), 0.005)
    try:
        from pulearn import NNPUClassifier
    except ImportError as error:
        print(f"pulearn is not here ({error})")
        return
    for step in (0.01, 1.0):

        def fit(step: float = step) -> Predicts:
            model = NNPUClassifier(EVEN, learning_rate=step, random_state=seed)
            model.fit(observed.features, np.where(observed.marks == 0, 1, -1))
            return lambda test: np.where(model.predict(test.features) == 1, 0, 1)

        yield f"pulearn, linear, step {step:g}{' (as it comes)' if step == 0.01 else ''}", fit


@dataclass(frozen=True, eq=False)
class Judged:
    """What a way to find wrong labels says.

    Attributes:
        doubts: [n] the higher, the more doubtful the label.
        flagged: [n] whether the label is said to be wrong.
        score: Accuracy, on test rows, of the classifier that comes with it.
    """

    doubts: FloatArray
    flagged: NDArray[np.bool_]
    score: float


def doubtful(seeds: int) -> None:
    """Which labels are wrong, and what the classifier is worth that comes of it."""
    for title, noise in (
        ("20 % to any class", symmetric_noise(10, 0.2)),
        ("45 % to the next class", pair_noise(10, 0.45)),
    ):
        found: Runs = {}
        for seed in range(seeds):
            simulated = NoisyLabels(noise).simulate(digits().train, seed)
            wrong = np.asarray(simulated.observed.marks != simulated.hidden)
            for name, judge in _judges(simulated.observed, seed):
                begin = time.perf_counter()
                judged = judge()
                found.setdefault(name, []).append((*_scores(judged, wrong), time.perf_counter() - begin))
        _table((f"labels wrong, {title}", "AUC of doubts", "precision", "recall", "accuracy", "s"), found)


def _scores(judged: Judged, wrong: NDArray[np.bool_]) -> tuple[float, ...]:
    from sklearn.metrics import precision_score, recall_score, roc_auc_score

    return (
        float(roc_auc_score(wrong, judged.doubts)),
        float(precision_score(wrong, judged.flagged, zero_division=0)),
        float(recall_score(wrong, judged.flagged)),
        judged.score,
    )


def _judges(observed: Observed, seed: int) -> Iterator[tuple[str, Callable[[], Judged]]]:
    methods = {
        "ours, Co-teaching, rate estimated": CoTeaching(gradual_epochs=3),
        "ours, volume minimisation": VolumeMinimisation(),
        "ours, T estimated, then forward": EstimatedNoise(),
    }
    for name, method in methods.items():
        training = ClassifierTraining(UNTOLD, method, epochs=EPOCHS, keep="last", seed=seed)

        def judge(training: ClassifierTraining = training) -> Judged:
            classifier = training.fit(observed)
            doubts = classifier.doubts(observed)
            return Judged(doubts, doubts > 0.5, accuracy(classifier, digits().test))

        yield name, judge
    try:
        import cleanlab  # noqa: F401  # only whether it is here
    except ImportError as error:
        print(f"cleanlab is not here ({error})")
        return
    yield f"cleanlab, {FOLDS} folds of the same network, pruned, fitted again", lambda: _cleanlab(observed, seed)


def _cleanlab(observed: Observed, seed: int) -> Judged:
    """What cleanlab's CleanLearning does, with our loop as its model: predict held-out rows, prune, fit again."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    training = ClassifierTraining(UNTOLD, epochs=EPOCHS, keep="last", seed=seed)
    fold = np.random.default_rng(seed).integers(0, FOLDS, len(observed))
    predicted = np.zeros((len(observed), 10))
    for number in range(FOLDS):
        classifier = training.fit(observed.rows(np.flatnonzero(fold != number)))
        predicted[fold == number] = classifier.probabilities(observed.features[fold == number])
    labels = np.asarray(observed.marks)
    issues = find_label_issues(labels, predicted, n_jobs=1)
    final = training.fit(observed.rows(np.flatnonzero(~issues)))
    return Judged(1 - get_label_quality_scores(labels, predicted), issues, accuracy(final, digits().test))


def _table(head: tuple[str, ...], found: Runs) -> None:
    print("\n| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    for name, runs in found.items():
        means = [f"{mean(column):.3f}" for column in zip(*runs, strict=True)]
        print(f"| {name} | " + " | ".join(means) + " |", flush=True)
