"""Score every model on all rows, on each batch and on each group, with bootstrap intervals."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.contracts import FloatArray, Score, Scorecard, frozen
from components.errors import InputError
from components.evaluation.bootstrap import MANY, Resamples, resample
from components.evaluation.metrics import METRICS
from components.ports import Report, silent

OURS = "kintsugi"
_Cell = tuple[str, str, NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class Groups:
    """A name for each row, held as numbers.

    Attributes:
        names: The different names.
        codes: [n] position of each row's name among them; -1 where it has none.
    """

    names: tuple[str, ...]
    codes: NDArray[np.int32]

    @classmethod
    def of(cls, values: Sequence[str]) -> "Groups":
        """The names of some rows, in the order in which they are met."""
        codes, names = pd.factorize(np.asarray(values, dtype=object))
        return cls(tuple(map(str, names)), codes.astype(np.int32))

    def __len__(self) -> int:
        return len(self.codes)

    def __iter__(self) -> Iterator[str]:
        return (self.names[code] for code in self.codes if code >= 0)

    def rows(self, name: str) -> NDArray[np.bool_]:
        """[n] marks of the rows called ``name``."""
        return np.asarray(self.codes == self.names.index(name))

    def chosen(self, rows: NDArray[np.bool_]) -> "Groups":
        """The names of the rows that a mask picks."""
        return Groups(self.names, self.codes[rows])


@dataclass(frozen=True, eq=False)
class Scored:
    """What is scored: n held rows with their truth and the predictions of every model.

    Attributes:
        truth: [n] 1, 0 or NaN for unknown; rows of unknown truth are left out of every score.
        probabilities: Model to [n] probabilities of 1; holds ``kintsugi``, and ``champion`` where there is one.
        batches: [n] label of each row's batch.
        slices: Column to [n] the group of each row.
        label: Name of the label that truth was taken from.
        weak: True when truth is the weak label because no evaluation label exists.
        weights: [n] sample weights of the rows; None: one each.
    """

    truth: FloatArray
    probabilities: Mapping[str, FloatArray]
    batches: Groups | Sequence[str]
    slices: Mapping[str, Groups | Sequence[str]]
    label: str
    weak: bool = False
    weights: FloatArray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "truth", frozen(self.truth))
        object.__setattr__(self, "probabilities", {name: frozen(p) for name, p in self.probabilities.items()})
        object.__setattr__(self, "batches", _grouped(self.batches))
        object.__setattr__(self, "slices", {name: _grouped(groups) for name, groups in self.slices.items()})
        rows = len(self.truth)
        known = self.truth[np.isfinite(self.truth)]
        if self.truth.ndim != 1 or not np.isin(known, (0, 1)).all():
            raise InputError(f"truth must be a vector of 0, 1 and NaN, got shape {self.truth.shape}")
        if OURS not in self.probabilities:
            raise InputError(f"probabilities must hold {OURS!r}, got {', '.join(self.probabilities) or 'none'}")
        for name, probability in self.probabilities.items():
            if probability.shape != (rows,) or not ((probability >= 0) & (probability <= 1)).all():
                raise InputError(f"probabilities of {name!r} must be {rows} numbers in [0, 1] without NaN")
        if self.weights is not None:
            object.__setattr__(self, "weights", frozen(self.weights))
            if self.weights.shape != (rows,) or not (self.weights >= 0).all():
                raise InputError(f"weights must be {rows} nonnegative numbers, got shape {self.weights.shape}")
        if len(self.batches) != rows:
            raise InputError(f"batches must name one batch for each of {rows} rows, got {len(self.batches)}")
        for name, groups in self.slices.items():
            if len(groups) != rows:
                raise InputError(f"slices of {name!r} must name one group for each of {rows} rows, got {len(groups)}")

    @property
    def unknown(self) -> int:
        """Rows left out because their truth is NaN."""
        return int(np.isnan(self.truth).sum())


@dataclass(frozen=True)
class Difference:
    """How much a metric of ``kintsugi`` exceeds that of another model on the same rows.

    Attributes:
        metric: Its name.
        against: The other model.
        slice: ``all`` or ``column=value``, over all batches.
        estimate: Ours minus theirs.
        low: Lower end of the paired 95 % interval.
        high: Upper end.
        rows: Rows compared.
    """

    metric: str
    against: str
    slice: str
    estimate: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True)
class Bootstrapped:
    """Scores with 95 % percentile intervals from resampled rows.

    Attributes:
        resamples: Number of bootstrap resamples, shared by all models.
        minimum_slice_rows: Groups with fewer rows of known truth are not scored.
        seed: Decides the resamples.
    """

    kind: Literal["bootstrapped"] = "bootstrapped"
    resamples: int = 200
    minimum_slice_rows: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        if self.resamples < 20:
            raise InputError(f"resamples must be at least 20 for a 95 % interval, got {self.resamples}")
        if self.minimum_slice_rows < 1:
            raise InputError(f"minimum_slice_rows must be at least 1, got {self.minimum_slice_rows}")
        if self.seed < 0:
            raise InputError(f"seed must not be negative, got {self.seed}")

    def score(self, scored: Scored, report: Report = silent) -> Scorecard:
        """Every metric of every model on all rows, each batch, and each group over all batches.

        ``report`` gets our metrics once a cell, with the rows that were scored and those of unknown truth.

        Raises:
            InputError: No row has a known truth.
        """
        scores: list[Score] = []
        cells = self._cells(scored)
        for step, (batch, group, rows) in enumerate(cells):
            found = self._score_cell(scored, batch, group, rows)
            scores += found
            ours = {s.metric: s.value for s in found if s.model == OURS and np.isfinite(s.value)}
            report(step, len(cells), {**ours, "rows": float(rows.sum()), "rows_unknown": float(scored.unknown)})
        notes = resampling_notes(max(int(rows.sum()) for _, _, rows in cells))
        return Scorecard(tuple(scores), scored.label, scored.weak, notes)

    def differences(self, scored: Scored) -> tuple[Difference, ...]:
        """Paired differences of ``kintsugi`` to every other model, over all rows and in each group, for the gates."""
        others = [name for name in scored.probabilities if name != OURS]
        found: list[Difference] = []
        for _, group, rows in (cell for cell in self._cells(scored) if cell[0] == "all"):
            draws = self._draws(scored, rows)
            for metric in METRICS:
                for other in others:
                    gap = draws.paired_difference(OURS, other, metric)
                    found.append(Difference(metric, other, group, gap.estimate, gap.low, gap.high, int(rows.sum())))
        return tuple(found)

    def _draws(self, scored: Scored, rows: NDArray[np.bool_]) -> Resamples:
        probabilities = {name: probability[rows] for name, probability in scored.probabilities.items()}
        weights = None if scored.weights is None else scored.weights[rows]
        return resample(scored.truth[rows], probabilities, self.resamples, self.seed, weights=weights)

    def _score_cell(self, scored: Scored, batch: str, group: str, rows: NDArray[np.bool_]) -> list[Score]:
        draws = self._draws(scored, rows)
        count = int(rows.sum())
        return [
            Score(model, batch, group, metric, found.estimate, found.low, found.high, count)
            for model in draws.models
            for metric in draws.metrics
            for found in [draws.interval(model, metric)]
        ]

    def _cells(self, scored: Scored) -> list[_Cell]:
        known = np.isfinite(scored.truth)
        if not known.any():
            raise InputError(f"truth must be known for at least one row, label {scored.label!r} is NaN everywhere")
        cells: list[_Cell] = [("all", "all", known)]
        batches = _grouped(scored.batches)
        cells += [(batch, "all", known & batches.rows(batch)) for batch in batches.names]
        for column, groups in ((column, _grouped(groups)) for column, groups in scored.slices.items()):
            cells += [("all", f"{column}={name}", known & groups.rows(name)) for name in sorted(groups.names)]
        return [cell for cell in cells if cell[2].sum() >= (1 if cell[1] == "all" else self.minimum_slice_rows)]


def _grouped(names: Groups | Sequence[str]) -> Groups:
    return names if isinstance(names, Groups) else Groups.of(names)


def resampling_notes(rows: int) -> tuple[str, ...]:
    """What a reader must know of the intervals of scores over as many ``rows``."""
    if rows <= MANY:
        return ()
    return (
        f"Scores are those of all rows. Of more than {MANY:,} rows a random {MANY:,} were resampled for the interval, "
        "which was narrowed to the rows there are.",
    )
