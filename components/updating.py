"""Absorb one later batch: measure its drift, renew the belief over the labels, update the posterior.

Nothing is retrained and no old row is read: the prior of each update is the last posterior, the prior of each belief
over the label frequency is the last belief.
"""

from dataclasses import dataclass, replace

import numpy as np

from components.bayes import Continual, Update
from components.contracts import Dataset, DriftReport, FloatArray
from components.errors import InputError
from components.objective import Labelling, Rows, WeakObjective
from components.ports import Report, silent
from components.shift import DriftMethod, DriftTest, Sample
from components.state import State
from components.weak import ClassPrior, NonNegative, RiskCorrection, SaturatingLogistic


@dataclass(frozen=True, eq=False)
class Absorbed:
    """What one update made.

    Attributes:
        before: The state that met the batch.
        after: The state that has learnt from it.
        drift: How the batch differs from the training rows.
        batch: Index of the batch.
    """

    before: State
    after: State
    drift: DriftReport
    batch: int


@dataclass(frozen=True)
class Updating:
    """Continual Bayesian updates, corrected like training.

    Attributes:
        rule: How the posterior absorbs a batch.
        drift: The tests that compare a batch with the training rows.
        class_prior: How the belief over P(labeled | positive) is renewed. Half of the last belief's evidence is kept by
            default: the curve that is assumed is never quite true, and errors of one sign would add up.
        renew_frequency: Whether it is renewed; False keeps the belief that training had.
        risk: What is done where a class's estimated risk turns negative.
    """

    rule: Update = Continual()
    drift: DriftMethod = DriftTest()
    class_prior: ClassPrior = SaturatingLogistic(retain=0.5)
    renew_frequency: bool = True
    risk: RiskCorrection = NonNegative()

    def absorb(self, dataset: Dataset, batch: int, state: State, report: Report = silent) -> Absorbed:
        """The state after batch ``batch`` of ``dataset``; the state given is not changed."""
        label = dataset.batches[batch - 1].label
        rows = Rows(dataset, state.predictor.features, (batch,), "fit")
        features, labelled, _ = rows.matrix()
        if not labelled.any():
            raise InputError(f"batch {label!r} must have labeled rows to learn from, got none of {len(labelled)}")
        frequency = state.frequency
        if self.renew_frequency and dataset.label_frequency is None:
            frequency = self.class_prior.estimate(features, labelled, frequency)
        prior = frequency.class_prior(float(labelled.mean())).value
        drift = self._examine(rows, features, state, prior)
        objective = WeakObjective(state.predictor.head, Labelling.positive_unlabeled(prior, prior), self.risk, rows)
        moved = drift.action == "update and forget"
        posterior = self.rule.update(
            objective, state.predictor.posterior, state.initial, moved, f"{dataset.digest}:{label}", report
        )
        after = replace(
            state.with_posterior(posterior),
            frequency=frequency,
            class_prior=prior,
            absorbed=(*state.absorbed, label),
        )
        return Absorbed(state, after, drift, batch)

    def _examine(self, rows: Rows, features: FloatArray, state: State, prior: float) -> DriftReport:
        outside = np.concatenate([rows.features.outside(frame) for frame in rows.frames()])
        return self.drift.examine(
            rows.dataset.batches[rows.batches[0] - 1].label,
            state.predictor.features.names,
            (self._sample(state, state.reference), self._sample(state, features)),
            (state.class_prior, prior),
            float(outside.mean()),
        )

    @staticmethod
    def _sample(state: State, features: FloatArray) -> Sample:
        return Sample(features, state.predictor.probability(features)[0])
