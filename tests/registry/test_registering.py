"""Registering: once for equal candidates, whole or not at all, and damaged files are never loaded."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow import MlflowClient

from components.errors import InputError
from components.integrity import folder_digest
from tasks.packaging import CARD, LONGEST_DESCRIPTION, Candidate, quiet_pyfunc
from tasks.promotion import roll_back
from tasks.registry import champion, load_predictor, opponent_of, register


class Killed(BaseException):
    """Nothing is done after it."""


@pytest.fixture(autouse=True)
def _own_home(sqlite: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KINTSUGI_HOME", str(tmp_path / "home"))


def test_an_equal_candidate_makes_no_second_version(store: Any, tmp_path: Path) -> None:
    first = store.register("equal", tmp_path, 1.0, "", True)
    assert store.tracking.client.get_model_version("equal", "1").tags["judged_against"] == ""
    assert store.register("equal", tmp_path, 1.0, "", True) == first
    second = store.register("equal", tmp_path, 2.0, "1", True)
    assert (second.version, second.alias) == ("2", "champion")
    assert store.register("equal", tmp_path, 2.0, "1", True) == second
    assert store.versions("equal") == ["1", "2"]
    # Equal, but compared with another champion: the comparison is part of what a version says.
    third = store.register("equal", tmp_path, 1.0, "2", False)
    assert (third.version, third.alias, third.digest) == ("3", "challenger", first.digest)
    assert store.aliases("equal") == {"champion": "2", "previous": "1", "challenger": "3"}


def test_a_second_equal_run_has_the_opponent_of_the_first(store: Any, tmp_path: Path) -> None:
    def run(slope: float) -> str:
        digest = folder_digest(store.candidate(tmp_path / "candidate", slope).folder)
        opponent = opponent_of(store.tracking, "rivals", digest)
        made = store.register("rivals", tmp_path, slope, opponent.version if opponent else "", True)
        assert made.digest == digest
        return f"{made.version} after {opponent.version if opponent else 'nobody'}"

    assert [run(slope) for slope in (1.0, 1.0, 2.0, 2.0, 3.0)] == [
        "1 after nobody",
        "1 after nobody",
        "2 after 1",
        "2 after 1",
        "3 after 2",
    ]
    assert opponent_of(store.tracking, "unheard-of", "0" * 64) is None


def test_who_was_judged_against_a_former_champion_stays_challenger(sqlite: Any, tmp_path: Path) -> None:
    sqlite.register("overtaken", tmp_path, 1.0, "", True)
    sqlite.register("overtaken", tmp_path, 2.0, "1", True)
    late = sqlite.register("overtaken", tmp_path, 3.0, "1", True)
    assert (late.version, late.alias) == ("3", "challenger")
    assert sqlite.aliases("overtaken") == {"champion": "2", "previous": "1", "challenger": "3"}


def test_what_people_went_back_from_is_not_promoted_by_the_next_equal_run(sqlite: Any, tmp_path: Path) -> None:
    sqlite.register("regretted", tmp_path, 1.0, "", True)
    sqlite.register("regretted", tmp_path, 2.0, "1", True)
    roll_back(sqlite.tracking, "regretted")
    again = sqlite.register("regretted", tmp_path, 2.0, "1", True)
    assert (again.version, again.alias) == ("2", "challenger")
    assert champion(sqlite.tracking, "regretted").version == "1"


@pytest.mark.parametrize(
    ("call", "alias"),
    [
        ("log_model_artifacts", ""),
        ("finalize_logged_model", ""),
        ("create_model_version", ""),
        ("set_registered_model_alias", "challenger"),
        ("log_param", ""),
        ("set_registered_model_alias", "champion"),
        ("set_registered_model_alias", "previous"),
    ],
)
def test_a_registration_that_was_killed_is_finished_by_the_next(
    sqlite: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, alias: str
) -> None:
    name = f"killed {call} {alias}"
    first = sqlite.register(name, tmp_path, 1.0, "", True)

    def kill(*arguments: Any, **named: Any) -> Any:
        if alias and alias not in arguments:
            return real(*arguments, **named)
        raise Killed

    with monkeypatch.context() as dying:
        real = getattr(MlflowClient, call)
        dying.setattr(MlflowClient, call, kill)
        dying.setattr(MlflowClient, "delete_logged_model", kill)  # who is killed does not tidy up
        with pytest.raises(Killed):
            sqlite.register(name, tmp_path, 2.0, "1", True)
    seen = champion(sqlite.tracking, name)
    assert seen.version in ("1", "2")
    assert folder_digest(load_predictor(sqlite.tracking, seen.uri)) == seen.digest
    done = sqlite.register(name, tmp_path, 2.0, "1", True)
    assert (done.version, done.alias) == ("2", "champion")
    assert done.digest != first.digest
    assert sqlite.versions(name) == ["1", "2"]
    assert sqlite.aliases(name) == {"champion": "2", "previous": "1", "challenger": "2"}


def damage_cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def damage_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-3] ^= 4
    file.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [damage_cut, damage_bit, Path.unlink], ids=["cut", "bit flipped", "missing"])
def test_a_damaged_posterior_is_refused_and_the_way_out_is_named(
    sqlite: Any,
    kintsugi: Callable[..., Any],
    rows: Callable[..., pd.DataFrame],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[Path], None],
    request: pytest.FixtureRequest,
) -> None:
    name = f"damaged-{request.node.callspec.id.replace(' ', '-')}"
    sqlite.register(name, tmp_path, 1.0, "", True)
    sqlite.register(name, tmp_path, 2.0, "1", True)
    damage(load_predictor(sqlite.tracking, f"models:/{name}@champion") / "posterior.safetensors")
    with pytest.raises(InputError, match=rf"version 2 of model '{name}' .* damaged .*kintsugi rollback {name}"):
        load_predictor(sqlite.tracking, f"models:/{name}@champion")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite.tracking.uri)
    with pytest.raises(Exception, match=rf"files of model '{name}' .* damaged .*kintsugi rollback {name}"):
        quiet_pyfunc().load_model(f"models:/{name}@champion")
    rows(5).to_csv(tmp_path / "rows.csv", index=False)
    predict = ("predict", tmp_path / "rows.csv", "--model", name, "--home", sqlite.home)
    said = kintsugi(*predict)
    assert (said.code, len(said.err.splitlines())) == (2, 1)
    assert "damaged" in said.err
    assert not (tmp_path / "rows.predictions.csv").exists()
    assert kintsugi("rollback", name, "--home", sqlite.home).code == 0
    assert kintsugi(*predict).code == 0
    said = kintsugi("promote", name, "--version", "2", "--home", sqlite.home)
    assert (said.code, "damaged" in said.err) == (2, True)
    assert champion(sqlite.tracking, name).version == "1"
    # An equal candidate does not take the damaged version for itself.
    assert sqlite.register(name, tmp_path, 2.0, "1", False).version == "3"


@pytest.mark.server
def test_files_of_a_server_are_fetched_once_and_again_when_they_are_damaged_here(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = server.register("fetched", tmp_path, 7.0, "", True)
    downloads: list[str] = []
    from mlflow import artifacts

    real = artifacts.download_artifacts
    monkeypatch.setattr(
        artifacts, "download_artifacts", lambda **named: downloads.append(named["artifact_uri"]) or real(**named)
    )
    folder = load_predictor(server.tracking, made.uri)
    assert folder == tmp_path / "home" / "models" / made.digest
    assert load_predictor(server.tracking, "models:/fetched@champion") == folder
    assert len(downloads) == 1
    damage_bit(folder / "posterior.safetensors")
    assert folder_digest(load_predictor(server.tracking, made.uri)) == made.digest
    assert len(downloads) == 2
    assert sorted(path.name for path in folder.parent.iterdir()) == [".lock", made.digest]
    files = (server.home.parent / "artifacts").rglob("posterior.safetensors")
    (place,) = [file for file in files if folder_digest(file.parent) == made.digest]
    shutil.rmtree(folder)
    damage_bit(place)
    with pytest.raises(InputError, match=r"version 1 of model 'fetched' .* damaged"):
        load_predictor(server.tracking, made.uri)
    assert [path.name for path in folder.parent.iterdir()] == [".lock"]


def test_a_card_is_kept_whole_and_its_head_is_the_description(sqlite: Any, tmp_path: Path) -> None:
    candidate = sqlite.candidate(tmp_path / "long", 1.0)
    sections = [f"## Section {number}\n\n{'words ' * 150}\n" for number in range(9)]
    long = Candidate(candidate.folder, candidate.example, "# Card\n\n" + "\n".join(sections), {})
    made = register(sqlite.tracking, sqlite.run_id, "card", long, False)
    said = sqlite.tracking.client.get_model_version("card", "1").description
    assert len(said) <= LONGEST_DESCRIPTION
    assert said.startswith("# Card\n\n## Section 0")
    assert "words\n\n*Cut here" in said
    assert said.rstrip().endswith(f"`{CARD}` beside the model.*")
    assert (load_predictor(sqlite.tracking, made.uri).parents[1] / CARD).read_text() == long.card


CONSUMER = """
import collections, pickle, sys
unpickled = []
sys.addaudithook(lambda event, arguments: unpickled.append(arguments) if event == "pickle.find_class" else None)
import mlflow
import pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
model.predict(pd.read_json(sys.argv[2], orient="records")).to_json(sys.argv[3], orient="records", double_precision=15)
print(*(name for name in ("tasks", "flows", "prefect", "ray", "typer", "openai") if name in sys.modules))
print(len(unpickled))
pickle.loads(pickle.dumps(collections.OrderedDict()))
print(len(unpickled))
"""
PICKLED = """
import sys
from mlflow.pyfunc import PythonModel, save_model
class Planted(PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input[["age"]]
save_model(sys.argv[1], python_model=Planted(), pip_requirements=[])
"""


def consume(model: str, folder: Path, uri: str) -> list[str]:
    """What a program says that has nothing but MLflow and this package, far from the checkout."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "KINTSUGI"))}
    environment |= {"MLFLOW_TRACKING_URI": uri, "HOME": str(folder), "MLFLOW_LOGGING_LEVEL": "ERROR"}
    words = [sys.executable, "-W", "ignore", "-c", CONSUMER, model, folder / "rows.json", folder / "answer.json"]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_consumer_loads_the_champion_without_our_pipeline_and_without_a_pickle(
    sqlite: Any, small: Any, rows: Callable[..., pd.DataFrame], tmp_path: Path
) -> None:
    sqlite.register("consumed", tmp_path, 1.5, "", True)
    frame = rows(7).drop(columns="patient")
    frame.to_json(tmp_path / "rows.json", orient="records", double_precision=15)
    imported, unpickled, after_planting = consume("models:/consumed@champion", tmp_path, sqlite.tracking.uri)
    assert imported == ""
    assert int(unpickled) == 0
    assert int(after_planting) == 1
    answer = pd.read_json(tmp_path / "answer.json", orient="records")
    pd.testing.assert_frame_equal(answer, small(1.5).predict(frame), check_exact=False, rtol=1e-9)


def test_the_consumer_would_see_a_pickled_model(sqlite: Any, rows: Callable[..., pd.DataFrame], tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", PICKLED, tmp_path / "model"], cwd=tmp_path, check=True)
    rows(2).to_json(tmp_path / "rows.json", orient="records")
    _, unpickled, _ = consume(str(tmp_path / "model"), tmp_path, sqlite.tracking.uri)
    assert int(unpickled) > 0
