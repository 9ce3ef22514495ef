"""Absorb one later batch: measure its drift, renew the belief over the labels, update the posterior.

Nothing is retrained and no old row is read: the prior of each update is the last posterior, the prior of each belief
over the label frequency is the last belief.
"""

from dataclasses import dataclass, replace

import numpy as np

from components.bayes import Continual, Update
from components.contracts import Dataset, DriftReport, FloatArray
from components.objective import Labelling, Rows, WeakObjective
from components.ports import Report, silent
from components.shift import DriftMethod, DriftTest, Sample
from components.state import State, reference_of
from components.weak import ClassPrior, NonNegative, RiskCorrection, SaturatingLogistic

FEWEST_LABELED = 10
FEWEST_ROWS = 20


@dataclass(frozen=True, eq=False)
class Absorbed:
    """What one update made.

    Attributes:
        before: The state that met the batch.
        after: The state that has learnt from it.
        drift: How the batch differs from the last one.
        batch: Index of the batch.
        note: Why nothing was learnt from the batch; empty where something was.
    """

    before: State
    after: State
    drift: DriftReport
    batch: int
    note: str = ""


@dataclass(frozen=True)
class Updating:
    """Continual Bayesian updates, corrected like training.

    Attributes:
        rule: How the posterior absorbs a batch.
        drift: The tests that compare a batch with the one before.
        class_prior: How the belief over P(labeled | positive) is renewed. Half of the last belief's evidence is kept by
            default: the curve that is assumed is never quite true, and errors of one sign would add up.
        renew_frequency: Whether it is renewed with each batch; otherwise the belief that training had is kept. The
            habit of labelling changes less than the people labelled, and on eleven survey cycles renewing drifted away
            from the truth (BENCHMARKS.md).
        risk: What is done where a class's estimated risk turns negative.
    """

    rule: Update = Continual()
    drift: DriftMethod = DriftTest()
    class_prior: ClassPrior = SaturatingLogistic(retain=0.5)
    renew_frequency: bool = False
    risk: RiskCorrection = NonNegative()

    def absorb(self, dataset: Dataset, batch: int, state: State, report: Report = silent) -> Absorbed:
        """The state after batch ``batch`` of ``dataset``; the state given is not changed.

        A batch with too few labeled rows to learn from leaves the posterior as it was, which the note says.
        """
        label = dataset.batches[batch - 1].label
        rows = Rows(dataset, state.predictor.features, (batch,), "fit")
        features, labelled, _ = rows.matrix()
        known = int(labelled.sum())
        learns = FEWEST_LABELED <= known < len(labelled)
        frequency = state.frequency
        if learns and self.renew_frequency and dataset.label_frequency is None:
            frequency = self.class_prior.estimate(features, labelled, frequency)
        prior = frequency.class_prior(float(labelled.mean())).value if learns else state.class_prior
        drift = self._examine(rows, (features, known), state, prior)
        reference = reference_of(dataset, state.predictor.features, (batch,))
        after = replace(state, reference=reference if len(reference.features) else state.reference)
        if not learns:
            note = f"nothing was learnt from {label}: {known} labeled rows of {len(labelled)} to fit"
            return Absorbed(state, replace(after, absorbed=(*state.absorbed, label)), drift, batch, note)
        objective = WeakObjective(state.predictor.head, Labelling.positive_unlabeled(prior, prior), self.risk, rows)
        posterior = self.rule.update(
            objective,
            state.predictor.posterior,
            state.initial,
            drift.kind != "none",
            f"{dataset.digest}:{label}",
            report,
        )
        after = replace(
            after.with_posterior(posterior),
            frequency=frequency,
            class_prior=prior,
            absorbed=(*state.absorbed, label),
        )
        return Absorbed(state, after, drift, batch)

    def _examine(self, rows: Rows, batch: tuple[FloatArray, int], state: State, prior: float) -> DriftReport:
        label = rows.dataset.batches[rows.batches[0] - 1].label
        features, known = batch
        if min(len(features), len(state.reference.features)) < FEWEST_ROWS:
            return DriftReport(label, "none", 0.0, 1.0, 0.0, 1.0, 0.0, state.class_prior, prior, (), "update")
        outside = np.concatenate([rows.features.outside(frame) for frame in rows.frames()])
        samples = (
            self._sample(state, state.reference.features, state.reference.labelled),
            self._sample(state, features, known),
        )
        return self.drift.examine(
            label, state.predictor.features.names, samples, (state.class_prior, prior), float(outside.mean())
        )

    @staticmethod
    def _sample(state: State, features: FloatArray, labelled: int) -> Sample:
        return Sample(features, state.predictor.probability(features)[0], labelled)
