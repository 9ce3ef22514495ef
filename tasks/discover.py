"""Stage 3: the causal graph, with bootstrap support."""

from collections.abc import Sequence

from components.contracts import CausalGraph, Dataset, PriorKnowledge
from components.discovery import Discovery
from components.pictures.graph import draw_graph
from components.storage import read_rows
from tasks.compute import open_map
from tasks.stage import Keeping, Stage, stage


@stage("discover", Keeping())
def discover_graph(
    stage: Stage, method: Discovery, dataset: Dataset, batches: Sequence[int], knowledge: PriorKnowledge
) -> CausalGraph:
    """Learn the graph from the rows to fit of ``batches``; draw it and table its edges."""
    table = read_rows(dataset, knowledge.names, batches, ("fit",))[list(knowledge.names)].astype(float)
    with open_map(stage.work.settings) as spread:
        graph = method.discover(table, knowledge, dataset.weak_label, spread, stage.report)
    for suffix in ("png", "svg"):
        draw_graph(graph, stage.folder / f"graph.{suffix}", knowledge)
        stage.file(f"graph.{suffix}")
    edges = graph.edges()
    stage.table(edges, "edges")
    stage.metrics({"edges": len(edges), "rows": graph.rows})
    stage.page_table("edges", edges.round(3), "\n".join(["Edges of the causal graph.", *graph.notes]))
    stage.page_picture("graph.png", "The causal graph.")
    return graph
