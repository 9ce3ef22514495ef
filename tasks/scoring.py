"""A folder of Parquet files, scored part by part: the table is never in memory whole, and what is finished stays.

A part is some row groups of one file. Its predictions appear whole or not at all, and say of themselves what they were
made from and by which predictor, so a scoring that was killed goes on with the parts that are left, and one whose
input has changed does those parts again that changed.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from components.errors import InputError, OutsideError
from components.ingestion.parallel import job
from components.ports import Report, silent
from components.predicting import TablePredictor
from components.storage import scratch_folder, write_json
from tasks.compute import open_map
from tasks.scoring_parts import Refused, Source, Tally, chunks_of, opened_file, planned, target_of
from tasks.settings import Settings

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SUMMARY = "_scoring.json"  # readers of Parquet folders pass over what begins with an underscore
NAMED = 3
_NOTE = b"kintsugi.scoring"
_UNKNOWN = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class FolderScored:
    """What became of a folder.

    Attributes:
        tally: Over all parts.
        parts: Number of parts.
        kept: Those of them that were there before.
    """

    tally: Tally
    parts: int
    kept: int


@dataclass(frozen=True, eq=False)
class Scorer:
    """Scores one part and writes its predictions; it may do so in another process.

    Attributes:
        predictor: What scores.
        folder: Holds the input.
        output: Receives the predictions, in the same subfolders.
    """

    predictor: TablePredictor
    folder: Path
    output: Path

    def __call__(self, source: Source) -> Tally | Refused:
        """Score one part; a part that cannot be read or scored is told and not raised, so that the others go on.

        Raises:
            OutsideError: The disk does not take the predictions.
        """
        target = target_of(source, self.output)
        try:
            with scratch_folder(target.parent) as scratch:
                tally = self._written(source, scratch / target.name)
                (scratch / target.name).replace(target)
                return tally
        except InputError as error:
            return Refused(source.file, str(error))
        except OSError as error:
            raise OutsideError(
                f"the predictions cannot be written below {self.output} ({error.strerror or error}); make room and "
                "run the same command again: finished parts are kept"
            ) from error

    def _written(self, source: Source, path: Path) -> Tally:
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = {"number": pa.float64(), "text": pa.string(), "flag": pa.bool_()}
        added = pa.schema([(name, types[kind]) for name, kind in self.predictor.added.items()])
        with opened_file(self.folder / source.file) as opened:
            own, tally = opened.schema_arrow, Tally()
            _refuse_names(own.names, added.names)
            schema = pa.schema([*own, *added], metadata=own.metadata)
            with pq.ParquetWriter(path, schema, compression="zstd") as writer:
                for chunk in chunks_of(opened, source.groups):
                    found = self.predictor.predict(self._frame(chunk, source))
                    columns = [pa.array(found[name].to_numpy(), added.field(name).type) for name in added.names]
                    writer.write_batch(pa.record_batch([*chunk.columns, *columns], schema=schema))
                    tally += Tally.of(found, self.predictor.classes)
                note = {"source": asdict(source), "tally": asdict(tally)}
                writer.add_key_value_metadata({_NOTE: json.dumps(note)})
        return tally

    def _frame(self, chunk: "pa.RecordBatch", source: Source) -> "pd.DataFrame":
        """The columns the predictor reads; what a name of a subfolder says (``year=2020``) is a column too."""
        names = [column.name for column in self.predictor.inputs if column.name in chunk.schema.names]
        frame: pd.DataFrame = chunk.select(names).to_pandas()
        said = dict(part.split("=", 1) for part in Path(source.file).parent.parts if "=" in part)
        for name, value in said.items():
            if name not in names:
                frame[name] = None if value == _UNKNOWN else unquote(value)
        return frame


def score_folder(scorer: Scorer, digest: str, model: str, settings: Settings, report: Report = silent) -> FolderScored:
    """Score every Parquet file below the scorer's folder into its output folder.

    Parts are worked on by Dask in threads of this process, by Ray, or one after the other, as the settings say.

    Args:
        scorer: What scores, from where to where.
        digest: Of the predictor; predictions of another one are replaced.
        model: Address of the model, for the summary that is written last.
        settings: Where the parts are worked on.
        report: Hears of every round.

    Raises:
        InputError: The folder holds no rows, the output folder holds something else, or some parts cannot be scored;
            the others are then finished.
        OutsideError: The disk does not take the predictions, or somebody else writes there.
    """
    _refuse_overlap(scorer.folder, scorer.output)
    sources, refused = planned(scorer.folder, digest)
    with _locked(scorer.output):
        there = _notes(scorer.output, {target_of(source, scorer.output) for source in sources})
        kept = [there[target] for source in sources if (target := _target_if_kept(source, there, scorer.output))]
        left = [source for source in sources if not _target_if_kept(source, there, scorer.output)]
        stale = there.keys() - {target_of(source, scorer.output) for source in sources}
        if left or stale or refused:
            (scorer.output / SUMMARY).unlink(missing_ok=True)
        tally = sum((Tally(**note["tally"]) for note in kept), Tally())
        for step, result in enumerate(_spread(scorer, left, settings)):
            if isinstance(result, Refused):
                refused.append(result)
            else:
                tally += result
            report(step, len(left), {"rows": float(tally.rows)})
        _refuse(refused, scorer)
        for path in stale:
            path.unlink()
        scored = FolderScored(tally, len(sources), len(kept))
        if left or stale or not (scorer.output / SUMMARY).exists():
            _summarise(scored, model, digest, scorer.output)
    return scored


def _spread(scorer: Scorer, sources: Sequence[Source], settings: Settings) -> Iterator[Tally | Refused]:
    if not sources:
        return
    if settings.map in ("inline", "ray"):
        with open_map(settings) as mapped:
            yield from mapped(scorer, sources)
        return
    # Threads: the arithmetic, the reading and the writing are done outside the interpreter's lock.
    dask, workers = import_module("dask"), settings.worker_count
    with _single_threaded_torch():
        for first in range(0, len(sources), 4 * workers):
            jobs = [job(_caught, scorer, source) for source in sources[first : first + 4 * workers]]
            for result in dask.compute(*jobs, scheduler="threads", num_workers=workers):
                if isinstance(result, OutsideError):
                    raise result
                yield result


def _caught(scorer: Scorer, source: Source) -> Tally | Refused | OutsideError:
    """An exception would make Dask leave the other parts at work in its threads."""
    try:
        return scorer(source)
    except OutsideError as error:
        return error


@contextmanager
def _single_threaded_torch() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _notes(output: Path, expected: set[Path]) -> dict[Path, dict[str, Any]]:
    """What the predictions in ``output`` say of themselves.

    Raises:
        InputError: There are Parquet files that no scoring has written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = {}
    for path in sorted(output.rglob("*.parquet")):
        try:
            note = (pq.read_metadata(path).metadata or {}).get(_NOTE)
        except (pa.ArrowException, OSError):
            note = b"{}" if path in expected else None
        if note is None:
            raise InputError(f"--output must be a new folder or hold predictions only, {path} is something else")
        found[path] = json.loads(note)
    return found


def _refuse_names(names: Sequence[str], added: Sequence[str]) -> None:
    for name in added:
        if name in names:
            raise InputError(f"it must not have a column called {name} already; rename or drop it")
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise InputError(f"its columns must have different names, {repeated[0]!r} comes twice")


def _target_if_kept(source: Source, there: Mapping[Path, dict[str, Any]], output: Path) -> Path | None:
    target = target_of(source, output)
    said = there.get(target, {}).get("source")
    return target if said == {**asdict(source), "groups": list(source.groups)} else None


def _refuse(refused: Sequence[Refused], scorer: Scorer) -> None:
    if not refused:
        return
    reasons = {each.file: each.reason for each in refused}
    first = "; ".join(f"{file}: {reason}" for file, reason in list(reasons.items())[:NAMED])
    more = f"; and {len(reasons) - NAMED} more" if len(reasons) > NAMED else ""
    written = any(scorer.output.rglob("*.parquet"))
    rest = f"All else is in {scorer.output}; mend or remove, and run the same command again" if written else "No output"
    which = "1 file" if len(reasons) == 1 else f"{len(reasons)} files"
    raise InputError(f"table must be readable, but {which} of {scorer.folder} cannot be scored: {first}{more}. {rest}")


def _refuse_overlap(folder: Path, output: Path) -> None:
    inner, outer = output.resolve(), folder.resolve()
    if inner == outer or outer in inner.parents or inner in outer.parents:
        raise InputError(f"--output must lie outside the table's folder, got {output}")


@contextmanager
def _locked(output: Path) -> Iterator[None]:
    """The output folder, for nobody else; the kernel gives it free when this process ends, however it ends."""
    new = not output.exists()
    try:
        output.mkdir(exist_ok=True)
        handle = os.open(output, os.O_RDONLY)
    except OSError as error:
        raise OutsideError(f"--output {output} cannot be written: {error.strerror}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutsideError(f"another scoring writes into {output}; wait until it has ended") from None
        for left in output.rglob(".unfinished-*"):
            shutil.rmtree(left, ignore_errors=True)
        yield
    finally:
        if new and not any(path.is_file() for path in output.rglob("*")):
            shutil.rmtree(output, ignore_errors=True)
        os.close(handle)


def _summarise(scored: FolderScored, model: str, digest: str, output: Path) -> None:
    tally = scored.tally
    met = {"likeliest": tally.likeliest} if tally.likeliest else {"mean_probability": tally.probability / tally.rows}
    about = {
        "model": model,
        "predictor": digest,
        "rows": tally.rows,
        "parts": scored.parts,
        **met,
        "outside_support": tally.outside,
        "finished": datetime.now().astimezone().isoformat(timespec="seconds"),
    }
    write_json(output / SUMMARY, about)
