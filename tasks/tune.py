"""Stage 6: tune the posterior in random subspaces, never for the worse."""

from collections.abc import Sequence

import pandas as pd

from components.contracts import Dataset
from components.pictures.learning import draw_tuning
from components.state import State
from components.tuning import PosteriorTuning, TunedState
from tasks.stage import Keeping, Stage, stage


@stage("tune", Keeping())
def tune_posterior(
    stage: Stage, method: PosteriorTuning, dataset: Dataset, states: Sequence[tuple[int, State]]
) -> tuple[TunedState, ...]:
    """Tune the state that stood after each batch; the last one goes on to the registry."""
    tuned = []
    for number, (batch, state) in enumerate(states):
        tuned.append(method.tune(dataset, batch, state))
        last = tuned[-1].rounds[-1] if tuned[-1].rounds else None
        stage.report(number, len(states), {"checking_risk": last.checking} if last else {})
    ledger = ledger_of(tuned[-1])
    if len(ledger):
        draw_tuning(ledger, stage.folder / "tuning.png")
        stage.file("tuning.png")
        stage.table(ledger, "tuning")
    return tuple(tuned)


def ledger_of(tuned: TunedState) -> pd.DataFrame:
    """One row a round of tuning: its name, the risk on the rows that check, and which point was kept."""
    kept = max((index for index, entry in enumerate(tuned.rounds) if entry.accepted), default=0)
    return pd.DataFrame(
        [
            {"name": f"round {index}" if index else "start", "value": entry.checking, "chosen": index == kept}
            for index, entry in enumerate(tuned.rounds)
        ]
    )
