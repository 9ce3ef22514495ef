"""Stage 3: the causal graph, with bootstrap support."""

from collections.abc import Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE

from components.contracts import CausalGraph, Dataset, PriorKnowledge
from components.discovery import Discovery
from components.pictures.graph import draw_graph
from components.storage import read_rows
from tasks.artifacts import publish_picture, publish_table
from tasks.compute import open_map
from tasks.tables import rows_of
from tasks.workspace import Workspace


@task(name="discover", cache_policy=NO_CACHE)
def discover_graph(
    method: Discovery, dataset: Dataset, batches: Sequence[int], knowledge: PriorKnowledge, work: Workspace
) -> CausalGraph:
    """Learn the graph from the rows to fit of ``batches``; draw it and table its edges."""
    with work.stage("discover", method) as stage:
        table = read_rows(dataset, knowledge.names, batches, ("fit",))[list(knowledge.names)].astype(float)
        with open_map(work.settings) as spread:
            graph = method.discover(table, knowledge, dataset.weak_label, spread, stage.report)
        for suffix in ("png", "svg"):
            draw_graph(graph, stage.folder / f"graph.{suffix}", knowledge)
            stage.run.artifact(stage.folder / f"graph.{suffix}")
        edges = graph.edges()
        edges.to_csv(stage.folder / "edges.csv", index=False)
        stage.run.table(edges, "edges")
        stage.run.metrics({"edges": len(edges), "rows": graph.rows})
        publish_table("edges", rows_of(edges.round(3)), "\n".join(["Edges of the causal graph.", *graph.notes]))
        publish_picture("graph", stage.folder / "graph.png", "The causal graph.")
        return graph
