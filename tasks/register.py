"""Stage 8: a new version in the registry; champion when every gate has passed."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from components.assessment import Assessed, Chain
from components.contracts import CausalGraph, Dataset
from components.evaluation import OURS, GateResult
from components.integrity import folder_digest
from components.state import State
from tasks.locks import locked_file
from tasks.model_card import model_card
from tasks.packaging import Candidate
from tasks.promotion import PASSED, UNJUDGED
from tasks.registry import RegisteredModel, register
from tasks.settings import shown
from tasks.stage import Stage, stage

LONGEST_VERDICT = 4000


@stage("register")
def register_model(
    stage: Stage,
    name: str,
    dataset: Dataset,
    chain: Chain,
    verdict: tuple[Assessed, Sequence[GateResult]],
    judged_against: str,
    graph: CausalGraph | None,
) -> RegisteredModel:
    """Register what ``chain`` ends in; champion when gates were judged, none failed, and nobody else was meanwhile.

    ``judged_against`` is the version of the champion it was compared with, empty for none.
    """
    assessed, gates = verdict
    state, said, tracking = chain.final, _said(gates), stage.work.tracking
    folder = stage.work.folder / "model"
    state.save(folder)
    candidate = Candidate(
        folder,
        state.predictor.example(),
        model_card(name, dataset, chain, verdict, graph, shown(tracking.uri)),
        {
            "dataset": dataset.digest[:16],
            "log_loss": f"{assessed.scorecard.value(OURS, 'log_loss').value:.4f}",
            "batches": ", ".join(state.absorbed),
            "gates": said,
        },
    )
    with locked_file(stage.work.settings.home / ".registering"):  # equal runs at the same moment make one version
        return register(tracking, stage.run.run_id, name, candidate, said == PASSED, judged_against)


def candidate_digest(state: State) -> str:
    """The digest that a version made of ``state`` would have, to find its opponent by."""
    with tempfile.TemporaryDirectory() as folder:
        state.save(Path(folder))
        return folder_digest(Path(folder))


def _said(gates: Sequence[GateResult]) -> str:
    """What the gates said, as one tag."""
    failed = [gate.sentence for gate in gates if not gate.passed]
    if failed:
        return "; ".join(failed)[:LONGEST_VERDICT]
    return PASSED if any(gate.judged for gate in gates) else UNJUDGED
