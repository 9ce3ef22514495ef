"""Read a declared source into a Dataset, part by part, and leave nothing behind when anything is wrong."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components.contracts import BATCH, ROW, Dataset, EvaluationLabels
from components.errors import InputError, OutsideError
from components.ingestion.batching import Planned, arranged
from components.ingestion.cdc import NhanesCdc
from components.ingestion.checking import check, check_classes, used_columns
from components.ingestion.parallel import done, job
from components.ingestion.profile import profile
from components.ingestion.reasons import reason
from components.ingestion.specification import Specification
from components.ingestion.staging import LABEL, ROW_GROUP, Stage, Tally, key_folder, stored_columns
from components.ingestion.validation import range_notes
from components.ports import Report
from components.storage import EVALUATION, MANIFEST, PROFILE, load_dataset, manifest_of, save_dataset, scratch_folder

_PARTS_AT_A_TIME = 16
_KEYS_AT_A_TIME = 5_000_000
_LEFT_AS_STAGED = 200_000  # rows; the files of a larger table are merged where they are small


def ingest(
    specification: Specification, folder: Path, seed: int, report: Report
) -> tuple[Dataset, EvaluationLabels | None]:
    """Read the source into a folder of its own below ``folder``, named after the specification and the content.

    The table is never in memory whole: Dask reads, checks and writes some parts of it at a time. The same content and
    seed give the same folder, which is reused when it is there. ``report`` hears of the rows after each round.

    Raises:
        InputError: The source or the declaration breaks a rule; ``folder`` is then as it was.
        OutsideError: A database does not answer, or the disk does not take the files.
    """
    import pyarrow as pa

    if isinstance(specification.source, NhanesCdc):
        specification.source.fetch(report)
    check(specification)
    try:
        with scratch_folder(folder) as scratch:
            return _ingested(specification, folder, scratch, seed, report)
    except (pd.errors.ParserError, UnicodeDecodeError, pa.ArrowInvalid) as problem:
        raise InputError(f"source must be readable to its end, but: {reason(problem)}") from problem
    except OSError as problem:
        raise OutsideError(f"the dataset cannot be written below {folder}: {problem}") from problem


def _ingested(
    specification: Specification, folder: Path, scratch: Path, seed: int, report: Report
) -> tuple[Dataset, EvaluationLabels | None]:
    tally = _staged(specification, scratch, seed, report)
    notes = _checked(specification, tally)
    planned, batch_notes = arranged(tally.keys, specification)
    fresh = scratch / "fresh"
    files = _moved(planned, scratch / "rows", fresh)
    if specification.one("id") is not None:
        _refuse_repeated_keys(files, tally.content.rows, specification, scratch)
    dataset = _dataset(specification, planned, tally, (*notes, *batch_notes), fresh)
    evaluation = _evaluation(specification, planned, tally, scratch, fresh)
    profile(files, dataset.columns, tally.invalid).to_parquet(fresh / PROFILE, index=False)
    save_dataset(dataset, fresh, evaluation)
    said = json.dumps(manifest_of(dataset, evaluation), sort_keys=True, default=vars)
    place = folder / f"{specification.name}-{hashlib.sha256(said.encode()).hexdigest()[:12]}"
    if not (place / MANIFEST).is_file():
        fresh.rename(place)
    return load_dataset(place)


def _staged(specification: Specification, scratch: Path, seed: int, report: Report) -> Tally:
    copy = scratch / "copy"
    copy.mkdir()
    stage = Stage(specification, scratch, seed)
    parts = specification.source.open([column.name for column in used_columns(specification)], copy).to_delayed()
    starts = _starts(parts) if specification.one("id") is None else [0] * len(parts)
    jobs = [job(stage, part, number, starts[number]) for number, part in enumerate(parts)]
    rounds = range(0, len(jobs), _PARTS_AT_A_TIME)
    total = Tally()
    for step, first in enumerate(rounds):
        total = sum(done(jobs[first : first + _PARTS_AT_A_TIME]), total)
        report(step, len(rounds), {"rows": float(total.read)})
    return total


def _starts(parts: Sequence[Any]) -> list[int]:
    return [0, *np.cumsum(done([job(len, part) for part in parts])).tolist()]


def _checked(specification: Specification, tally: Tally) -> list[str]:
    """What a reader must know of the rows; errors that only the whole table shows are raised here."""
    notes, rows = [], tally.content.rows
    left = tally.read - tally.left_out
    if tally.left_out:
        conditions = "; ".join(map(str, specification.keep))
        notes.append(f"{tally.left_out} of {tally.read} rows were dropped because keep asks for {conditions}")
    if not left:
        raise InputError(f"keep must leave at least one row, all of {tally.read} rows were dropped")
    by = specification.batching.by if specification.batching else ""
    if not rows:
        raise InputError(f"batches.by must have values, {by!r} is missing in all of {left} rows")
    if tally.keyless:
        notes.append(f"{tally.keyless} of {left} rows were dropped because {by}, which batches follow, is missing")
    notes += range_notes(specification.declared, tally.invalid, tally.present)
    weak, evaluation = specification.one("weak_label"), specification.one("evaluation_label")
    if weak is not None:
        check_classes(weak, tally.positives, rows - tally.weak_missing, rows)
    if weak is not None and tally.weak_missing:
        notes.append(f"{tally.weak_missing} of {rows} rows have no {weak.name} and count as unlabeled")
    if evaluation is not None:
        check_classes(evaluation, tally.known_positives, tally.known, rows)
        if not evaluation.values and tally.known_positives in (0, tally.known):
            notes.append(f"{evaluation.name} has one class only, so ranking cannot be scored")
    if isinstance(specification.source, NhanesCdc):
        notes += specification.source.notes()
    if specification.source.kind == "sql" and specification.one("id") is None:
        notes.append("rows are numbered as the database gave them; declare a column of role id for a stable key")
    return notes


def _moved(planned: Sequence[Planned], staged: Path, fresh: Path) -> list[Path]:
    """Give each batch its staged files; of a large table small ones are merged, or opening them would take longest."""
    many = sum(plan.batch.rows for plan in planned) > _LEFT_AS_STAGED
    jobs = []
    for plan in planned:
        waiting = [file for key in plan.keys for file in sorted(key_folder(staged, key).iterdir())]
        small = len(waiting) > 1 and plan.batch.rows < len(waiting) * ROW_GROUP / 2
        jobs.append(job(_merged if many and small else _renamed, waiting, fresh / f"{BATCH}={plan.batch.index}"))
    return [file for files in done(jobs) for file in files]


def _renamed(files: Sequence[Path], target: Path) -> list[Path]:
    target.mkdir(parents=True)
    return [file.rename(target / f"part-{number:06d}.parquet") for number, file in enumerate(files)]


def _merged(files: Sequence[Path], target: Path) -> list[Path]:
    import pyarrow.parquet as pq

    target.mkdir(parents=True)
    file = target / "part-000000.parquet"
    with pq.ParquetWriter(file, pq.read_schema(files[0]), compression="zstd") as writer:
        for table in _regrouped(files):
            writer.write_table(table, row_group_size=ROW_GROUP)
    return [file]


def _regrouped(files: Iterable[Path]) -> Iterator[Any]:
    """The rows of ``files`` in Arrow tables of 50,000 rows, the last one smaller; a file is gone once it is read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    waiting: list[Any] = []
    for file in files:
        waiting.append(pq.ParquetFile(file).read())
        file.unlink()
        if sum(map(len, waiting)) >= ROW_GROUP:
            together = pa.concat_tables(waiting)
            full = len(together) // ROW_GROUP * ROW_GROUP
            yield together.slice(0, full)
            waiting = [together.slice(full)]
    if sum(map(len, waiting)):
        yield pa.concat_tables(waiting)


def _refuse_repeated_keys(files: Sequence[Path], rows: int, specification: Specification, scratch: Path) -> None:
    """Refuse an id that comes twice; keys are sorted by their remainder first, so that few are in memory at a time."""
    import pyarrow.parquet as pq

    buckets = [scratch / f"keys-{number}" for number in range(rows // _KEYS_AT_A_TIME + 1)]
    for file in files:
        keys = pq.ParquetFile(file).read(columns=[ROW]).column(ROW).to_numpy()
        for number, bucket in enumerate(buckets):
            with bucket.open("ab") as opened:
                opened.write(keys[keys % len(buckets) == number].tobytes())
    for bucket in buckets:
        chosen = np.sort(np.fromfile(bucket, dtype=np.int64))
        repeated = chosen[1:][chosen[1:] == chosen[:-1]]
        if len(repeated):
            identifier = specification.one("id")
            assert identifier is not None
            shown = _identifier_of(int(repeated[0]), files, identifier.name)
            raise InputError(f"id column {identifier.name!r} must be different in every row, {shown} comes twice")


def _identifier_of(key: int, files: Sequence[Path], name: str) -> str:
    import pyarrow.parquet as pq

    for file in files:
        found = pq.read_table(file, columns=[name], filters=[(ROW, "=", key)])
        if found.num_rows:
            value = found.column(name)[0].as_py()
            return f"{value:.0f}" if isinstance(value, float) else repr(value)
    return str(key)


def _dataset(
    specification: Specification, planned: Sequence[Planned], tally: Tally, notes: tuple[str, ...], path: Path
) -> Dataset:
    columns = stored_columns(specification)
    declaration = {
        "columns": [vars(column) for column in columns],
        "batches": [vars(plan.batch) for plan in planned],
        "keys": [[str(key) for key in plan.keys] for plan in planned],
        "label_frequency": specification.label_frequency and specification.label_frequency.model_dump(),
    }
    frequency, batching = specification.label_frequency, specification.batching
    return Dataset(
        path=path,
        columns=columns,
        batches=tuple(plan.batch for plan in planned),
        digest=tally.content.digest(declaration),
        notes=notes,
        label_frequency=frequency.estimate() if frequency else None,
        in_time=batching is not None and specification.column(batching.by, "batches.by").role == "time",
    )


def _evaluation(
    specification: Specification, planned: Iterable[Planned], tally: Tally, scratch: Path, fresh: Path
) -> EvaluationLabels | None:
    column = specification.one("evaluation_label")
    if column is None:
        return None
    _write_labels(planned, scratch / "labels", fresh / EVALUATION)
    digest = tally.evaluation.digest({"column": vars(column)})
    return EvaluationLabels(fresh / EVALUATION, column.name, column.description, digest, column.values)


def _write_labels(planned: Iterable[Planned], staged: Path, target: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(BATCH, pa.int64()), (ROW, pa.int64()), (LABEL, pa.float64())])
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for plan in planned:
            waiting = [file for key in plan.keys for file in sorted(key_folder(staged, key).iterdir())]
            for table in _regrouped(waiting):
                index = pa.array(np.full(table.num_rows, plan.batch.index, dtype=np.int64))
                writer.write_table(table.add_column(0, BATCH, index).cast(schema))
