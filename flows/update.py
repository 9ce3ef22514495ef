"""New batches into the registered champion; nothing is retrained."""

from typing import cast

from prefect import flow

from components.assessment import Chain
from flows.champion import champion_state, new_batches, reigning_predictor
from flows.closing import Contest, close, stay
from flows.configuration import Update, UpdateForm
from flows.forms import build
from flows.inputs import read_gates, read_inputs
from flows.outcome import Outcome
from flows.runner import runner
from tasks.ingest import ingest_table
from tasks.settings import load_settings
from tasks.tune import tune_posterior
from tasks.update import update_posterior
from tasks.workspace import open_workspace


@flow(name="update", flow_run_name="update {config.source.specification}", task_runner=runner())
def update(config: UpdateForm = UpdateForm()) -> Outcome:  # noqa: B008  # a frozen form
    """Absorb the batches that the champion has not seen, score the result, and promote it if the gates pass.

    Where there is none, as on most days of a daily schedule, the champion stays and no version is made.
    """
    plan = cast(Update, build(config))
    inputs, gates = read_inputs(plan.source), read_gates(plan.gates)
    with open_workspace("update", inputs.specification.name, load_settings(), plan) as work:
        name = plan.model or f"kintsugi-{inputs.specification.name}"
        reigning, version = reigning_predictor(name, inputs.specification.declared, work)
        state = champion_state(name, "update", work)
        dataset, labels = ingest_table.submit(work, inputs.specification, plan.source.seed).result()
        new = new_batches(dataset, state)
        if not new:
            why = f"nothing new: the champion has absorbed all of {', '.join(state.absorbed)}"
            return stay(work, dataset, f"{name}, version {version},", "updates", why)
        absorbed = update_posterior.submit(work, plan.update, dataset, new, state).result()
        tuned = tune_posterior.submit(
            work, plan.tuning, dataset, [(entry.batch, entry.after) for entry in absorbed]
        ).result()
        contest = Contest(name, reigning, version, gates)
        return close(work, plan.evaluation, (dataset, labels), Chain(None, absorbed, tuned), contest, "updates")
