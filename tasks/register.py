"""Stage 8: a new version in the registry; champion when every gate has passed."""

from collections.abc import Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE

from components.assessment import Assessed
from components.contracts import Dataset
from components.evaluation import OURS, GateResult
from components.state import State
from components.storage import read_rows
from tasks.registry import Candidate, RegisteredModel, register
from tasks.workspace import Workspace

EXAMPLE_ROWS = 5


@task(name="register", cache_policy=NO_CACHE)
def register_model(
    name: str, dataset: Dataset, state: State, assessed: Assessed, gates: Sequence[GateResult], work: Workspace
) -> RegisteredModel:
    """Register ``state`` with an example of its input; move the alias when the gates say so."""
    with work.stage("register") as stage:
        folder = stage.folder / "model"
        state.save(folder)
        columns = [column.name for column in state.predictor.inputs]
        example = read_rows(dataset, columns, None, ("held",))[columns].head(EXAMPLE_ROWS).reset_index(drop=True)
        failed = [gate for gate in gates if not gate.passed]
        loss = assessed.scorecard.value(OURS, "log_loss").value
        candidate = Candidate(
            folder,
            example,
            f"Learnt from {dataset.path.name}, batches {', '.join(state.absorbed)}. "
            + (f"Held back by {len(failed)} gate(s)." if failed else "All gates passed."),
            {
                "dataset": dataset.digest[:16],
                "log_loss": f"{loss:.4f}",
                "batches": ", ".join(state.absorbed),
                "gates": "passed" if not failed else "; ".join(gate.sentence for gate in failed)[:4000],
            },
        )
        return register(work.tracking, stage.run.run_id, name, candidate, promote=not failed)
