"""Graphs as files: what other programs read from them, and that JSON gives the same graph back."""

import json
import warnings
from dataclasses import asdict, fields, replace
from pathlib import Path

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.contracts import CausalGraph
from components.discovery.effects import total_effects
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
from components.graph_files import read_graph, write_graph
from components.synthetic import random_dag

NAN = float("nan")
STRANGE = ('said "no"', "back\\slash\\", "a <b> & c;", "two\nlines", "größe {µg} |x| [t-1]", "-> 2;")


def graph_of(p: int = 6, parents: int = 2, seed: int = 1, names: tuple[str, ...] = STRANGE) -> CausalGraph:
    weights, order = random_dag(p, parents, seed)
    rng, total = np.random.default_rng(seed), total_effects(weights)
    free = np.argwhere(np.triu((weights == 0) & (weights.T == 0), 1))
    pairs = [(names[i], names[j]) for i, j in free[:2]]
    a, b, c = names[0], names[1], names[-1]
    return CausalGraph(
        names, weights, order, np.where(rng.random((p, p)) < 0.5, rng.random((p, p)), 0), total, total - rng.random(),
        total + rng.random(), c, 3000, 100, tuple(pairs[:1]), ("One thing.", 'Another "thing".'), tuple(pairs[1:]),
        Findings(
            "fci",
            (PathSupport((a, b, c), 0.5, 0.1, 0.7, 0.9),),
            (GraphSupport(((a, b), (b, c)), 0.25), GraphSupport((), 0.1)),
            (PairSupport(a, b, "confounded", 0.75),),
            FitIndices(0.0, 0, NAN, 1.0, NAN, 12.5),
            (Noise(a, 0.1, -1.2, 1e-9),),
            (Dependence(a, b, 0.04),),
            (Decision(a, c, "undirected", "o->", NAN, (b,)), Decision(a, b, "edge", "HSIC", 0.2)),
        ),
    )  # fmt: skip


def same(one: object, other: object) -> bool:
    """Equal, NaN equal to itself."""
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (np.isnan(one) and np.isnan(other))
    if isinstance(one, dict | list | tuple) and type(one) is type(other):
        left, right = (list(each.items()) if isinstance(each, dict) else list(each) for each in (one, other))
        return len(left) == len(right) and all(same(x, y) for x, y in zip(left, right, strict=True))
    return type(one) is type(other) and one == other


@given(p=st.integers(4, 9), parents=st.integers(0, 3), seed=st.integers(0, 10**6), bare=st.booleans())
@settings(deadline=None, max_examples=30, derandomize=True)
def test_json_gives_the_same_graph_back(
    p: int, parents: int, seed: int, bare: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    graph = graph_of(p, parents, seed, tuple(f"v{index}" for index in range(p)))
    if bare:
        graph = replace(graph, findings=Findings(), confounded=(), notes=())
    path = tmp_path_factory.mktemp("graph") / "graph.json"
    write_graph(graph, path)
    back = read_graph(path)
    for field in fields(CausalGraph):
        before, after = getattr(graph, field.name), getattr(back, field.name)
        if isinstance(before, np.ndarray):
            np.testing.assert_array_equal(after, before)
        elif field.name == "findings":
            assert type(after) is Findings
            assert [type(each) for each in after.decisions] == [Decision] * len(before.decisions)
            assert same(asdict(after), asdict(before))
        else:
            assert same(after, before), field.name


def test_json_is_strict_and_speaks_in_names(tmp_path: Path) -> None:
    graph = graph_of()
    write_graph(graph, tmp_path / "new" / "graph.json")

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    content = json.loads((tmp_path / "new" / "graph.json").read_text(), parse_constant=refuse)
    assert content["findings"]["fit"]["p_value"] is None
    weights = {(pair["cause"], pair["effect"]): pair["weights"] for pair in content["pairs"] if pair["weights"]}
    assert weights == {(row.cause, row.effect): row.weight for row in graph.edges().itertuples()}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["graph.json"]


def test_networkx_reads_the_graphml(tmp_path: Path) -> None:
    graph = graph_of()
    write_graph(graph, tmp_path / "graph.graphml")
    read = networkx.read_graphml(tmp_path / "graph.graphml")
    named = networkx.get_node_attributes(read, "name")
    assert tuple(named[node] for node in read) == graph.names
    assert [name for node, name in named.items() if read.nodes[node]["target"]] == [graph.target]
    edges = {(named[a], named[b], data["kind"]): data for a, b, data in read.edges(data=True)}
    for row in graph.edges().itertuples():
        data = edges.pop((row.cause, row.effect, "directed"))
        numbers = [data[key] for key in ("weights", "support", "total", "total_low", "total_high")]
        assert numbers == [row.weight, row.support, row.total_effect, row.total_low, row.total_high]
    both = [(*ends, kind) for kind, pairs in (("confounded", graph.confounded), ("undirected", graph.undirected))
            for pair in pairs for ends in (pair, pair[::-1])]  # fmt: skip
    assert set(edges) == set(both)
    assert len(both) == 4


def test_control_characters_do_not_break_the_graphml(tmp_path: Path) -> None:
    names = ("bell\x07", "null\x00", "lone\ud800", "d", "e", "f")
    write_graph(graph_of(names=names), tmp_path / "graph.graphml")
    read = networkx.read_graphml(tmp_path / "graph.graphml")
    assert [data["name"] for _, data in read.nodes(data=True)][:3] == ["bell\\x07", "null\\x00", "lone\\ud800"]


def test_pydot_reads_the_dot(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydot's parser uses names that pyparsing has renamed
        pydot = pytest.importorskip("pydot")
        graph = graph_of()
        write_graph(graph, tmp_path / "graph.dot")
        (read,) = pydot.graph_from_dot_file(str(tmp_path / "graph.dot"))
    spelt = {
        '"' + name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"': name for name in graph.names
    }
    assert {spelt[node.get_name()] for node in read.get_nodes() if node.get_name() in spelt} == set(graph.names)
    edges = {(spelt[e.get_source()], spelt[e.get_destination()]): e.get_attributes() for e in read.get_edges()}
    assert len(edges) == len(read.get_edges()) == np.count_nonzero(graph.weights) + 2
    for row in graph.edges().itertuples():
        attributes = edges.pop((row.cause, row.effect))
        assert float(attributes["direct"].strip('"')) == row.weight
        assert float(attributes["support"].strip('"')) == row.support
        assert float(attributes["total"].strip('"')) == row.total_effect
        assert "dir" not in attributes
    assert {pair: attributes["dir"] for pair, attributes in edges.items()} == {
        graph.confounded[0]: "both",
        graph.undirected[0]: "none",
    }


@pytest.mark.parametrize("suffix", [".png", "", ".JSON"])
def test_another_suffix_is_refused_before_anything_is_written(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(InputError, match=r"must end in \.dot, \.graphml or \.json"):
        write_graph(graph_of(), tmp_path / f"graph{suffix}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"schema_version": 2}, "schema_version of .* must be 1, got 2"),
        ({"order": ["nobody"]}, "must hold a causal graph, but: KeyError"),
        ({"target": "nobody"}, "target must be one of the variables"),
        ({"findings": {}}, "must hold a causal graph"),
        ({"pairs": [{"cause": "d"}]}, "must hold a causal graph"),
        ({"rows": ..., "names": ...}, "must hold a causal graph"),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, change: dict[str, object], rule: str) -> None:
    write_graph(graph_of(), tmp_path / "graph.json")
    content = json.loads((tmp_path / "graph.json").read_text()) | change
    text = json.dumps({key: value for key, value in content.items() if value is not ...})
    (tmp_path / "graph.json").write_text(text)
    with pytest.raises(InputError, match=rule):
        read_graph(tmp_path / "graph.json")


def test_a_finding_with_a_missing_field_is_refused(tmp_path: Path) -> None:
    write_graph(graph_of(), tmp_path / "graph.json")
    content = json.loads((tmp_path / "graph.json").read_text())
    del content["findings"]["noise"][0]["kurtosis"]
    (tmp_path / "graph.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="Noise has the fields"):
        read_graph(tmp_path / "graph.json")
