"""Learn a first posterior: choose the features, read the labels for what they mean, correct for shift, fit.

    features    those the roles and the graph allow
    frequency   c = P(labeled | positive), a belief; class prior = share of labeled rows / c
    correction  what the graph says of how the target batch differs from the training batches
    posterior   improved variational online Newton on the corrected risk

The same head is also fitted without corrections, so that what each of them bought can be shown.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

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
from components.objective import Labelling, Rows, WeakObjective
from components.ports import Report, silent
from components.predictor import Predictor
from components.shift import LabeledRows, RatioMethod, RuLsif, ShiftWeights, choose, correct
from components.state import State, reference_of
from components.storage import read_rows
from components.weak import ClassPrior, Declared, NonNegative, RiskCorrection, SaturatingLogistic

SAMPLE = 200_000
NAIVE, PU, SHIFTED = "naive", "PU", "PU + shift"


@dataclass(frozen=True, eq=False)
class Trained:
    """What training made.

    Attributes:
        state: The learner's state after the training batches.
        correction: Which shift correction was used, and why.
        weights: [n] importance weights of the training rows, mean one, for the picture.
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

    def __post_init__(self) -> None:
        if self.batches < 0:
            raise InputError(f"batches must be at least 0, got {self.batches}")

    def train(self, dataset: Dataset, graph: CausalGraph, report: Report = silent) -> Trained:
        """Fit the first posterior on the first batches of ``dataset``.

        Raises:
            InputError: The roles and the graph leave no feature, or the training rows have no labeled row.
        """
        batches, target = self.split(dataset)
        feature_map = fit_features(dataset, self.allowed(dataset, graph), batches)
        rows = Rows(dataset, feature_map, batches, "fit")
        features, labelled, keys = rows.matrix()
        if not labelled.any() or labelled.all():
            raise InputError(
                f"weak label {dataset.weak_label!r} must have labeled and unlabeled rows in the training batches, "
                f"got {int(labelled.sum())} labeled of {len(labelled)}; train on more batches (training.batches)"
            )
        frequency = self.frequency(dataset, features, labelled)
        kind, reason, overridden = choose(graph, [column.name for column in feature_map.columns], self.correction)
        if target in batches and kind != "none":
            kind, reason = "none", f"there is no later batch to correct for (asked for {kind!r}: {reason})"
        arriving, arriving_labelled, _ = Rows(dataset, feature_map, (target,), "fit").matrix()
        population, goal = LabeledRows(features, labelled), LabeledRows(arriving, arriving_labelled)
        shift = correct(kind, self.ratio, population, goal, frequency)
        start = self.rule.initial(self.head.layout(features.shape[1]))
        steps = {
            name: self._fit(labelling, share, rows, start, _named(report, name))
            for name, (labelling, share) in readings(shift, population.share, keys).items()
        }
        predictor = Predictor(feature_map, self.head, steps[SHIFTED])
        label = dataset.batches[target - 1].label
        correction = Correction(
            shift.kind,
            f"{reason}. {shift.reason}" if shift.reason else reason,
            overridden,
            shift.class_prior,
            shift.target_prior,
            label,
            shift.effective_share,
            shift.divergence,
        )
        reference = reference_of(dataset, feature_map, batches)
        absorbed = tuple(batch.label for batch in dataset.batches if batch.index in batches)
        state = State(predictor, start, frequency, shift.class_prior.value, reference, absorbed)
        return Trained(state, correction, shift.all_weights, steps, batches)

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

    def frequency(self, dataset: Dataset, features: FloatArray, labelled: Any) -> LabelFrequency:
        """What is believed of P(labeled | positive): declared by the data's owner, else estimated."""
        stated = dataset.label_frequency
        if stated is None:
            return self.class_prior.estimate(features, labelled)
        return Declared(value=stated.value, low=stated.low, high=stated.high, source=stated.source).estimate(
            features, labelled
        )

    def _fit(self, labelling: Labelling, share: float, rows: Rows, start: Posterior, report: Report) -> Posterior:
        objective = WeakObjective(self.head, labelling, self.risk, rows, share)
        first = self.head.start(len(rows.features.names), seed=0)
        return self.rule.fit(objective, start, first, rows.dataset.digest, report)


def fit_features(dataset: Dataset, columns: tuple[Column, ...], batches: tuple[int, ...]) -> FeatureMap:
    """The feature map learnt from the rows to fit of ``batches``, from a sample of them where there are very many."""
    frame = read_rows(dataset, [column.name for column in columns], batches, ("fit",))
    return FeatureMap.fit(frame if len(frame) <= SAMPLE else frame.sample(SAMPLE, random_state=0), columns)


def readings(shift: ShiftWeights, share: float, keys: FloatArray) -> dict[str, tuple[Labelling, float]]:
    """What the labels are taken to mean at each step of the chain, and the share of rows that then count.

    Args:
        shift: The correction for shift.
        share: Share of labeled rows.
        keys: [n] ``_row`` of the rows that ``shift`` weights.
    """
    prior = shift.class_prior.value
    weights = pd.DataFrame(shift.weights, index=keys)
    return {
        NAIVE: (Labelling.unlabeled_is_negative(share), 1.0),
        PU: (Labelling.positive_unlabeled(prior, prior), 1.0),
        SHIFTED: (
            Labelling.positive_unlabeled(shift.mixture_prior, shift.target_prior.value, weights),
            shift.effective_share,
        ),
    }


def _named(report: Report, name: str) -> Report:
    """The part of a report that one of the three fits gets: their epochs follow each other, their names tell them."""
    index = (NAIVE, PU, SHIFTED).index(name)
    prefix = name.replace(" + ", "_").lower()

    def tell(step: int, total: int, metrics: Mapping[str, float]) -> None:
        report(index * total + step, 3 * total, {f"{prefix}_{key}": value for key, value in metrics.items()})

    return tell
