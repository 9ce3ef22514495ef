"""Before stage 2, for the methods that want it: what discovery finds without knowledge, to be shown to who is asked."""

from collections.abc import Sequence
from dataclasses import replace

from components.contracts import CausalGraph, Column, Dataset, PriorKnowledge
from components.discovery import Discovery
from components.discovery.preparation import prepare
from components.priors import Elicitation
from tasks.compute import open_map
from tasks.discover import graph_table
from tasks.settings import Settings
from tasks.stage import Keeping, Stage, stage


def survey_wanted(elicitation: Elicitation, settings: Settings) -> bool:
    """Whether somebody is asked who is to see a survey."""
    return elicitation.needs_survey and settings.llm != "none"


@stage("survey", Keeping())
def survey_graph(
    stage: Stage,
    method: Discovery,
    dataset: Dataset,
    batches: Sequence[int],
    columns: Sequence[Column],
    target: str,
) -> CausalGraph:
    """The graph of the data alone, its effects in standard deviations."""
    names = tuple(column.name for column in columns)
    table = graph_table(dataset, names, batches)
    with open_map(stage.work.settings) as spread:
        graph = method.discover(table, PriorKnowledge.unknown(names), target, spread, stage.report)
    prepared = prepare(method.widen(table), target, method.maximum_rows, method.log_skewness, method.seed)
    scale = dict(zip(prepared.names, prepared.standardised()[1], strict=True))
    stage.table(graph.edges(), "survey_edges")
    stage.metrics({"edges": len(graph.edges()), "rows": graph.rows})
    return standardised(graph, [float(scale[name]) for name in graph.names])


def standardised(graph: CausalGraph, scale: Sequence[float]) -> CausalGraph:
    """The same graph with effects in standard deviations of the effect per one of the cause.

    Args:
        graph: Its effects are in the units of the data.
        scale: The standard deviation of each of its variables.
    """
    units = [[cause / effect for cause in scale] for effect in scale]
    fields = ("weights", "total", "total_low", "total_high")
    return replace(graph, **{name: getattr(graph, name) * units for name in fields})
