"""Contracts on disk: Parquet, safetensors and JSON, never a pickle, and never half a file."""

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd

from components.contracts import (
    BATCH,
    PART,
    ROW,
    Column,
    Dataset,
    Estimate,
    EvaluationLabels,
    Part,
    Posterior,
    TimeBatch,
)
from components.errors import InputError, OutsideError

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
EVALUATION = "evaluation.parquet"
PROFILE = "profile.parquet"
_BUFFER_ROWS = 200_000


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A hidden temporary folder in ``parent``, removed with all it holds when the block ends."""
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside ``path`` that becomes ``path`` when the block ends without an exception.

    An existing ``path`` is replaced. After an exception ``path`` is as it was; after a kill a hidden folder
    ``.unfinished-*`` may be left beside it, which nothing reads.
    """
    with scratch_folder(path.parent) as scratch:
        fresh = scratch / "fresh"
        fresh.mkdir()
        yield fresh
        if path.exists():
            path.rename(scratch / "replaced")
        fresh.rename(path)


@contextmanager
def _replaced_file(path: Path) -> Iterator[Path]:
    with scratch_folder(path.parent) as scratch:
        yield scratch / path.name
        (scratch / path.name).replace(path)


def write_json(path: Path, value: object) -> None:
    """Write ``value`` whole or not at all; dataclasses become objects, arrays lists, NaN stays ``NaN``."""
    text = json.dumps(value, indent=2, default=_plain, ensure_ascii=False)
    with _replaced_file(path) as fresh:
        fresh.write_text(text + "\n", encoding="utf-8")


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def read_json(path: Path) -> Any:
    """What ``path`` holds.

    Raises:
        InputError: There is no such file, or it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"file must exist, found none at {path}") from None
    except (OSError, ValueError) as problem:
        raise InputError(f"file must hold JSON, {path} does not: {problem}") from problem


def save_dataset(dataset: Dataset, folder: Path, evaluation: EvaluationLabels | None = None) -> None:
    """Write the manifest of ``dataset`` and its evaluation labels into ``folder``, which holds their Parquet files."""
    write_json(folder / MANIFEST, manifest_of(dataset, evaluation))


def manifest_of(dataset: Dataset, evaluation: EvaluationLabels | None) -> dict[str, object]:
    """All that is said of a dataset, without the place where it lies."""
    fields = ("digest", "columns", "batches", "notes", "label_frequency", "in_time")
    manifest = {"schema_version": SCHEMA_VERSION, **{field: getattr(dataset, field) for field in fields}}
    described = ("name", "description", "digest", "classes")
    manifest["evaluation"] = {field: getattr(evaluation, field) for field in described} if evaluation else None
    return manifest


def load_dataset(folder: Path) -> tuple[Dataset, EvaluationLabels | None]:
    """The dataset in ``folder``, which may have been moved since it was written.

    Raises:
        InputError: The folder holds no dataset, or one of another schema version.
    """
    manifest = read_json(folder / MANIFEST)
    version = manifest.get("schema_version") if isinstance(manifest, Mapping) else None
    if version != SCHEMA_VERSION:
        place = folder / MANIFEST
        raise InputError(f"schema_version of {place} must be {SCHEMA_VERSION}, got {version!r}; ingest again")
    try:
        return _dataset_from(manifest, folder)
    except (KeyError, TypeError) as problem:
        raise InputError(f"{folder / MANIFEST} must describe a dataset, but {problem} is wrong or missing") from problem


def _dataset_from(manifest: Mapping[str, Any], folder: Path) -> tuple[Dataset, EvaluationLabels | None]:
    frequency, labels = manifest["label_frequency"], manifest["evaluation"]
    dataset = Dataset(
        path=folder,
        columns=tuple(Column.from_json(column) for column in manifest["columns"]),
        batches=tuple(TimeBatch(**batch) for batch in manifest["batches"]),
        digest=manifest["digest"],
        notes=tuple(manifest["notes"]),
        label_frequency=Estimate(**frequency) if frequency else None,
        in_time=manifest["in_time"],
    )
    if labels is None:
        return dataset, None
    return dataset, EvaluationLabels(
        folder / EVALUATION, labels["name"], labels["description"], labels["digest"], tuple(labels.get("classes", ()))
    )


def read_rows(
    dataset: Dataset,
    columns: Sequence[str],
    batches: Sequence[int] | None = None,
    parts: Sequence[Part] | None = None,
) -> pd.DataFrame:
    """The columns asked for plus ``_row``, ``_part`` and ``batch``, ordered by batch and then ``_row``.

    Only the batches, parts and columns asked for are read from disk; what is read is in memory whole.

    Raises:
        InputError: A column, batch or part does not exist.
    """
    import pyarrow.dataset as parquet

    names, chosen, wanted = _asked(dataset, columns, batches, parts)
    selected = parquet.field(PART).isin(list(wanted))
    tables = []
    for index in chosen:
        table = parquet.dataset(_batch_files(dataset, index)).to_table(columns=names, filter=selected)
        tables.append(_labelled(table.to_pandas(), index).sort_values(ROW, kind="stable"))
    return pd.concat(tables, ignore_index=True)


def stream_rows(
    dataset: Dataset,
    columns: Sequence[str],
    rows: int,
    batches: Sequence[int] | None = None,
    parts: Sequence[Part] | None = None,
    seed: int = 0,
) -> Iterator[pd.DataFrame]:
    """The same columns as ``read_rows``, in shuffled chunks of ``rows`` rows; the last chunk may be smaller.

    Every row comes once, and the same seed gives the same order. Row groups are shuffled, then the rows of a
    buffer of about 200,000 rows (or four chunks, if that is more), which bounds the memory.

    Raises:
        InputError: A column, batch or part does not exist, or ``rows`` is not positive.
    """
    if rows < 1:
        raise InputError(f"rows must be positive, got {rows}")
    names, chosen, wanted = _asked(dataset, columns, batches, parts)
    return _chunks(_shuffled_groups(dataset, names, chosen, wanted, seed), rows, seed)


def row_groups(
    dataset: Dataset,
    columns: Sequence[str],
    batches: Sequence[int] | None = None,
    parts: Sequence[Part] | None = None,
) -> Iterator[pd.DataFrame]:
    """The same columns as ``read_rows``, a row group of the files at a time, batch by batch; a group may be empty.

    Raises:
        InputError: A column, batch or part does not exist.
    """
    names, chosen, wanted = _asked(dataset, columns, batches, parts)
    return (_group(place, names, wanted) for place in _places(dataset, chosen))


def scan_rows(
    dataset: Dataset,
    columns: Sequence[str],
    rows: int,
    batches: Sequence[int] | None = None,
    parts: Sequence[Part] | None = None,
) -> Iterator[pd.DataFrame]:
    """The same columns as ``read_rows``, in chunks of at least ``rows`` rows (the last may be smaller), batch by batch.

    A chunk exceeds ``rows`` by less than a row group and is ordered by batch and then ``_row``, so that what fits into
    one chunk is what ``read_rows`` gives; from chunk to chunk of a batch the order is that of the files.

    Raises:
        InputError: A column, batch or part does not exist, or ``rows`` is not positive.
    """
    if rows < 1:
        raise InputError(f"rows must be positive, got {rows}")
    return _scanned(row_groups(dataset, columns, batches, parts), rows)


def _scanned(groups: Iterator[pd.DataFrame], rows: int) -> Iterator[pd.DataFrame]:
    waiting: list[pd.DataFrame] = []
    for group in groups:
        waiting.append(group)
        if sum(map(len, waiting)) >= rows:
            yield _ordered(waiting)
            waiting = []
    if sum(map(len, waiting)):
        yield _ordered(waiting)


def _ordered(frames: list[pd.DataFrame]) -> pd.DataFrame:
    together = pd.concat(frames, ignore_index=True)
    order = np.lexsort((together[ROW].to_numpy(), together[BATCH].to_numpy()))
    frame: pd.DataFrame = together.iloc[order].reset_index(drop=True)
    return frame


def _chunks(groups: Iterator[pd.DataFrame], rows: int, seed: int) -> Iterator[pd.DataFrame]:
    generator = np.random.default_rng([seed, 1])
    waiting: list[pd.DataFrame] = []
    for group in groups:
        waiting.append(group)
        if sum(map(len, waiting)) >= max(_BUFFER_ROWS, 4 * rows):
            buffer = _shuffled(waiting, generator)
            full = len(buffer) // rows * rows
            yield from _pieces(buffer.iloc[:full], rows)
            waiting = [buffer.iloc[full:]]
    if waiting:
        yield from _pieces(_shuffled(waiting, generator), rows)


def _pieces(frame: pd.DataFrame, rows: int) -> Iterator[pd.DataFrame]:
    return (frame.iloc[start : start + rows].reset_index(drop=True) for start in range(0, len(frame), rows))


def _shuffled(frames: list[pd.DataFrame], generator: np.random.Generator) -> pd.DataFrame:
    together = pd.concat(frames, ignore_index=True)
    return together.iloc[generator.permutation(len(together))]


def _shuffled_groups(
    dataset: Dataset, names: list[str], batches: Sequence[int], parts: Sequence[str], seed: int
) -> Iterator[pd.DataFrame]:
    places = _places(dataset, batches)
    for position in np.random.default_rng([seed, 0]).permutation(len(places)):
        yield _group(places[position], names, parts)


def _places(dataset: Dataset, batches: Sequence[int]) -> list[tuple[int, Path, int]]:
    """Batch, file and number of every row group."""
    import pyarrow.parquet as pq

    return [
        (index, file, group)
        for index in batches
        for file in _batch_files(dataset, index)
        for group in range(pq.read_metadata(file).num_row_groups)
    ]


def _group(place: tuple[int, Path, int], names: list[str], parts: Sequence[str]) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    index, file, group = place
    with pq.ParquetFile(file) as opened:
        table = opened.read_row_group(group, columns=names)
    chosen = table.filter(pc.is_in(table.column(PART), value_set=pa.array(list(parts), pa.string())))
    frame: pd.DataFrame = chosen.to_pandas()
    return _labelled(frame, index)


def _asked(
    dataset: Dataset, columns: Sequence[str], batches: Sequence[int] | None, parts: Sequence[Part] | None
) -> tuple[list[str], list[int], tuple[str, ...]]:
    stored = [column.name for column in dataset.columns]
    for name in columns:
        if name not in (*stored, ROW, PART, BATCH):
            near = get_close_matches(name, stored, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(stored)}"
            raise InputError(f"column must be one that the dataset stores, got {name!r}{hint}")
    known = [batch.index for batch in dataset.batches]
    for index in batches or ():
        if index not in known:
            raise InputError(f"batch must be one of {known[0]} to {known[-1]}, got {index}")
    for part in parts or ():
        if part not in get_args(Part):
            raise InputError(f"part must be one of {', '.join(get_args(Part))}, got {part!r}")
    names = [*dict.fromkeys(name for name in columns if name not in (ROW, PART, BATCH)), ROW, PART]
    chosen = known if batches is None else sorted(set(batches))
    return names, chosen, get_args(Part) if parts is None else tuple(parts)


def _batch_files(dataset: Dataset, index: int) -> list[Path]:
    files = sorted((dataset.path / f"{BATCH}={index}").glob("*.parquet"))
    if not files:
        raise OutsideError(
            f"batch {index} has no Parquet files in {dataset.path}; see whether the folder is there, and run again"
        )
    return files


def _labelled(frame: pd.DataFrame, index: int) -> pd.DataFrame:
    return frame.assign(**{BATCH: np.full(len(frame), index, dtype=np.int64)})


def save_posterior(posterior: Posterior, path: Path) -> None:
    """Write a posterior as safetensors: two float64 tensors, and all else as JSON in the header."""
    from safetensors.numpy import save_file

    about = {name: getattr(posterior, name) for name in ("layout", "rows", "lineage")}
    about["schema_version"] = SCHEMA_VERSION
    tensors = {name: np.ascontiguousarray(getattr(posterior, name)) for name in ("precision", "shift")}
    with _replaced_file(path) as fresh:
        save_file(tensors, fresh, metadata={"posterior": json.dumps(about)})


def load_posterior(path: Path) -> Posterior:
    """The posterior in ``path``, equal to the one saved to the last bit.

    Raises:
        InputError: The file is missing, cut short, or something else than a posterior of this schema version.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as opened:
            about = json.loads((opened.metadata() or {})["posterior"])
            precision, shift = opened.get_tensor("precision"), opened.get_tensor("shift")
        if about["schema_version"] != SCHEMA_VERSION:
            raise InputError(f"schema_version must be {SCHEMA_VERSION}, got {about['schema_version']!r}")
        layout = tuple((name, tuple(shape)) for name, shape in about["layout"])
        return Posterior(layout, precision, shift, about["rows"], tuple(about["lineage"]))
    except FileNotFoundError:
        raise InputError(f"posterior must be a file, found none at {path}") from None
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as problem:
        raise InputError(f"{path} must hold a posterior that this version wrote, but: {problem}") from problem
