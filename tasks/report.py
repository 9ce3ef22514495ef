"""Stage 9: one page that tells the run."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from components.assessment import STEPS, Assessed, Chain
from components.contracts import CausalGraph, Dataset, PriorKnowledge
from components.evaluation import GateResult
from tasks.artifacts import publish_links
from tasks.ingest import profile_of
from tasks.registry import RegisteredModel
from tasks.report_page import PICTURES, Registered, ReportStory, render_report
from tasks.settings import shown
from tasks.stage import Stage, stage
from tasks.workspace import Workspace


@dataclass(frozen=True, eq=False)
class Told:
    """What a run has to tell.

    Attributes:
        dataset: What it learnt from.
        knowledge: What was known before; None in an update.
        graph: The causal graph; None in an update.
        chain: What was learnt, batch by batch.
        assessed: All scores.
        gates: What each gate said.
        model: Where the model is.
    """

    dataset: Dataset
    knowledge: PriorKnowledge | None
    graph: CausalGraph | None
    chain: Chain
    assessed: Assessed
    gates: tuple[GateResult, ...]
    model: RegisteredModel


@stage("report")
def write_report(stage: Stage, told: Told) -> Path:
    """Write the page, keep it with the run, and link it from the run's page."""
    work = stage.work
    path = work.folder / "report.html"
    render_report(_story(told, work), path)
    link_report(path, told.model, work)
    return path


def link_report(path: Path, model: RegisteredModel, work: Workspace) -> None:
    """Keep the page at ``path`` with the run, and link both from the run's page."""
    work.run.artifact(path)
    links = {"report": path.as_uri()}
    if url := work.tracking.run_url(work.run.run_id):
        links["MLflow run"] = shown(url)
    publish_links("links", links, f"Model {model.name}, version {model.version}, {model.alias}.")


def _story(told: Told, work: Workspace) -> ReportStory:
    trained = told.chain.trained
    uri = f"models:/{told.model.name}@{told.model.alias}"
    return ReportStory(
        title=f"{told.model.name}, version {told.model.version}",
        generated=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        dataset=told.dataset,
        scorecard=told.assessed.scorecard,
        profile=profile_of(told.dataset),
        knowledge=told.knowledge,
        graph=told.graph,
        correction=trained.correction if trained else None,
        frequency=told.chain.final.frequency,
        drift=tuple(entry.drift for entry in told.chain.absorbed),
        gates=told.gates,
        registered=Registered(told.model.name, told.model.version, told.model.alias, uri, shown(work.tracking.uri)),
        pictures={name: work.folder / f"{name}.png" for name in PICTURES},
        steps=STEPS,
        timings=work.timing_table()[["stage", "seconds"]].round(1),
        ladder=told.assessed.ladder,
    )
