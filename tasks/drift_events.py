"""Tell Prefect of drift, so that an automation can act on it."""

from prefect.events import emit_event

from components.contracts import Dataset, DriftReport

DRIFT = "kintsugi.drift.detected"
ABSORBED = "kintsugi.absorbed"


def announce_drift(data: str, found: DriftReport, absorbed: bool) -> None:
    """Emit ``kintsugi.drift.detected`` for a batch of ``data``, unless nothing has moved.

    ``absorbed`` says whether whoever found it has learnt from the batch already. The automation of
    ``deploy/prefect.yaml`` starts an update only where nobody has: a run that absorbs what it examines can therefore
    never set off another one, and that one the next. A monitor that only looks says False.
    """
    if found.kind == "none":
        return
    emit_event(
        event=DRIFT,
        resource={"prefect.resource.id": f"kintsugi.dataset.{data}", ABSORBED: "yes" if absorbed else "no"},
        payload={"batch": found.batch, "kind": found.kind, "action": found.action},
    )


def data_name(dataset: Dataset) -> str:
    """What the specification of a dataset is called: its folder's name without the digest at the end."""
    return dataset.path.name.rpartition("-")[0] or dataset.path.name
