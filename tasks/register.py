"""Stage 8: a new version in the registry; champion when every gate has passed."""

from collections.abc import Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE

from components.assessment import Assessed
from components.contracts import Dataset
from components.evaluation import OURS, GateResult
from components.state import State
from tasks.registry import Candidate, RegisteredModel, register
from tasks.workspace import Workspace


@task(name="register", cache_policy=NO_CACHE)
def register_model(
    name: str,
    dataset: Dataset,
    state: State,
    verdict: tuple[Assessed, Sequence[GateResult]],
    judged_against: str,
    work: Workspace,
) -> RegisteredModel:
    """Register ``state``; champion when gates were judged, none failed, and nobody else became champion meanwhile.

    ``judged_against`` is the version of the champion it was compared with, empty for none.
    """
    assessed, gates = verdict
    with work.stage("register") as stage:
        folder = stage.folder / "model"
        state.save(folder)
        failed = [gate for gate in gates if not gate.passed]
        unjudged = not any(gate.judged for gate in gates)
        loss = assessed.scorecard.value(OURS, "log_loss").value
        candidate = Candidate(
            folder,
            state.predictor.example(),
            f"Learnt from {dataset.path.name}, batches {', '.join(state.absorbed)}. "
            + (f"Held back by {len(failed)} gate(s)." if failed else "No gate failed."),
            {
                "dataset": dataset.digest[:16],
                "log_loss": f"{loss:.4f}",
                "batches": ", ".join(state.absorbed),
                "gates": "passed" if not failed else "; ".join(gate.sentence for gate in failed)[:4000],
            },
        )
        promote = not failed and not unjudged
        return register(work.tracking, stage.run.run_id, name, candidate, promote, judged_against)
