"""The graph of eleven survey cycles with and without knowledge, and what the embedded language model adds.

python tests/benchmarks/causal.py --only health --picture docs/pictures
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from components.contracts import CausalGraph, Column, PriorKnowledge
from components.discovery import DirectLingam
from components.ingestion import load_specification
from components.pictures.graph import draw_graph
from components.ports import in_order, silent
from components.priors import Elicitation, Elicited, Remembered, StatisticalPrompting, YesNo, combine, load_knowledge
from tasks.llm import open_ask

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("KINTSUGI_TEST_DATA", ROOT.parent / "shared" / "data"))
TABLE = DATA / "health" / "nhanes_adults_1999_2023.parquet"
FEATURES = ("age", "male", "bmi", "waist_cm", "sbp", "dbp", "pulse", "hba1c", "total_chol", "hdl", "dx_diabetes")
# What the graph is about, in the words a language model reads; the specification has them for all but one.
HBA1C = Column("hba1c", unit="%", description="glycated haemoglobin (HbA1c), the mean blood sugar of three months")
ROWS, REPLICATES = 20_000, 100
PICTURES = {"none": "health-none.png", "a person's (the shipped file)": "health-known.png"}
SHORT = 48  # tokens of an explanation: the embedded model writes fifty a second


def health(picture: Path | None) -> None:
    """Eleven cycles of NHANES: what age and others are told to be, without knowledge and with it."""
    if not TABLE.exists():
        print(f"\nno table {TABLE}; set KINTSUGI_TEST_DATA to the folder of the test data")
        return
    table = pd.read_parquet(TABLE, columns=list(FEATURES)).astype(float)
    specification = load_specification("nhanes-cycles")
    columns = tuple(next((c for c in specification.declared if c.name == name), HBA1C) for name in FEATURES)
    assert specification.knowledge is not None
    person = load_knowledge(specification.knowledge, FEATURES, (*specification.columns, HBA1C.name))
    known = {
        "none": combine(FEATURES, ()),
        "a person's (the shipped file)": combine(FEATURES, person),
        "the embedded model's, as far as its probes bear it": elicited(columns, YesNo()),
    }
    print("\n| knowledge | causes of age | direct causes of HbA1c | edges | claims used |")
    print("|---|---|---|---|---|")
    for title, knowledge in known.items():
        method = DirectLingam(replicates=REPLICATES, maximum_rows=ROWS)
        graph = method.discover(table, knowledge, "hba1c", in_order, silent)
        print(
            f"| {title} | {', '.join(sorted(graph.ancestors('age'))) or 'none'} | {strongest(graph, 'hba1c')} | "
            f"{np.count_nonzero(graph.weights)} | {len(knowledge.evidence)} |",
            flush=True,
        )
        name = PICTURES.get(title)
        if picture is not None and name is not None:
            draw_graph(graph, picture / name, knowledge=knowledge)


def strongest(graph: CausalGraph, effect: str) -> str:
    """Direct causes with their bootstrap support."""
    row = graph.names.index(effect)
    causes = sorted(np.flatnonzero(graph.weights[row]), key=lambda cause: -graph.support[row, cause])
    return ", ".join(f"{graph.names[cause]} {graph.support[row, cause]:.0%}" for cause in causes)


def elicited(columns: Sequence[Column], method: Elicitation, survey: CausalGraph | None = None) -> PriorKnowledge:
    """Knowledge that follows from what the embedded model says."""
    found = answered(columns, method, survey)
    return combine(found.names, (), found.evidence, found.probability, found.reliability)


def answered(columns: Sequence[Column], method: Elicitation, survey: CausalGraph | None = None) -> Elicited:
    """Everything the embedded model says of ``columns``."""
    with TemporaryDirectory() as folder, open_ask("embedded") as ask:
        assert ask is not None
        return method.elicit(Remembered(ask, Path(folder) / "answers.jsonl"), columns, silent, 0, survey)


def model_methods() -> dict[str, Elicitation]:
    """How the embedded model is asked beside the agreed graphs: weighed by its probes, and taken at its word."""
    plain = StatisticalPrompting(pattern=0, ask_for="edges", probe=False, longest_explanation=SHORT)
    return {
        "embedded model, one question, weighed by its probes": YesNo(),
        "embedded model, SCP pattern 0, at its word": plain,
        "embedded model, SCP pattern 2, at its word": replace(plain, pattern=2),
    }
