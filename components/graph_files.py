"""A causal graph as a file that other programs read: DOT, GraphML, and JSON, which this package reads back.

A pair without a direction is one edge with a head at both ends (confounded) or at none (undirected) in DOT, and two
opposite edges with their ``kind`` in GraphML, where an edge must point somewhere. JSON holds the whole graph.
"""

import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from components.contracts import CausalGraph
from components.errors import InputError
from components.findings import (
    Decision,
    Dependence,
    Findings,
    FitIndices,
    GraphSupport,
    Noise,
    PairSupport,
    PathSupport,
)
from components.pictures.graph_parts import CONFOUNDED, NEGATIVE, POSITIVE, STRONG, TARGET, UNDIRECTED
from components.storage import read_json, scratch_folder, write_json

SCHEMA_VERSION = 1
MATRICES = ("weights", "support", "total", "total_low", "total_high")
_PARTS: Mapping[str, Callable[..., Any]] = {
    "paths": PathSupport,
    "graphs": GraphSupport,
    "pairs": PairSupport,
    "noise": Noise,
    "dependences": Dependence,
    "decisions": Decision,
}
_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_graph(graph: CausalGraph, path: Path) -> None:
    """Write ``graph`` to ``path`` as its suffix says, whole or not at all; missing folders are made.

    ``.dot`` and ``.graphml`` hold the edges with weight, support and total effect, and the pairs without direction;
    ``.json`` holds everything, NaN as null.

    Raises:
        InputError: The suffix is none of the three.
    """
    if path.suffix == ".json":
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, _plain(graph))
    elif path.suffix in (".dot", ".graphml"):
        text = _dot(graph) if path.suffix == ".dot" else _graphml(graph)
        with scratch_folder(path.parent) as scratch:
            (scratch / path.name).write_text(text, encoding="utf-8")
            (scratch / path.name).replace(path)
    else:
        raise InputError(f"path of a graph must end in .dot, .graphml or .json, got {path.name!r}")


def read_graph(path: Path) -> CausalGraph:
    """The graph in the JSON file ``path``, equal to the one written.

    Raises:
        InputError: There is no such file, or it holds no graph of this schema version.
    """
    content = read_json(path)
    version = content.get("schema_version") if isinstance(content, Mapping) else None
    if version != SCHEMA_VERSION:
        raise InputError(f"schema_version of {path} must be {SCHEMA_VERSION}, got {version!r}")
    try:
        return _graph_from(content)
    except (KeyError, TypeError, ValueError, AttributeError, InputError) as problem:
        raise InputError(f"{path} must hold a causal graph, but: {problem!r}") from problem


def _plain(graph: CausalGraph) -> dict[str, Any]:
    filled = np.any([getattr(graph, label) != 0 for label in MATRICES], axis=0)
    pairs = [
        {"cause": graph.names[cause], "effect": graph.names[effect], **_numbers(graph, effect, cause)}
        for effect, cause in np.argwhere(filled)
    ]
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "names": graph.names,
        "order": [graph.names[index] for index in graph.order],
        "target": graph.target,
        "rows": graph.rows,
        "replicates": graph.replicates,
        "pairs": pairs,
        "confounded": graph.confounded,
        "undirected": graph.undirected,
        "notes": graph.notes,
        "findings": asdict(graph.findings),
    }
    return {key: _without_nan(value) for key, value in content.items()}


def _numbers(graph: CausalGraph, effect: int, cause: int) -> dict[str, float]:
    return {label: float(getattr(graph, label)[effect, cause]) for label in MATRICES}


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _graph_from(content: Mapping[str, Any]) -> CausalGraph:
    names = tuple(content["names"])
    place = {name: index for index, name in enumerate(names)}
    matrices = {label: np.zeros((len(names), len(names))) for label in MATRICES}
    for pair in content["pairs"]:
        for label, matrix in matrices.items():
            matrix[place[pair["effect"]], place[pair["cause"]]] = _number(pair[label])
    return CausalGraph(
        names=names,
        order=tuple(place[name] for name in content["order"]),
        target=content["target"],
        rows=content["rows"],
        replicates=content["replicates"],
        confounded=_tuples(content["confounded"]),
        undirected=_tuples(content["undirected"]),
        notes=tuple(content["notes"]),
        findings=_findings_from(content["findings"]),
        **matrices,
    )


def _findings_from(content: Mapping[str, Any]) -> Findings:
    parts = {label: tuple(_restored(part, entry) for entry in content[label]) for label, part in _PARTS.items()}
    fit = content["fit"]
    return Findings(method=content["method"], fit=None if fit is None else _restored(FitIndices, fit), **parts)


def _restored(part: Callable[..., Any], entry: Mapping[str, Any]) -> Any:
    """A part of the findings, whose lists are tuples and whose only empty entries are numbers that were NaN."""
    known = {field.name for field in fields(part)}  # type: ignore[arg-type]  # each is a dataclass
    if set(entry) != known:
        raise ValueError(f"{part.__name__} has the fields {', '.join(sorted(known))}, got {', '.join(sorted(entry))}")
    return part(**{key: float("nan") if value is None else _tuples(value) for key, value in entry.items()})


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, list) else value


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _dot(graph: CausalGraph) -> str:
    lines = ["digraph {", '  node [shape=box, style="rounded,filled", fillcolor=white];']
    for name in graph.names:
        fill = f', fillcolor="{TARGET}"' if name == graph.target else ""
        lines.append(f"  {_quoted(name)} [label={_quoted(name)}{fill}];")
    for effect, cause in np.argwhere(graph.weights != 0):
        numbers = _numbers(graph, effect, cause)
        style = "solid" if numbers["support"] >= STRONG else "dashed"
        colour = POSITIVE if numbers["weights"] > 0 else NEGATIVE
        lines.append(
            f"  {_quoted(graph.names[cause])} -> {_quoted(graph.names[effect])} "
            f'[label="{numbers["weights"]:.3g}", penwidth={0.7 + 2.3 * numbers["support"]:.2f}, style={style}, '
            f'color="{colour}", direct="{numbers["weights"]!r}", support="{numbers["support"]!r}", '
            f'total="{numbers["total"]!r}"];'
        )
    for pairs, look in (
        (graph.confounded, f'dir=both, style=dashed, color="{CONFOUNDED}", kind=confounded'),
        (graph.undirected, f'dir=none, color="{UNDIRECTED}", kind=undirected'),
    ):
        lines += [f"  {_quoted(a)} -> {_quoted(b)} [{look}, constraint=false];" for a, b in pairs]
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(name: str) -> str:
    """``name`` as a string of the DOT language, in which a backslash begins an escape of labels."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "\\n".join(escaped.splitlines() or [""]) + '"'


def _graphml(graph: CausalGraph) -> str:
    root = ElementTree.Element("graphml", xmlns="http://graphml.graphdrawing.org/xmlns")
    keys = {"name": ("node", "string"), "target": ("node", "boolean"), "kind": ("edge", "string")}
    keys |= dict.fromkeys(MATRICES, ("edge", "double"))
    for key, (what, kind) in keys.items():
        ElementTree.SubElement(root, "key", {"id": key, "for": what, "attr.name": key, "attr.type": kind})
    body = ElementTree.SubElement(root, "graph", edgedefault="directed")
    identity = {name: f"n{index}" for index, name in enumerate(graph.names)}
    for name in graph.names:
        node = ElementTree.SubElement(body, "node", id=identity[name])
        _data(node, {"name": _for_xml(name), "target": str(name == graph.target).lower()})
    for effect, cause in np.argwhere(graph.weights != 0):
        edge = ElementTree.SubElement(body, "edge", source=f"n{cause}", target=f"n{effect}")
        numbers = _numbers(graph, effect, cause)
        _data(edge, {"kind": "directed", **{label: repr(number) for label, number in numbers.items()}})
    for kind, pairs in (("confounded", graph.confounded), ("undirected", graph.undirected)):
        for first, second in (ends for a, b in pairs for ends in ((a, b), (b, a))):
            edge = ElementTree.SubElement(body, "edge", source=identity[first], target=identity[second])
            _data(edge, {"kind": kind})
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _data(parent: ElementTree.Element, values: Mapping[str, str]) -> None:
    for key, value in values.items():
        ElementTree.SubElement(parent, "data", key=key).text = value


def _for_xml(name: str) -> str:
    """``name`` with the characters that XML cannot hold written as Python writes them."""
    return _NOT_IN_XML.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), name)
