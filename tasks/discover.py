"""Stage 3: the causal graph, with bootstrap support."""

from collections.abc import Sequence
from math import isnan

import pandas as pd

from components.contracts import CausalGraph, Dataset, Part, PriorKnowledge
from components.discovery import Discovery
from components.graph_files import write_graph
from components.pictures.graph import draw_graph
from components.storage import read_rows
from tasks.compute import open_map
from tasks.stage import Keeping, Stage, stage


@stage("discover", Keeping())
def discover_graph(
    stage: Stage,
    method: Discovery,
    dataset: Dataset,
    batches: Sequence[int],
    knowledge: PriorKnowledge,
    target: str,
) -> CausalGraph:
    """Learn the graph from the rows to fit of ``batches``; draw it, table what is known of it, write it to files."""
    table = graph_table(dataset, knowledge.names, batches)
    with open_map(stage.work.settings) as spread:
        graph = method.discover(table, knowledge, target, spread, stage.report)
    draw_graph(graph, stage.folder / "graph.png", stage.folder / "graph.svg", knowledge=knowledge)
    for suffix in ("dot", "graphml", "json"):
        write_graph(graph, stage.folder / f"graph.{suffix}")
    for suffix in ("png", "svg", "dot", "graphml", "json"):
        stage.file(f"graph.{suffix}")
    edges = graph.edges()
    stage.table(edges, "edges")
    for name, found in finding_tables(graph).items():
        stage.table(found, name)
    stage.metrics({"edges": len(edges), "rows": graph.rows, **fit_metrics(graph)})
    stage.page_table("edges", edges.round(3), "\n".join(["Edges of the causal graph.", *graph.notes]))
    stage.page_picture("graph.png", "The causal graph.")
    return graph


def finding_tables(graph: CausalGraph) -> dict[str, pd.DataFrame]:
    """What stands beside the edges, one table a subject, those left out that have no row."""
    found = graph.findings
    subjects: dict[str, Sequence[object]] = {
        "paths": found.paths,
        "graphs": found.graphs,
        "pairs": found.pairs,
        "noise": found.noise,
        "dependences": found.dependences,
        "decisions": found.decisions,
    }
    rows = {name: [_written(entry) for entry in entries] for name, entries in subjects.items() if entries}
    return {name: pd.DataFrame(written) for name, written in rows.items()} | {"total_effects": graph.total_effects()}


def fit_metrics(graph: CausalGraph) -> dict[str, float]:
    """The fit indices that are numbers; none where the graph leaves pairs open."""
    fit = graph.findings.fit
    return {} if fit is None else {name: value for name, value in vars(fit).items() if not isnan(value)}


def _written(entry: object) -> dict[str, object]:
    """The fields of a finding, paths and lists of edges as people write them."""
    written = dict(vars(entry))
    for name, how in (("path", " -> ".join), ("given", ", ".join), ("edges", _edges_in_words)):
        if name in written:
            written[name] = how(written[name])
    return written


def _edges_in_words(edges: Sequence[tuple[str, str]]) -> str:
    return "; ".join(" -> ".join(pair) for pair in edges)


def graph_table(dataset: Dataset, names: Sequence[str], batches: Sequence[int]) -> pd.DataFrame:
    """The rows a graph is learnt from: those to fit, or all of a table that nothing is trained on."""
    parts: tuple[Part, ...] = ("fit",) if dataset.labelled else ("fit", "tune", "held")
    return read_rows(dataset, names, batches, parts)[list(names)].astype(float)
