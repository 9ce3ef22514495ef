"""Labels that are no flags: kept as they are written, refused where they say what was not declared."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from components.errors import InputError
from components.ingestion import Specification, ingest, load_specification
from components.ports import silent
from components.storage import read_rows

TABLE = pd.DataFrame(
    {
        "number": range(6),
        "size": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        "guess": ["cat", "dog|cat", None, " dog ", "cat|bird", "bird"],
        "pool": [0, 1, 2, 0, None, 1],
        "truth": ["cat", "dog", "bird", None, "cat", "bird"],
    }
)
NAMES = ["cat", "dog", "bird"]
COLUMNS: dict[str, dict[str, Any]] = {
    "number": {"role": "id"},
    "size": {},
    "guess": {"role": "observed_label", "kind": "category", "values": NAMES},
    "truth": {"role": "evaluation_label", "values": NAMES},
}


def written(folder: Path, table: pd.DataFrame, columns: dict[str, dict[str, Any]]) -> Path:
    table.to_csv(folder / "animals.csv", index=False)
    said = {"name": "animals", "source": {"kind": "csv", "path": "animals.csv"}, "columns": columns}
    path = folder / "animals.yaml"
    path.write_text(yaml.safe_dump(said, sort_keys=False))
    return path


def specification(columns: dict[str, dict[str, Any]]) -> Specification:
    source = {"kind": "csv", "path": "animals.csv"}
    return Specification.model_validate({"name": "animals", "source": source, "columns": columns})


def test_a_label_of_names_is_stored_as_it_is_written_and_truth_as_the_number_of_its_class(tmp_path: Path) -> None:
    path = written(tmp_path, TABLE, COLUMNS)
    dataset, labels = ingest(load_specification(path), tmp_path / "datasets", 0, silent)
    assert not dataset.labelled
    assert dataset.column("guess").values == tuple(NAMES)
    rows = read_rows(dataset, ["number", "guess"]).sort_values("number")
    assert rows["guess"].fillna("").tolist() == ["cat", "dog|cat", "", "dog", "cat|bird", "bird"]
    assert labels is not None
    assert labels.classes == tuple(NAMES)
    truth = pd.read_parquet(labels.path).set_index("_row")["label"].reindex(rows["_row"])
    assert [None if pd.isna(value) else int(value) for value in truth] == [0, 1, 2, None, 0, 2]


def test_a_label_of_numbers_is_stored_as_numbers(tmp_path: Path) -> None:
    columns = {"number": {"role": "id"}, "size": {}, "pool": {"role": "observed_label"}}
    dataset, labels = ingest(load_specification(written(tmp_path, TABLE, columns)), tmp_path / "datasets", 0, silent)
    assert labels is None
    pools = read_rows(dataset, ["number", "pool"]).sort_values("number")["pool"]
    assert pools.fillna(-1).tolist() == [0, 1, 2, 0, -1, 1]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (
            "guess",
            "cow",
            r"column 'guess' must be one of cat, dog, bird \(or several with \| between\), got 'cow' in the",
        ),
        ("guess", "cat|cow", r"column 'guess' must be one of .*, got 'cat\|cow' in the row with number 1"),
        ("truth", "cow", "column 'truth' must be one of cat, dog, bird, got 'cow' in the row with number 1"),
    ],
)
def test_a_value_that_was_not_declared_is_told_with_its_row(
    tmp_path: Path, column: str, value: str, message: str
) -> None:
    table = TABLE.assign(**{column: TABLE[column].where(TABLE["number"] != 1, value)})
    with pytest.raises(InputError, match=message):
        ingest(load_specification(written(tmp_path, table, COLUMNS)), tmp_path / "datasets", 0, silent)
    assert not (tmp_path / "datasets").exists() or not list((tmp_path / "datasets").iterdir())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"guess": {"role": "observed_label", "kind": "category"}}, "values of column 'guess' must be listed where"),
        ({"guess": {"role": "observed_label", "values": ["cat"]}}, "values of column 'guess' must be listed where"),
        (
            {"guess": {"role": "observed_label", "kind": "flag"}},
            "kind of observed_label column 'guess' must be number or",
        ),
        ({"size": {"values": ["a"]}}, "values of column 'size' are for an observed or evaluation label only"),
        ({"truth": {"role": "evaluation_label", "values": ["a"], "positive": ["a"]}}, "exclude each other, got both"),
        ({"truth": {"role": "evaluation_label", "values": ["a", "b", "a"]}}, "must name each once, got a, b, a"),
        ({"truth": {"role": "evaluation_label", "values": ["a|b"]}}, r"must be text without '\|', got 'a\|b'"),
        (
            {"truth": {"role": "observed_label"}},
            "columns must have at most one of role observed_label, got guess, truth",
        ),
    ],
)
def test_a_wrong_declaration_is_named(tmp_path: Path, changed: dict[str, dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_specification(written(tmp_path, TABLE, COLUMNS | changed))


def test_a_chain_that_wants_positives_says_where_other_labels_are_learnt_from() -> None:
    with pytest.raises(InputError, match=r"exactly one of role weak_label, got 0 .*kintsugi classify learns from"):
        specification(COLUMNS).check_labelled()
    assert specification(COLUMNS).observed.name == "guess"
    with pytest.raises(InputError, match="one of role observed_label or weak_label to learn from, got none"):
        _ = specification({"size": {}}).observed
