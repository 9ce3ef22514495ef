"""Prior knowledge: what it guarantees, whatever it says."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.contracts import CausalGraph, Evidence, PriorKnowledge
from components.discovery import DirectLingam
from components.discovery.constraints import reachable, reconcile
from components.errors import InputError
from components.ports import in_order, silent
from components.synthetic import linear_sem, random_dag

METHOD = DirectLingam(replicates=2, log_skewness=0)
NAMES = ("a", "b", "c", "d")
CHAIN = [[0, 0, 0, 0], [0.8, 0, 0, 0], [0, 0.8, 0, 0], [0, 0, 0.8, 0]]


def table(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    return pd.DataFrame(linear_sem(CHAIN, range(4), rows, "uniform", seed), columns=NAMES)


def knowledge(path: dict[str, int] | None = None, edge: dict[str, int] | None = None) -> PriorKnowledge:
    """Cells written "ab" for a acting on b."""
    matrices = []
    for cells in (path or {}, edge or {}):
        matrix = np.full((4, 4), -1)
        for (cause, effect), mark in cells.items():
            matrix[NAMES.index(effect), NAMES.index(cause)] = mark
        matrices.append(matrix)
    return PriorKnowledge(NAMES, matrices[0], matrices[1], np.full((4, 4), np.nan))


def discover(known: PriorKnowledge) -> CausalGraph:
    return METHOD.discover(table(), known, "d", in_order, silent)


def has_edge(graph: CausalGraph, cause: str, effect: str) -> bool:
    return bool(graph.weights[graph.names.index(effect), graph.names.index(cause)])


def about_knowledge(graph: CausalGraph) -> tuple[str, ...]:
    """The notes without those that hold the assumptions against the residuals."""
    return tuple(note for note in graph.notes if " residuals " not in note)


def marks(p: int) -> st.SearchStrategy[np.ndarray]:
    def square(cells: list[int]) -> np.ndarray:
        matrix = np.array(cells).reshape(p, p)
        np.fill_diagonal(matrix, -1)
        return matrix

    return st.lists(st.sampled_from([-1, -1, 0, 1]), min_size=p * p, max_size=p * p).map(square)


def orders(path: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """[effect, cause] True where the knowledge asks for the cause to come first."""
    return (path == 1) | ((edge == 1) & (path != 0))


@given(path=marks(4), edge=marks(4), seed=st.integers(0, 50))
@settings(deadline=None, max_examples=60, derandomize=True)
def test_whatever_is_claimed_no_forbidden_path_or_edge_appears(path: np.ndarray, edge: np.ndarray, seed: int) -> None:
    weights, order = random_dag(4, 3, seed)
    values = pd.DataFrame(linear_sem(weights, order, 60, "uniform", seed), columns=NAMES)
    graph = METHOD.discover(values, PriorKnowledge(NAMES, path, edge, np.full((4, 4), np.nan)), "d", in_order, silent)
    reach = reachable(graph.weights != 0)
    assert not (reach & (path == 0)).any()
    assert not ((graph.weights != 0) & (edge == 0)).any()
    assert not (graph.support[(edge == 0) | (path == 0)]).any()
    assert not graph.total_low[path == 0].any()
    assert not graph.total_high[path == 0].any()
    assert not np.diag(reach).any()
    place, wanted = np.argsort(graph.order), orders(path, edge)
    if not np.diag(reachable(wanted)).any():
        later, earlier = np.nonzero(wanted)
        assert (place[earlier] < place[later]).all()


@given(path=marks(5), edge=marks(5))
@settings(deadline=None, max_examples=100, derandomize=True)
def test_the_order_given_to_the_search_has_no_cycle_and_loses_no_consistent_requirement(
    path: np.ndarray, edge: np.ndarray
) -> None:
    names = (*NAMES, "e")
    found = reconcile(PriorKnowledge(names, path, edge, np.full((5, 5), np.nan)), names, names)
    assert not np.diag(found.before).any()
    np.testing.assert_array_equal(found.before, reachable(found.before))
    assert not (found.required_path & ~found.before).any()
    assert not (found.required_edge & found.forbidden_edge).any()
    assert not (found.forbidden_path & ~found.forbidden_edge).any()
    wanted = orders(path, edge)
    if not np.diag(reachable(wanted)).any():
        assert not (wanted & ~found.before).any()


def test_knowledge_that_agrees_changes_nothing() -> None:
    plain = discover(PriorKnowledge.unknown(NAMES))
    place = np.argsort(plain.order)
    upward = place[:, None] < place
    agreeing = np.where(upward, 0, -1)
    told = discover(PriorKnowledge(NAMES, agreeing, agreeing, np.full((4, 4), np.nan)))
    assert told.order == plain.order
    np.testing.assert_array_equal(told.weights, plain.weights)
    assert about_knowledge(told) == ()


def test_a_variable_that_nothing_reaches_is_exogenous() -> None:
    graph = discover(knowledge(path={"ad": 0, "bd": 0, "cd": 0}))
    assert graph.order[0] == 3
    assert graph.ancestors("d") == frozenset()
    assert about_knowledge(graph) == ()


@pytest.mark.parametrize("cells", ["ab bc", "ab ba", "ab bc ca", "ab bc cd da", "ab ba bc cb"])
def test_prohibitions_in_a_circle_are_all_kept_without_a_word(cells: str) -> None:
    graph = discover(knowledge(path=dict.fromkeys(cells.split(), 0)))
    for cause, effect in cells.split():
        assert cause not in graph.ancestors(effect)
    assert not any("required" in note for note in graph.notes)


@pytest.mark.parametrize("kind", ["path", "edge"])
@pytest.mark.parametrize("cells", ["ab ba", "ab bc ca", "ab bc cd da"])
def test_requirements_in_a_circle_lose_one_and_say_so(cells: str, kind: str) -> None:
    graph = discover(knowledge(**{kind: dict.fromkeys(cells.split(), 1)}))
    assert sum("surer knowledge says the reverse" in note for note in graph.notes) == 1


def test_of_a_circle_the_least_certain_requirement_goes() -> None:
    known = knowledge(path={"ab": 1, "bc": 1, "ca": 1})
    evidence = tuple(
        Evidence(effect, cause, "required path", "model", sure)
        for cause, effect, sure in (("a", "b", 0.96), ("b", "c", 0.99), ("c", "a", 0.98))
    )
    found = reconcile(replace(known, evidence=evidence), NAMES, NAMES)
    assert [note.split(" was")[0] for note in found.notes] == ["a -> b"]
    kept = {(NAMES[earlier], NAMES[later]) for later, earlier in np.argwhere(found.before)}
    assert kept == {("b", "c"), ("c", "a"), ("b", "a")}


def test_of_prohibitions_in_a_circle_the_least_certain_does_not_shape_the_order() -> None:
    known = knowledge(path={"ab": 0, "bc": 0, "ca": 0})
    evidence = tuple(
        Evidence(effect, cause, "forbidden path", "model", sure)
        for cause, effect, sure in (("a", "b", 0.99), ("b", "c", 0.96), ("c", "a", 0.98))
    )
    before = reconcile(replace(known, evidence=evidence), NAMES, NAMES).before
    assert before[0, 1]
    assert before[2, 0]
    assert before[2, 1]


def test_a_required_edge_the_data_do_not_show_is_fitted_by_least_squares() -> None:
    graph = discover(knowledge(edge={"ad": 1}))
    assert has_edge(graph, "a", "d")
    assert graph.support[3, 0] == 1
    values = table()
    parents = [name for name in NAMES if has_edge(graph, name, "d")]
    design = np.column_stack([values[parents], np.ones(len(values))])
    oracle = np.linalg.lstsq(design, values["d"], rcond=None)[0][:-1]
    np.testing.assert_allclose([graph.weights[3, NAMES.index(name)] for name in parents], oracle, atol=1e-9)


def test_a_forbidden_edge_goes_and_the_rest_is_refitted() -> None:
    graph = discover(knowledge(edge={"bc": 0}))
    assert graph.order == (0, 1, 2, 3)
    assert not has_edge(graph, "b", "c")
    values = table()
    slope = np.polyfit(values["a"], values["c"], 1)[0]
    assert graph.weights[2, 0] == pytest.approx(slope)


def test_a_required_path_that_is_also_forbidden_is_told() -> None:
    graph = discover(knowledge(path={"ab": 0}, edge={"ab": 1}))
    assert "b" not in graph.descendants("a")
    assert any("required and its path forbidden" in note for note in graph.notes)


def test_a_forbidden_path_through_required_edges_is_cut_and_told() -> None:
    graph = discover(knowledge(path={"ac": 0}, edge={"ab": 1, "bc": 1}))
    assert "c" not in graph.descendants("a")
    assert any("It was required." in note for note in graph.notes)


def test_the_weakest_edge_of_a_forbidden_path_is_cut_and_a_required_one_last() -> None:
    # Required paths fix the order a, b, c. In standard units b -> c is the stronger edge, 0.72 against 0.62.
    forced = {"ab": 1, "bc": 1, "ac": 0}
    graph = discover(knowledge(path=forced))
    assert not has_edge(graph, "a", "b")
    assert has_edge(graph, "b", "c")
    other = discover(knowledge(path=forced, edge={"ab": 1}))
    assert has_edge(other, "a", "b")
    assert not has_edge(other, "b", "c")
    assert any(note.startswith("The edge b -> c was removed") for note in other.notes)


def test_a_required_path_that_is_not_found_is_told() -> None:
    values = pd.DataFrame(linear_sem(np.zeros((2, 2)), (0, 1), 300, "uniform", 0), columns=["a", "b"])
    known = PriorKnowledge(("a", "b"), [[-1, 1], [-1, -1]], [[-1, -1], [-1, -1]], np.full((2, 2), np.nan))
    graph = METHOD.discover(values, known, "b", in_order, silent)
    assert graph.order == (1, 0)
    missed = "The data show no path b -> ... -> a, which was required; only its order was kept."
    assert about_knowledge(graph) == (missed,)


def test_knowledge_of_some_columns_in_another_order_is_understood() -> None:
    small = PriorKnowledge(("d", "a"), [[-1, 0], [-1, -1]], np.full((2, 2), -1), np.full((2, 2), np.nan))
    graph = discover(small)
    assert "d" not in graph.descendants("a")


def test_knowledge_of_a_strange_column_is_refused() -> None:
    with pytest.raises(InputError, match="knowledge must speak of columns of the table, got z"):
        discover(PriorKnowledge.unknown(("a", "z")))


def test_knowledge_of_a_column_left_out_is_no_error() -> None:
    values = table().assign(c=1.0)
    graph = METHOD.discover(values, knowledge(path={"ac": 1, "ab": 1}), "d", in_order, silent)
    assert graph.names == ("a", "b", "d")
    assert has_edge(graph, "a", "b")
