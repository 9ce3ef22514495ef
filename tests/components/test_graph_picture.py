"""The picture of a causal graph: what is in the file, that nothing overlaps, and that nothing outside changes."""

import itertools
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.contracts import CausalGraph, PriorKnowledge
from components.discovery.effects import total_effects
from components.errors import InputError
from components.findings import Findings, PairSupport
from components.pictures.graph import MOST_LINES, MOST_VARIABLES, draw_graph
from components.pictures.graph_parts import CONFOUNDED, UNDIRECTED
from components.pictures.layers import lay_out
from components.pictures.neighbourhood import nearest
from components.synthetic import random_dag

NAMES = ("age", "male", "body_mass_index", "systolic_pressure", "dx_diabetes")


def graph_of(p: int, parents: int, seed: int, support: float = 1.0) -> CausalGraph:
    weights, order = random_dag(p, parents, seed)
    names = (*NAMES, *(f"gamma_glutamyl_transferase_{index}" for index in range(p)))[:p]
    total = total_effects(weights)
    return CausalGraph(names, weights, order, (weights != 0) * support, total, total, total, names[-1], 3000, 100)


def knowledge_of(graph: CausalGraph, known: int | None = None) -> PriorKnowledge:
    """The first ``known`` edges are required, all of them without a number."""
    edge = np.full(graph.weights.shape, -1)
    edge[tuple(np.argwhere(graph.weights)[:known].T)] = 1
    nothing = PriorKnowledge.unknown(graph.names)
    return PriorKnowledge(graph.names, nothing.path, edge, nothing.probability)


def count(path: Path, element: str) -> int:
    return sum(1 for _ in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}" + element))


@pytest.mark.parametrize(("p", "parents"), [(2, 1), (5, 3), (15, 3)])
def test_both_formats_are_written_and_show_something(tmp_path: Path, p: int, parents: int) -> None:
    from matplotlib.image import imread

    graph = graph_of(p, parents, 11)
    draw_graph(graph, tmp_path / "graph.png", knowledge=knowledge_of(graph))
    draw_graph(graph, tmp_path / "graph.svg")
    pixels = imread(tmp_path / "graph.png")
    assert pixels.shape[0] > 250
    assert pixels.shape[1] > 900
    assert 0.02 < (pixels[..., :3] < 0.97).any(axis=2).mean() < 0.6
    assert count(tmp_path / "graph.svg", "path") > p


def test_equal_graphs_make_equal_pictures_and_nothing_outside_changes(tmp_path: Path) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    backend, graph = matplotlib.get_backend(), graph_of(5, 3, 11)
    for name in ("first.png", "second.png"):
        draw_graph(graph, tmp_path / name)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    assert dict(matplotlib.rcParams) == before
    assert matplotlib.get_backend() == backend
    assert not graph.weights.flags.writeable


def test_known_edges_and_unsure_edges_look_different(tmp_path: Path) -> None:
    from matplotlib.image import imread

    sure, unsure = graph_of(5, 3, 11), graph_of(5, 3, 11, support=0.3)
    draw_graph(sure, tmp_path / "sure.png")
    draw_graph(unsure, tmp_path / "unsure.png")
    pixels = {name: imread(tmp_path / f"{name}.png")[..., :3] for name in ("sure", "unsure")}
    assert pixels["unsure"].sum() > pixels["sure"].sum()
    for name, known in (("one.svg", 1), ("all.svg", None)):
        draw_graph(sure, tmp_path / name, knowledge=knowledge_of(sure, known))
    marks = count(tmp_path / "all.svg", "use") - count(tmp_path / "one.svg", "use")
    assert marks == np.count_nonzero(sure.weights) - 1


def test_a_graph_without_edges_and_knowledge_of_other_variables_can_be_drawn(tmp_path: Path) -> None:
    draw_graph(graph_of(4, 0, 0), tmp_path / "empty.svg", knowledge=PriorKnowledge.unknown(("age", "height")))
    assert count(tmp_path / "empty.svg", "path") > 4


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must end in \.png or \.svg"):
        draw_graph(graph_of(3, 2, 0), tmp_path / "graph.pdf")


def with_pairs(graph: CausalGraph, support: float = 1.0) -> CausalGraph:
    """``graph`` with two pairs that no edge joins, the first confounded and the second undirected."""
    free = np.argwhere(np.triu((graph.weights == 0) & (graph.weights.T == 0), 1))
    first, second = [(graph.names[i], graph.names[j]) for i, j in free[:2]]
    findings = Findings(pairs=(PairSupport(*first, "confounded", support), PairSupport(*second, "undirected", support)))
    return replace(graph, confounded=(first,), undirected=(second,), findings=findings)


def strokes(path: Path, colour: str) -> tuple[int, int, int]:
    """Solid lines, dashed lines and filled shapes of one colour in an SVG."""
    styles = [found for found in re.findall(r'style="([^"]*)"', path.read_text()) if colour.lower() in found.lower()]
    lines = [style for style in styles if f"stroke: {colour.lower()}" in style.lower() and "fill: none" in style]
    dashed = sum("dasharray" in style for style in lines)
    return len(lines) - dashed, dashed, sum(f"fill: {colour.lower()}" in style.lower() for style in styles)


def test_pairs_without_direction_look_like_what_they_are(tmp_path: Path) -> None:
    graph = graph_of(6, 1, 3)
    draw_graph(graph, tmp_path / "plain.svg")
    draw_graph(with_pairs(graph), tmp_path / "pairs.svg")
    for colour in (CONFOUNDED, UNDIRECTED):
        assert strokes(tmp_path / "plain.svg", colour) == (0, 0, 0)
    # Each once in the picture and once in the legend; two heads on the confounded pair, none on the undirected one.
    assert strokes(tmp_path / "pairs.svg", CONFOUNDED) == (0, 2, 2)
    assert strokes(tmp_path / "pairs.svg", UNDIRECTED) == (2, 0, 0)
    draw_graph(with_pairs(graph, support=0.2), tmp_path / "unsure.svg")
    assert strokes(tmp_path / "unsure.svg", UNDIRECTED) == (1, 1, 0)


def test_a_variable_that_was_told_to_have_no_causes_is_marked(tmp_path: Path) -> None:
    from matplotlib.image import imread

    graph, pixels = graph_of(5, 3, 11), {}
    for label, row in (("none", ()), ("one", (0,)), ("two", (0, 1))):
        edge = np.full((5, 5), -1)
        edge[list(row)] = 0
        np.fill_diagonal(edge, -1)
        nothing = PriorKnowledge.unknown(graph.names)
        told = PriorKnowledge(graph.names, nothing.path, edge, nothing.probability)
        draw_graph(graph, tmp_path / f"{label}.png", knowledge=told)
        image = imread(tmp_path / f"{label}.png")[..., :3]
        # Above the legend, where only the bars are wide and dark.
        dark = (image[: int(image.shape[0] * 0.8)] < 0.25).all(axis=2)
        pixels[label] = int(dark.sum())
    assert pixels["one"] - pixels["none"] > 300
    assert pixels["two"] - pixels["one"] > 300


def test_the_legend_tells_only_what_is_there(tmp_path: Path) -> None:
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none"}):
        draw_graph(graph_of(4, 0, 0), tmp_path / "empty.svg")
        draw_graph(with_pairs(graph_of(6, 1, 3)), tmp_path / "pairs.svg")
    empty, pairs = (re.sub(r"\s+", " ", (tmp_path / name).read_text()) for name in ("empty.svg", "pairs.svg"))
    for word in ("increases", "hidden cause", "direction open", "support 100", "numbers are direct"):
        assert word not in empty
        assert word in pairs
    assert "target" in empty
    assert "below 50" not in pairs


def test_of_a_large_graph_the_neighbourhood_of_the_target_is_drawn(tmp_path: Path) -> None:
    import matplotlib

    graph = with_pairs(graph_of(100, 3, 5))
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        draw_graph(graph, tmp_path / "large.svg")
    text = (tmp_path / "large.svg").read_text()
    shown = nearest(graph, MOST_VARIABLES, MOST_LINES)
    assert f"The {len(shown.names)} of 100 variables that are nearest to {graph.target}" in text
    assert len(shown.names) == MOST_VARIABLES
    assert nearest(shown, MOST_VARIABLES, MOST_LINES) is shown


@given(p=st.integers(2, 14), parents=st.integers(0, 5), seed=st.integers(0, 10**6), most=st.integers(1, 10))
@settings(deadline=None, max_examples=60, derandomize=True)
def test_what_is_shown_is_nearest_and_true(p: int, parents: int, seed: int, most: int) -> None:
    import networkx

    lines = 12
    graph = graph_of(p, parents, seed)
    shown = nearest(graph, most, lines)
    assert graph.target in shown.names
    assert len(shown.names) <= most
    assert np.count_nonzero(shown.weights) <= lines
    whole, part = (
        {(row.cause, row.effect, row.weight) for row in each.edges().itertuples()} for each in (graph, shown)
    )
    assert part == {edge for edge in whole if {edge[0], edge[1]} <= set(shown.names)}
    skeleton = networkx.Graph([(a, b) for a, b, _ in whole])
    skeleton.add_nodes_from(graph.names)
    far = dict.fromkeys(graph.names, p) | networkx.single_source_shortest_path_length(skeleton, graph.target)
    hidden = [far[name] for name in graph.names if name not in shown.names]
    assert max(far[name] for name in shown.names) <= min(hidden, default=p)


@given(p=st.integers(1, 12), parents=st.integers(0, 4), seed=st.integers(0, 10**6))
@settings(deadline=None, max_examples=25, derandomize=True)
def test_effects_lie_below_their_causes_and_nothing_in_a_layer_overlaps(p: int, parents: int, seed: int) -> None:
    weights, order = random_dag(p, parents, seed)
    widths = np.random.default_rng(seed).uniform(0.5, 2, p)
    layout = lay_out(weights != 0, order, list(widths))
    spans: dict[int, list[tuple[float, float]]] = {}
    for node in range(p):
        reach = widths[node] / 2
        spans.setdefault(layout.depth[node], []).append((layout.across[node] - reach, layout.across[node] + reach))
        causes = np.flatnonzero(weights[node])
        assert layout.depth[node] == max((layout.depth[cause] + 1 for cause in causes), default=0)
    assert set(layout.bends) == {(int(i), int(j)) for i, j in np.argwhere(weights)}
    for (effect, cause), bends in layout.bends.items():
        assert len(bends) == layout.depth[effect] - layout.depth[cause] - 1
        for layer, place in enumerate(bends, start=layout.depth[cause] + 1):
            spans[layer].append((place, place))
    for layer in spans.values():
        ends = sorted(layer)
        assert all(right[0] - left[1] > 0.1 for left, right in itertools.pairwise(ends))


def test_crossings_that_can_be_avoided_are_avoided() -> None:
    edges = np.zeros((6, 6), dtype=bool)
    for cause, effect in ((0, 5), (1, 4), (2, 3)):
        edges[effect, cause] = True
    across = lay_out(edges, range(6), [1.0] * 6).across
    np.testing.assert_array_equal(np.argsort(across[:3]), np.argsort(across[[5, 4, 3]]))
