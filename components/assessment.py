"""Score what a run made on rows that nothing was learnt from: the final model, and every step that led to it.

Held rows of the batches after training are scored. For each step of the chain (naive, PU, PU + shift, + updates,
+ tune) the predictor that stood when a batch had arrived scores that batch; the baselines are refitted on all rows
seen until then (on a random 200,000 of them where there are more) and on every declared feature, calling unlabeled rows
negative, as practice does.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from components.contracts import PART, ROW, Column, Dataset, EvaluationLabels, FloatArray, Part, Scorecard
from components.evaluation import BASELINES, OURS, Difference, Evaluation, Scored
from components.features import FeatureMap
from components.held import Held, Model, Refitted, held_rows
from components.learner import NAIVE, PU, SHIFTED, Trained
from components.ports import Report, silent
from components.predictor import Predictor
from components.sampling import Drawn, Reservoir
from components.state import State
from components.storage import row_groups
from components.tuning import TunedState
from components.updating import Absorbed

LEARNT_FROM: tuple[Part, ...] = ("fit", "tune")
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
        revisited: Indices of the batches to score where a registered model was only tuned.
    """

    trained: Trained | None
    absorbed: tuple[Absorbed, ...]
    tuned: tuple[TunedState, ...]
    revisited: tuple[int, ...] = ()

    @property
    def final(self) -> State:
        """The state that is registered."""
        return self.tuned[-1].state

    def batches(self) -> tuple[int, ...]:
        """Indices of the batches that are scored: the later ones, or those of training where there are none."""
        if self.absorbed:
            return tuple(entry.batch for entry in self.absorbed)
        return self.trained.batches if self.trained else self.revisited

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
    held = held_rows(dataset, labels, chain.batches())
    refitted = dict(_baselines(dataset, held.batches))
    steps = _by_batch(held, {batch: {**chain.predictors(batch), **refitted[batch][0]} for batch in held.batches})
    label, last = labels.name if labels else dataset.weak_label, held.batches[-1]
    ladder = evaluation.score(
        Scored(held.truth, {**steps, OURS: steps[TUNED]}, held.labels, {}, label, labels is None, held.weights), report
    )
    now = held.within((last,)) if dataset.in_time else held
    models: dict[str, Model] = {OURS: chain.final.predictor, **refitted[last][0]}
    if champion is not None:
        models[CHAMPION] = champion
    scored = Scored(now.truth, now.probabilities(models), now.labels, now.groups, label, labels is None, now.weights)
    scorecard = evaluation.score(scored)
    notes = (*scorecard.notes, *refitted[last][1])
    return Assessed(replace(scorecard, notes=notes), evaluation.differences(scored), ladder, scored)


def _baselines(
    dataset: Dataset, batches: Sequence[int]
) -> Iterator[tuple[int, tuple[Mapping[str, Refitted], tuple[str, ...]]]]:
    """For each of ``batches``, in order, the baselines refitted when it had arrived, and what a reader must know.

    They see every declared feature of all but the held rows of every batch up to it, or of a sample of very many. Each
    row is read once: the sample of a batch grows out of that of the batch before.
    """
    reservoir, read = Reservoir(dataset.weak_label), 0
    columns = tuple(column for column in dataset.columns if column.role == "feature")
    names = [column.name for column in columns]
    for batch in batches:
        fresh = [entry.index for entry in dataset.batches if read < entry.index <= batch]
        reservoir.add(row_groups(dataset, [*names, dataset.weak_label], fresh, LEARNT_FROM))
        drawn, read = reservoir.drawn(), batch
        note = () if drawn.whole else (f"The baselines were fitted on {drawn.note}.",)
        yield batch, (_refitted(drawn, columns), note)


def _refitted(drawn: Drawn, columns: tuple[Column, ...]) -> Mapping[str, Refitted]:
    fit = (drawn.frame[PART] == "fit").to_numpy()
    features = FeatureMap.fit(drawn.frame[fit & drawn.everyone], columns)
    order = np.lexsort((drawn.frame[ROW], ~fit))
    frame = drawn.frame.iloc[order]
    matrix, labelled = features.transform(frame), (frame[drawn.label].to_numpy() == 1).astype(float)
    weights = None if drawn.everyone.all() else np.where(labelled == 1, 1 / drawn.oversampling, 1.0)
    return {name: Refitted(features, method().fit(matrix, labelled, 0, weights)) for name, method in BASELINES.items()}


def _by_batch(held: Held, models: Mapping[int, Mapping[str, Model]]) -> dict[str, FloatArray]:
    """Model name to [n] probabilities, each batch's rows scored by the model that stood then."""
    found: dict[str, FloatArray] = {}
    for batch, named in models.items():
        where = held.owners == batch
        for name, probability in held.within((batch,)).probabilities(named).items():
            found.setdefault(name, np.full(len(held.keys), np.nan))[where] = probability
    return found
