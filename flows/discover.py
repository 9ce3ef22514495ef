"""The causal graph only: ingest, elicit, discover."""

from functools import partial
from typing import cast

from prefect import flow

from flows.configuration import Discover, DiscoverForm
from flows.forms import build
from flows.inputs import graph_target, read_inputs
from flows.outcome import Outcome, data_lines, graph_lines, knowledge_lines
from flows.runner import runner
from tasks.discover import discover_graph
from tasks.elicit import elicit_knowledge
from tasks.ingest import ingest_table
from tasks.settings import load_settings
from tasks.survey import survey_graph, survey_wanted
from tasks.workspace import open_workspace


@flow(name="discover", flow_run_name="discover {config.source.specification}", task_runner=runner())
def discover(config: DiscoverForm = DiscoverForm()) -> Outcome:  # noqa: B008  # a frozen form
    """From a table to its causal graph, on all batches."""
    plan = cast(Discover, build(config))
    inputs = read_inputs(plan.source, graph_only=True)
    target = graph_target(plan.target, inputs.variables)
    with open_workspace("discover", inputs.specification.name, load_settings(), plan) as work:
        seed = plan.source.seed
        reading = ingest_table.submit(work, inputs.specification, seed)
        ask = partial(elicit_knowledge.submit, work, plan.elicitation, inputs.variables, inputs.person, seed)
        asking = None if survey_wanted(plan.elicitation, work.settings) else ask()
        dataset, _ = reading.result()
        batches = [batch.index for batch in dataset.batches]
        if asking is None:
            asking = ask(survey_graph.submit(work, plan.discovery, dataset, batches, inputs.variables, target).result())
        knowledge = asking.result()
        graph = discover_graph.submit(work, plan.discovery, dataset, batches, knowledge, target).result()
        lines = (
            ("data", data_lines(dataset)),
            ("knowledge", knowledge_lines(knowledge)),
            ("graph", (*graph_lines(graph), *graph.notes)),
        )
        return Outcome(lines, (), (), "", "", str(work.folder), work.seconds())
