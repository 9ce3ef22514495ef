"""From a declared source to a Dataset: read out of core, validated, cut into batches, labels for evaluation apart.

``load_specification`` reads what a person declares, ``inferred`` describes a plain table that nobody has described,
``confine`` holds what they read inside folders, ``check`` looks for mistakes before the table is read, ``ingest`` reads
it.
"""

from components.ingestion.checking import check
from components.ingestion.confined import confine
from components.ingestion.inferred import inferred, is_table
from components.ingestion.ingest import ingest
from components.ingestion.specification import Source, Specification
from components.ingestion.specification_file import BUILT_IN, load_specification

__all__ = [
    "BUILT_IN",
    "Source",
    "Specification",
    "check",
    "confine",
    "inferred",
    "ingest",
    "is_table",
    "load_specification",
]
