"""The model card: what a version was made of, how far it can be trusted, and how to load it, as Markdown."""

from collections.abc import Sequence
from typing import Any

from components.assessment import STEPS, Assessed, Chain
from components.contracts import CausalGraph, Dataset, Estimate
from components.evaluation import GateResult
from components.state import State
from tasks.card import card_of, features_table
from tasks.page import table_of
from tasks.report_page import ReportStory, view_of

TEMPLATE = "model_card.md"


def model_card(
    name: str,
    dataset: Dataset,
    chain: Chain,
    verdict: tuple[Assessed, Sequence[GateResult]],
    graph: CausalGraph | None,
    tracking: str,
) -> str:
    """The card of the model ``name`` that ``chain`` ends in; ``tracking`` is the address of the registry.

    What a reader needs first comes first: a registry that takes a part of it keeps the head.
    """
    assessed, gates = verdict
    story = ReportStory(
        title=name,
        generated="",
        dataset=dataset,
        scorecard=assessed.scorecard,
        graph=graph,
        correction=chain.trained.correction if chain.trained else None,
        frequency=chain.final.frequency,
        drift=tuple(entry.drift for entry in chain.absorbed),
        gates=tuple(gates),
        steps=STEPS,
        ladder=assessed.ladder,
    )
    about = {
        "name": name,
        "tracking": tracking,
        "meaning": dataset.column(dataset.weak_label).description.rstrip("."),
        "verdict": _verdict(gates),
        "absorbed": chain.final.absorbed,
        "prior": _estimate(_class_prior(chain.final, dataset)),
        "features": features_table(chain.final.predictor.inputs),
        **_around_target(graph),
    }
    return card_of(TEMPLATE, view_of(story) | about)


def _verdict(gates: Sequence[GateResult]) -> str:
    judged = [gate for gate in gates if gate.judged]
    failed = sum(not gate.passed for gate in judged)
    if not judged:
        return "No gate could judge it."
    return f"{len(judged) - failed} of {len(judged)} gates passed." + (" It was held back." if failed else "")


def _class_prior(state: State, dataset: Dataset) -> Estimate:
    """The prior it works with, with the interval that the belief over the label frequency gives it."""
    batch = next((b for b in reversed(dataset.batches) if b.label in state.absorbed), dataset.batches[-1])
    belief = state.frequency.class_prior(batch.positives / batch.rows if batch.rows else 0.0)
    value = state.class_prior
    return Estimate(value, min(belief.low, value), max(belief.high, value), belief.source)


def _estimate(found: Estimate) -> str:
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}] by {found.source}"


def _around_target(graph: CausalGraph | None) -> dict[str, Any]:
    if graph is None:
        return {"causes": "", "effects": "", "near": None}
    edges = graph.edges()
    near = edges[(edges["cause"] == graph.target) | (edges["effect"] == graph.target)]
    columns = ["cause", "effect", "weight", "support"]
    rows = near[columns].itertuples(index=False, name=None)
    return {
        "causes": ", ".join(sorted(graph.ancestors(graph.target))) or "none",
        "effects": ", ".join(sorted(graph.descendants(graph.target))) or "none",
        "near": table_of(columns, rows) if len(near) else None,
    }
