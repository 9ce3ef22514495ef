import json
import sys
import threading
import types
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from components.errors import InputError, OutsideError
from components.integrity import folder_digest
from tasks.ledger import ledger_of
from tasks.packaging import Candidate, quiet_pyfunc, requirements
from tasks.registry import RegisteredModel, champion, load_predictor, register, tag_version
from tasks.servers import free_port
from tasks.settings import Settings
from tasks.tracking import Tracking, open_tracking

ROWS = pd.DataFrame({"age": [20.0, 50.0, 80.0]})


class FakePredictor:
    """The interface of components.predictor.Predictor, with one number inside."""

    def __init__(self, slope: float) -> None:
        self.slope = slope

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls(json.loads((folder / "predictor.json").read_text())["slope"])

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "predictor.json").write_text(json.dumps({"slope": self.slope}))

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        probability = 1 / (1 + np.exp(-self.slope * (frame["age"] - 50)))
        return pd.DataFrame({"probability": probability, "uncertainty": 0.1, "outside_support": frame["age"] > 70})


@pytest.fixture(autouse=True)
def _fake_predictor(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("components.predictor")
    module.Predictor = FakePredictor
    monkeypatch.setitem(sys.modules, "components.predictor", module)


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    return open_tracking(Settings(home=tmp_path_factory.mktemp("home")), "registry")


@pytest.fixture
def run_id(tracking: Tracking) -> str:
    with tracking.tracked_run("register") as run:
        return run.run_id


def candidate(folder: Path, slope: float = 0.1) -> Candidate:
    FakePredictor(slope).save(folder)
    return Candidate(folder, ROWS, f"slope {slope}", {"log_loss": "0.4", "gate calibration": "passed"})


def crown(tracking: Tracking, model: RegisteredModel) -> None:
    ledger = ledger_of(tracking, model.name)
    ledger.crown(ledger.reign(), model.version, "promoted", "")


def versions(tracking: Tracking, name: str) -> list[str]:
    return sorted(str(each.version) for each in tracking.client.search_model_versions(f"name = '{name}'"))


def test_nobody_is_champion_at_first(tracking: Tracking) -> None:
    assert champion(tracking, "unheard-of") is None


def test_a_version_is_challenger_then_champion_then_previous(tracking: Tracking, run_id: str, tmp_path: Path) -> None:
    first = register(tracking, run_id, "risk", candidate(tmp_path / "1"), promote=False)
    assert (first.version, first.alias, first.run_id, first.uri) == ("1", "challenger", run_id, "models:/risk/1")
    assert first.digest == folder_digest(tmp_path / "1")
    assert champion(tracking, "risk") is None
    crown(tracking, first)
    assert champion(tracking, "risk") == replace(first, alias="champion")
    second = register(tracking, run_id, "risk", candidate(tmp_path / "2", slope=0.2), promote=True)
    assert second.digest != first.digest
    assert champion(tracking, "risk") == second
    assert champion(tracking, "risk", "challenger").version == "2"
    assert champion(tracking, "risk", "previous").version == "1"
    assert versions(tracking, "risk") == ["1", "2"]
    kept = tracking.client.get_model_version("risk", "2")
    assert kept.description == "slope 0.2"
    assert kept.tags == {"log_loss": "0.4", "gate calibration": "passed", "digest": second.digest, "judged_against": ""}
    tag_version(tracking, second, {"verdict": "kept"})
    assert tracking.client.get_model_version("risk", "2").tags["verdict"] == "kept"


def test_promoting_the_champion_again_changes_nothing(tracking: Tracking, run_id: str, tmp_path: Path) -> None:
    only = register(tracking, run_id, "again", candidate(tmp_path / "1"), promote=True)
    crown(tracking, only)
    assert champion(tracking, "again") == only
    assert champion(tracking, "again", "previous") is None


def test_a_registered_model_predicts_and_its_predictor_comes_back(
    tracking: Tracking, run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = register(tracking, run_id, "served", candidate(tmp_path / "1"), promote=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.uri)
    before, modules = list(sys.path), set(sys.modules)
    try:
        served = quiet_pyfunc().load_model("models:/served@champion")
        pd.testing.assert_frame_equal(served.predict(ROWS), FakePredictor(0.1).predict(ROWS))
        with pytest.raises(MlflowException, match="age"):
            served.predict(pd.DataFrame({"years": [1.0]}))
    finally:
        sys.path[:] = before
        for name in set(sys.modules) - modules:
            if name.startswith("components"):
                del sys.modules[name]
    assert [each.name for each in served.metadata.signature.outputs.inputs] == [
        "probability",
        "uncertainty",
        "outside_support",
    ]
    for uri in (made.uri, "models:/served@champion"):
        assert folder_digest(load_predictor(tracking, uri)) == made.digest
    with pytest.raises(InputError, match=r"must be in the registry .*models:/served/9"):
        load_predictor(tracking, "models:/served/9")


def test_a_model_carries_its_own_code_and_pinned_requirements(tracking: Tracking, run_id: str, tmp_path: Path) -> None:
    made = register(tracking, run_id, "code", candidate(tmp_path / "1"), promote=False)
    model = load_predictor(tracking, made.uri).parents[1]
    assert (model / "code" / "components" / "contracts.py").is_file()
    assert not list(model.rglob("__pycache__"))
    assert not list(model.rglob("*.pkl"))
    lines = (model / "requirements.txt").read_text().split()
    assert lines == requirements()
    assert all("==" in line and "+" not in line for line in lines)


def test_readers_always_find_a_champion_while_it_moves(tracking: Tracking, run_id: str, tmp_path: Path) -> None:
    two = [register(tracking, run_id, "moving", candidate(tmp_path / str(i), float(i)), promote=True) for i in (1, 2)]
    seen: list[str | None] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            found = champion(tracking, "moving")
            seen.append(found.version if found else None)

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(20):
        crown(tracking, two[turn % 2])
    done.set()
    reader.join()
    assert len(seen) > 20
    assert set(seen) == {"1", "2"}


@pytest.mark.parametrize("broken", ["log_model_artifacts", "finalize_logged_model", "create_model_version"])
def test_a_registration_that_fails_leaves_no_version(
    tracking: Tracking, run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    register(tracking, run_id, "fragile", candidate(tmp_path / "1"), promote=True)
    before, logged = versions(tracking, "fragile"), models(tracking)
    with monkeypatch.context() as broken_client:
        broken_client.setattr(MlflowClient, broken, refuse)
        with pytest.raises(OutsideError, match="does not answer"):
            register(tracking, run_id, "fragile", candidate(tmp_path / "2", 0.3), promote=True)
    assert versions(tracking, "fragile") == before
    assert models(tracking) == logged
    assert champion(tracking, "fragile").version == before[-1]


def test_a_folder_without_a_predictor_is_named(tracking: Tracking, run_id: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must hold its files"):
        register(tracking, run_id, "empty", Candidate(tmp_path / "none", ROWS, "", {}), promote=True)
    wrong = candidate(tmp_path / "wrong")
    with pytest.raises(InputError, match="predicts its example"):
        register(
            tracking, run_id, "empty", Candidate(wrong.folder, ROWS.rename(columns={"age": "x"}), "", {}), promote=True
        )
    assert versions(tracking, "empty") == []


def test_a_registry_that_is_down_is_no_absent_champion() -> None:
    lost = Tracking(f"http://127.0.0.1:{free_port()}", "tests", "1")
    with pytest.raises(OutsideError, match="does not answer"):
        champion(lost, "risk")


def models(tracking: Tracking) -> int:
    return len(tracking.client.search_logged_models([tracking.experiment_id]))


def refuse(*_: object, **__: object) -> None:
    raise ConnectionRefusedError("nobody there")
