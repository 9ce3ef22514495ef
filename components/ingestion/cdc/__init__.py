"""NHANES from the CDC: which file gives which column, downloads that nothing interrupts for good, one table."""

from components.ingestion.cdc.source import NhanesCdc

__all__ = ["NhanesCdc"]
