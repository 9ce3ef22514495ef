"""The whole chain: ingest, elicit, discover, train, update, tune, evaluate, register, report."""

from typing import cast

from prefect import flow

from components.assessment import Chain
from components.contracts import Column
from components.errors import InputError
from components.learner import Trained
from components.predictor import Predictor
from components.state import State
from components.updating import Absorbed
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
from tasks.registry import champion, load_predictor
from tasks.report import Told, write_report
from tasks.settings import load_settings
from tasks.train import train_posterior
from tasks.tune import tune_posterior
from tasks.update import update_posterior
from tasks.workspace import Workspace, open_workspace


@flow(name="pipeline", flow_run_name="pipeline {config.source.specification}", task_runner=runner())
def pipeline(config: PipelineForm = PipelineForm()) -> Outcome:  # noqa: B008  # a frozen form
    """From a table with imperfect labels to a registered model and a report."""
    plan = cast(Pipeline, build(config))
    inputs, gates = read_inputs(plan.source), read_gates(plan.gates)
    with open_workspace("pipeline", inputs.specification.name, load_settings(), plan) as work:
        name = plan.model or f"kintsugi-{inputs.specification.name}"
        reigning, version = reigning_predictor(name, inputs.specification.declared, work)
        seed = plan.source.seed
        reading = ingest_table.submit(inputs.specification, seed, work)
        asking = elicit_knowledge.submit(plan.elicitation, inputs.variables, inputs.person, seed, work)
        (dataset, labels), knowledge = reading.result(), asking.result()
        batches, _ = plan.training.split(dataset)
        graph = discover_graph(plan.discovery, dataset, batches, knowledge, work)
        trained = train_posterior(plan.training, dataset, graph, work)
        later = [batch.index for batch in dataset.batches if batch.index not in batches]
        absorbed = update_posterior(plan.update, dataset, later, trained.state, work)
        tuned = tune_posterior(plan.tuning, dataset, arrivals(trained, absorbed), work)
        chain = Chain(trained, absorbed, tuned)
        assessed, verdicts = evaluate_chain(plan.evaluation, (dataset, labels), chain, reigning, gates, work)
        model = register_model(name, dataset, chain.final, (assessed, verdicts), version, work)
        report = write_report(Told(dataset, knowledge, graph, chain, assessed, verdicts, model), work)
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


def reigning_predictor(name: str, declared: tuple[Column, ...], work: Workspace) -> tuple[Predictor | None, str]:
    """The champion's predictor and version; None and empty when there is none.

    Raises:
        InputError: It reads columns that these data do not declare, so the two cannot be compared.
    """
    found = champion(work.tracking, name)
    if found is None:
        return None, ""
    predictor = Predictor.load(load_predictor(work.tracking, found.uri))
    names = {column.name for column in declared if column.role == "feature"}
    absent = [column.name for column in predictor.inputs if column.name not in names]
    if absent:
        raise InputError(
            f"model {name!r} has a champion that reads features these data do not declare ({', '.join(absent)}); "
            "give the new model another name (--model)"
        )
    return predictor, found.version
