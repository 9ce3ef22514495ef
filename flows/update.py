"""New batches into the registered champion; nothing is retrained."""

from typing import cast

from prefect import flow

from components.assessment import Chain
from components.contracts import Dataset
from components.errors import InputError
from components.state import State
from flows.configuration import Update, UpdateForm
from flows.forms import build
from flows.inputs import read_gates, read_inputs
from flows.outcome import Outcome, chain_lines, data_lines, gate_lines, ladder_rows, score_rows
from flows.pipeline import reigning_predictor
from flows.runner import runner
from tasks.evaluate import evaluate_chain
from tasks.ingest import ingest_table
from tasks.register import register_model
from tasks.registry import champion, load_predictor
from tasks.report import Told, write_report
from tasks.settings import load_settings
from tasks.tune import tune_posterior
from tasks.update import update_posterior
from tasks.workspace import Workspace, open_workspace


@flow(name="update", flow_run_name="update {config.source.specification}", task_runner=runner())
def update(config: UpdateForm = UpdateForm()) -> Outcome:  # noqa: B008  # a frozen form
    """Absorb the batches that the champion has not seen, score the result, and promote it if the gates pass."""
    plan = cast(Update, build(config))
    inputs, gates = read_inputs(plan.source), read_gates(plan.gates)
    with open_workspace("update", inputs.specification.name, load_settings(), plan) as work:
        name = plan.model or f"kintsugi-{inputs.specification.name}"
        reigning, version = reigning_predictor(name, inputs.specification.declared, work)
        state = champion_state(name, work)
        dataset, labels = ingest_table(inputs.specification, plan.source.seed, work)
        absorbed = update_posterior(plan.update, dataset, new_batches(dataset, state, name), state, work)
        tuned = tune_posterior(plan.tuning, dataset, [(entry.batch, entry.after) for entry in absorbed], work)
        chain = Chain(None, absorbed, tuned)
        assessed, verdicts = evaluate_chain(plan.evaluation, (dataset, labels), chain, reigning, gates, work)
        model = register_model(name, dataset, chain.final, (assessed, verdicts), version, work)
        report = write_report(Told(dataset, None, None, chain, assessed, verdicts, model), work)
        lines = (
            ("data", data_lines(dataset)),
            ("updates", chain_lines(chain)),
            ("gates", gate_lines(verdicts, model)),
        )
        uri = f"models:/{model.name}@{model.alias}"
        return Outcome(
            lines, score_rows(assessed), ladder_rows(assessed), uri, str(report), str(work.folder), work.seconds()
        )


def champion_state(name: str, work: Workspace) -> State:
    """The state of the reigning model.

    Raises:
        InputError: There is none.
    """
    found = champion(work.tracking, name)
    if found is None:
        raise InputError(f"model {name!r} must have a champion to update, it has none; train one first: kintsugi run")
    return State.load(load_predictor(work.tracking, found.uri))


def new_batches(dataset: Dataset, state: State, name: str) -> list[int]:
    """Indices of the batches that the state has not absorbed.

    Raises:
        InputError: It has absorbed them all.
    """
    new = [batch.index for batch in dataset.batches if batch.label not in state.absorbed]
    if not new:
        raise InputError(
            f"data must hold a batch that the champion of {name!r} has not absorbed yet, "
            f"it has absorbed all of {', '.join(state.absorbed)}"
        )
    return new
