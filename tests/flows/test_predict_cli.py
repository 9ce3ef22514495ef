"""``kintsugi predict``: a table in, the same rows with a probability out, or one sentence and no file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from components.predictor import Predictor
from flows.outcome import Outcome
from tasks.registry import load_predictor
from tasks.tracking import Tracking

MODEL = "kintsugi-toy"
ADDED = ["probability", "uncertainty", "outside_support"]


@pytest.fixture
def predict(kintsugi: Any, home: Path, outcome: Outcome) -> Callable[..., Any]:
    """The command on the registry of the shared run."""

    def command(*arguments: object, model: str = MODEL) -> Any:
        return kintsugi("predict", *arguments, "--home", home, "--model", model)

    return command


@pytest.fixture
def rows(toy: Any) -> pd.DataFrame:
    return toy.visits((2019,), (30,), seed=5).drop(columns=["told", "secret_truth"])


@pytest.fixture
def expected(tracking: Tracking, rows: pd.DataFrame) -> pd.DataFrame:
    return Predictor.load(load_predictor(tracking, f"models:/{MODEL}/1")).predict(rows)


@pytest.mark.parametrize("model", [MODEL, f"{MODEL}@champion", f"{MODEL}@challenger", f"{MODEL}/1"])
def test_a_csv_file_is_scored_beside_itself(
    predict: Any, rows: pd.DataFrame, expected: pd.DataFrame, tmp_path: Path, model: str
) -> None:
    rows.to_csv(tmp_path / "people.csv", index=False)
    said = predict(tmp_path / "people.csv", model=model)
    assert (said.code, said.err) == (0, [])
    scored = pd.read_csv(tmp_path / "people.predictions.csv")
    assert list(scored) == [*rows, *ADDED]
    pd.testing.assert_frame_equal(scored[ADDED], expected)
    pd.testing.assert_frame_equal(scored[list(rows)], rows, check_dtype=False)
    assert "30 rows scored" in said.out
    assert str(tmp_path / "people.predictions.csv") in said.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["people.csv", "people.predictions.csv"]


def test_a_parquet_file_is_scored_into_a_parquet_file(
    predict: Any, rows: pd.DataFrame, expected: pd.DataFrame, tmp_path: Path
) -> None:
    rows.to_parquet(tmp_path / "people.parquet", index=False)
    said = predict(tmp_path / "people.parquet", "--output", tmp_path / "scored.parquet")
    assert (said.code, said.err) == (0, [])
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "scored.parquet")[ADDED], expected)


def test_a_folder_of_parquet_files_is_scored(predict: Any, rows: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "people").mkdir()
    rows.head(10).to_parquet(tmp_path / "people" / "a.parquet", index=False)
    rows.tail(20).to_parquet(tmp_path / "people" / "b.parquet", index=False)
    said = predict(tmp_path / "people")
    assert said.code == 0
    assert len(pd.read_parquet(tmp_path / "people.predictions")) == 30


def test_rows_unlike_all_training_rows_are_counted(predict: Any, rows: pd.DataFrame, tmp_path: Path) -> None:
    rows.loc[:3, "pressure"] = 1e6
    rows.to_csv(tmp_path / "people.csv", index=False)
    said = predict(tmp_path / "people.csv")
    scored = pd.read_csv(tmp_path / "people.predictions.csv")
    assert scored["outside_support"].head(4).all()
    assert f"{int(scored['outside_support'].sum())} rows are unlike all training rows" in said.out


def test_a_missing_value_is_scored_and_not_refused(predict: Any, rows: pd.DataFrame, tmp_path: Path) -> None:
    rows.loc[0, "pressure"] = None
    rows.to_csv(tmp_path / "people.csv", index=False)
    assert predict(tmp_path / "people.csv").code == 0
    assert pd.read_csv(tmp_path / "people.predictions.csv")["probability"].notna().all()


BAD: dict[str, tuple[Callable[[pd.DataFrame, Path], list[object]], tuple[str, ...]]] = {}


def bad(*words: str) -> Callable[..., Any]:
    """Register a call that must be refused with a sentence that holds ``words``."""

    def keep(make: Callable[[pd.DataFrame, Path], list[object]]) -> Any:
        BAD[make.__name__] = make, words
        return make

    return keep


def csv(rows: pd.DataFrame, folder: Path, name: str = "people.csv") -> Path:
    rows.to_csv(folder / name, index=False)
    return folder / name


@bad("missing: marker")
def a_column_is_missing(rows: pd.DataFrame, folder: Path) -> list[object]:
    return [csv(rows.drop(columns="marker"), folder)]


@bad("'dose'", "'plenty'")
def text_stands_in_a_number(rows: pd.DataFrame, folder: Path) -> list[object]:
    rows["dose"] = rows["dose"].astype(object)
    rows.loc[3, "dose"] = "plenty"
    return [csv(rows, folder)]


@bad("table must be a file or folder that exists", "nowhere.csv")
def the_file_is_missing(rows: pd.DataFrame, folder: Path) -> list[object]:
    return [folder / "nowhere.csv"]


@bad("table must have at least one row", "people.csv")
def there_is_a_header_only(rows: pd.DataFrame, folder: Path) -> list[object]:
    return [csv(rows.head(0), folder)]


@bad("table must be readable", "empty.csv")
def the_file_is_empty(rows: pd.DataFrame, folder: Path) -> list[object]:
    (folder / "empty.csv").touch()
    return [folder / "empty.csv"]


@bad("table must be readable", "broken.parquet")
def the_parquet_file_is_none(rows: pd.DataFrame, folder: Path) -> list[object]:
    (folder / "broken.parquet").write_text("no parquet")
    return [folder / "broken.parquet"]


@bad("table must", "hollow")
def the_folder_is_empty(rows: pd.DataFrame, folder: Path) -> list[object]:
    (folder / "hollow").mkdir()
    return [folder / "hollow"]


@bad("--output must end in .csv or .parquet", "scored.xlsx")
def the_output_has_another_ending(rows: pd.DataFrame, folder: Path) -> list[object]:
    return [csv(rows, folder), "--output", folder / "scored.xlsx"]


@bad("--output must lie in a folder that exists", "nowhere")
def the_output_has_no_folder(rows: pd.DataFrame, folder: Path) -> list[object]:
    return [csv(rows, folder), "--output", folder / "nowhere" / "scored.csv"]


@bad("column called probability", "people.csv")
def a_column_is_called_like_an_answer(rows: pd.DataFrame, folder: Path) -> list[object]:
    return [csv(rows.assign(probability=0.5), folder)]


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_bad_table_is_refused_in_one_sentence(name: str, predict: Any, rows: pd.DataFrame, tmp_path: Path) -> None:
    make, words = BAD[name]
    arguments = make(rows, tmp_path)
    before = sorted(tmp_path.rglob("*"))
    said = predict(*arguments)
    assert said.code == 2
    *progress, sentence = said.err
    assert all(line.startswith("predict: ") for line in progress)
    assert sentence.startswith("kintsugi: ")
    assert [word for word in words if word not in sentence] == []
    assert said.out == ""
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("model", ["unheard-of", f"{MODEL}@nobody", f"{MODEL}/99"])
def test_an_unknown_model_is_refused(predict: Any, rows: pd.DataFrame, tmp_path: Path, model: str) -> None:
    said = predict(csv(rows, tmp_path), model=model)
    assert said.code == 2
    (sentence,) = said.err
    assert sentence.startswith("kintsugi: model must be in the registry")
    assert model in sentence
    assert [path.name for path in tmp_path.iterdir()] == ["people.csv"]
