"""Absorb one later batch: measure its drift, renew the belief over the labels, update the posterior.

Nothing is retrained and no old row is read: the prior of each update is the last posterior, the prior of each belief
over the label frequency is the last belief.
"""

from dataclasses import dataclass, replace

from components.bayes import Continual, Update
from components.contracts import Dataset, DriftReport, FloatArray
from components.objective import Labelling, Rows, WeakObjective
from components.ports import Report, silent
from components.sampling import Sampled, draw
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

        A batch with too few labeled rows to learn from leaves the posterior as it was, which the note says. The
        posterior learns from every row, read in chunks; of a batch with very many rows the drift tests and the belief
        over the label frequency look at a random sample (``components.sampling``).
        """
        label = dataset.batches[batch - 1].label
        rows = Rows(dataset, state.predictor.features, (batch,), "fit")
        sample = draw(dataset, [column.name for column in rows.features.columns], (batch,), ("fit",))
        seen = sample.matrix(rows.features)
        learns = FEWEST_LABELED <= seen.known < seen.rows
        frequency = state.frequency
        if learns and self.renew_frequency and dataset.label_frequency is None:
            frequency = self.class_prior.estimate(seen.features, seen.labelled, frequency, seen.oversampling)
        prior = frequency.class_prior(seen.share).value if learns else state.class_prior
        outside = rows.features.outside(sample.alike)
        drift = self._examine(label, seen, float(outside.mean()) if len(outside) else 0.0, state, prior)
        reference = reference_of(dataset, state.predictor.features, (batch,))
        after = replace(state, reference=reference if len(reference.features) else state.reference)
        if not learns:
            note = f"nothing was learnt from {label}: {seen.known} labeled rows of {seen.rows} to fit"
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

    def _examine(self, label: str, seen: Sampled, outside: float, state: State, prior: float) -> DriftReport:
        features, labelled = seen.alike
        if min(len(features), len(state.reference.features)) < FEWEST_ROWS:
            return DriftReport(label, "none", 0.0, 1.0, 0.0, 1.0, 0.0, state.class_prior, prior, (), "update")
        samples = (
            self._scored(state, state.reference.features, state.reference.labelled),
            self._scored(state, features, int(labelled.sum())),
        )
        names = state.predictor.features.names
        return self.drift.examine(label, names, samples, (state.class_prior, prior), outside)

    @staticmethod
    def _scored(state: State, features: FloatArray, labelled: int) -> Sample:
        return Sample(features, state.predictor.probability(features)[0], labelled)
