"""Stage 5: later batches, one after the other; nothing is retrained."""

from collections.abc import Mapping, Sequence

from components.contracts import Dataset
from components.pictures.drift import draw_drift
from components.ports import Report
from components.state import State
from components.updating import Absorbed, Updating
from tasks.drift_events import announce_drift, data_name
from tasks.stage import Keeping, Stage, stage
from tasks.tables import drift_table


@stage("update", Keeping())
def update_posterior(
    stage: Stage, method: Updating, dataset: Dataset, batches: Sequence[int], state: State
) -> tuple[Absorbed, ...]:
    """Absorb ``batches`` in order; each is examined for drift before it is learnt from."""
    absorbed: list[Absorbed] = []
    for number, batch in enumerate(batches):
        absorbed.append(method.absorb(dataset, batch, state, _part(stage.report, number, len(batches))))
        state = absorbed[-1].after
    reports = [entry.drift for entry in absorbed]
    if reports:
        draw_drift(reports, stage.folder / "drift.png")
        stage.file("drift.png")
        table = drift_table(reports)
        stage.table(table, "drift")
        stage.page_table("drift", table, "What moved from batch to batch, and what was done.")
        for report in reports:
            announce_drift(data_name(dataset), report, absorbed=True)
    return tuple(absorbed)


def _part(report: Report, number: int, count: int) -> Report:
    """The part of a report that one batch gets."""

    def tell(step: int, total: int, metrics: Mapping[str, float]) -> None:
        report(number * total + step, count * total, metrics)

    return tell
