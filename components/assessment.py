"""Score what a run made on rows that nothing was learnt from: the final model, and every step that led to it.

Held rows of the batches after training are scored. For each step of the chain (naive, PU, PU + shift, + updates,
+ tune) the predictor that stood when a batch had arrived scores that batch; the baselines are refitted on all rows
seen until then, calling unlabeled rows negative, which is the best that practice offers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from components.contracts import BATCH, ROW, Dataset, EvaluationLabels, FloatArray, Scorecard
from components.errors import InputError
from components.evaluation import BASELINES, OURS, Difference, Evaluation, Scored
from components.evaluation import Predictor as Baseline
from components.learner import NAIVE, PU, SHIFTED, Trained
from components.objective import Rows
from components.ports import Report, silent
from components.predictor import Predictor
from components.state import State
from components.storage import read_rows
from components.tuning import TunedState
from components.updating import Absorbed

Model = Predictor | Baseline
BEFORE, UPDATED, TUNED, CHAMPION = "before update", "+ updates", "+ tune", "champion"
STEPS = (NAIVE, PU, SHIFTED, UPDATED, TUNED)


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
    batches = chain.batches()
    columns = [c.name for c in dataset.columns if c.role in ("feature", "group", "weak_label", "weight")]
    held = read_rows(dataset, columns, batches, ("held",))
    truth = _truth(dataset, labels, held)
    baselines = {batch: _baselines(dataset, chain.final.predictor, batch) for batch in batches}
    steps = _by_batch(held, {batch: {**chain.predictors(batch), **baselines[batch]} for batch in batches})
    label = labels.name if labels else dataset.weak_label
    weights = _weights(dataset, held)
    names = {batch.index: batch.label for batch in dataset.batches}
    batch_labels = [names[index] for index in held[BATCH]]
    last = batches[-1]
    ladder = evaluation.score(
        Scored(truth, {**steps, OURS: steps[TUNED]}, batch_labels, {}, label, labels is None, weights), report
    )
    now = (held[BATCH] == last).to_numpy() if dataset.names("time") else np.ones(len(held), dtype=bool)
    rows = held[now]
    models: dict[str, Model] = {OURS: chain.final.predictor, **baselines[last]}
    if champion is not None:
        models[CHAMPION] = champion
    probabilities = {name: _probability(model, chain.final.predictor, rows) for name, model in models.items()}
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


def _baselines(dataset: Dataset, predictor: Predictor, batch: int) -> Mapping[str, Baseline]:
    """Baselines refitted on the rows to fit of every batch up to this one."""
    seen = tuple(entry.index for entry in dataset.batches if entry.index <= batch)
    features, labelled, _ = Rows(dataset, predictor.features, seen, "fit").matrix()
    return {name: method().fit(features, labelled.astype(float), 0) for name, method in BASELINES.items()}


def _by_batch(held: pd.DataFrame, models: Mapping[int, Mapping[str, Model]]) -> dict[str, FloatArray]:
    """Model name to [n] probabilities, each batch's rows scored by the model that stood then."""
    found: dict[str, FloatArray] = {}
    for batch, named in models.items():
        where = (held[BATCH] == batch).to_numpy()
        anchor = next(model for model in named.values() if isinstance(model, Predictor))
        for name, model in named.items():
            found.setdefault(name, np.full(len(held), np.nan))[where] = _probability(model, anchor, held[where])
    return found


def _probability(model: Model, anchor: Predictor, rows: pd.DataFrame) -> FloatArray:
    """A predictor reads the table by its own feature map, a baseline by that of ``anchor``."""
    if isinstance(model, Predictor):
        return model.probability(model.features.transform(rows))[0]
    return np.asarray(model.probability(anchor.features.transform(rows)))
