"""What is written is read back to the last bit, or refused by a sentence that names the file."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from components.contracts import Column, Dataset, Estimate, EvaluationLabels, Part, Posterior, TimeBatch
from components.errors import InputError, OutsideError
from components.storage import (
    atomic_folder,
    load_dataset,
    load_posterior,
    read_json,
    read_rows,
    save_dataset,
    save_posterior,
    stream_rows,
    write_json,
)

ROWS = 30


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Three batches of 30 rows in two files each, written by pandas alone."""
    folder = tmp_path_factory.mktemp("data")
    for batch in (1, 2, 3):
        rows = np.arange(ROWS) + 100 * batch
        frame = pd.DataFrame({"x": rows / 7, "c": [f"c{r % 3}" for r in rows], "y": rows % 2 * 1.0, "_row": rows})
        frame["_part"] = [("fit", "tune", "held")[r % 3] for r in rows]
        place = folder / f"batch={batch}"
        place.mkdir()
        frame.iloc[::-2].to_parquet(place / "part-000000.parquet", row_group_size=4)
        frame.iloc[-2::-2].to_parquet(place / "part-000001.parquet")
    columns = (Column("x", unit="mmHg", minimum=0.5), Column("c", kind="category"), Column("y", "weak_label", "flag"))
    batches = tuple(TimeBatch(index, f"wave {index}", ROWS, ROWS // 2) for index in (1, 2, 3))
    return Dataset(folder, columns, batches, "ab" * 32, ("a note",), Estimate(0.7, 0.6, 0.8, "declared: me"))


def test_read_rows_keeps_a_stable_order(dataset: Dataset) -> None:
    frame = read_rows(dataset, ["x", "c"])
    assert frame.columns.tolist() == ["x", "c", "_row", "_part", "batch"]
    assert frame["_row"].tolist() == [100 * batch + row for batch in (1, 2, 3) for row in range(ROWS)]
    assert (frame["batch"] == frame["_row"] // 100).all()
    np.testing.assert_array_equal(frame["x"], frame["_row"] / 7)


@settings(max_examples=25, deadline=None)
@given(
    batches=st.none() | st.lists(st.sampled_from([1, 2, 3]), min_size=1, unique=True),
    parts=st.none() | st.lists(st.sampled_from(["fit", "tune", "held"]), min_size=1, unique=True),
    chunk=st.integers(1, 100),
    seed=st.integers(0, 5),
)
def test_a_selection_is_the_same_read_or_streamed(
    dataset: Dataset, batches: list[int] | None, parts: list[Part] | None, chunk: int, seed: int
) -> None:
    whole = read_rows(dataset, ["x"])
    chosen = whole[whole["batch"].isin(batches or [1, 2, 3]) & whole["_part"].isin(parts or ["fit", "tune", "held"])]
    read = read_rows(dataset, ["x"], batches, parts)
    pd.testing.assert_frame_equal(read, chosen.reset_index(drop=True))
    pieces = list(stream_rows(dataset, ["x"], chunk, batches, parts, seed))
    assert all(len(piece) == chunk for piece in pieces[:-1])
    assert 0 < len(pieces[-1]) <= chunk
    together = pd.concat(pieces).sort_values(["batch", "_row"], ignore_index=True)
    pd.testing.assert_frame_equal(together, read)


def test_a_stream_is_shuffled_by_its_seed(dataset: Dataset) -> None:
    def order(seed: int) -> list[int]:
        return pd.concat(list(stream_rows(dataset, [], 7, seed=seed)))["_row"].tolist()

    assert order(1) == order(1)
    assert order(1) != order(2)
    ranks = pd.Series(order(1)).rank()
    # A correlation of independent ranks has a standard deviation of 0.106 at 90 rows.
    assert abs(ranks.corr(pd.Series(range(len(ranks))))) < 0.33


def test_a_stream_through_a_small_buffer_gives_every_row_once(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.storage._BUFFER_ROWS", 10)
    pieces = list(stream_rows(dataset, [], 3))
    assert [len(piece) for piece in pieces] == [3] * 30
    assert sorted(pd.concat(pieces)["_row"]) == read_rows(dataset, [])["_row"].tolist()


def test_what_a_dataset_does_not_hold_is_named(dataset: Dataset) -> None:
    with pytest.raises(InputError, match=r"got 'X1'; it has x, c, y"):
        read_rows(dataset, ["X1"])
    with pytest.raises(InputError, match=r"batch must be one of 1 to 3, got 4"):
        read_rows(dataset, ["x"], [4])
    with pytest.raises(InputError, match=r"part must be one of fit, tune, held, got 'test'"):
        read_rows(dataset, ["x"], None, ["test"])  # type: ignore[list-item]
    with pytest.raises(InputError, match=r"rows must be positive, got 0"):
        stream_rows(dataset, ["x"], 0)
    gone = replace(dataset, batches=(*dataset.batches, TimeBatch(4, "gone", 1, 0)))
    with pytest.raises(OutsideError, match=r"batch 4 has no Parquet files in .*run again"):
        read_rows(gone, ["x"])


def test_a_dataset_comes_back_as_it_was(dataset: Dataset, tmp_path: Path) -> None:
    labels = EvaluationLabels(tmp_path / "evaluation.parquet", "truth", "measured", "cd" * 32)
    save_dataset(dataset, tmp_path, labels)
    found, found_labels = load_dataset(tmp_path)
    assert vars(replace(found, path=dataset.path)) == vars(dataset)
    assert found.path == tmp_path
    assert found_labels is not None
    assert vars(found_labels) == vars(labels)
    save_dataset(dataset, tmp_path)
    assert load_dataset(tmp_path)[1] is None


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        (None, "found none at"),
        ("{", "must hold JSON"),
        ("[]", "schema_version .* got None"),
        ('{"schema_version": 99}', "schema_version .* got 99"),
        ('{"schema_version": 1}', "must describe a dataset"),
    ],
)
def test_a_broken_manifest_is_named(tmp_path: Path, content: str | None, pattern: str) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(InputError, match=pattern) as caught:
        load_dataset(tmp_path)
    assert "manifest.json" in str(caught.value)


def posterior_of(pairs: list[tuple[float, float]]) -> Posterior:
    precision, shift = np.array(pairs).T
    return Posterior((("w", (len(pairs),)),), precision, shift, rows=1e-3 + len(pairs), lineage=("a", "b"))


posteriors = st.lists(st.tuples(st.floats(1e-300, 1e300), st.floats(-1e300, 1e300)), min_size=1, max_size=12).map(
    posterior_of
)


@settings(max_examples=30, deadline=None)
@given(posterior=posteriors)
def test_a_posterior_comes_back_to_the_last_bit(tmp_path_factory: pytest.TempPathFactory, posterior: Posterior) -> None:
    path = tmp_path_factory.mktemp("posterior") / "posterior.safetensors"
    save_posterior(posterior, path)
    found = load_posterior(path)
    assert found.digest == posterior.digest
    assert (found.layout, found.rows, found.lineage) == (posterior.layout, posterior.rows, posterior.lineage)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "posterior.safetensors"
    save_posterior(Posterior((("w", (2, 3)), ("b", ())), np.ones(7), np.zeros(7)), path)
    return path


@pytest.mark.parametrize("kept", [0, 4, 8, 100, -1])
def test_a_posterior_cut_short_is_named(saved: Path, kept: int) -> None:
    saved.write_bytes(saved.read_bytes()[:kept])
    with pytest.raises(InputError, match=re.escape(str(saved))):
        load_posterior(saved)


def test_a_foreign_file_is_named(saved: Path) -> None:
    save_file({"precision": np.ones(1), "shift": np.ones(1)}, saved)
    with pytest.raises(InputError, match=re.escape(str(saved))):
        load_posterior(saved)
    about = {"schema_version": 99, "layout": [], "rows": 0, "lineage": []}
    save_file({"precision": np.ones(1), "shift": np.ones(1)}, saved, metadata={"posterior": json.dumps(about)})
    with pytest.raises(InputError, match=r"posterior.safetensors .*schema_version must be 1, got 99"):
        load_posterior(saved)
    with pytest.raises(InputError, match=r"found none at .*absent"):
        load_posterior(saved.with_name("absent"))


def test_json_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "value.json"
    value = {"estimate": Estimate(0.5, 0.4, 0.6, "ä"), "array": np.arange(3), "path": tmp_path, "one": np.float64(1)}
    write_json(path, value)
    assert read_json(path) == {
        "estimate": {"value": 0.5, "low": 0.4, "high": 0.6, "source": "ä"},
        "array": [0, 1, 2],
        "path": str(tmp_path),
        "one": 1.0,
    }
    before = path.read_bytes()
    with pytest.raises(TypeError, match="set cannot be written"):
        write_json(path, {"bad": {1}})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "result"
    with atomic_folder(path) as fresh:
        assert fresh.parent.parent == tmp_path
        assert not path.exists()
        (fresh / "a").write_text("1")
    assert (path / "a").read_text() == "1"
    with pytest.raises(FileNotFoundError), atomic_folder(path) as fresh:
        (fresh / "missing" / "a").write_text("2")
    assert (path / "a").read_text() == "1"
    with atomic_folder(path) as fresh:
        (fresh / "b").write_text("3")
    assert [entry.name for entry in path.iterdir()] == ["b"]
    assert list(tmp_path.iterdir()) == [path]
