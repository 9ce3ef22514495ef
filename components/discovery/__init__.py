"""Causal discovery: a weighted acyclic graph from a table and what is known before.

A method has ``discover(table, knowledge, target, map, report) -> CausalGraph``. To add one, put it in a file of its own
and into the union.
"""

from components.discovery.direct_lingam import DirectLingam

Discovery = DirectLingam

METHODS: dict[str, type[Discovery]] = {DirectLingam.kind: DirectLingam}

__all__ = ["METHODS", "DirectLingam", "Discovery"]
