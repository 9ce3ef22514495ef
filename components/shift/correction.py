"""Which correction for shift the causal graph asks for, and what it does to the rows.

Causes of the target: its dependence on them stays while they move, so rows are weighted (covariate shift). Effects of
it: they stay given the class while the class prior moves, so the prior is corrected (label shift). Both, or a hidden
common cause: class and features move together, so each class is weighted by itself (joint shift).

All corrections read labels as selected completely at random among the positives, with the same label frequency c in
training and target rows. Then p(x | labeled) = p(x | positive), and for any weights w on the features

    P_w(positive) = prior E[w | labeled] / E[w]

which is what the weighted rows are decontaminated with. Estimated ratios are flatter than true ones; with the weighted
rows' own share of positives a ratio that says nothing turns the covariate correction into none and the joint one into
the label correction, instead of taking away positives that are not there. The price is that the joint correction is
exact for covariate shift and, without weights, for label shift, and in between an approximation.

Shimodaira, Improving predictive inference under covariate shift, JSPI 90, 2000.
Schoelkopf, Janzing, Peters, Sgouritsa, Zhang, Mooij, On causal and anticausal learning, ICML 2012.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from components.contracts import CausalGraph, CorrectionKind, Estimate, FloatArray, LabelFrequency, frozen
from components.errors import InputError

FEWEST_LABELED = 30
SMALLEST_PRIOR, LARGEST_PRIOR = 1e-3, 0.99  # outside, the decontamination divides by next to nothing


class FittedRatio(Protocol):
    """How much more often the target holds a row than the source does."""

    @property
    def weights(self) -> FloatArray:
        """[n] nonnegative weights of the source rows, mean one."""

    @property
    def divergence(self) -> float:
        """Relative Pearson divergence."""

    @property
    def effective_share(self) -> float:
        """Kish effective sample size over n."""

    def weigh(self, x: FloatArray) -> FloatArray:
        """[k] weights of any rows ``x`` [k, d], on the scale of ``weights``."""


class Ratio(Protocol):
    """Fits a density ratio."""

    def fit(self, source: FloatArray, target: FloatArray) -> FittedRatio:
        """The ratio of ``target`` [m, d] to ``source`` [n, d]."""


@dataclass(frozen=True, eq=False)
class LabeledRows:
    """Rows of one population.

    Attributes:
        features: [n, d] finite, on comparable scales.
        labelled: [n] bool, the row is a known positive.
        everyone: [n] bool, the row stands for the whole population; the others are labeled and stand for the labeled
            ones only, of which there are more here than in proportion. None: all do.
        labelled_share: Share of labeled rows in the population. None: as among these rows.
    """

    features: FloatArray
    labelled: NDArray[np.bool_]
    everyone: NDArray[np.bool_] | None = None
    labelled_share: float | None = None

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or self.labelled.shape != self.features.shape[:1] or not len(self.labelled):
            raise InputError(
                f"labelled must hold one value for each row, got {self.labelled.shape} for {self.features.shape}"
            )

    @property
    def share(self) -> float:
        """Share of labeled rows."""
        return float(self.labelled.mean()) if self.labelled_share is None else self.labelled_share

    @property
    def alike(self) -> FloatArray:
        """Features of the rows that stand for the whole population."""
        return self.features if self.everyone is None or self.everyone.all() else self.features[self.everyone]


@dataclass(frozen=True, eq=False)
class ShiftWeights:
    """What a correction does to the training rows.

    Attributes:
        kind: The correction made; another than asked for where ``reason`` says so.
        reason: Why it is another; empty where it is not.
        positive_weights: [n] importance as a labeled row, mean one over the labeled rows, 0 elsewhere.
        all_weights: [n] importance as a row, mean one over the rows that stand for all, 0 elsewhere.
        class_prior: Share of positives among the training rows.
        mixture_prior: Share of positives among the rows once ``all_weights`` are on them.
        target_prior: Share of positives in the target.
        effective_share: Smaller Kish effective sample size of the two columns of weights over its rows, in (0, 1].
        divergence: Relative Pearson divergence between target and training features; 0 where none was fitted.
        whole: The ratio of target to training rows; None where none was fitted.
        inside: The same of labeled rows alone; None where none was fitted.
        positive_scale: Factor on the whole ratio that gives ``positive_weights`` where there is no ratio inside.
    """

    kind: CorrectionKind
    reason: str
    positive_weights: FloatArray
    all_weights: FloatArray
    class_prior: Estimate
    mixture_prior: float
    target_prior: Estimate
    effective_share: float = 1.0
    divergence: float = 0.0
    whole: FittedRatio | None = None
    inside: FittedRatio | None = None
    positive_scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("positive_weights", "all_weights"):
            object.__setattr__(self, name, frozen(getattr(self, name)))

    @property
    def weights(self) -> FloatArray:
        """[n, 2] both columns, labeled first, as ``components.weak.positive_unlabeled`` takes them."""
        return np.column_stack([self.positive_weights, self.all_weights])

    def at(self, features: FloatArray, labelled: NDArray[np.bool_]) -> FloatArray:
        """[k, 2] both columns for any rows of the training population, with ``features`` [k, d] and their labels."""
        if self.whole is None:
            return np.column_stack([labelled.astype(np.float64), np.ones(len(labelled))])
        everyone = self.whole.weigh(features)
        positive = np.where(labelled, everyone * self.positive_scale, 0.0)
        if self.inside is not None and labelled.any():
            positive[labelled] = self.inside.weigh(features[labelled])
        return np.column_stack([positive, everyone])


def choose(
    graph: CausalGraph, features: Sequence[str], override: CorrectionKind | Literal["auto"] = "auto"
) -> tuple[CorrectionKind, str, bool]:
    """The correction, the reason in words, and whether a person chose it against the graph.

    Features that are not in the graph do not decide anything.

    Raises:
        InputError: ``override`` is no correction.
    """
    if override != "auto" and override not in get_args(CorrectionKind):
        raise InputError(f"override must be auto or one of {', '.join(get_args(CorrectionKind))}, got {override!r}")
    advised, reason = _advice(graph, set(features) - {graph.target})
    if override == "auto" or override == advised:
        return advised, reason, False
    return override, f"chosen by a person; the graph asks for {advised!r}: {reason}", True


def correct(
    kind: CorrectionKind, method: Ratio, training: LabeledRows, target: LabeledRows, frequency: LabelFrequency
) -> ShiftWeights:
    """Weights and priors that make the risk over ``training`` the risk over ``target``.

    With fewer than 30 labeled rows in the target its share of them says too little: ``label`` falls back to ``none``
    and ``joint`` to ``covariate``, and the result says so.

    Raises:
        InputError: ``kind`` is no correction, or no training row is labeled.
    """
    if kind not in get_args(CorrectionKind):
        raise InputError(f"kind must be one of {', '.join(get_args(CorrectionKind))}, got {kind!r}")
    if not training.labelled.any():
        raise InputError("labelled must be true for at least one training row, got none")
    kind, reason = _affordable(kind, training, target)
    prior = _bounded(frequency.class_prior(training.share))
    moved = _bounded(frequency.class_prior(target.share))
    known = training.labelled.astype(np.float64)
    everyone = np.ones(len(known), dtype=np.bool_) if training.everyone is None else training.everyone
    ones = everyone.astype(np.float64)
    if kind == "none":
        return ShiftWeights(kind, reason, known, ones, prior, prior.value, prior)
    if kind == "label":
        return ShiftWeights(kind, reason, known, ones, prior, prior.value, moved)
    whole = method.fit(training.alike, target.alike)
    weights = _on_all(whole, training.features, everyone)
    positive = np.where(training.labelled, weights, 0.0)
    growth = positive.sum() / known.sum() / whole.weights.mean()
    if not growth > 0:
        raise InputError("target rows must overlap the labeled training rows, found none that do; use 'none'")
    mixture, inside, scale = _scaled(prior, float(growth)), None, float(known.sum() / positive.sum())
    if kind == "covariate":
        positive, moved = positive / positive.sum() * known.sum(), mixture
    else:
        inside = method.fit(training.features[training.labelled], target.features[target.labelled])
        positive = np.zeros(len(known))
        positive[training.labelled] = inside.weights
    share = float(min(whole.effective_share, _effective(positive[training.labelled])))
    alone = np.where(everyone, weights, 0.0)
    divergence = float(whole.divergence)
    return ShiftWeights(
        kind, reason, positive, alone, prior, mixture.value, moved, share, divergence, whole, inside, scale
    )


def _on_all(ratio: FittedRatio, features: FloatArray, fitted: NDArray[np.bool_]) -> FloatArray:
    """[n] weights of all rows of ``features``; the ratio was fitted on those that ``fitted`` marks."""
    if fitted.all():
        return ratio.weights
    weights = np.empty(len(features))
    weights[fitted], weights[~fitted] = ratio.weights, ratio.weigh(features[~fitted])
    return weights


def _advice(graph: CausalGraph, features: set[str]) -> tuple[CorrectionKind, str]:
    causes = features & graph.ancestors(graph.target)
    effects = features & graph.descendants(graph.target)
    hidden = {name for pair in graph.confounded if graph.target in pair for name in pair} & features
    hidden |= _reached_past_the_features(graph, features)
    target, said = graph.target, []
    if causes:
        said.append(f"{_list(causes)} {_verb(causes, 'cause')} {target}")
    if effects:
        said.append(f"{target} causes {_list(effects)}")
    if hidden:
        said.append(f"{_list(hidden)} {_verb(hidden, 'share')} a cause with {target} that is not among the features")
    reason = "; ".join(said)
    if hidden or (causes and effects):
        return "joint", f"{reason}: class and features can move together"
    if causes:
        return "covariate", f"{reason}: {target} given the features stays while they move"
    if effects:
        return "label", f"{reason}: the features given {target} stay while its prior moves"
    return "none", f"no feature is connected with {target} in the graph"


def _reached_past_the_features(graph: CausalGraph, features: set[str]) -> set[str]:
    """Features with a cause outside the features that reaches the target too, each by a path of its own."""
    target = graph.names.index(graph.target)
    seen = {graph.names.index(name) for name in features if name in graph.names}
    found: set[int] = set()
    for cause in _walk(graph.weights, target, seen) - seen - {target}:
        found |= _walk(graph.weights.T, cause, seen | {target}) & seen
    return {graph.names[index] for index in found}


def _walk(adjacency: FloatArray, start: int, walls: set[int]) -> set[int]:
    """Nodes reached from ``start``; those in ``walls`` are reached but not left."""
    found, frontier = {start}, [start]
    while frontier:
        fresh = {int(node) for node in np.flatnonzero(adjacency[frontier.pop()])} - found
        found |= fresh
        frontier.extend(fresh - walls)
    return found


def _affordable(kind: CorrectionKind, training: LabeledRows, target: LabeledRows) -> tuple[CorrectionKind, str]:
    few = int(target.labelled.sum())
    if kind in ("label", "joint") and few < FEWEST_LABELED:
        instead: CorrectionKind = "none" if kind == "label" else "covariate"
        return instead, f"{kind!r} needs {FEWEST_LABELED} labeled rows in the target, it has {few}: {instead!r} is used"
    few = int(training.labelled.sum())
    if kind == "joint" and few < FEWEST_LABELED:
        return "covariate", f"'joint' needs {FEWEST_LABELED} labeled training rows, found {few}: 'covariate' is used"
    return kind, ""


def _bounded(prior: Estimate) -> Estimate:
    value, low, high = np.clip([prior.value, prior.low, prior.high], SMALLEST_PRIOR, LARGEST_PRIOR)
    return Estimate(float(value), float(low), float(high), prior.source)


def _scaled(prior: Estimate, factor: float) -> Estimate:
    return _bounded(Estimate(factor * prior.value, factor * prior.low, factor * prior.high, prior.source))


def _effective(weights: FloatArray) -> float:
    return float(weights.sum() ** 2 / (len(weights) * (weights**2).sum()))


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names))


def _verb(names: set[str], verb: str) -> str:
    return verb if len(names) > 1 else f"{verb}s"
