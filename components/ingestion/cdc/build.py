"""From the CDC's files to one Parquet table, a cycle at a time.

The same files give the same bytes, under a name made from their digests and from the code that reads them: a table
that is there is the one that would be made.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from components.errors import OutsideError
from components.ingestion.cdc import xpt
from components.ingestion.cdc.shelf import place_of
from components.ingestion.cdc.tables import COLUMNS, KEY, VARIABLES, Cycle
from components.ingestion.cdc.tidying import adults, tidied
from components.storage import scratch_folder

_WHOLE = [name for name, kind in COLUMNS.items() if kind.startswith("int")]


def table_of(folder: Path, cycles: Sequence[Cycle], digests: Sequence[str]) -> Path:
    """Where the table made of files with these digests is, or will be."""
    code = [file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py"))]
    names = ",".join(cycle.name for cycle in cycles)
    made_of = hashlib.sha256(b"\0".join([names.encode(), *(digest.encode() for digest in digests), *code]))
    return folder / f"nhanes-adults-{made_of.hexdigest()[:12]}.parquet"


def build(folder: Path, cycles: Sequence[Cycle], target: Path, done: Callable[[int], None]) -> None:
    """Write the table whole or not at all, one row group a cycle; ``done`` hears how many cycles are written.

    Raises:
        OutsideError: A file is no whole table, or lacks what the CDC documents of it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, getattr(pa, kind)()) for name, kind in COLUMNS.items()])
    with scratch_folder(folder) as scratch:
        with pq.ParquetWriter(scratch / target.name, schema, compression="zstd") as writer:
            for count, cycle in enumerate(cycles, 1):
                rows = pa.Table.from_pandas(cycle_of(folder, cycle), schema=schema, preserve_index=False)
                writer.write_table(rows.replace_schema_metadata(None))
                done(count)
        (scratch / target.name).replace(target)


def cycle_of(folder: Path, cycle: Cycle) -> pd.DataFrame:
    """The examined adults of one cycle, ordered by participant number.

    Raises:
        OutsideError: A file is no whole table, or lacks what the CDC documents of it.
    """
    people = adults(_subject(folder, cycle, "people")).sort_index()
    parts = [people, *(_subject(folder, cycle, subject) for subject in VARIABLES if subject != "people")]
    table = tidied(pd.concat([part.reindex(people.index) for part in parts], axis=1), cycle)
    for name in _WHOLE:
        if table[name].isna().any():
            raise OutsideError(f"{name} must be known of everyone in cycle {cycle.name}, the CDC's files lack some")
    return table.astype(dict.fromkeys(_WHOLE, "int64"))


def _subject(folder: Path, cycle: Cycle, subject: str) -> pd.DataFrame:
    """What the cycle's file on a subject says, under our names, by participant; nothing where it has none."""
    variables = VARIABLES[subject]
    if subject not in cycle.files:
        # The other way to measure blood pressure must not bring empty readings along.
        absent = [name for name in variables if not subject.startswith("pressure by")]
        return pd.DataFrame(columns=absent, index=pd.Index([], dtype="float64"), dtype="float64")
    path = place_of(folder, f"{cycle.files[subject]}.xpt")
    try:
        there = xpt.names(path)
        chosen = {_name(names.split(" or "), there): name for name, names in variables.items()}
        found = xpt.read(path, [KEY, *chosen]).set_index(KEY).rename(columns=chosen)
    except xpt.NotATable as problem:
        raise OutsideError(f"{path.name} of cycle {cycle.name} {problem}") from problem
    if not found.index.is_unique or found.index.hasnans:
        raise OutsideError(f"{path.name} of cycle {cycle.name} must have one row a participant, it has more")
    return found


def _name(names: Sequence[str], there: Sequence[str]) -> str:
    found = [name for name in names if name in there]
    if len(found) != 1:
        raise xpt.NotATable(f"must have one of the columns {', '.join(names)}, it has {', '.join(found) or 'none'}")
    return found[0]
