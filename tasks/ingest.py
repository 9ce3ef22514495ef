"""Stage 1: from a declared source to a dataset in batches, evaluation labels apart."""

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from components.contracts import Dataset, EvaluationLabels
from components.ingestion import Specification, ingest
from tasks.artifacts import publish_table
from tasks.tables import rows_of
from tasks.workspace import Workspace


@task(name="ingest", cache_policy=NO_CACHE)
def ingest_table(specification: Specification, seed: int, work: Workspace) -> tuple[Dataset, EvaluationLabels | None]:
    """Read, validate and partition the table; record its digest and profile."""
    with work.stage("ingest") as stage:
        stage.run.parameters({"specification": specification.name, "source": specification.source.kind, "seed": seed})
        dataset, labels = ingest(specification, work.settings.datasets, seed, stage.report)
        batches = pd.DataFrame([vars(batch) for batch in dataset.batches])
        for run in (stage.run, work.run):
            run.dataset(dataset, "ingested")
        stage.run.table(batches, "batches")
        stage.run.table(profile_of(dataset), "profile")
        stage.run.metrics({"rows": dataset.rows, "batches": len(dataset.batches)})
        publish_table(
            "batches", rows_of(batches), "\n".join(["Rows and labeled positives of each batch.", *dataset.notes])
        )
        return dataset, labels


def profile_of(dataset: Dataset) -> pd.DataFrame:
    """The profile that ingestion wrote beside the data: one row a column."""
    return pd.read_parquet(dataset.path / "profile.parquet")
