"""Bad tables are refused by name before work starts; harmless faults are mended and told."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from components.contracts import PriorKnowledge
from components.discovery import DirectLingam
from components.discovery.preparation import prepare
from components.errors import InputError
from components.ports import in_order, silent
from components.synthetic import linear_sem


def good(rows: int = 100) -> pd.DataFrame:
    weights = [[0, 0, 0], [0.8, 0, 0], [0, 0.8, 0]]
    return pd.DataFrame(linear_sem(weights, range(3), rows, "uniform", 0), columns=["a", "b", "y"])


def prepared(table: pd.DataFrame, target: str = "y", maximum_rows: int = 1000, log_skewness: float = 2.0):  # type: ignore[no-untyped-def]  # one line a call
    return prepare(table, target, maximum_rows, log_skewness, seed=0)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (good().iloc[:0], "more complete rows than columns, got 0 complete of 0 rows"),
        (good().iloc[:3], "more complete rows than columns, got 3 complete of 3 rows and 3 columns"),
        (good().assign(b=np.nan), "more complete rows than columns, got 0 complete of 100"),
        (good()[["y"]], "at least two columns"),
        (good().assign(b="high"), "only numbers, got b"),
        (good().assign(b=pd.Timestamp("2020-01-01")), "only numbers, got b"),
        (good().assign(b=good()["b"].astype(object)), r"only numbers, got b \(object\)"),
        (good().assign(b=1j), "only numbers, got b"),
        (good().assign(b=good()["b"].where(good()["a"] > 0, np.inf)), "infinite values, found some in b"),
        (good().set_axis(["a", "a", "y"], axis=1), "two columns of one name, got a"),
        (good().drop(columns="y"), "target must be a column of the table, got 'y'"),
        (good().assign(y=1.0), "target must vary"),
        (good().assign(a=1.0, b=2.0), "two columns that vary"),
        (good().assign(a=good()["y"], b=-good()["y"]), "two columns that vary"),
    ],
)
def test_a_bad_table_is_refused_by_name(table: pd.DataFrame, message: str) -> None:
    with pytest.raises(InputError, match=message):
        prepared(table)


def test_incomplete_rows_are_left_out_and_counted() -> None:
    table = good()
    table.iloc[[1, 5, 7], [0, 1, 0]] = np.nan
    found = prepared(table)
    assert found.values.shape == (97, 3)
    assert found.notes == ("Only the 97 of 100 rows without a missing value were used.",)


def test_at_most_so_many_rows_are_drawn_and_counted() -> None:
    found = prepared(good(), maximum_rows=40)
    assert found.notes == ("A random 40 of the 100 complete rows were used.",)
    rows = {tuple(row) for row in good().to_numpy()}
    assert len({tuple(row) for row in found.values} & rows) == 40


@pytest.mark.parametrize(
    ("copy", "source"),
    [
        (lambda table: table["a"], "of a"),
        (lambda table: 5 - 2.54 * table["y"], "of y"),
        (lambda table: table["a"] - 3 * table["b"], "of a, b"),
    ],
)
def test_copies_and_combinations_of_columns_are_left_out(copy, source: str) -> None:  # type: ignore[no-untyped-def]  # lambdas
    found = prepared(good().assign(z=copy(good())))
    assert found.names == ("a", "b", "y")
    assert found.notes == (f"z was left out: it is a linear function {source.replace('of a, b', 'of a, b')}.",)


def test_of_two_copies_the_target_stays() -> None:
    found = prepared(good().assign(a=good()["y"] * 2))
    assert found.names == ("b", "y")


def test_nearly_equal_columns_stay() -> None:
    table = good()
    table["z"] = table["a"] + 1e-4 * np.random.default_rng(0).standard_normal(len(table))
    assert prepared(table).names == ("a", "b", "y", "z")


def test_constant_columns_are_left_out() -> None:
    found = prepared(good().assign(b=3.0))
    assert found.names == ("a", "y")
    assert found.notes == ("b was left out: it has the same value in every row.",)


def test_a_skewed_positive_column_enters_as_its_logarithm() -> None:
    skewed = np.exp(np.random.default_rng(0).standard_normal(100) * 1.5)
    table = good().assign(b=skewed, a=skewed**2 - (skewed**2).min())
    found = prepared(table)
    np.testing.assert_array_equal(found.values[:, 1], np.log(skewed))
    np.testing.assert_array_equal(found.values[:, 0], table["a"])
    note = f"b entered as its natural logarithm (skewness {stats.skew(skewed):.1f})"
    assert len(found.notes) == 1
    assert found.notes[0].startswith(note)
    np.testing.assert_array_equal(prepared(table, log_skewness=0).values, table)


def test_flags_and_nullable_numbers_are_numbers() -> None:
    table = good().assign(b=good()["b"] > 0)
    table["a"] = pd.array((table["a"] * 10).round().astype(int), dtype="Int64")
    table.loc[0, "a"] = pd.NA
    found = prepared(table)
    assert found.values.dtype == np.float64
    assert found.values.shape == (99, 3)


def test_two_columns_are_enough() -> None:
    graph = DirectLingam(replicates=2).discover(
        good()[["b", "y"]], PriorKnowledge.unknown(("b", "y")), "y", in_order, silent
    )
    assert graph.edges()["cause"].tolist() == ["b"]


def test_a_resample_never_loses_a_rare_flag() -> None:
    table = good(60)
    table["flag"] = (np.arange(60) == 7).astype(float)
    names = tuple(table.columns)
    graph = DirectLingam(replicates=20).discover(table, PriorKnowledge.unknown(names), "y", in_order, silent)
    assert graph.replicates == 20
    assert np.isfinite(graph.total_low).all()


def test_too_few_rows_for_any_resample_are_refused() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.laplace(size=(9, 8)), columns=list("abcdefgy"))
    with pytest.raises(InputError, match="a resample keeps its rank"):
        DirectLingam(replicates=2).discover(table, PriorKnowledge.unknown(tuple("abcdefgy")), "y", in_order, silent)
