"""What passes between the stages, and the one axis rule.

Every matrix over pairs of variables is indexed ``[effect, cause]``: entry ``[i, j]`` speaks of variable ``j``
acting on variable ``i``. Contracts are frozen, their arrays are read-only, and their invariants are checked when
they are made; nothing else crosses from one stage to the next.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from components.errors import InputError
from components.findings import Findings

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int8]

Role = Literal[
    "feature", "weak_label", "observed_label", "evaluation_label", "time", "group", "weight", "id", "ignored"
]
ColumnKind = Literal["number", "flag", "category", "time"]
Part = Literal["fit", "tune", "held"]
CorrectionKind = Literal["none", "covariate", "label", "joint"]
DriftKind = Literal["none", "covariate", "label", "concept", "support"]
DriftAction = Literal["update", "update and forget", "ask for labels"]

ROW = "_row"
PART = "_part"
BATCH = "batch"
RESERVED = (ROW, PART, BATCH)


def frozen(values: ArrayLike) -> FloatArray:
    """A read-only float64 copy."""
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array


def frozen_marks(values: ArrayLike) -> IntArray:
    """A read-only int8 copy, for matrices of 1 (required), 0 (forbidden) and -1 (unknown)."""
    array = np.array(values, dtype=np.int8)
    array.flags.writeable = False
    return array


@dataclass(frozen=True)
class Column:
    """One column of a dataset.

    Attributes:
        name: Its name in the source and in every later table.
        role: What the column is for. Evaluation labels never reach a training stage.
        kind: ``number``, ``flag`` (0 or 1), ``category`` (text) or ``time``.
        unit: Unit of the values, as people write it ("mmHg", "years").
        description: Plain words that a language model and a reader of the report can use.
        minimum: Smallest valid value; below it a row's value is invalid. None: no bound.
        maximum: Largest valid value. None: no bound.
        positive: For a weak or evaluation label: the values that mean "positive". Empty: 1 / true.
        values: For an observed or evaluation label of kind category: all that it says, in the order in which classes,
            labels or sources are numbered.
    """

    name: str
    role: Role = "feature"
    kind: ColumnKind = "number"
    unit: str = ""
    description: str = ""
    minimum: float | None = None
    maximum: float | None = None
    positive: tuple[str, ...] = ()
    values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name:
            raise InputError("name of a column must not be empty")
        if self.name in RESERVED:
            raise InputError(f"name of a column must not be one of {', '.join(RESERVED)}, got {self.name!r}; rename it")
        if self.role not in get_args(Role):
            raise InputError(
                f"role of column {self.name!r} must be one of {', '.join(get_args(Role))}, got {self.role!r}"
            )
        if self.kind not in get_args(ColumnKind):
            raise InputError(
                f"kind of column {self.name!r} must be one of {', '.join(get_args(ColumnKind))}, got {self.kind!r}"
            )
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise InputError(
                f"minimum of column {self.name!r} must not exceed its maximum, got {self.minimum} > {self.maximum}"
            )

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The column whose fields, as JSON keeps them, are ``value``."""
        fields: dict[str, Any] = {name: tuple(p) if isinstance(p, list) else p for name, p in value.items()}
        return cls(**fields)


@dataclass(frozen=True)
class Estimate:
    """A number that was estimated or declared, with where it came from.

    Attributes:
        value: The number used.
        low: Lower end of its 95 % interval.
        high: Upper end.
        source: How it was found ("best bin estimation", "declared: CDC 2022").
    """

    value: float
    low: float
    high: float
    source: str

    def __post_init__(self) -> None:
        if not self.low <= self.value <= self.high:
            raise InputError(f"value must lie between low and high, got {self.low}, {self.value}, {self.high}")


@dataclass(frozen=True)
class TimeBatch:
    """One batch of a dataset, in time order (or in the order of the declared group).

    Attributes:
        index: 1, 2, ... in order.
        label: What a person calls it ("2017-2018", "income: high").
        rows: Number of rows.
        positives: Rows whose weak label says positive.
    """

    index: int
    label: str
    rows: int
    positives: int


@dataclass(frozen=True, eq=False)
class Dataset:
    """A handle to a table on disk, never its values.

    ``path`` holds ``batch=<index>/*.parquet``, one folder a batch. Each row has, beside the declared columns,
    ``_row`` (a stable int64 key) and ``_part``: ``fit`` rows are learnt from, ``tune`` rows only steer tuning,
    ``held`` rows are only ever scored. Numbers and flags are float64 with NaN for missing, categories are text,
    the weak label is 1.0 (positive) or 0.0 (unlabeled). An observed label is stored as it is: what it says of a row's
    class, the setting of a training knows. The evaluation label is not in this table. A sample weight
    weighs its row in the risk that is learnt from and in the scores; class priors and drift tests count rows.

    Attributes:
        path: The folder.
        columns: Every stored column, without the evaluation label.
        batches: The batches, in order.
        digest: SHA-256 over content and declaration; equal content has an equal digest.
        notes: Sentences a reader must know (rows dropped, why the batches are what they are).
        label_frequency: What the owner of the data declares of P(labeled | positive); None: to be estimated.
        in_time: Whether the batches follow time; otherwise they follow a group and none of them is later than another.
    """

    path: Path
    columns: tuple[Column, ...]
    batches: tuple[TimeBatch, ...]
    digest: str
    notes: tuple[str, ...] = ()
    label_frequency: Estimate | None = None
    in_time: bool = True

    def names(self, *roles: Role) -> tuple[str, ...]:
        """Names of the columns that have one of ``roles``, in declared order."""
        return tuple(column.name for column in self.columns if column.role in roles)

    def column(self, name: str) -> Column:
        """The column called ``name``.

        Raises:
            InputError: There is no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise InputError(f"no column {name!r} in this dataset; it has {', '.join(c.name for c in self.columns)}")

    @property
    def labelled(self) -> bool:
        """Whether it has a weak label; a table without one is good for a causal graph and no more."""
        return bool(self.names("weak_label"))

    @property
    def weak_label(self) -> str:
        """Name of the one weak label."""
        return self.names("weak_label")[0]

    @property
    def rows(self) -> int:
        """Rows over all batches."""
        return sum(batch.rows for batch in self.batches)


@dataclass(frozen=True, eq=False)
class EvaluationLabels:
    """The labels that only evaluation may see, apart from the data they belong to.

    Attributes:
        path: A Parquet file with the columns ``batch``, ``_row`` and ``label``: 1.0 for positive and 0.0 for others, or
            the place of the class among ``classes``; NaN for unknown.
        name: Name of the column in the source.
        description: What it measures, in plain words.
        digest: SHA-256 of the content.
        classes: Names of the classes, where it names one; empty: it says positive or not.
    """

    path: Path
    name: str
    description: str
    digest: str
    classes: tuple[str, ...] = ()


PERSON = "person"
"""Source of the claims that a person makes; they are certain."""


@dataclass(frozen=True)
class Evidence:
    """Why one cell of the prior knowledge says what it says.

    Attributes:
        effect: Name of the effect.
        cause: Name of the cause.
        claim: What is claimed of the pair.
        source: ``person`` or the name of the language model.
        probability: How sure the source is, in [0, 1]; 1 for a person.
        note: In words.
    """

    effect: str
    cause: str
    claim: Literal["required path", "forbidden path", "required edge", "forbidden edge"]
    source: str
    probability: float
    note: str = ""


@dataclass(frozen=True)
class Reliability:
    """How well a language model told true causal statements from false ones on the probe set.

    Attributes:
        model: Name of the model.
        auc: Area under the ROC curve of P(yes), 0.5 is chance.
        low: Lower end of its 95 % bootstrap interval.
        high: Upper end.
        strength: Weight its answers get, in [0, 1]; 0 when the interval holds chance.
        probes: Number of statements asked.
    """

    model: str
    auc: float
    low: float
    high: float
    strength: float
    probes: int


@dataclass(frozen=True, eq=False)
class PriorKnowledge:
    """What is known of causes before the data are looked at.

    Attributes:
        names: The p variables.
        path: [effect, cause] int8, 1: a directed path is required, 0: forbidden, -1: unknown.
        edge: The same for direct edges.
        probability: [effect, cause] elicited probability of a path; NaN where nobody was asked.
        evidence: One entry for every cell that is not unknown.
        conflicts: One sentence for every contradiction that was repaired.
        reliability: The probe result of the language model, None when none was asked.
        remaining: One sentence for every question that nobody answered, because a budget was spent or a call failed.
    """

    names: tuple[str, ...]
    path: IntArray
    edge: IntArray
    probability: FloatArray
    evidence: tuple[Evidence, ...] = ()
    conflicts: tuple[str, ...] = ()
    reliability: Reliability | None = None
    remaining: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        size = (len(self.names), len(self.names))
        for label in ("path", "edge"):
            matrix = frozen_marks(getattr(self, label))
            if matrix.shape != size or not np.isin(matrix, (-1, 0, 1)).all() or (np.diag(matrix) != -1).any():
                raise InputError(f"{label} must be {size} with entries -1, 0, 1 and -1 on its diagonal")
            object.__setattr__(self, label, matrix)
        object.__setattr__(self, "probability", frozen(self.probability))
        if self.probability.shape != size:
            raise InputError(f"probability must have shape {size}, got {self.probability.shape}")

    @classmethod
    def unknown(cls, names: tuple[str, ...]) -> "PriorKnowledge":
        """No knowledge at all over ``names``."""
        nothing = np.full((len(names), len(names)), -1)
        return cls(names, nothing, nothing, np.full(nothing.shape, np.nan))


@dataclass(frozen=True, eq=False)
class CausalGraph:
    """A weighted directed acyclic graph over named variables.

    Attributes:
        names: The p variables.
        weights: [effect, cause] direct effects, in units of the effect per unit of the cause; 0 is no edge.
        order: Indices of the variables, causes before effects.
        support: [effect, cause] share of bootstrap replicates that contain the edge, in [0, 1].
        total: [effect, cause] total effects, (I - B)^-1 - I.
        total_low: Lower end of the 95 % bootstrap interval of each total effect.
        total_high: Upper end.
        target: Name of the variable that stands for the label.
        rows: Complete rows the graph was learnt from.
        replicates: Number of bootstrap replicates.
        confounded: Pairs of names held to share a hidden cause, or whose path runs through a hidden variable.
        notes: Sentences a reader must know (columns left out, knowledge repaired).
        undirected: Adjacent pairs whose direction the data leave open.
        findings: What stands beside the edges: support of paths and graphs, fit indices, checks of assumptions.
    """

    names: tuple[str, ...]
    weights: FloatArray
    order: tuple[int, ...]
    support: FloatArray
    total: FloatArray
    total_low: FloatArray
    total_high: FloatArray
    target: str
    rows: int
    replicates: int
    confounded: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    undirected: tuple[tuple[str, str], ...] = ()
    findings: Findings = Findings()

    def __post_init__(self) -> None:
        size = len(self.names)
        for label in ("weights", "support", "total", "total_low", "total_high"):
            object.__setattr__(self, label, frozen(getattr(self, label)))
            if getattr(self, label).shape != (size, size):
                raise InputError(f"{label} must have shape {(size, size)}, got {getattr(self, label).shape}")
        if sorted(self.order) != list(range(size)):
            raise InputError(f"order must hold each of 0..{size - 1} once, got {self.order}")
        ordered = self.weights[np.ix_(self.order, self.order)]
        if np.triu(ordered).any():
            raise InputError("weights must be strictly lower triangular in the causal order, found an edge against it")
        if self.target not in self.names:
            raise InputError(f"target must be one of the variables, got {self.target!r}")
        strange = {name for pair in (*self.confounded, *self.undirected) for name in pair} - set(self.names)
        if strange:
            raise InputError(f"confounded and undirected pairs must be of variables, got {', '.join(sorted(strange))}")

    def ancestors(self, name: str) -> frozenset[str]:
        """Names with a directed path to ``name``."""
        return self._reach(name, self.weights)

    def descendants(self, name: str) -> frozenset[str]:
        """Names that ``name`` has a directed path to."""
        return self._reach(name, self.weights.T)

    def _reach(self, name: str, adjacency: FloatArray) -> frozenset[str]:
        found: set[int] = set()
        frontier = [self.names.index(name)]
        while frontier:
            for parent in np.flatnonzero(adjacency[frontier.pop()]):
                if int(parent) not in found:
                    found.add(int(parent))
                    frontier.append(int(parent))
        return frozenset(self.names[index] for index in found)

    def edges(self) -> pd.DataFrame:
        """One row an edge: cause, effect, weight, support, total effect with interval; strongest support first."""
        effects, causes = np.nonzero(self.weights)
        table = pd.DataFrame(
            {
                "cause": [self.names[j] for j in causes],
                "effect": [self.names[i] for i in effects],
                "weight": self.weights[effects, causes],
                "support": self.support[effects, causes],
                "total_effect": self.total[effects, causes],
                "total_low": self.total_low[effects, causes],
                "total_high": self.total_high[effects, causes],
            }
        )
        return table.sort_values(["support", "cause", "effect"], ascending=[False, True, True], ignore_index=True)

    def total_effects(self) -> pd.DataFrame:
        """One row a pair with a directed path: cause, effect, total effect with its 95 % interval; largest first."""
        effects, causes = np.nonzero(self.total)
        sizes = self.total[effects, causes]
        table = pd.DataFrame(
            {
                "cause": [self.names[j] for j in causes],
                "effect": [self.names[i] for i in effects],
                "total_effect": sizes,
                "low": self.total_low[effects, causes],
                "high": self.total_high[effects, causes],
            }
        )
        return table.iloc[np.argsort(-np.abs(sizes), kind="stable")].reset_index(drop=True)


@dataclass(frozen=True, eq=False)
class LabelFrequency:
    """What is believed of c = P(labeled | positive), as a distribution on a grid.

    From positives and unlabeled rows alone c is known only up to an interval unless something more is assumed;
    the belief carries that uncertainty from batch to batch.

    Attributes:
        grid: [g] increasing values in (0, 1].
        density: [g] nonnegative, sums to one.
        source: How it was found.
        note: What a reader must know of it (what was assumed, the bound that needs no assumption).
    """

    grid: FloatArray
    density: FloatArray
    source: str
    note: str = ""

    def __post_init__(self) -> None:
        for label in ("grid", "density"):
            object.__setattr__(self, label, frozen(getattr(self, label)))
        if self.grid.ndim != 1 or self.grid.shape != self.density.shape or not len(self.grid):
            raise InputError(f"grid {self.grid.shape} and density {self.density.shape} must be equally long vectors")
        if self.grid[0] <= 0 or self.grid[-1] > 1 or (np.diff(self.grid) <= 0).any():
            raise InputError("grid must increase within (0, 1]")
        if (self.density < 0).any() or not np.isclose(self.density.sum(), 1):
            raise InputError("density must be nonnegative and sum to one")

    @property
    def estimate(self) -> Estimate:
        """Mean and 95 % interval of the label frequency."""
        value = float(self.grid @ self.density)
        below = np.cumsum(self.density)
        low, high = (float(self.grid[min(int(np.searchsorted(below, q)), len(below) - 1)]) for q in (0.025, 0.975))
        return Estimate(value, min(low, value), max(high, value), self.source)

    def class_prior(self, labelled_share: float) -> Estimate:
        """The mean class prior that goes with a share of labeled rows, share / c averaged over c, and its interval."""
        priors = np.minimum(1.0, labelled_share / self.grid)[::-1]
        density = self.density[::-1]
        value, below = float(priors @ density), np.cumsum(density)
        low, high = (float(priors[min(int(np.searchsorted(below, q)), len(below) - 1)]) for q in (0.025, 0.975))
        return Estimate(value, min(low, value), max(high, value), self.source)


@dataclass(frozen=True)
class Correction:
    """Which shift correction training used, and why.

    Attributes:
        kind: ``none``, ``covariate``, ``label`` or ``joint``.
        reason: In words, naming the graph's edges that decided it.
        overridden: True when a person chose it against the graph.
        class_prior: Share of true positives among the training rows.
        target_prior: Share of true positives in the target batch.
        target: Label of the target batch.
        effective_share: Kish effective sample size of the importance weights over the number of rows, in (0, 1].
        divergence: Relative Pearson divergence between target and training rows; 0 means no shift.
    """

    kind: CorrectionKind
    reason: str
    overridden: bool
    class_prior: Estimate
    target_prior: Estimate
    target: str
    effective_share: float = 1.0
    divergence: float = 0.0


@dataclass(frozen=True, eq=False)
class WeakData:
    """Rows to learn from when all that is known of a row is the source it was drawn from.

    Attributes:
        features: [n, d] finite numbers.
        sources: [n, S] bool, ``sources[i, s]``: row i belongs to the sample of source s (a row may be in several).
        weights: [n, S] importance weights with mean one over each source's rows, 0 outside it.
        mixture: [S, K] class composition of each source, rows sum to one.
        prior: [K] class prior of the population the risk is for.
    """

    features: FloatArray
    sources: NDArray[np.bool_]
    weights: FloatArray
    mixture: FloatArray
    prior: FloatArray

    def __post_init__(self) -> None:
        for label in ("features", "weights", "mixture", "prior"):
            object.__setattr__(self, label, frozen(getattr(self, label)))
        rows, sources = self.sources.shape
        if self.features.ndim != 2 or len(self.features) != rows or self.weights.shape != (rows, sources):
            raise InputError(
                f"features {self.features.shape}, sources {self.sources.shape}, weights {self.weights.shape} disagree"
            )
        if not np.isfinite(self.features).all():
            raise InputError("features must be finite, found NaN or infinity")
        if not self.sources.any(axis=0).all():
            raise InputError(f"every source needs at least one row, got counts {self.sources.sum(axis=0).tolist()}")
        if (self.weights < 0).any() or (self.weights[~self.sources] != 0).any():
            raise InputError("weights must be nonnegative and 0 outside their source")
        if not np.allclose(self.weights.sum(axis=0), self.sources.sum(axis=0)):
            raise InputError("weights must have mean one over each source's rows")
        if self.mixture.shape != (sources, len(self.prior)) or not np.allclose(self.mixture.sum(axis=1), 1):
            raise InputError(f"mixture must be [{sources}, {len(self.prior)}] with rows that sum to one")
        if (self.prior <= 0).any() or not np.isclose(self.prior.sum(), 1):
            raise InputError(f"prior must be positive and sum to one, got {self.prior.tolist()}")


@dataclass(frozen=True, eq=False)
class Posterior:
    """A Gaussian over the parameters of a head, independent per parameter, in natural parameters.

    Adding evidence is adding natural parameters; removing it is subtracting them. Everything is float64 and in
    data units: a precision of 1/s^2 means a standard deviation s of that weight.

    Attributes:
        layout: Name and shape of each tensor of the parameter tree, in flat order.
        precision: [P] positive.
        shift: [P] precision times mean.
        rows: Rows of data absorbed, after forgetting.
        lineage: Digests of what was absorbed, oldest first.
    """

    layout: tuple[tuple[str, tuple[int, ...]], ...]
    precision: FloatArray
    shift: FloatArray
    rows: float = 0.0
    lineage: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        size = sum(int(np.prod(shape)) for _, shape in self.layout)
        for label in ("precision", "shift"):
            object.__setattr__(self, label, frozen(getattr(self, label)))
            if getattr(self, label).shape != (size,):
                raise InputError(f"{label} must have shape ({size},), got {getattr(self, label).shape}")
        if not (np.isfinite(self.precision).all() and (self.precision > 0).all()):
            raise InputError("precision must be finite and positive")
        if not np.isfinite(self.shift).all():
            raise InputError("shift must be finite")

    @property
    def mean(self) -> FloatArray:
        """[P] posterior mean."""
        return self.shift / self.precision

    @property
    def deviation(self) -> FloatArray:
        """[P] posterior standard deviation."""
        return np.asarray(self.precision**-0.5)

    @property
    def digest(self) -> str:
        """SHA-256 of layout and natural parameters."""
        sha = hashlib.sha256(repr(self.layout).encode())
        sha.update(self.precision.tobytes())
        sha.update(self.shift.tobytes())
        return sha.hexdigest()

    def sample(self, count: int, seed: int) -> FloatArray:
        """[count, P] draws; the same seed gives the same draws."""
        noise = np.random.default_rng(seed).standard_normal((count, len(self.precision)))
        return np.asarray(self.mean + noise * self.deviation)


@dataclass(frozen=True)
class ColumnDrift:
    """How far one column of a new batch has moved.

    Attributes:
        name: The column.
        statistic: Kolmogorov-Smirnov distance to the batch before, in [0, 1].
        p_value: Holm-adjusted over the columns.
    """

    name: str
    statistic: float
    p_value: float


@dataclass(frozen=True)
class DriftReport:
    """What changed in a new batch, and what to do about it.

    Attributes:
        batch: Label of the batch.
        kind: The kind of shift the tests point to.
        statistic: Relative Pearson divergence of the features (0: none).
        p_value: Its permutation p-value.
        score_statistic: Kolmogorov-Smirnov distance of the model's scores.
        score_p_value: Its p-value.
        outside: Share of rows outside the training support, in [0, 1].
        prior_before: Class prior before the batch.
        prior_after: Class prior estimated on the batch.
        columns: Columns that moved, farthest first.
        action: What the update does, or what a person should do.
    """

    batch: str
    kind: DriftKind
    statistic: float
    p_value: float
    score_statistic: float
    score_p_value: float
    outside: float
    prior_before: float
    prior_after: float
    columns: tuple[ColumnDrift, ...]
    action: DriftAction


@dataclass(frozen=True)
class Score:
    """One metric of one model on one slice of one batch.

    Attributes:
        model: ``kintsugi`` or the name of a baseline or of an earlier step of the chain.
        batch: Label of the batch, ``all`` over the scored batches.
        slice: ``all`` or ``column=value``.
        metric: Its name, one of ``components.evaluation.METRICS``.
        value: The metric; NaN where it is not defined (one class only).
        low: Lower end of the 95 % bootstrap interval.
        high: Upper end.
        rows: Rows it was computed from.
    """

    model: str
    batch: str
    slice: str
    metric: str
    value: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True, eq=False)
class Scorecard:
    """All scores of one run.

    Attributes:
        scores: One entry a model, batch, slice and metric.
        label: What truth was: the name of the evaluation label, or the weak label where there is none.
        weak: True when no evaluation label existed and ``label`` is the weak one.
        notes: Sentences a reader must know, such as that of very many rows a sample was used.
    """

    scores: tuple[Score, ...]
    label: str
    weak: bool
    notes: tuple[str, ...] = ()

    def frame(self) -> pd.DataFrame:
        """One row a score."""
        return pd.DataFrame([vars(score) for score in self.scores], columns=list(Score.__dataclass_fields__))

    def value(self, model: str, metric: str, batch: str = "all", slice: str = "all") -> Score:
        """The one score asked for.

        Raises:
            KeyError: It was not computed.
        """
        for score in self.scores:
            if (score.model, score.metric, score.batch, score.slice) == (model, metric, batch, slice):
                return score
        raise KeyError(f"no score {metric} of {model} on batch {batch}, slice {slice}")
