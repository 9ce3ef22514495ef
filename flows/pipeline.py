"""The whole chain: ingest, elicit, discover, train, update, tune, evaluate, register, report."""

from functools import partial
from typing import cast

from prefect import flow

from components.assessment import Chain
from components.learner import Trained
from components.state import State
from components.updating import Absorbed
from flows.champion import reigning_predictor
from flows.configuration import Pipeline, PipelineForm
from flows.forms import build
from flows.inputs import read_gates, read_inputs
from flows.outcome import (
    Outcome,
    chain_lines,
    data_lines,
    gate_lines,
    graph_lines,
    knowledge_lines,
    ladder_rows,
    score_rows,
)
from flows.runner import runner
from tasks.discover import discover_graph
from tasks.elicit import elicit_knowledge
from tasks.evaluate import evaluate_chain
from tasks.ingest import ingest_table
from tasks.register import register_model
from tasks.report import Told, write_report
from tasks.settings import load_settings
from tasks.survey import survey_graph, survey_wanted
from tasks.train import train_posterior
from tasks.tune import tune_posterior
from tasks.update import update_posterior
from tasks.workspace import open_workspace


@flow(name="pipeline", flow_run_name="pipeline {config.source.specification}", task_runner=runner())
def pipeline(config: PipelineForm = PipelineForm()) -> Outcome:  # noqa: B008  # a frozen form
    """From a table with imperfect labels to a registered model and a report."""
    plan = cast(Pipeline, build(config))
    inputs, gates = read_inputs(plan.source), read_gates(plan.gates)
    with open_workspace("pipeline", inputs.specification.name, load_settings(), plan) as work:
        name = plan.model or f"kintsugi-{inputs.specification.name}"
        reigning_predictor(name, inputs.specification.declared, work)  # refused before the work, not after it
        seed = plan.source.seed
        reading = ingest_table.submit(work, inputs.specification, seed)
        ask = partial(elicit_knowledge.submit, work, plan.elicitation, inputs.variables, inputs.person, seed)
        asking = None if survey_wanted(plan.elicitation, work.settings) else ask()
        dataset, labels = reading.result()
        batches, target = plan.training.split(dataset)[0], dataset.weak_label
        if asking is None:
            asking = ask(survey_graph.submit(work, plan.discovery, dataset, batches, inputs.variables, target).result())
        knowledge = asking.result()
        graph = discover_graph.submit(work, plan.discovery, dataset, batches, knowledge, target).result()
        trained = train_posterior.submit(work, plan.training, dataset, graph).result()
        later = [batch.index for batch in dataset.batches if batch.index not in batches]
        absorbed = update_posterior.submit(work, plan.update, dataset, later, trained.state).result()
        tuned = tune_posterior.submit(work, plan.tuning, dataset, arrivals(trained, absorbed)).result()
        chain = Chain(trained, absorbed, tuned)
        reigning, version = reigning_predictor(name, inputs.specification.declared, work, chain.final)
        assessed, verdicts = evaluate_chain.submit(
            work, plan.evaluation, (dataset, labels), chain, reigning, gates
        ).result()
        model = register_model.submit(work, name, dataset, chain, (assessed, verdicts), version, graph).result()
        report = write_report.submit(work, Told(dataset, knowledge, graph, chain, assessed, verdicts, model)).result()
        lines = (
            ("data", data_lines(dataset)),
            ("knowledge", knowledge_lines(knowledge)),
            ("graph", graph_lines(graph)),
            ("corrections", chain_lines(chain)),
            ("gates", gate_lines(verdicts, model)),
        )
        return Outcome(
            lines,
            score_rows(assessed),
            ladder_rows(assessed),
            f"models:/{model.name}@{model.alias}",
            str(report),
            str(work.folder),
            work.seconds(),
        )


def arrivals(trained: Trained, absorbed: tuple[Absorbed, ...]) -> list[tuple[int, State]]:
    """Each later batch with the state after it; the last training batch where there are none."""
    return [(entry.batch, entry.after) for entry in absorbed] or [(trained.batches[-1], trained.state)]
