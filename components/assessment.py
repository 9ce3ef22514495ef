"""Score what a run made on rows that nothing was learnt from: the final model, and every step that led to it.

Held rows of the batches after training are scored. For each step of the chain (naive, PU, PU + shift, + updates,
+ tune) the predictor that stood when a batch had arrived scores that batch; the baselines are refitted on all rows
seen until then and on every declared feature, calling unlabeled rows negative, as practice does.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from components.contracts import BATCH, ROW, Dataset, EvaluationLabels, FloatArray, Part, Scorecard
from components.errors import InputError
from components.evaluation import BASELINES, OURS, Difference, Evaluation, Scored
from components.evaluation import Predictor as Baseline
from components.features import FeatureMap
from components.learner import NAIVE, PU, SHIFTED, Trained, fit_features
from components.objective import Rows
from components.ports import Report, silent
from components.predictor import Predictor
from components.state import State
from components.storage import read_rows
from components.tuning import TunedState
from components.updating import Absorbed

LEARNT_FROM: tuple[Part, ...] = ("fit", "tune")
BEFORE, UPDATED, TUNED, CHAMPION = "before update", "+ updates", "+ tune", "champion"
STEPS = (NAIVE, PU, SHIFTED, UPDATED, TUNED)


@dataclass(frozen=True, eq=False)
class Refitted:
    """A baseline with the feature map it was fitted on.

    Attributes:
        features: From rows to features.
        fitted: From features to a probability.
    """

    features: FeatureMap
    fitted: Baseline


Model = Predictor | Refitted


@dataclass(frozen=True, eq=False)
class Assessed:
    """All scores of a run.

    Attributes:
        scorecard: The final model, the baselines and the champion on the rows that stand for now.
        differences: Paired differences of the final model to each of the others, for the gates.
        ladder: Every step of the chain on every batch after training.
        scored: The rows, truth and predictions behind the scorecard.
    """

    scorecard: Scorecard
    differences: tuple[Difference, ...]
    ladder: Scorecard
    scored: Scored


@dataclass(frozen=True, eq=False)
class Chain:
    """What a run made, batch by batch.

    Attributes:
        trained: The first posterior, None where a registered model was updated instead.
        absorbed: One entry a later batch, in order.
        tuned: The tuned state after each of them, in the same order (after training where there are none).
    """

    trained: Trained | None
    absorbed: tuple[Absorbed, ...]
    tuned: tuple[TunedState, ...]

    @property
    def final(self) -> State:
        """The state that is registered."""
        return self.tuned[-1].state

    def batches(self) -> tuple[int, ...]:
        """Indices of the batches that are scored: the later ones, or those of training where there are none."""
        if self.absorbed:
            return tuple(entry.batch for entry in self.absorbed)
        return self.trained.batches if self.trained else ()

    def predictors(self, batch: int) -> Mapping[str, Predictor]:
        """Every step's predictor as it stood when ``batch`` had arrived."""
        found: dict[str, Predictor] = {}
        if self.trained:
            found |= {step: self.trained.predictor(step) for step in (NAIVE, PU, SHIFTED)}
        for entry, tuned in zip(self.absorbed, self.tuned, strict=False):
            if entry.batch == batch:
                found |= {BEFORE: entry.before.predictor, UPDATED: entry.after.predictor}
                found |= {TUNED: tuned.state.predictor}
        if not self.absorbed:
            found[TUNED] = self.final.predictor
        return found


def assess(
    dataset: Dataset,
    labels: EvaluationLabels | None,
    chain: Chain,
    champion: Predictor | None,
    evaluation: Evaluation,
    report: Report = silent,
) -> Assessed:
    """Score the final model against baselines and champion, and the steps of the chain on every batch.

    Where batches follow time, the last one stands for now; where they follow a group, all of them do.

    Raises:
        InputError: No held row has a known label.
    """
    columns = [c.name for c in dataset.columns if c.role in ("feature", "group", "weak_label", "weight")]
    held = read_rows(dataset, columns, chain.batches(), ("held",))
    truth = _truth(dataset, labels, held)
    known = set(held[BATCH].to_numpy()[np.isfinite(truth)].tolist())
    keep = held[BATCH].isin(known).to_numpy()
    held, truth, batches = held[keep], truth[keep], sorted(known)
    baselines = {batch: _baselines(dataset, batch) for batch in batches}
    steps = _by_batch(held, {batch: {**chain.predictors(batch), **baselines[batch]} for batch in batches})
    label = labels.name if labels else dataset.weak_label
    weights = _weights(dataset, held)
    names = {batch.index: batch.label for batch in dataset.batches}
    batch_labels = [names[index] for index in held[BATCH]]
    last = batches[-1]
    ladder = evaluation.score(
        Scored(truth, {**steps, OURS: steps[TUNED]}, batch_labels, {}, label, labels is None, weights), report
    )
    now = (held[BATCH] == last).to_numpy() if dataset.in_time else np.ones(len(held), dtype=bool)
    rows = held[now]
    models: dict[str, Model] = {OURS: chain.final.predictor, **baselines[last]}
    if champion is not None:
        models[CHAMPION] = champion
    probabilities = {name: _probability(model, rows) for name, model in models.items()}
    slices = {name: rows[name].astype(str).tolist() for name in dataset.names("group")}
    own = [label for label, kept in zip(batch_labels, now, strict=True) if kept]
    current = None if weights is None else weights[now]
    scored = Scored(truth[now], probabilities, own, slices, label, labels is None, current)
    scorecard = evaluation.score(scored)
    return Assessed(scorecard, evaluation.differences(scored), ladder, scored)


def _truth(dataset: Dataset, labels: EvaluationLabels | None, held: pd.DataFrame) -> FloatArray:
    if labels is None:
        return held[dataset.weak_label].to_numpy(dtype=float)
    table = pd.read_parquet(labels.path).set_index(ROW)["label"]
    truth = table.reindex(held[ROW]).to_numpy(dtype=float)
    if not np.isfinite(truth).any():
        raise InputError(f"evaluation label {labels.name!r} must be known for at least one held row, none is")
    return np.asarray(truth)


def _weights(dataset: Dataset, held: pd.DataFrame) -> FloatArray | None:
    named = dataset.names("weight")
    return held[named[0]].to_numpy(dtype=float) if named else None


def _baselines(dataset: Dataset, batch: int) -> Mapping[str, Refitted]:
    """Baselines refitted on all but the held rows of every batch up to this one, on every declared feature."""
    seen = tuple(entry.index for entry in dataset.batches if entry.index <= batch)
    columns = tuple(column for column in dataset.columns if column.role == "feature")
    features = fit_features(dataset, columns, seen)
    parts = [Rows(dataset, features, seen, part).matrix() for part in LEARNT_FROM]
    matrix = np.concatenate([part[0] for part in parts])
    labelled = np.concatenate([part[1] for part in parts]).astype(float)
    return {name: Refitted(features, method().fit(matrix, labelled, 0)) for name, method in BASELINES.items()}


def _by_batch(held: pd.DataFrame, models: Mapping[int, Mapping[str, Model]]) -> dict[str, FloatArray]:
    """Model name to [n] probabilities, each batch's rows scored by the model that stood then."""
    found: dict[str, FloatArray] = {}
    for batch, named in models.items():
        where = (held[BATCH] == batch).to_numpy()
        for name, model in named.items():
            found.setdefault(name, np.full(len(held), np.nan))[where] = _probability(model, held[where])
    return found


def _probability(model: Model, rows: pd.DataFrame) -> FloatArray:
    features = model.features.transform(rows)
    return model.probability(features)[0] if isinstance(model, Predictor) else model.fitted.probability(features)
