"""The registered champion, tuned anew; nothing is learnt from new batches."""

from typing import cast

from prefect import flow

from components.assessment import Chain
from components.contracts import Dataset
from components.errors import InputError
from components.state import State
from components.tuning import TunedState
from flows.champion import champion_state, reigning_predictor
from flows.closing import Contest, close, stay
from flows.configuration import Tune, TuneForm
from flows.forms import build
from flows.inputs import read_gates, read_inputs
from flows.outcome import Outcome
from flows.runner import runner
from tasks.ingest import ingest_table
from tasks.settings import load_settings
from tasks.tune import tune_posterior
from tasks.workspace import open_workspace


@flow(name="tune", flow_run_name="tune {config.source.specification}", task_runner=runner())
def tune(config: TuneForm = TuneForm()) -> Outcome:  # noqa: B008  # a frozen form
    """Tune the champion on rows kept for it, score the result, and promote it if the gates pass.

    Where no step is for the better, the champion stays as it is and no version is made.
    """
    plan = cast(Tune, build(config))
    inputs, gates = read_inputs(plan.source), read_gates(plan.gates)
    with open_workspace("tune", inputs.specification.name, load_settings(), plan) as work:
        name = plan.model or f"kintsugi-{inputs.specification.name}"
        reigning, version = reigning_predictor(name, inputs.specification.declared, work)
        state = champion_state(name, "tune", work)
        data = ingest_table.submit(work, inputs.specification, plan.source.seed).result()
        batch = latest_absorbed(data[0], state, name)
        tuned = tune_posterior.submit(work, plan.tuning, data[0], [(batch, state)]).result()
        if not tuned[-1].moved:
            return stay(work, data[0], f"{name}, version {version},", "tuning", why_not(tuned[-1]))
        chain = Chain(None, (), tuned, (batch,))
        return close(work, plan.evaluation, data, chain, Contest(name, reigning, version, gates), "tuning")


def latest_absorbed(dataset: Dataset, state: State, name: str) -> int:
    """Index of the last batch of the data that the state has absorbed.

    Raises:
        InputError: It has absorbed none of them.
    """
    known = [batch.index for batch in dataset.batches if batch.label in state.absorbed]
    if not known:
        raise InputError(
            f"data must hold a batch that the champion of {name!r} has absorbed ({', '.join(state.absorbed)}), "
            f"they hold {', '.join(batch.label for batch in dataset.batches)}"
        )
    return known[-1]


def why_not(tuned: TunedState) -> str:
    """Why a state was not moved."""
    if tuned.rounds:
        return "no step lowered the risk on the rows that check"
    return "all tuning rows within the window (tuning.window) were used before, or none of them is labeled"
