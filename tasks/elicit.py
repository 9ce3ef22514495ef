"""Stage 2: what people and language models know of causes."""

from collections.abc import Sequence

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from components.contracts import Column, Evidence, PriorKnowledge
from components.priors import Elicitation, Remembered, combine
from tasks.artifacts import publish_markdown
from tasks.llm import ask_of
from tasks.workspace import Workspace


@task(name="elicit", cache_policy=NO_CACHE)
def elicit_knowledge(
    method: Elicitation, columns: Sequence[Column], person: Sequence[Evidence], seed: int, work: Workspace
) -> PriorKnowledge:
    """Merge a person's claims with those of the language model, whose reliability is measured first."""
    names = tuple(column.name for column in columns)
    with (
        work.stage("elicit", method) as stage,
        ask_of(work.settings) as ask,
    ):
        if ask is None:
            knowledge, note = combine(names, person), "No language model was asked."
        else:
            remembered = Remembered(ask, work.settings.answers / "answers.jsonl")
            elicited = method.elicit(remembered, columns, stage.report, seed)
            knowledge = combine(names, person, elicited.evidence, elicited.probability, elicited.reliability)
            note = elicited.note
            stage.run.metrics({"probe_auc": elicited.reliability.auc, "strength": elicited.reliability.strength})
            stage.run.table(pd.DataFrame(elicited.probability, names, names).reset_index(names="effect"), "probability")
        stage.run.table(pd.DataFrame([vars(claim) for claim in knowledge.evidence]), "evidence")
        said = "\n\n".join([note, *knowledge.conflicts])
        publish_markdown("knowledge", said, f"{len(knowledge.evidence)} claims about causes.")
        return knowledge
