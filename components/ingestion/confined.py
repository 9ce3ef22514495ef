"""What a specification reads, held inside folders."""

from collections.abc import Sequence
from pathlib import Path

from components.confinement import Folders
from components.ingestion.delimited import Delimited
from components.ingestion.locations import reached
from components.ingestion.parquet import Parquet
from components.ingestion.specification import Specification
from components.ingestion.sql import Sql


def confine(specification: Specification, folders: Folders, free: Sequence[str] = ()) -> None:
    """Refuse a specification that reads a file outside of ``folders``; nothing is opened.

    Args:
        specification: What is asked for; its paths are absolute.
        folders: Where it may read.
        free: Fields that may lead anywhere: ``source.path`` or ``knowledge``.

    Raises:
        InputError: It does: by its path, by a match of its pattern, by a link in its folder, by the file of its
            database, or by its knowledge file.
    """
    if specification.knowledge is not None and "knowledge" not in free:
        folders.check("knowledge", specification.knowledge)
    source = specification.source
    if isinstance(source, Delimited | Parquet):
        if source.path is not None and "source.path" not in free:
            folders.check_pattern("source.path", source.path)
            for file in reached(source.path):
                folders.check("source.path", file)
    elif isinstance(source, Sql):
        for named in source.files():
            folders.check("source.url", named)
    else:
        for name, value in source:
            if isinstance(value, Path):
                folders.check(f"source.{name}", value)
