"""Score a classifier on rows that nothing was learnt from: by their weak labels, and by the truth where it is known.

The weak score needs no truth: it is the error rate as the weak labels tell it, or how far they surprise. Where the true
class of rows is known, their scores are those of any classifier.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.assessment import CHAMPION
from components.classification import LearntClassifier
from components.classifier import ClassifierPredictor
from components.classifier.weak_score import ERROR, WeakScores, weak_scores, weak_shares
from components.contracts import Dataset, EvaluationLabels, FloatArray, Score, Scorecard
from components.errors import InputError
from components.evaluation import OURS, Difference, Interval, Resamples, resampled
from components.evaluation.class_metrics import CLASS_SCORES, Classified
from components.evaluation.scorecard import resampling_notes
from components.held_classes import HeldClasses, held_classes
from components.ports import Report, silent
from components.weak import Setting

CONSTANT = "constant"
# What verdicts are on where truth is known. The error rate would prefer a constant where positives are rare.
JUDGE = "log_loss"


@dataclass(frozen=True)
class Verdict:
    """What a comparison says of a classifier.

    Attributes:
        passed: Whether it is as it should be.
        sentence: Why, with the numbers.
    """

    passed: bool
    sentence: str


@dataclass(frozen=True, eq=False)
class AssessedClassifier:
    """What a classifier is worth on held rows.

    Attributes:
        scorecard: Its scores, those of the champion, and those of ``constant``: the best that says the same of every
            row, which it is told by the rows themselves.
        differences: Ours minus each other in the metric that decides: the log loss where truth is known, else the
            weak score.
        verdicts: Whether ours is better than a constant, and no worse than the champion.
        classes: Names of the K classes.
        probabilities: [n, K] float32, what ours says of the held rows.
        truth: [n] number of the true class; NaN where it is not known.
        confusion: [K, K] rows (their sample weight) of each true class, by the likeliest class; None without truth.
    """

    scorecard: Scorecard
    differences: tuple[Difference, ...]
    verdicts: tuple[Verdict, ...]
    classes: tuple[str, ...]
    probabilities: NDArray[np.float32]
    truth: FloatArray
    confusion: FloatArray | None = None

    @property
    def judge(self) -> str:
        """Name of the metric that decides; empty where nothing can."""
        return self.differences[0].metric if self.differences else ""


@dataclass(frozen=True, eq=False)
class _Cell:
    """Scores of the models on all held rows or those of one batch.

    Attributes:
        batch: Its label, or ``all``.
        rows: Number of rows.
        known: Number of those whose truth is known.
        weak: Scores from weak labels; None where they tell nothing.
        true: Scores by truth; None where there is none.
    """

    batch: str
    rows: int
    known: int
    weak: WeakScores | None
    true: Resamples | None

    def scores(self, models: Sequence[str]) -> Iterator[Score]:
        for model in models:
            found: list[tuple[str, Interval, int]] = []
            if self.weak:
                found.append((self.weak.name, self.weak.interval(model), self.rows))
            if self.true:
                found += [(name, self.true.interval(model, name), self.known) for name in self.true.metrics]
            for name, interval, rows in found:
                yield Score(model, self.batch, "all", name, interval.estimate, interval.low, interval.high, rows)

    def difference(self, against: str) -> Difference:
        if self.true:
            name, gap, rows = JUDGE, self.true.paired_difference(OURS, against, JUDGE), self.known
        else:
            assert self.weak
            name, gap, rows = self.weak.name, self.weak.paired_difference(OURS, against), self.rows
        return Difference(name, against, "all", gap.estimate, gap.low, gap.high, rows)


def assess_classifier(
    dataset: Dataset,
    labels: EvaluationLabels | None,
    learnt: LearntClassifier,
    champion: ClassifierPredictor | None,
    batches: Sequence[int],
    resamples: int = 200,
    seed: int = 0,
    report: Report = silent,
) -> AssessedClassifier:
    """Score ``learnt`` on the held rows of ``batches``, beside the champion and the best constant.

    ``report`` gets our scores once for all rows and once a batch.

    Raises:
        InputError: There are no held rows, or truth names other classes.
    """
    predictors = {OURS: learnt.predictor, **({} if champion is None else {CHAMPION: champion})}
    held = held_classes(dataset, labels, learnt.coding, predictors, batches)
    setting, notes = learnt.coding.setting, list(held.notes)
    constant, told = _constant(setting, held)
    notes += told
    held = held.beside(CONSTANT, constant)
    models = tuple(held.probabilities)
    cells: list[_Cell] = []
    parts = [("all", held), *((label, held.within(batch)) for batch, label in held.batches.items())]
    for step, (label, part) in enumerate(parts):
        cell = _cell(label, part, setting, cells[0] if cells else None, (resamples, seed))
        cells.append(cell)
        ours = {score.metric: score.value for score in cell.scores((OURS,)) if np.isfinite(score.value)}
        report(step, len(parts), {**ours, "rows": float(cell.rows), "rows_unknown": float(cell.rows - cell.known)})
    whole = cells[0]
    judged = whole.true is not None or whole.weak is not None
    differences = tuple(whole.difference(other) for other in models if other != OURS) if judged else ()
    verdicts = [_verdict(difference) for difference in sorted(differences, key=lambda each: each.against != CONSTANT)]
    if not judged:
        verdicts = [Verdict(False, "Nobody can tell what it is worth: neither truth nor weak labels do on held rows.")]
    return AssessedClassifier(
        Scorecard(
            tuple(score for cell in cells for score in cell.scores(models)),
            labels.name if labels and whole.true else learnt.coding.column.name,
            whole.true is None,
            (*notes, *resampling_notes(whole.known)),
        ),
        differences,
        tuple(verdicts),
        learnt.predictor.classes,
        held.probabilities[OURS].astype(np.float32),
        held.truth,
        _confusion(held) if whole.true else None,
    )


def _constant(setting: Setting, held: HeldClasses) -> tuple[FloatArray, list[str]]:
    """[K] shares of the classes among held rows, and what to know where weak labels cannot score them."""
    try:
        told, notes = weak_shares(setting, held.marks, held.weights), list[str]()
    except InputError as problem:
        count = setting.class_count
        told, notes = np.full(count, 1 / count), [f"Weak labels of the held rows tell no score: {problem}."]
    known = held.known
    mass = held.mass[known]
    if not mass.sum() > 0:
        return told, notes
    shares = np.bincount(held.truth[known].astype(np.int64), mass, minlength=setting.class_count)
    return shares / shares.sum(), notes


def _cell(label: str, held: HeldClasses, setting: Setting, whole: _Cell | None, drawing: tuple[int, int]) -> _Cell:
    """The scores of some rows; the weak score is of the kind that all rows have."""
    try:
        invert = whole is None or (whole.weak is not None and whole.weak.name == ERROR)
        weak: WeakScores | None = weak_scores(setting, held.marks, held.probabilities, held.weights, invert)
    except InputError:
        weak = None
    if weak and whole and (whole.weak is None or whole.weak.name != weak.name):
        weak = None
    known, true = held.known, None
    if held.mass[known].sum() > 0:
        seen = {name: values[known] for name, values in held.probabilities.items()}
        true = resampled(Classified(held.truth[known].astype(np.int64), seen), *drawing, held.mass[known])
    return _Cell(label, len(held.truth), int(known.sum()), weak, true)


def _confusion(held: HeldClasses) -> FloatArray:
    known, classes = held.known, held.probabilities[OURS].shape[1]
    truth, likeliest = held.truth[known].astype(np.int64), held.probabilities[OURS][known].argmax(axis=1)
    counts = np.bincount(truth * classes + likeliest, held.mass[known], minlength=classes**2)
    return np.asarray(counts.reshape(classes, classes), dtype=np.float64)


def _verdict(difference: Difference) -> Verdict:
    """Better than a constant; no worse than any other."""
    strictly = difference.against == CONSTANT
    passed, rule = (difference.estimate < 0, "below") if strictly else (difference.estimate <= 0, "at most")
    title = CLASS_SCORES[difference.metric].title.partition(" (")[0]
    return Verdict(
        bool(passed),
        f"{title[0].upper() + title[1:]} minus that of {_NAMES[difference.against]} is {difference.estimate:+.4f} "
        f"[{difference.low:+.4f}, {difference.high:+.4f}]; the estimate must be {rule} 0.",
    )


_NAMES: Mapping[str, str] = {CONSTANT: "the best constant", CHAMPION: "champion"}
