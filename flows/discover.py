"""The causal graph only: ingest, elicit, discover."""

from typing import cast

from prefect import flow

from flows.configuration import Discover, DiscoverForm
from flows.forms import build
from flows.inputs import read_inputs
from flows.outcome import Outcome, data_lines, graph_lines, knowledge_lines
from flows.runner import runner
from tasks.discover import discover_graph
from tasks.elicit import elicit_knowledge
from tasks.ingest import ingest_table
from tasks.settings import load_settings
from tasks.workspace import open_workspace


@flow(name="discover", flow_run_name="discover {config.source.specification}", task_runner=runner())
def discover(config: DiscoverForm = DiscoverForm()) -> Outcome:  # noqa: B008  # a frozen form
    """From a table to its causal graph, on all batches."""
    plan = cast(Discover, build(config))
    inputs = read_inputs(plan.source)
    with open_workspace("discover", inputs.specification.name, load_settings(), plan) as work:
        seed = plan.source.seed
        reading = ingest_table.submit(work, inputs.specification, seed)
        asking = elicit_knowledge.submit(work, plan.elicitation, inputs.variables, inputs.person, seed)
        (dataset, _), knowledge = reading.result(), asking.result()
        batches = [batch.index for batch in dataset.batches]
        graph = discover_graph.submit(work, plan.discovery, dataset, batches, knowledge).result()
        lines = (
            ("data", data_lines(dataset)),
            ("knowledge", knowledge_lines(knowledge)),
            ("graph", (*graph_lines(graph), *graph.notes)),
        )
        return Outcome(lines, (), (), "", "", str(work.folder), work.seconds())
