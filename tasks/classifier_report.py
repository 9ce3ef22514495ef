"""The page and the model card of a classifier from weak labels: what it learnt from, how, and how far to trust it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from inspect import getdoc
from pathlib import Path
from typing import Any

import pandas as pd

from components.classification import LearntClassifier
from components.classification_assessment import AssessedClassifier
from components.contracts import Dataset, Estimate, Score
from components.evaluation import OURS
from components.evaluation.class_metrics import CLASS_SCORES
from tasks.card import card_of, features_table
from tasks.page import frame_table, interval, shared_view, table_of, write_page
from tasks.report_page import Registered

PICTURES = {
    "training": "The risk after every epoch, and the score on rows kept for validation; the epoch kept is marked.",
    "transition": "How often each class is given each label, with 95 % intervals where that was estimated.",
    "scores": "Every metric with its 95 % interval, ours and the others.",
    "confusion": "What each true class is taken for: rows, and their share of the class.",
    "calibration": "Predicted probabilities against what came true.",
    "doubts": "How doubtful the labels are, label by label.",
}
NAMED = 12  # classes, or rows of a setting's table, that are named one by one
HEADLINES = ("log_loss", "calibration_error", "auc")


@dataclass(frozen=True, eq=False)
class ClassifierStory:
    """All that the page tells. What a run did not do is None or empty, and the page says so.

    Attributes:
        title: Headline.
        generated: Date and time, as text.
        dataset: What was learnt from.
        learnt: What was learnt.
        assessed: What it is worth.
        doubtful: One row a row whose label is among the most doubtful, shown as it is.
        registered: Where the model is.
        pictures: Name out of ``PICTURES`` (others go last) to a PNG; files that are missing are left out.
        timings: One row a stage, shown as it is.
        links: Text to address.
    """

    title: str
    generated: str
    dataset: Dataset
    learnt: LearntClassifier
    assessed: AssessedClassifier
    doubtful: pd.DataFrame = field(default_factory=pd.DataFrame)
    registered: Registered | None = None
    pictures: Mapping[str, Path] = field(default_factory=dict)
    timings: pd.DataFrame = field(default_factory=pd.DataFrame)
    links: Mapping[str, str] = field(default_factory=dict)


def render_classifier_report(story: ClassifierStory, path: Path) -> None:
    """Write the page to ``path``; an older page stays as it is until the new one is complete."""
    write_page("classifier_page.html", _view_of(story), path)


def classifier_card(
    name: str, dataset: Dataset, learnt: LearntClassifier, assessed: AssessedClassifier, tracking: str
) -> str:
    """The card of the model ``name``, as Markdown; ``tracking`` is the address of the registry."""
    view = _view_of(ClassifierStory(name, "", dataset, learnt, assessed))
    about = {"name": name, "tracking": tracking, "added": list(learnt.predictor.added)}
    return card_of("classifier_card.md", view | about)


def _view_of(story: ClassifierStory) -> dict[str, Any]:
    """What both templates show: numbers as text, tables as columns and rows."""
    learnt, assessed = story.learnt, story.assessed
    transitions = learnt.transitions()
    return {
        **shared_view(story, PICTURES),
        "failed": [verdict for verdict in assessed.verdicts if not verdict.passed],
        "headline": _headline(assessed),
        "facts": _facts(story),
        "batches": table_of(
            ["batch", "rows", "use"],
            [
                [batch.label, batch.rows, "learnt from" if batch.index in learnt.batches else "not used"]
                for batch in story.dataset.batches
            ],
        ),
        "features": features_table(learnt.predictor.inputs),
        "label": learnt.coding.column,
        "kind": learnt.coding.setting.kind,
        "meaning": _first_sentences(learnt.coding.setting),
        "given": _given(learnt),
        "nuisances": _nuisances(learnt.nuisances()),
        "transition": None if transitions is None else _crossed(transitions),
        "scores": _scores(assessed),
        "by_batch": _by_batch(assessed),
        "doubtful": _doubtful(story.doubtful),
        "limits": _limits(story),
    }


def _named(names: tuple[str, ...]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _facts(story: ClassifierStory) -> dict[str, str]:
    data, card = story.dataset, story.assessed.scorecard
    return {
        "Predicts": f"one of {len(story.assessed.classes)} classes: {_named(story.assessed.classes)}",
        "Rows": f"{data.rows:,} in {len(data.batches)} batches",
        "Features": str(len(story.learnt.predictor.inputs)),
        "Learnt from": f"{story.learnt.coding.column.name} ({story.learnt.coding.setting.kind})",
        "Scored on": f"{card.label} ({'weak label' if card.weak else 'evaluation label'})",
        "Digest of the data": data.digest[:16],
    }


def _first_sentences(setting: object) -> str:
    """What the setting is, in the words of its own description."""
    return " ".join((getdoc(type(setting)) or "").partition("\n\n")[0].split())


def _given(learnt: LearntClassifier) -> dict[str, str]:
    """What else the setting states: all but its kind and what is told as an estimate or as a table of labels."""
    setting, told = learnt.coding.setting, learnt.nuisances()
    stated = {each.name: getattr(setting, each.name) for each in fields(setting)}
    left_out = {"kind", "prior", "transition", *told}
    return {name.replace("_", " "): _stated(value) for name, value in stated.items() if name not in left_out}


def _stated(value: object) -> str:
    if not isinstance(value, tuple):
        return str(value).replace("_", " ")
    if not value:
        return "not stated"
    if len(value) > NAMED:
        return f"{len(value)} of them"
    rows = [row if isinstance(row, tuple) else (row,) for row in value]
    return "; ".join(", ".join(f"{number:.4g}" for number in row) for row in rows)


def _nuisances(estimates: Mapping[str, Estimate]) -> dict[str, Any] | None:
    rows = [[name, e.value, e.low, e.high, e.source] for name, e in estimates.items()]
    return table_of(["nuisance", "value", "low", "high", "source"], rows) if rows else None


def _crossed(transitions: pd.DataFrame) -> dict[str, Any]:
    """One row a class, one column a label."""
    labels = list(dict.fromkeys(transitions["label"]))
    rows = [
        [name, *(_cell(cell) for cell in cells.itertuples(index=False))]
        for name, cells in transitions.groupby("class", sort=False)
    ]
    return table_of(["class", *map(str, labels)], rows)


def _cell(cell: Any) -> str:
    return f"{cell.value:.3f}" + (f" [{cell.low:.3f}, {cell.high:.3f}]" if cell.low < cell.high else "")


def _headline(assessed: AssessedClassifier) -> list[tuple[str, Score]]:
    """The metrics a reader asks for first."""
    found = {s.metric: s for s in assessed.scorecard.scores if (s.model, s.batch) == (OURS, "all")}
    wanted = dict.fromkeys((assessed.judge, "error", *HEADLINES))
    return [(CLASS_SCORES[name].title, found[name]) for name in wanted if name in found]


def _scores(assessed: AssessedClassifier) -> dict[str, Any]:
    found = {(s.model, s.metric): s for s in assessed.scorecard.scores if s.batch == "all"}
    models = dict.fromkeys(model for model, _ in found)
    metrics = [name for name in CLASS_SCORES if (OURS, name) in found]
    rows = [[model, *(interval(found.get((model, name))) for name in metrics)] for model in models]
    return table_of(["model", *(CLASS_SCORES[name].title for name in metrics)], rows, OURS)


def _by_batch(assessed: AssessedClassifier) -> dict[str, Any] | None:
    """Ours, batch by batch; None where there is one batch."""
    own = [s for s in assessed.scorecard.scores if s.model == OURS and s.batch != "all"]
    found = {(s.batch, s.metric): s for s in own}
    batches = dict.fromkeys(s.batch for s in own)
    metrics = [name for name in CLASS_SCORES if any((batch, name) in found for batch in batches)]
    rows = [[batch, *(interval(found.get((batch, name))) for name in metrics)] for batch in batches]
    return table_of(["batch", *(CLASS_SCORES[name].title for name in metrics)], rows) if len(batches) > 1 else None


def _doubtful(frame: pd.DataFrame) -> dict[str, Any] | None:
    keys = {name: frame[name].astype(str) for name in ("batch", "_row") if name in frame}  # names, not amounts
    return frame_table(frame.assign(**keys))


def _limits(story: ClassifierStory) -> list[str]:
    assessed, card = story.assessed, story.assessed.scorecard
    sentences = [verdict.sentence for verdict in assessed.verdicts if not verdict.passed]
    if card.weak:
        sentences.append(
            "No true label of a held row is known. The scores are what the weak labels tell, and as right as what was "
            "assumed of these."
        )
    own = {s.metric: s for s in card.scores if (s.model, s.batch) == (OURS, "all")}
    weak, true = own.get("validation_error"), own.get("error")
    if weak and true and (weak.high < true.low or true.high < weak.low):
        sentences.append(
            f"Weak labels put the error rate at {interval(weak)}, true ones at {interval(true)}: "
            "what was assumed of the weak labels, or estimated, does not fit them."
        )
    return list(dict.fromkeys([*sentences, *story.learnt.notes, *card.notes, *story.dataset.notes]))
