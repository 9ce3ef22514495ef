"""Contracts as JSON and arrays: what is loaded is what was saved, and the digest says no more and no less."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from components.contracts import CausalGraph, Column, Dataset, Estimate, Posterior, TimeBatch
from components.encoding import ARRAYS, VALUE, digest_of, load_value, save_value
from components.errors import InputError

plain = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=8)
numbers = st.sampled_from([np.float64, np.float32, np.int64, np.int8, np.bool_]).flatmap(
    lambda kind: arrays(
        kind,
        array_shapes(min_dims=0, max_dims=2, max_side=3),
        elements={"allow_nan": False} if np.dtype(kind).kind == "f" else None,
    )
)
columns = st.builds(
    Column,
    name=st.text("abcxyz", min_size=1, max_size=5),
    unit=st.text(max_size=3),
    minimum=st.none() | st.floats(-5, 5),
)
estimates = st.floats(0.1, 0.9).map(lambda value: Estimate(value, value / 2, value + 0.1, "guess"))
trees = st.recursive(
    plain | numbers | columns | estimates,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return (
            isinstance(other, np.ndarray)
            and one.dtype == other.dtype
            and one.tobytes() == other.tobytes()
            and one.shape == other.shape
        )
    if dataclasses.is_dataclass(one):
        return type(one) is type(other) and all(
            same(getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(one)
        )
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return (
            isinstance(other, dict) and list(one) == list(other) and all(same(one[name], other[name]) for name in one)
        )
    return repr(one) == repr(other)  # 0.0 and -0.0 are two


@given(trees)
def test_what_is_loaded_is_what_was_saved(tmp_path_factory: pytest.TempPathFactory, tree: Any) -> None:
    folder = tmp_path_factory.mktemp("value")
    save_value(tree, folder)
    loaded = load_value(folder)
    assert same(tree, loaded)
    assert digest_of(loaded) == digest_of(tree)


@given(trees, trees)
def test_different_values_have_different_digests(one: Any, other: Any) -> None:
    assert (digest_of(one) == digest_of(other)) == same(one, other)


def graph(weight: float) -> CausalGraph:
    weights = np.array([[0.0, 0.0], [weight, 0.0]])
    return CausalGraph(("a", "b"), weights, (0, 1), weights != 0, weights, weights, weights, "b", 10, 5)


def test_a_change_in_the_last_bit_changes_the_digest() -> None:
    assert digest_of(graph(0.5)) == digest_of(graph(0.5))
    assert digest_of(graph(0.5)) != digest_of(graph(np.nextafter(0.5, 1)))


def test_the_digest_is_the_same_in_another_process() -> None:
    posterior = Posterior((("w", (2,)),), np.array([1.0, 2.0]), np.array([0.5, -1.0]))
    code = (
        "import numpy as np; from components.contracts import Posterior; from components.encoding import digest_of;"
        "print(digest_of(Posterior((('w', (2,)),), np.array([1.0, 2.0]), np.array([0.5, -1.0]))))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == digest_of(posterior)


def dataset(path: Path, digest: str = "d") -> Dataset:
    return Dataset(path, (Column("a"),), (TimeBatch(1, "one", 3, 1),), digest)


def test_a_dataset_counts_by_its_content_and_not_by_its_place(tmp_path: Path) -> None:
    assert digest_of(dataset(tmp_path / "here")) == digest_of(dataset(tmp_path / "there"))
    assert digest_of(dataset(tmp_path)) != digest_of(dataset(tmp_path, "e"))
    save_value(dataset(tmp_path / "here"), tmp_path)
    assert load_value(tmp_path).path == tmp_path / "here"


def test_loaded_arrays_cannot_be_written(tmp_path: Path) -> None:
    save_value(np.zeros(3), tmp_path)
    with pytest.raises(ValueError, match="read-only"):
        load_value(tmp_path)[0] = 1.0


def test_what_is_none_of_ours_is_not_stored() -> None:
    with pytest.raises(TypeError, match="cannot be stored"):
        digest_of(object())


@pytest.mark.parametrize(
    "name",
    ["subprocess:Popen", "os:system", "components.storage:write_json", "components.nothing:Thing", "builtins:eval"],
)
def test_a_file_cannot_make_anything_but_our_dataclasses(tmp_path: Path, name: str) -> None:
    save_value(Column("a"), tmp_path)
    tree = json.loads((tmp_path / VALUE).read_text())
    tree["$made"] = name
    (tmp_path / VALUE).write_text(json.dumps(tree))
    with pytest.raises(InputError, match="must hold a value that this version wrote"):
        load_value(tmp_path)


def test_loading_runs_the_checks_of_the_dataclass(tmp_path: Path) -> None:
    save_value(Estimate(0.5, 0.4, 0.6, "x"), tmp_path)
    text = (tmp_path / VALUE).read_text()
    (tmp_path / VALUE).write_text(text.replace("0.6", "0.1"))
    with pytest.raises(InputError, match="between low and high"):
        load_value(tmp_path)


@pytest.mark.parametrize("name", [VALUE, ARRAYS])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_file_is_an_error_and_no_half_value(tmp_path: Path, name: str, damage: str) -> None:
    save_value((graph(0.5), np.arange(100.0)), tmp_path)
    file = tmp_path / name
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(InputError):
        load_value(tmp_path)
