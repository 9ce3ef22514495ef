"""Stage 2 of a classifier: learnt from weak labels of whatever kind, with what they leave open."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pandas as pd

from components.classification import LearntClassifier, doubtful_rows, learnt, prepare
from components.classifier import ClassifierTraining
from components.contracts import Dataset
from components.encoding import digest_of
from components.pictures.classes import draw_doubts, draw_history, draw_transition
from tasks.ray_training import ClassifierJob, work_together
from tasks.stage import Keeping, Stage, stage

TOLD = 1_000  # most doubtful rows that are listed
SHOWN = 20


@stage("train", Keeping())
def train_classifier(
    stage: Stage, method: ClassifierTraining, dataset: Dataset, batches: Sequence[int], classes: tuple[str, ...]
) -> LearntClassifier:
    """Train on the rows to fit of ``batches``; the rows to tune choose the epoch and calibrate.

    A training that was killed goes on from its last epoch when the same is run again.
    """
    settings = stage.work.settings
    prepared = prepare(method, replace(dataset, path=dataset.path.absolute()), batches)
    checkpoint = settings.checkpoints / digest_of((method, dataset, tuple(batches)))[:16] if settings.reuse else None
    job = ClassifierJob(prepared.training, prepared.rows, prepared.validation, checkpoint)
    classifier = work_together(job, settings, stage.report)
    found = learnt(prepared, classifier, classes)
    _show(found, stage)
    doubtful = _write_doubts(doubtful_rows(prepared, classifier), stage)
    if doubtful is not None:
        stage.page_table("doubts", doubtful.head(SHOWN), "Rows whose labels are the most doubtful.")
    stage.dataset(dataset, "training")
    if checkpoint is not None:
        shutil.rmtree(checkpoint, ignore_errors=True)
    return found


def _show(found: LearntClassifier, stage: Stage) -> None:
    """What was learnt, as numbers, tables and pictures."""
    nuisances, transitions = found.nuisances(), found.transitions()
    stage.tags({"setting": found.coding.setting.kind, "label": found.coding.column.name})
    stage.tags({f"{name}.source": each.source for name, each in nuisances.items()})
    stage.metrics({name: each.value for name, each in nuisances.items()}, of_run=True)
    stage.metrics({f"{name}_low": each.low for name, each in nuisances.items()})
    stage.metrics({f"{name}_high": each.high for name, each in nuisances.items()})
    stage.metrics({"kept_epoch": found.epoch + 1} | dict(found.history[found.epoch]))
    table = pd.DataFrame([{"name": name, **vars(each)} for name, each in nuisances.items()])
    stage.table(table, "nuisances")
    draw_history(found.history, found.epoch, stage.folder / "training.png")
    stage.file("training.png")
    stage.page_table("nuisances", table.round(4), "\n".join(["What the labels leave open.", *found.notes]))
    if transitions is not None:
        stage.table(transitions, "transition")
        draw_transition(transitions, stage.folder / "transition.png")
        stage.file("transition.png")
        stage.page_picture("transition.png", "How often each class is given which label.")


def _write_doubts(chunks: Iterator[pd.DataFrame], stage: Stage) -> pd.DataFrame | None:
    """Keep the doubt of every row as ``doubts.parquet``, and give the most doubtful ones; None where there are none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer, highest, drawn = None, pd.DataFrame(), []
    for chunk in chunks:
        if writer is None:
            found = pa.Schema.from_pandas(chunk, preserve_index=False)
            # A column that is empty in this chunk need not be so in the next.
            typed = pa.schema([f.with_type(pa.string()) if pa.types.is_null(f.type) else f for f in found])
            writer = pq.ParquetWriter(stage.folder / "doubts.parquet", typed, compression="zstd")
        writer.write_table(pa.Table.from_pandas(chunk, writer.schema, preserve_index=False))
        highest = pd.concat([highest, chunk]).nlargest(TOLD, "doubt", keep="first")
        drawn.append(chunk.iloc[:, -2:])
    if writer is None:
        return None
    writer.close()
    stage.file("doubts.parquet")
    stage.table(highest, "doubtful")
    draw_doubts(pd.concat(drawn, ignore_index=True), stage.folder / "doubts.png")
    stage.file("doubts.png")
    return highest
