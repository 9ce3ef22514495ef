"""The picture of a causal graph: what is in the file, that nothing overlaps, and that nothing outside changes."""

import itertools
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.contracts import CausalGraph, PriorKnowledge
from components.discovery.effects import total_effects
from components.errors import InputError
from components.pictures.graph import draw_graph
from components.pictures.layers import lay_out
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
    draw_graph(graph, tmp_path / "graph.png", knowledge_of(graph))
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
        draw_graph(sure, tmp_path / name, knowledge_of(sure, known))
    marks = count(tmp_path / "all.svg", "use") - count(tmp_path / "one.svg", "use")
    assert marks == np.count_nonzero(sure.weights) - 1


def test_a_graph_without_edges_and_knowledge_of_other_variables_can_be_drawn(tmp_path: Path) -> None:
    draw_graph(graph_of(4, 0, 0), tmp_path / "empty.svg", PriorKnowledge.unknown(("age", "height")))
    assert count(tmp_path / "empty.svg", "path") > 4


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must end in \.png or \.svg"):
        draw_graph(graph_of(3, 2, 0), tmp_path / "graph.pdf")


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
