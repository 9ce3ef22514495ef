"""A classifier is registered, loaded, served and put to use as a predictor of positives is."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException

from components.classifier import ClassifierPredictor
from components.contracts import Column
from components.errors import InputError
from components.integrity import folder_digest
from components.predicting import TablePredictor, saved_predictor
from flows.champion import reigning_classifier, reigning_predictor
from tasks import scoring_parts
from tasks.packaging import Candidate, quiet_pyfunc
from tasks.registry import load_predictor, register
from tasks.scoring import SUMMARY, FolderScored, Scorer, score_folder
from tasks.scoring_parts import Tally
from tasks.settings import Settings
from tests.registry.conftest import COLUMNS, rank
from tests.registry.test_registering import consume, damage_bit, damage_cut

Learnt = Callable[..., ClassifierPredictor]
Rows = Callable[..., pd.DataFrame]
NAMES = {2: ("old", "[young]"), 3: ("old", "[middle]", "young")}
KINDS = {"number": "f", "flag": "b", "text": "O"}


@pytest.fixture(autouse=True)
def _own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KINTSUGI_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "path", list(sys.path))  # MLflow puts the code of a model there


@pytest.fixture(params=[2, 3])
def made(learnt: Learnt, request: pytest.FixtureRequest) -> ClassifierPredictor:
    return learnt(request.param)


def test_they_have_learnt_something(made: ClassifierPredictor, rows: Rows) -> None:
    """Else all that follows could not fail."""
    frame, classes = rows(300, 7), len(made.classes)
    found = made.predict(frame)["likeliest"]
    assert (found == np.array(made.classes)[rank(frame, classes)]).mean() > 0.2 + 1 / classes
    assert set(found) == set(made.classes)


@pytest.mark.parametrize("kind", ["positive or not", "2 classes", "3 classes"])
def test_every_predictor_says_what_it_adds(kind: str, learnt: Learnt, small: Any, rows: Rows) -> None:
    model: TablePredictor = small(1.0) if kind == "positive or not" else learnt(int(kind[0]))
    for frame in (rows(9), model.example()):
        found = model.predict(frame)
        assert list(found) == list(model.added)
        assert [found[name].to_numpy().dtype.kind for name in found] == [KINDS[kind] for kind in model.added.values()]
    assert model.inputs == COLUMNS


def test_a_registered_classifier_is_loaded_and_predicts_the_same_to_the_bit(
    store: Any, made: ClassifierPredictor, rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, frame, names = f"classes-{len(made.classes)}", rows(500, 3), NAMES[len(made.classes)]
    model = store.register_classifier(name, tmp_path / "model", made)
    assert (model.version, model.alias) == ("1", "champion")
    assert store.register_classifier(name, tmp_path / "model", made) == model
    expected = made.predict(frame)
    assert list(expected) == [*(f"probability of {each}" for each in names), "likeliest", "outside_support"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.tracking.uri)
    served = quiet_pyfunc().load_model(f"models:/{name}@champion")
    assert [column.name for column in served.metadata.signature.outputs] == list(made.added)
    pd.testing.assert_frame_equal(served.predict(frame), expected, check_exact=True)
    with pytest.raises(MlflowException, match="bmi"):
        served.predict(frame.drop(columns="bmi"))
    loaded = saved_predictor(load_predictor(store.tracking, model.uri))
    pd.testing.assert_frame_equal(loaded.predict(frame), expected, check_exact=True)


def test_a_consumer_needs_neither_our_pipeline_nor_a_pickle(
    sqlite: Any, learnt: Learnt, rows: Rows, tmp_path: Path
) -> None:
    frame = rows(7).drop(columns="patient")
    sqlite.register_classifier("consumed-classes", tmp_path / "model", learnt(3))
    frame.to_json(tmp_path / "rows.json", orient="records", double_precision=15)
    imported, unpickled, _ = consume("models:/consumed-classes@champion", tmp_path, sqlite.tracking.uri)
    assert (imported, int(unpickled)) == ("", 0)
    answer = pd.read_json(tmp_path / "answer.json", orient="records")
    pd.testing.assert_frame_equal(answer, learnt(3).predict(frame), check_exact=False, rtol=1e-6)


def test_one_that_takes_features_only_is_not_registered(sqlite: Any, learnt: Learnt, tmp_path: Path) -> None:
    table = learnt(2)
    bare = ClassifierPredictor(table.network, table.states, table.classes, table.calibration)
    with pytest.raises(InputError, match="features must be known"):
        bare.example()
    bare.save(tmp_path / "bare")
    with pytest.raises(InputError, match="features must be known"):
        register(sqlite.tracking, sqlite.run_id, "bare", Candidate(tmp_path / "bare", table.example(), "", {}), True)
    assert sqlite.versions("bare") == []


@pytest.mark.parametrize(
    ("file", "damage"),
    [("networks.safetensors", damage_cut), ("classifier.json", damage_bit), ("networks.safetensors", Path.unlink)],
    ids=["cut", "flipped", "missing"],
)
def test_a_damaged_classifier_is_refused(
    sqlite: Any,
    kintsugi: Callable[..., Any],
    learnt: Learnt,
    rows: Rows,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[Path], None],
    file: str,
    request: pytest.FixtureRequest,
) -> None:
    name = f"damaged-classes-{request.node.callspec.id}"
    folder = load_predictor(sqlite.tracking, sqlite.register_classifier(name, tmp_path / "model", learnt(2)).uri)
    damage(folder / file)
    rows(5).to_csv(tmp_path / "rows.csv", index=False)
    said = kintsugi("predict", tmp_path / "rows.csv", "--model", name, "--home", sqlite.home)
    assert (said.code, len(said.err.splitlines()), "damaged" in said.err) == (2, 1, True)
    assert not (tmp_path / "rows.predictions.csv").exists()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite.tracking.uri)
    with pytest.raises(Exception, match=rf"files of model '{name}' .* damaged"):
        quiet_pyfunc().load_model(f"models:/{name}@champion")


def test_a_folder_that_holds_no_whole_predictor_is_told(learnt: Learnt, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must hold a predictor \(predictor\.json or classifier\.json\).* neither"):
        saved_predictor(tmp_path)
    learnt(2).save(tmp_path / "cut")
    damage_cut(tmp_path / "cut" / "networks.safetensors")
    with pytest.raises(InputError, match="must hold a classifier that this version wrote, but: "):
        saved_predictor(tmp_path / "cut")
    learnt(2).save(tmp_path / "gone")
    (tmp_path / "gone" / "networks.safetensors").unlink()
    with pytest.raises(InputError, match="must hold a classifier that this version wrote, but: "):
        saved_predictor(tmp_path / "gone")
    learnt(2).save(tmp_path / "poor")
    (tmp_path / "poor" / "classifier.json").write_text('{"schema": 1}')
    with pytest.raises(InputError, match="must hold a classifier that this version wrote, but: 'network'"):
        saved_predictor(tmp_path / "poor")
    (tmp_path / "poor" / "classifier.json").write_text("[]")
    with pytest.raises(InputError, match=r"schema of the classifier in .* must be 1, got None"):
        saved_predictor(tmp_path / "poor")


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_the_command_scores_a_file(
    sqlite: Any, kintsugi: Callable[..., Any], made: ClassifierPredictor, rows: Rows, tmp_path: Path, ending: str
) -> None:
    name, frame = f"file-{len(made.classes)}{ending[1:]}", rows(200, 4)
    sqlite.register_classifier(name, tmp_path / "model", made)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    target = tmp_path / f"scored{ending}"
    said = kintsugi("predict", tmp_path / "rows.csv", "--model", name, "--output", target, "--home", sqlite.home)
    assert (said.code, said.err) == (0, "")
    expected = made.predict(frame)
    scored = pd.read_csv(target) if ending == ".csv" else pd.read_parquet(target)
    assert list(scored) == [*frame, *expected]
    pd.testing.assert_frame_equal(scored[list(expected)], expected, check_exact=True)
    shares = [f"{each} {(expected['likeliest'] == each).sum() / 2:.1f} %" for each in NAMES[len(made.classes)]]
    first, second, _ = said.out.splitlines()
    assert first == f"200 rows scored by models:/{name}@champion: likeliest: {', '.join(shares)}"
    assert second.startswith(f"{expected['outside_support'].sum()} rows are unlike all training rows")
    for column in ("likeliest", "probability of old"):
        frame.assign(**{column: 1}).to_csv(tmp_path / "named.csv", index=False)
        said = kintsugi("predict", tmp_path / "named.csv", "--model", name, "--home", sqlite.home)
        assert (said.code, f"must not have a column called {column} already" in said.err) == (2, True)
        assert not (tmp_path / "named.predictions.csv").exists()
    frame.assign(probability=0.5).to_csv(tmp_path / "named.csv", index=False)  # not a name that a classifier takes
    assert kintsugi("predict", tmp_path / "named.csv", "--model", name, "--home", sqlite.home).code == 0


def test_the_command_scores_a_folder(
    sqlite: Any, kintsugi: Callable[..., Any], learnt: Learnt, rows: Rows, tmp_path: Path
) -> None:
    sqlite.register_classifier("folder", tmp_path / "model", learnt(3))
    folder = tmp_path / "rows"
    folder.mkdir()
    for number in range(2):
        rows(100, number).to_parquet(folder / f"{number}.parquet", index=False)
    words = ("predict", folder, "--model", "folder", "--home", sqlite.home)
    said = kintsugi(*words)
    found = pd.read_parquet(tmp_path / "rows.predictions")["likeliest"]
    shares = ", ".join(f"{name} {(found == name).sum() / 2:.1f} %" for name in NAMES[3])
    assert said.code == 0
    assert f"200 rows in 2 parts scored by models:/folder/1: likeliest: {shares}\n" in said.out
    again = kintsugi(*words)
    assert (
        f"200 rows in 2 parts, 2 of them scored before scored by models:/folder/1: likeliest: {shares}\n" in again.out
    )


@pytest.mark.parametrize("map_", ["inline", "threads", "processes"])
def test_a_folder_is_scored_in_parts(
    made: ClassifierPredictor, rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, map_: str
) -> None:
    monkeypatch.setattr(scoring_parts, "PART_ROWS", 60)
    folder, output = tmp_path / "visits", tmp_path / "scored"
    folder.mkdir()
    frame = rows(150, 1)
    frame.to_parquet(folder / "a.parquet", index=False, row_group_size=30)
    rows(0, 3).to_parquet(folder / "none.parquet", index=False)

    def score() -> FolderScored:
        settings = Settings(home=tmp_path / "home", map=map_, workers=2)
        return score_folder(Scorer(made, folder, output), "d" * 64, "models:/m/1", settings)

    scored, expected = score(), made.predict(frame)
    parts = [pq.ParquetFile(path).read().to_pandas() for path in sorted(output.glob("a-*.parquet"))]
    assert len(parts) == 3
    together = pd.concat(parts, ignore_index=True)
    pd.testing.assert_frame_equal(together[list(frame)], frame)
    pd.testing.assert_frame_equal(together[list(made.added)], expected, rtol=1e-6)
    assert list(pq.ParquetFile(output / "none-00000.parquet").read().to_pandas()) == [*frame, *made.added]
    counts = {name: int((expected["likeliest"] == name).sum()) for name in made.classes}
    assert scored.tally == Tally(150, 0.0, int(expected["outside_support"].sum()), counts)
    said = json.loads((output / SUMMARY).read_text())
    assert "mean_probability" not in said
    assert (said["rows"], said["likeliest"], list(said["likeliest"])) == (150, counts, list(made.classes))
    sorted(output.glob("a-*.parquet"))[1].unlink()
    assert (again := score()).tally == scored.tally
    assert (again.parts, again.kept) == (4, 3)
    frame.assign(likeliest="me").to_parquet(folder / "b.parquet", index=False)
    with pytest.raises(InputError, match="must not have a column called likeliest already"):
        score()


@given(st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=40), st.integers(0, 40))
def test_what_was_met_in_the_parts_adds_up(names: list[str], cut: int) -> None:
    found = pd.DataFrame({"likeliest": names, "outside_support": [name == "a" for name in names]})
    whole = Tally.of(found, tuple("abcdefg"))
    assert Tally.of(found[:cut], tuple("abcdefg")) + Tally.of(found[cut:], tuple("abcdefg")) == whole
    assert Tally() + whole == whole
    assert (whole.rows, whole.outside, whole.likeliest["b"]) == (len(names), names.count("a"), names.count("b"))
    told = whole.sentence.removeprefix("likeliest: ").removesuffix(" (commonest of 7 classes)").split(", ")
    assert len(told) == 5
    shares = {entry[0]: float(entry[2:-2]) for entry in told}
    assert list(shares) == sorted(shares)
    assert sum(shares.values()) == pytest.approx(
        sum(sorted((100 * names.count(name) / len(names) for name in "abcdefg"), reverse=True)[:5]), abs=0.3
    )


def test_a_predictor_of_positives_is_told_of_as_before() -> None:
    found = pd.DataFrame({"probability": [0.25, 0.5], "uncertainty": 0.1, "outside_support": [True, False]})
    assert Tally.of(found, ()) == Tally(2, 0.75, 1)
    assert Tally.of(found, ()).sentence == "mean probability 0.375"


def test_only_comparable_models_share_a_name(sqlite: Any, learnt: Learnt, tmp_path: Path) -> None:
    work: Any = SimpleNamespace(tracking=sqlite.tracking)
    assert reigning_classifier("kin", NAMES[3], COLUMNS, work) == (None, "")
    sqlite.register_classifier("kin", tmp_path / "first", learnt(3))
    sqlite.register_classifier("kin", tmp_path / "second", learnt(3, 1), "1")
    first, second = folder_digest(tmp_path / "first"), folder_digest(tmp_path / "second")
    for digest, version in (("", "2"), ("0" * 64, "2"), (first, "2"), (second, "1")):
        reigning, number = reigning_classifier("kin", NAMES[3], COLUMNS, work, digest)
        assert number == version
        reigning.save(tmp_path / "again")
        assert folder_digest(tmp_path / "again") == {"1": first, "2": second}[version]
    ending = r"; give the new model another name \(--model\)$"
    with pytest.raises(
        InputError, match=r"'kin' has a champion that is a classifier \(old, \[middle\], young\)" + ending
    ):
        reigning_predictor("kin", COLUMNS, work)
    with pytest.raises(
        InputError, match=r"other classes \(old, \[middle\], young\) than these data \(old, young\)" + ending
    ):
        reigning_classifier("kin", ("old", "young"), COLUMNS, work)
    with pytest.raises(InputError, match="other classes"):  # their order numbers them
        reigning_classifier("kin", NAMES[3][::-1], COLUMNS, work)
    others = (*COLUMNS[:2], Column("smoker", kind="flag", role="id"))
    with pytest.raises(InputError, match=r"reads features these data do not declare \(smoker, ward\)" + ending):
        reigning_classifier("kin", NAMES[3], others, work)
    sqlite.register("stranger", tmp_path, 1.0, "", True)
    with pytest.raises(InputError, match="'stranger' has a champion that is no classifier" + ending):
        reigning_classifier("stranger", NAMES[3], COLUMNS, work)
    assert reigning_predictor("stranger", COLUMNS, work)[1] == "1"
    with pytest.raises(InputError, match=r"reads features these data do not declare \(smoker, ward\)" + ending):
        reigning_predictor("stranger", others, work)


def test_the_only_champion_has_no_opponent_in_itself(sqlite: Any, learnt: Learnt, tmp_path: Path) -> None:
    work: Any = SimpleNamespace(tracking=sqlite.tracking)
    made = sqlite.register_classifier("alone", tmp_path / "only", learnt(2))
    assert reigning_classifier("alone", NAMES[2], COLUMNS, work, made.digest) == (None, "")
