"""One HTML page that tells a run: everything inside the file, nothing loaded from elsewhere, no scripts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components.contracts import (
    CausalGraph,
    Correction,
    Dataset,
    DriftReport,
    LabelFrequency,
    PriorKnowledge,
    Score,
    Scorecard,
)
from components.evaluation import METRICS, OURS, GateResult, limits
from tasks.page import frame_table, interval, shared_view, table_of, write_page

PICTURES = {
    "graph": "The causal graph: arrows run from cause to effect, wider where more bootstrap replicates agree.",
    "weights": "Importance weights of the training rows and how many unweighted rows they are worth.",
    "belief": "What is believed of the share of positives that are labeled, and the class prior that follows.",
    "training": "The risk after every epoch of training.",
    "tuning": "What tuning tried and what it chose.",
    "drift": "What moved from batch to batch: features, class prior, columns.",
    "ladder": "What each step of the chain is worth, batch by batch.",
    "scores": "Every metric with its 95 % interval, ours and the others.",
    "calibration": "Predicted probabilities against what came true.",
    "slices": "Ours and the others by group.",
}


@dataclass(frozen=True)
class Registered:
    """Where the model is in the registry, as texts.

    Attributes:
        name: Registered name.
        version: Version number.
        alias: ``champion`` or ``challenger``.
        uri: What a loader takes, such as ``models:/name@champion``.
        tracking: Address of the tracking server, empty for the default.
    """

    name: str
    version: str
    alias: str
    uri: str
    tracking: str = ""


@dataclass(frozen=True, eq=False)
class ReportStory:
    """All that the page tells. What a run did not do is None or empty, and the page says so.

    Attributes:
        title: Headline.
        generated: Date and time, as text.
        dataset: What was learnt from.
        scorecard: What came out.
        profile: One row a column of the data, shown as it is.
        knowledge: What people and language models knew.
        graph: The causal graph.
        correction: The shift correction chosen.
        frequency: Belief over the label frequency.
        drift: One report a batch that arrived.
        gates: What each gate said.
        registered: Where the model is.
        pictures: Name out of ``PICTURES`` (others go last) to a PNG; files that are missing are left out.
        summary: Sentences that head the page.
        steps: Models that are steps of the chain, in the order they were added.
        timings: One row a stage, shown as it is.
        links: Text to address.
        ladder: Scores of the steps, batch by batch; None where the scorecard holds them.
    """

    title: str
    generated: str
    dataset: Dataset
    scorecard: Scorecard
    profile: pd.DataFrame = field(default_factory=pd.DataFrame)
    knowledge: PriorKnowledge | None = None
    graph: CausalGraph | None = None
    correction: Correction | None = None
    frequency: LabelFrequency | None = None
    drift: tuple[DriftReport, ...] = ()
    gates: tuple[GateResult, ...] = ()
    registered: Registered | None = None
    pictures: Mapping[str, Path] = field(default_factory=dict)
    summary: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    timings: pd.DataFrame = field(default_factory=pd.DataFrame)
    links: Mapping[str, str] = field(default_factory=dict)
    ladder: Scorecard | None = None


def render_report(story: ReportStory, path: Path) -> None:
    """Write the page to ``path``; an older page stays as it is until the new one is complete."""
    write_page("report_page.html", view_of(story), path)


def view_of(story: ReportStory) -> dict[str, Any]:
    """What a template shows: numbers as text, tables as columns and rows."""
    judged = [gate for gate in story.gates if gate.judged]
    failed = [gate for gate in judged if not gate.passed]
    return {
        **shared_view(story, PICTURES),
        "judged": judged,
        "failed": failed,
        "headline": _headline(story.scorecard),
        "facts": _facts(story),
        "batches": table_of(
            ["batch", "rows", "labeled positive", "share"],
            [[b.label, b.rows, b.positives, b.positives / b.rows if b.rows else np.nan] for b in story.dataset.batches],
        ),
        "profile": frame_table(story.profile),
        "evidence": _evidence(story.knowledge),
        "edges": frame_table(story.graph.edges()) if story.graph else None,
        "correction": _correction(story),
        "drift": _drift(story.drift),
        "scores": _scores(story.scorecard),
        "groups": _groups(story.scorecard),
        "limits": _limits(story),
    }


def _facts(story: ReportStory) -> dict[str, str]:
    data = story.dataset
    label = "weak label" if story.scorecard.weak else "evaluation label"
    facts = {
        "Rows": f"{data.rows:,} in {len(data.batches)} batches",
        "Features": str(len(data.names("feature"))),
        "Learnt from": f"{data.weak_label} (positive or unlabeled)",
        "Scored on": f"{story.scorecard.label} ({label})",
        "Digest of the data": data.digest[:16],
    }
    if story.correction:
        facts["Correction"] = f"{story.correction.kind} shift" if story.correction.kind != "none" else "none"
    return facts


def _headline(scorecard: Scorecard) -> list[tuple[str, Score]]:
    """The metrics a reader asks for first."""
    wanted = ("log_loss", "calibration_error", "prevalence_error", "auc")
    found = {s.metric: s for s in scorecard.scores if (s.model, s.batch, s.slice) == (OURS, "all", "all")}
    return [(METRICS[name].title, found[name]) for name in wanted if name in found]


def _evidence(knowledge: PriorKnowledge | None) -> dict[str, Any] | None:
    if not knowledge or not knowledge.evidence:
        return None
    rows = [[e.claim, e.cause, e.effect, e.source, e.probability, e.note] for e in knowledge.evidence]
    return table_of(["claim", "cause", "effect", "source", "probability", "note"], rows)


def _correction(story: ReportStory) -> dict[str, Any] | None:
    rows: list[list[object]] = []
    if story.frequency:
        value = story.frequency.estimate
        rows.append(["label frequency P(labeled | positive)", value.value, value.low, value.high, value.source])
    if story.correction:
        for name, value in (
            ("class prior of the training rows", story.correction.class_prior),
            (f"class prior of {story.correction.target}", story.correction.target_prior),
        ):
            rows.append([name, value.value, value.low, value.high, value.source])
    return table_of(["estimated", "value", "low", "high", "source"], rows) if rows else None


def _drift(reports: Sequence[DriftReport]) -> dict[str, Any] | None:
    columns = ["batch", "kind", "divergence", "p-value", "outside support", "prior before", "prior after", "moved most"]
    rows = [
        [r.batch, r.kind, r.statistic, r.p_value, r.outside, r.prior_before, r.prior_after, _moved(r), r.action]
        for r in reports
    ]
    return table_of([*columns, "action"], rows) if rows else None


def _moved(report: DriftReport) -> str:
    return ", ".join(column.name for column in report.columns[:3] if column.p_value < 0.05) or "none"


def _scores(scorecard: Scorecard) -> dict[str, Any]:
    found = {(s.model, s.metric): s for s in scorecard.scores if (s.batch, s.slice) == ("all", "all")}
    models = sorted(dict.fromkeys(model for model, _ in found), key=lambda name: name != OURS)
    rows = [[model, *(interval(found.get((model, name))) for name in METRICS)] for model in models]
    return table_of(["model", *(metric.title for metric in METRICS.values())], rows, OURS)


def _groups(scorecard: Scorecard) -> dict[str, Any] | None:
    own = [s for s in scorecard.scores if (s.model, s.batch) == (OURS, "all") and s.slice != "all"]
    found = {(s.slice, s.metric): s for s in own}
    names = ("log_loss", "calibration_error", "prevalence_bias", "auc")
    counts = {s.slice: s.rows for s in own}
    rows = [
        [group.replace("=", ": "), count, *(interval(found.get((group, name))) for name in names)]
        for group, count in counts.items()
    ]
    return table_of(["group", "rows", *(METRICS[name].title for name in names)], rows) if rows else None


def _limits(story: ReportStory) -> list[str]:
    card = story.scorecard
    sentences = list(limits(story.ladder or card, story.steps))
    losses = {s.model: s.value for s in card.scores if (s.metric, s.batch, s.slice) == ("log_loss", "all", "all")}
    for other, loss in losses.items():
        if other not in (*story.steps, OURS) and OURS in losses and not losses[OURS] < loss:
            sentences.append(f"“{other}” has a log loss of {loss:.4f}, ours {losses[OURS]:.4f}: ours is not better.")
    if card.weak:
        sentences.append(
            f"No evaluation label exists. Scores compare with the weak label {card.label}, not with truth."
        )
    if story.correction and story.correction.effective_share < 0.3:
        share = story.correction.effective_share
        sentences.append(
            f"The importance weights leave {share:.0%} of the rows' worth; corrected estimates are unsteady."
        )
    if story.frequency and story.frequency.note:
        sentences.append(story.frequency.note)
    sentences += [f"Batch {r.batch}: {r.kind} drift calls for new labels." for r in story.drift if "ask" in r.action]
    return sentences + list(story.dataset.notes)
