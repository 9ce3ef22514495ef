"""Stage 5: later batches, one after the other; nothing is retrained."""

from collections.abc import Mapping, Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event

from components.contracts import Dataset, DriftReport
from components.pictures.drift import draw_drift
from components.ports import Report
from components.state import State
from components.updating import Absorbed, Updating
from tasks.artifacts import publish_table
from tasks.tables import drift_table, rows_of
from tasks.workspace import Workspace


@task(name="update", cache_policy=NO_CACHE)
def update_posterior(
    method: Updating, dataset: Dataset, batches: Sequence[int], state: State, work: Workspace
) -> tuple[Absorbed, ...]:
    """Absorb ``batches`` in order; each is examined for drift before it is learnt from."""
    with work.stage("update", method) as stage:
        absorbed: list[Absorbed] = []
        for number, batch in enumerate(batches):
            absorbed.append(method.absorb(dataset, batch, state, _part(stage.report, number, len(batches))))
            state = absorbed[-1].after
        reports = [entry.drift for entry in absorbed]
        if reports:
            draw_drift(reports, stage.folder / "drift.png")
            stage.run.artifact(stage.folder / "drift.png")
            stage.run.table(drift_table(reports), "drift")
            publish_table("drift", rows_of(drift_table(reports)), "What moved from batch to batch, and what was done.")
            _announce(dataset, reports)
        return tuple(absorbed)


def _announce(dataset: Dataset, reports: Sequence[DriftReport]) -> None:
    """Tell Prefect of drift, so that an automation can act on it."""
    for report in reports:
        if report.kind != "none":
            emit_event(
                event="kintsugi.drift.detected",
                resource={"prefect.resource.id": f"kintsugi.dataset.{dataset.path.name}"},
                payload={"batch": report.batch, "kind": report.kind, "action": report.action},
            )


def _part(report: Report, number: int, count: int) -> Report:
    """The part of a report that one batch gets."""

    def tell(step: int, total: int, metrics: Mapping[str, float]) -> None:
        report(number * total + step, count * total, metrics)

    return tell
