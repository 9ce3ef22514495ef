"""What a table becomes: every row accounted for, the same from any source, labels for evaluation apart."""

import gzip
import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.contracts import Dataset, EvaluationLabels
from components.ingestion import Specification, ingest
from components.ingestion.fingerprint import fingerprint
from components.ports import silent
from components.storage import load_dataset, read_rows, stream_rows

COLUMNS: dict[str, Any] = {
    "key": {"role": "id"},
    "seen": {"role": "time", "kind": "time"},
    "ward": {"role": "group", "kind": "category"},
    "weak": {"role": "weak_label", "kind": "category", "positive": ["yes"]},
    "truth": {"role": "evaluation_label", "kind": "flag"},
    "pressure": {"minimum": 50, "maximum": 300},
    "male": {"kind": "flag"},
    "smoking": {"kind": "category"},
}


def table(rows: int = 200, seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "key": draw.permutation(rows * 3)[:rows],
            "seen": pd.Timestamp("2019-11-03 08:30") + pd.to_timedelta(draw.integers(0, 900, rows), unit="D"),
            "ward": draw.choice(["north", "south", "Ost & West"], rows),
            "weak": draw.choice(["yes", "no", None], rows, p=[0.3, 0.6, 0.1]),
            "truth": draw.choice([1.0, 0.0, np.nan], rows),
            "pressure": draw.normal(120, 20, rows).round(4),
            "male": draw.choice([1.0, 0.0, np.nan], rows),
            "smoking": draw.choice(["never", "0 to 1", None], rows),
            "unused": draw.normal(size=rows),
        }
    )
    frame.loc[:2, ["weak", "truth"]] = pd.DataFrame({"weak": ["yes", "no", "no"], "truth": [1.0, 0.0, 0.0]})
    return frame


def declared(path: Path, **changes: Any) -> Specification:
    content: dict[str, Any] = {
        "name": "clinic",
        "source": {"kind": "csv", "path": str(path)},
        "columns": COLUMNS,
        "batches": {"by": "seen", "every": "year"},
    }
    return Specification.model_validate({**content, **changes})


def ingested(
    frame: pd.DataFrame, folder: Path, seed: int = 0, **changes: Any
) -> tuple[Dataset, EvaluationLabels | None]:
    frame.to_csv(folder / "table.csv", index=False)
    return ingest(declared(folder / "table.csv", **changes), folder / "out", seed, silent)


def everything(dataset: Dataset) -> pd.DataFrame:
    return read_rows(dataset, [column.name for column in dataset.columns])


def test_stored_values_are_those_that_pandas_reads(tmp_path: Path) -> None:
    frame = table()
    dataset, labels = ingested(frame, tmp_path, batches={"by": "seen", "every": "quarter"})
    stored = everything(dataset).sort_values("key", ignore_index=True)
    oracle = frame.sort_values("key", ignore_index=True)
    np.testing.assert_array_equal(stored["_row"], oracle["key"])
    for name in ("pressure", "male"):
        np.testing.assert_array_equal(stored[name], oracle[name])
    np.testing.assert_array_equal(stored["weak"], (oracle["weak"] == "yes").astype(float))
    assert stored["smoking"].isna().equals(oracle["smoking"].isna())
    assert stored["smoking"].dropna().tolist() == oracle["smoking"].dropna().tolist()
    assert stored["seen"].tolist() == oracle["seen"].tolist()
    quarters = oracle["seen"].dt.to_period("Q")
    order = {str(quarter): index for index, quarter in enumerate(sorted(quarters.unique()), 1)}
    assert stored["batch"].tolist() == [order[str(quarter)] for quarter in quarters]
    assert [batch.label for batch in dataset.batches] == [name.replace("Q", "-Q") for name in order]
    counts = frame.groupby(frame["seen"].dt.to_period("Q"))["weak"].agg(["size", lambda s: (s == "yes").sum()])
    assert [(batch.rows, batch.positives) for batch in dataset.batches] == list(
        counts.itertuples(index=False, name=None)
    )
    assert labels is not None
    truth = pd.read_parquet(labels.path).sort_values("_row", ignore_index=True)
    np.testing.assert_array_equal(truth["label"], oracle["truth"])
    np.testing.assert_array_equal(truth["batch"], stored["batch"])


def test_every_source_of_the_same_table_gives_the_same_dataset(tmp_path: Path) -> None:
    frame = table()
    digests, values = set(), []
    frame.to_csv(tmp_path / "table.csv", index=False)
    frame.to_csv(tmp_path / "semicolons.txt", index=False, sep=";")
    frame.iloc[:, ::-1].to_csv(tmp_path / "turned.csv", index=False)
    frame.to_parquet(tmp_path / "table.parquet", index=False, row_group_size=37)
    with gzip.open(tmp_path / "table.csv.gz", "wt") as packed:
        frame.to_csv(packed, index=False)
    (tmp_path / "many").mkdir()
    for number, start in enumerate(range(0, len(frame), 60)):
        part = frame.iloc[start : start + 60]
        part[sorted(frame.columns, reverse=bool(number % 2))].to_csv(tmp_path / "many" / f"{number}.csv", index=False)
    with sqlite3.connect(tmp_path / "clinic.db") as connection:
        frame.assign(seen=frame["seen"].astype(str)).to_sql("visits", connection, index=False)
    connection.close()
    for source in (
        {"kind": "csv", "path": str(tmp_path / "table.csv")},
        {"kind": "csv", "path": str(tmp_path / "table.csv"), "block_bytes": 5000},
        {"kind": "csv", "path": str(tmp_path / "semicolons.txt"), "separator": ";"},
        {"kind": "csv", "path": str(tmp_path / "turned.csv")},
        {"kind": "csv", "path": str(tmp_path / "table.csv.gz")},
        {"kind": "csv", "path": str(tmp_path / "many")},
        {"kind": "csv", "path": str(tmp_path / "many" / "*.csv")},
        {"kind": "parquet", "path": str(tmp_path / "table.parquet")},
        {"kind": "sql", "url": f"sqlite:///{tmp_path}/clinic.db", "table": "visits"},
        {"kind": "sql", "url": f"sqlite:///{tmp_path}/clinic.db", "query": "select * from visits order by pressure"},
    ):
        dataset, labels = ingest(declared(tmp_path, source=source), tmp_path / source["kind"], 0, silent)
        assert labels is not None
        digests.add((dataset.digest, labels.digest))
        values.append(everything(dataset))
        pd.testing.assert_frame_equal(values[0], values[-1])
    assert len(digests) == 1


def test_rows_without_an_id_are_numbered_across_files_and_blocks(tmp_path: Path) -> None:
    frame = table().drop(columns="key")
    columns = {name: column for name, column in COLUMNS.items() if name != "key"}
    frame.to_csv(tmp_path / "table.csv", index=False)
    source = {"kind": "csv", "path": str(tmp_path / "table.csv"), "block_bytes": 3000}
    dataset, _ = ingest(declared(tmp_path, source=source, columns=columns), tmp_path / "out", 0, silent)
    stored = read_rows(dataset, ["pressure"]).sort_values("_row")
    assert stored["_row"].tolist() == list(range(len(frame)))
    np.testing.assert_array_equal(stored["pressure"], frame["pressure"])


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(4, 60),
    missing=st.integers(0, 3),
    least=st.integers(1, 30),
    lowest=st.sampled_from([0.0, 110.0]),
)
def test_rows_in_are_rows_out_and_rows_noted(seed: int, rows: int, missing: int, least: int, lowest: float) -> None:
    frame = table(rows, seed)
    frame["pressure"] = frame["pressure"].clip(60, 290)
    frame.loc[:2, "pressure"] = 120.0
    frame.loc[rows - missing :, "seen"] = pd.NaT
    frame.loc[:2, "seen"] = pd.Timestamp("2020-01-01")
    with TemporaryDirectory() as folder:
        batches = {"by": "seen", "every": "month", "rows_at_least": least}
        keep = [{"column": "pressure", "minimum": lowest}]
        dataset, labels = ingested(frame, Path(folder), batches=batches, keep=keep)
        noted = sum(int(note.split()[0]) for note in dataset.notes if "rows were dropped" in note)
        assert dataset.rows + noted == rows
        oracle = frame[(frame["pressure"] >= lowest) & frame["seen"].notna()]
        stored = everything(dataset)
        assert sorted(stored["_row"]) == sorted(oracle["key"])
        assert [batch.rows for batch in dataset.batches] == stored.groupby("batch").size().tolist()
        assert len(dataset.batches) == 1 or min(batch.rows for batch in dataset.batches) >= least
        assert labels is not None
        assert sorted(pd.read_parquet(labels.path)["_row"]) == sorted(oracle["key"])


def test_one_changed_value_changes_the_digest_and_an_order_does_not(tmp_path: Path) -> None:
    frame = table(40)
    digest = ingested(frame, tmp_path)[0].digest
    assert ingested(frame.sample(frac=1, random_state=1)[sorted(frame.columns)], tmp_path)[0].digest == digest
    assert ingested(frame.assign(unused=0), tmp_path)[0].digest == digest
    changes = {
        "seen": "2020-02-02",
        "ward": "x",
        "weak": "yes",
        "pressure": 77.7,
        "male": 1,
        "smoking": "x",
        "key": 999,
    }
    for name, value in changes.items():
        changed = frame.astype(object)
        changed.loc[next(row for row in frame.index if frame.loc[row, name] != value), name] = value
        assert ingested(changed, tmp_path)[0].digest != digest, name


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), row=st.integers(0, 29), cut=st.integers(0, 30))
def test_a_fingerprint_knows_content_and_nothing_else(seed: int, row: int, cut: int) -> None:
    frame = table(30, seed)
    names = list(frame.columns)
    whole = fingerprint(frame, names)
    assert fingerprint(frame.sample(frac=1, random_state=seed), names[::-1]) == whole
    assert fingerprint(frame.iloc[:cut], names) + fingerprint(frame.iloc[cut:], names) == whole
    for name in ("pressure", "unused"):
        changed = frame.copy()
        changed.loc[row, name] = np.nextafter(frame.loc[row, name], np.inf)
        assert fingerprint(changed, names) != whole
    swapped = frame.assign(male=frame["truth"], truth=frame["male"])
    assert (fingerprint(swapped, names) == whole) == frame["male"].equals(frame["truth"])


def test_what_is_declared_is_part_of_the_digest(tmp_path: Path) -> None:
    digest = ingested(table(), tmp_path)[0].digest
    described = {**COLUMNS, "male": {"kind": "flag", "description": "sex"}}
    assert ingested(table(), tmp_path, columns=described)[0].digest != digest
    assert ingested(table(), tmp_path, batches={"by": "seen", "every": "quarter"})[0].digest != digest
    assert ingested(table(), tmp_path, seed=1)[0].digest != digest
    assert ingested(table(), tmp_path, description="another")[0].digest == digest


def test_changed_evaluation_labels_change_nothing_that_training_sees(tmp_path: Path) -> None:
    frame = table()
    dataset, labels = ingested(frame, tmp_path)
    frame["truth"] = frame["truth"].replace({0.0: 1.0, 1.0: 0.0})
    other, other_labels = ingested(frame, tmp_path)
    assert labels is not None
    assert other_labels is not None
    assert dataset.digest == other.digest
    assert labels.digest != other_labels.digest
    assert dataset.path != other.path
    np.testing.assert_array_equal(
        pd.read_parquet(labels.path)["label"], 1 - pd.read_parquet(other_labels.path)["label"]
    )


def test_the_evaluation_label_is_in_no_file_of_the_dataset(tmp_path: Path) -> None:
    dataset, labels = ingested(table(), tmp_path)
    files = [*dataset.path.glob("batch=*/*.parquet"), dataset.path / "profile.parquet"]
    assert len(files) > 2
    for file in files:
        assert not {"truth", "label"} & set(pq.read_schema(file).names)
    assert "truth" not in pd.read_parquet(dataset.path / "profile.parquet")["column"].tolist()
    assert "truth" not in [column.name for column in dataset.columns]
    assert labels is not None
    assert pq.read_schema(labels.path).names == ["batch", "_row", "label"]


def test_parts_follow_row_and_seed_alone(tmp_path: Path) -> None:
    frame = table(4000)
    first = everything(ingested(frame, tmp_path)[0]).set_index("_row")["_part"]
    half = everything(ingested(frame.iloc[::2], tmp_path)[0]).set_index("_row")["_part"]
    assert (first[half.index] == half).all()
    other = everything(ingested(frame, tmp_path, seed=7)[0]).set_index("_row")["_part"]
    assert (
        0.3 < (first == other.reindex(first.index)).mean() < 0.6
    )  # 0.60**2 + 0.15**2 + 0.25**2 = 0.445 if independent
    shares = first.value_counts(normalize=True)
    # Three standard deviations of a share over 4,000 rows are 0.023.
    assert shares["fit"] == pytest.approx(0.60, abs=0.025)
    assert shares["tune"] == pytest.approx(0.15, abs=0.02)
    assert shares["held"] == pytest.approx(0.25, abs=0.022)


def test_the_same_content_is_stored_once_and_found_again(tmp_path: Path) -> None:
    dataset, labels = ingested(table(), tmp_path)
    written = (dataset.path / "manifest.json").stat().st_mtime_ns
    again, _ = ingested(table(), tmp_path)
    assert again.path == dataset.path
    assert (again.path / "manifest.json").stat().st_mtime_ns == written
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == [dataset.path.name]
    moved = dataset.path.rename(tmp_path / "moved")
    found, found_labels = load_dataset(moved)
    assert found.path == moved
    assert (found.digest, found.columns, found.batches, found.notes) == (
        dataset.digest,
        dataset.columns,
        dataset.batches,
        dataset.notes,
    )
    assert labels is not None
    assert found_labels is not None
    assert found_labels.digest == labels.digest


@pytest.mark.parametrize("failure", [KeyboardInterrupt, MemoryError])
def test_a_stop_half_way_leaves_no_dataset(tmp_path: Path, failure: type[BaseException]) -> None:
    table().to_csv(tmp_path / "table.csv", index=False)

    def stop(step: int, total: int, metrics: object) -> None:
        raise failure

    with pytest.raises(failure):
        ingest(declared(tmp_path / "table.csv"), tmp_path / "out", 0, stop)
    assert list((tmp_path / "out").iterdir()) == []


def test_the_report_hears_of_every_round(tmp_path: Path) -> None:
    table().to_csv(tmp_path / "table.csv", index=False)
    heard: list[tuple[int, int, float]] = []
    source = {"kind": "csv", "path": str(tmp_path / "table.csv"), "block_bytes": 700}
    ingest(declared(tmp_path, source=source), tmp_path / "out", 0, lambda i, n, m: heard.append((i, n, m["rows"])))
    assert [step for step, _, _ in heard] == list(range(heard[0][1]))
    assert len(heard) > 1
    assert heard[-1][2] == 200


def test_groups_make_batches_in_the_order_declared(tmp_path: Path) -> None:
    order = ["south", "Ost & West", "north"]
    dataset, _ = ingested(table(), tmp_path, batches={"by": "ward", "order": order})
    assert [batch.label for batch in dataset.batches] == order
    stored = read_rows(dataset, ["ward"])
    assert (stored["ward"] == stored["batch"].map(dict(enumerate(order, 1)))).all()
    assert any("batches follow ward, they are groups of rows and not points in time" in note for note in dataset.notes)


def test_a_number_can_be_the_time_and_a_column_the_name_of_a_batch(tmp_path: Path) -> None:
    frame = table().assign(
        year=lambda f: f["seen"].dt.year + 0.5, wave=lambda f: "wave " + f["seen"].dt.year.astype(str)
    )
    columns = {**COLUMNS, "seen": {"role": "ignored", "kind": "time"}, "wave": {"role": "ignored", "kind": "category"}}
    columns["year"] = {"role": "time", "kind": "number"}
    dataset, _ = ingested(frame, tmp_path, columns=columns, batches={"by": "year", "label": "wave"})
    assert [batch.label for batch in dataset.batches] == ["wave 2019", "wave 2020", "wave 2021", "wave 2022"]
    assert "wave" not in [column.name for column in dataset.columns]
    unnamed, _ = ingested(frame, tmp_path, columns=columns, batches=None)
    assert [batch.label for batch in unnamed.batches] == ["2019.5", "2020.5", "2021.5", "2022.5"]


@pytest.mark.parametrize(
    ("every", "label"),
    [
        ("day", "2020-02-29"),
        ("week", "week of 2020-02-24"),
        ("month", "2020-02"),
        ("quarter", "2020-Q1"),
        ("year", "2020"),
        (None, "2020-02-29T23:30:00"),
    ],
)
def test_a_period_is_named_as_people_name_it(tmp_path: Path, every: str | None, label: str) -> None:
    frame = table(20).assign(seen="2020-02-29T23:30:00")
    dataset, _ = ingested(frame, tmp_path, batches={"by": "seen", "every": every})
    assert [batch.label for batch in dataset.batches] == [label]


def test_values_out_of_range_become_missing_and_are_counted(tmp_path: Path) -> None:
    frame = table()
    frame.loc[[3, 5, 8], "pressure"] = [0.0, 49.9, 300.1]
    frame.loc[[9, 10], "pressure"] = [50.0, 300.0]
    dataset, _ = ingested(frame, tmp_path)
    stored = read_rows(dataset, ["pressure"]).set_index("_row")["pressure"]
    assert stored[frame.loc[[3, 5, 8], "key"]].isna().all()
    assert stored[frame.loc[[9, 10], "key"]].tolist() == [50.0, 300.0]
    assert any(note.startswith("3 of 200 values of pressure lie outside [50, 300]") for note in dataset.notes)
    profile = pd.read_parquet(dataset.path / "profile.parquet").set_index("column")
    assert profile.loc["pressure", "invalid"] == 3


def test_the_profile_is_what_pandas_says(tmp_path: Path) -> None:
    frame = table()
    dataset, _ = ingested(frame, tmp_path)
    profile = pd.read_parquet(dataset.path / "profile.parquet").set_index("column")
    values = frame["pressure"]
    found = profile.loc["pressure"]
    assert found["rows"] == 200
    assert found["mean"] == pytest.approx(values.mean(), rel=1e-12)
    assert found["std"] == pytest.approx(values.std(), rel=1e-12)
    for share in (0.01, 0.25, 0.5, 0.75, 0.99):
        # Files hold fewer than 2,000 rows here, so quantiles are exact.
        assert found[f"q{share:g}"] == pytest.approx(values.quantile(share), rel=1e-12)
    assert profile.loc["male", "missing"] == pytest.approx(frame["male"].isna().mean())
    assert profile.loc["smoking", "distinct"] == 2
    assert profile.loc["weak", "mean"] == (frame["weak"] == "yes").mean()


def test_quantiles_of_a_large_table_keep_their_rank(tmp_path: Path) -> None:
    rows = 30_000
    frame = table(rows).assign(pressure=60 + np.random.default_rng(1).exponential(5, rows).clip(0, 200))
    dataset, _ = ingested(frame, tmp_path, batches={"by": "seen", "every": "year"})
    profile = pd.read_parquet(dataset.path / "profile.parquet").set_index("column").loc["pressure"]
    for share in (0.01, 0.25, 0.5, 0.75, 0.99):
        assert (frame["pressure"] <= profile[f"q{share:g}"]).mean() == pytest.approx(share, abs=1 / 2000)


def test_text_ids_are_keys_too(tmp_path: Path) -> None:
    frame = table().assign(key=lambda f: "person " + f["key"].astype(str))
    columns = {**COLUMNS, "key": {"role": "id", "kind": "category"}}
    dataset, _ = ingested(frame, tmp_path, columns=columns)
    stored = read_rows(dataset, ["key"])
    assert stored["_row"].is_unique
    assert sorted(stored["key"]) == sorted(frame["key"])
    shuffled, _ = ingested(frame.iloc[::-1], tmp_path, columns=columns)
    assert shuffled.digest == dataset.digest


def test_cells_with_line_breaks_are_read_whole(tmp_path: Path) -> None:
    frame = table(60).assign(smoking="two\nlines, and a comma")
    frame.to_csv(tmp_path / "table.csv", index=False)
    source = {"kind": "csv", "path": str(tmp_path / "table.csv"), "line_breaks_in_cells": True, "block_bytes": 500}
    dataset, _ = ingest(declared(tmp_path, source=source), tmp_path / "out", 0, silent)
    assert read_rows(dataset, ["smoking"])["smoking"].tolist() == ["two\nlines, and a comma"] * 60


@settings(max_examples=10, deadline=None)
@given(chunk=st.integers(1, 500), seed=st.integers(0, 100))
def test_a_stream_gives_each_row_once_for_any_chunk(stored: Dataset, chunk: int, seed: int) -> None:
    pieces = list(stream_rows(stored, ["pressure"], chunk, parts=["fit", "tune"], seed=seed))
    whole = read_rows(stored, ["pressure"], parts=["fit", "tune"])
    assert all(len(piece) == chunk for piece in pieces[:-1])
    together = pd.concat(pieces).sort_values(["batch", "_row"], ignore_index=True)
    pd.testing.assert_frame_equal(together, whole)
    again = list(stream_rows(stored, ["pressure"], chunk, parts=["fit", "tune"], seed=seed))
    pd.testing.assert_frame_equal(pd.concat(pieces), pd.concat(again))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return ingested(table(), tmp_path_factory.mktemp("stored"))[0]
