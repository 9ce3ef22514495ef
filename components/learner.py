"""Learn a first posterior: choose the features, read the labels for what they mean, correct for shift, fit.

    features    those the roles and the graph allow
    frequency   c = P(labeled | positive), a belief; class prior = share of labeled rows / c
    correction  what the graph says of how the target batch differs from the training batches
    posterior   improved variational online Newton on the corrected risk

The same head is also fitted without corrections, so that what each of them bought can be shown.

The posterior learns from every row, read in chunks. What takes a matrix (feature scales, label frequency, density
ratios) is estimated from a random sample of at most 200,000 rows, and from all rows where there are no more than that.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from components.bayes import BayesRule, Ivon
from components.contracts import (
    CausalGraph,
    Column,
    Correction,
    Dataset,
    FloatArray,
    LabelFrequency,
    Posterior,
)
from components.errors import InputError
from components.features import FeatureMap
from components.heads import Head, Mlp
from components.objective import Importance, Labelling, Remembered, Rows, WeakObjective
from components.ports import ALONE, Report, Together, silent
from components.predictor import Predictor
from components.sampling import Sampled, draw
from components.shift import LabeledRows, RatioMethod, RuLsif, ShiftWeights, choose, correct
from components.state import State, reference_of
from components.weak import ClassPrior, Declared, NonNegative, RiskCorrection, SaturatingLogistic

NAIVE, PU, SHIFTED = "naive", "PU", "PU + shift"


@dataclass(frozen=True, eq=False)
class Trained:
    """What training made.

    Attributes:
        state: The learner's state after the training batches.
        correction: Which shift correction was used, and why.
        weights: [n] importance weights of the training rows (of a sample of very many), mean one, for the picture.
        steps: Posterior of each step of the chain: ``naive``, ``PU``, ``PU + shift``.
        batches: Indices of the training batches.
    """

    state: State
    correction: Correction
    weights: FloatArray
    steps: Mapping[str, Posterior]
    batches: tuple[int, ...]

    def predictor(self, step: str) -> Predictor:
        """The predictor after one step of the chain."""
        return self.state.predictor.with_posterior(self.steps[step])


@dataclass(frozen=True)
class Training:
    """Weakly supervised, shift-corrected, Bayesian training.

    Attributes:
        head: What turns features into a logit.
        features: ``connected``: features the graph connects with the target; ``causes``: its ancestors only, the
            most stable under shift; ``all``: every declared feature.
        batches: Number of batches, from the first, to train on; 0: a quarter of them, at least one.
        target: The batch that importance weights lead to: the ``next`` one after training, or the ``last``.
        correction: Shift correction; ``auto`` lets the graph choose.
        class_prior: How P(labeled | positive) is estimated where the data specification does not declare it.
        risk: What is done where a class's estimated risk turns negative.
        ratio: How density ratios are estimated.
        rule: The learning rule.
        arithmetic: ``mixed``: training workers that have a GPU take the head's products in bfloat16, which is much
            faster and moves the results in their third digit; ``float64``: exact everywhere.
    """

    head: Head = Mlp()
    features: Literal["connected", "causes", "all"] = "connected"
    batches: int = 0
    target: Literal["next", "last"] = "next"
    correction: Literal["auto", "none", "covariate", "label", "joint"] = "auto"
    class_prior: ClassPrior = SaturatingLogistic()
    risk: RiskCorrection = NonNegative()
    ratio: RatioMethod = RuLsif()
    rule: BayesRule = Ivon(prior_deviation=0.3)
    arithmetic: Literal["float64", "mixed"] = "float64"

    def __post_init__(self) -> None:
        if self.batches < 0:
            raise InputError(f"batches must be at least 0, got {self.batches}")

    def train(
        self, dataset: Dataset, graph: CausalGraph, report: Report = silent, together: Together = ALONE
    ) -> Trained:
        """Fit the first posterior on the first batches of ``dataset``, with every worker that does so ``together``.

        Raises:
            InputError: The roles and the graph leave no feature, or the training rows have no labeled row.
        """
        batches, target = self.split(dataset)
        made = self._prepare(dataset, graph, batches, target)
        rows, start = Rows(dataset, made.features, batches, "fit"), self.rule.initial(self.head.layout(made.width))
        steps = {
            name: self._fit(labelling, share, rows, start, _named(report, name), together)
            for name, (labelling, share) in made.readings.items()
        }
        predictor = Predictor(made.features, self.head, steps[SHIFTED])
        reference = reference_of(dataset, made.features, batches)
        absorbed = tuple(batch.label for batch in dataset.batches if batch.index in batches)
        state = State(predictor, start, made.frequency, made.correction.class_prior.value, reference, absorbed)
        return Trained(state, made.correction, made.weights, steps, batches)

    def _prepare(self, dataset: Dataset, graph: CausalGraph, batches: tuple[int, ...], target: int) -> "_Prepared":
        """All that is estimated from rows in memory: those of the training batches and of the target, or samples."""
        columns = self.allowed(dataset, graph)
        names = [column.name for column in columns]
        drawn, arriving = (draw(dataset, names, chosen, ("fit",)) for chosen in (batches, (target,)))
        features = FeatureMap.fit(drawn.alike, columns)
        if drawn.labelled in (0, drawn.rows):
            raise InputError(
                f"weak label {dataset.weak_label!r} must have labeled and unlabeled rows in the training batches, "
                f"got {drawn.labelled} labeled of {drawn.rows}; train on more batches (training.batches)"
            )
        seen, goal = drawn.matrix(features), arriving.matrix(features)
        frequency = self.frequency(dataset, seen)
        kind, reason, overridden = choose(graph, names, self.correction)
        if target in batches and kind != "none":
            kind, reason = "none", f"there is no later batch to correct for (asked for {kind!r}: {reason})"
        shift = correct(kind, self.ratio, _population(seen), _population(goal), frequency)
        sampled = "" if drawn.whole else f"Priors, weights and scales of features are estimated from {drawn.note}"
        correction = Correction(
            shift.kind,
            ". ".join(said for said in (reason, shift.reason, sampled) if said),
            overridden,
            shift.class_prior,
            shift.target_prior,
            dataset.batches[target - 1].label,
            shift.effective_share,
            shift.divergence,
        )
        weights = Remembered(seen.keys, shift.weights) if seen.whole else WorkedOut(shift)
        return _Prepared(
            features, frequency, correction, readings(shift, seen.share, weights), shift.all_weights[seen.everyone]
        )

    def split(self, dataset: Dataset) -> tuple[tuple[int, ...], int]:
        """Indices of the training batches, and of the batch that weights lead to."""
        count = len(dataset.batches)
        used = self.batches or max(1, math.ceil(count / 4))
        if used > count:
            raise InputError(f"batches must not exceed the {count} batches of the dataset, got {used}")
        chosen = tuple(batch.index for batch in dataset.batches[:used])
        following = dataset.batches[min(used, count - 1)] if self.target == "next" else dataset.batches[-1]
        return chosen, following.index

    def allowed(self, dataset: Dataset, graph: CausalGraph) -> tuple[Column, ...]:
        """The feature columns that roles and graph allow; one the graph does not speak of (text) stays."""
        declared = [column for column in dataset.columns if column.role == "feature"]
        causes, effects = graph.ancestors(graph.target), graph.descendants(graph.target)
        connected = causes | effects
        connected |= {name for cause in causes for name in graph.descendants(cause)}
        connected |= {name for effect in effects for name in graph.ancestors(effect)}
        kept = {"causes": causes, "connected": connected}.get(self.features, set(graph.names))
        chosen = tuple(column for column in declared if column.name in kept or column.name not in graph.names)
        if not chosen:
            raise InputError(
                f"training.features = {self.features!r} must leave at least one feature, but the graph connects none "
                f"with {graph.target!r}; use training.features = 'all'"
            )
        return chosen

    def frequency(self, dataset: Dataset, seen: Sampled) -> LabelFrequency:
        """What is believed of P(labeled | positive): declared by the data's owner, else estimated."""
        stated = dataset.label_frequency
        method = (
            self.class_prior
            if stated is None
            else Declared(value=stated.value, low=stated.low, high=stated.high, source=stated.source)
        )
        return method.estimate(seen.features, seen.labelled, oversampling=seen.oversampling)

    def _fit(
        self, labelling: Labelling, share: float, rows: Rows, start: Posterior, report: Report, together: Together
    ) -> Posterior:
        mixed = self.arithmetic == "mixed" and together.device != "cpu"
        objective = WeakObjective(self.head, labelling, self.risk, rows, share, together, mixed)
        first = self.head.start(len(rows.features.names), seed=0)
        return self.rule.fit(objective, start, first, rows.dataset.digest, report)


@dataclass(frozen=True, eq=False)
class _Prepared:
    """What is known before the first fit.

    Attributes:
        features: From rows to features.
        frequency: What is believed of P(labeled | positive).
        correction: Which shift correction is made, and why.
        readings: What the labels are taken to mean at each step, and the share of rows that then count.
        weights: [n] importance weights of the rows looked at.
    """

    features: FeatureMap
    frequency: LabelFrequency
    correction: Correction
    readings: Mapping[str, tuple[Labelling, float]]
    weights: FloatArray

    @property
    def width(self) -> int:
        """Number of features."""
        return len(self.features.names)


@dataclass(frozen=True, eq=False)
class WorkedOut:
    """Importance weights worked out by the fitted ratios, whenever rows come by.

    Attributes:
        shift: The correction for shift.
    """

    shift: ShiftWeights

    def __call__(self, keys: NDArray[np.int64], features: FloatArray, labelled: NDArray[np.bool_]) -> FloatArray:
        """[n, 2] weight as a labeled row and as a row."""
        return self.shift.at(features, labelled)


def readings(shift: ShiftWeights, share: float, weights: Importance) -> dict[str, tuple[Labelling, float]]:
    """What the labels are taken to mean at each step of the chain, and the share of rows that then count.

    Args:
        shift: The correction for shift.
        share: Share of labeled rows.
        weights: Gives the weights of ``shift`` for the rows at hand.
    """
    prior = shift.class_prior.value
    return {
        NAIVE: (Labelling.unlabeled_is_negative(share), 1.0),
        PU: (Labelling.positive_unlabeled(prior, prior), 1.0),
        SHIFTED: (
            Labelling.positive_unlabeled(shift.mixture_prior, shift.target_prior.value, weights),
            shift.effective_share,
        ),
    }


def _population(sample: Sampled) -> LabeledRows:
    return LabeledRows(sample.features, sample.labelled, sample.everyone, sample.share)


def _named(report: Report, name: str) -> Report:
    """The part of a report that one of the three fits gets: their epochs follow each other, their names tell them."""
    index = (NAIVE, PU, SHIFTED).index(name)
    prefix = name.replace(" + ", "_").lower()

    def tell(step: int, total: int, metrics: Mapping[str, float]) -> None:
        report(index * total + step, 3 * total, {f"{prefix}_{key}": value for key, value in metrics.items()})

    return tell
