"""A registry in a file, one behind a server, and small models that have learnt nothing."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"

import numpy as np
import pandas as pd
import pytest

from components.classifier import Adam, ClassifierPredictor, ClassifierTraining, Perceptron
from components.contracts import Column, Posterior
from components.features import FeatureMap
from components.heads import Linear
from components.predictor import Predictor
from components.weak import Clean, ComplementaryLabels, PositiveUnlabeled
from tasks.packaging import Candidate
from tasks.registry import RegisteredModel, register
from tasks.servers import free_port
from tasks.settings import Settings
from tasks.tracking import Tracking, open_tracking

COLUMNS = (Column("age", unit="years"), Column("bmi"), Column("smoker", kind="flag"), Column("ward", kind="category"))


def patients(count: int = 40, seed: int = 0) -> pd.DataFrame:
    """Rows that nobody gave."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "patient": np.arange(count) + 1000 * seed,
            "age": random.normal(50, 10, count),
            "bmi": random.normal(27, 4, count),
            "smoker": random.integers(0, 2, count),
            "ward": random.choice(["east", "west"], count),
        }
    )


def predictor(slope: float) -> Predictor:
    """A wide posterior around equal weights."""
    features = FeatureMap.fit(patients(400, 9), COLUMNS)
    head = Linear()
    layout = head.layout(len(features.names))
    weights = sum(int(np.prod(shape)) for _, shape in layout)
    return Predictor(features, head, Posterior(layout, np.full(weights, 4.0), np.full(weights, 4.0 * slope)))


@cache
def classifier(classes: int, seed: int = 0) -> ClassifierPredictor:
    """A short training on labels that follow age: of two classes from positives, of three from what rows are not."""
    frame, held = patients(300, 9), patients(200, 8)
    features = FeatureMap.fit(frame, COLUMNS)
    setting, names = {
        2: (PositiveUnlabeled(0.5), ("old", "[young]")),
        3: (ComplementaryLabels(3), ("old", "[middle]", "young")),
    }[classes]
    rows, kept = (
        setting.simulate(Clean(features.transform(table), rank(table, classes)), seed).observed
        for table in (frame, held)
    )
    network = Perceptron((6,), normalised=classes == 3)
    fitted = ClassifierTraining(setting, network=network, epochs=20, optimiser=Adam(0.03), seed=seed).fit(rows, kept)
    return ClassifierPredictor.of(fitted, network, names, features)


def rank(table: pd.DataFrame, classes: int) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """Class of each row: the oldest first."""
    return (table["age"].rank(pct=True, ascending=False).to_numpy() * classes).astype(int).clip(0, classes - 1)


@dataclass(frozen=True)
class Store:
    """A registry to work on.

    Attributes:
        tracking: Where it is.
        home: The home folder of whoever uses it.
        run_id: A run that versions can come from.
    """

    tracking: Tracking
    home: Path
    run_id: str

    def candidate(self, folder: Path, slope: float, **tags: str) -> Candidate:
        made = predictor(slope)
        made.save(folder)
        card = f"# slope {slope}\n"
        return Candidate(folder, made.example(), card, {"gates": "passed", **tags})

    def register(self, name: str, folder: Path, slope: float, judged_against: str, promote: bool) -> RegisteredModel:
        candidate = self.candidate(folder / f"{name} {slope}", slope)
        return register(self.tracking, self.run_id, name, candidate, promote, judged_against)

    def register_classifier(
        self, name: str, folder: Path, made: ClassifierPredictor, judged_against: str = ""
    ) -> RegisteredModel:
        made.save(folder)
        candidate = Candidate(folder, made.example(), "# a classifier\n", {"gates": "passed"})
        return register(self.tracking, self.run_id, name, candidate, True, judged_against)

    def bare(self, name: str, count: int, **tags: str) -> None:
        """A model with versions that hold no files: for who only moves aliases."""
        self.tracking.client.create_registered_model(name)
        for _ in range(count):
            self.bare_version(name, self.run_id, **tags)

    def bare_version(self, name: str, run_id: str, **tags: str) -> None:
        place = f"{self.tracking.client.get_run(run_id).info.artifact_uri}/nothing"
        self.tracking.client.create_model_version(name, source=place, run_id=run_id, tags=tags)

    def aliases(self, name: str) -> dict[str, str]:
        found = self.tracking.client.get_registered_model(name).aliases
        return {alias: str(version) for alias, version in found.items()}

    def versions(self, name: str) -> list[str]:
        return sorted(str(each.version) for each in self.tracking.client.search_model_versions(f"name = '{name}'"))


def _store(settings: Settings) -> Store:
    tracking = open_tracking(settings, "registry")
    with tracking.tracked_run("register") as run:
        return Store(tracking, settings.home, run.run_id)


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return _store(Settings(home=tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The same behind ``mlflow server``, which is stopped by its process id."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    options = {
        "--host": "127.0.0.1",
        "--port": str(port),
        "--backend-store-uri": f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination": str(folder / "artifacts"),
        "--workers": "1",
    }
    words = [sys.executable, "-m", "mlflow", "server", *(word for pair in options.items() for word in pair)]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, cwd=folder)
    try:
        _wait(f"http://127.0.0.1:{port}/health", folder / "server.log")
        yield _store(Settings(home=folder / "home", tracking_uri=f"http://127.0.0.1:{port}"))
    finally:
        process.terminate()
        process.wait(20)


def _wait(url: str, log: Path, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())


@pytest.fixture(params=["sqlite", pytest.param("server", marks=pytest.mark.server)])
def store(request: pytest.FixtureRequest) -> Store:
    """Either of them; names of models are the test's own."""
    found: Store = request.getfixturevalue(request.param)
    return found


@dataclass(frozen=True)
class Said:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def kintsugi(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Said]]:
    """The command line in this process; what it leaves in the environment is taken out at the end."""
    from flows import cli

    before = dict(os.environ)

    def command(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["kintsugi", *map(str, arguments)])
        capsys.readouterr()
        code: Any = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code or 0
        said = capsys.readouterr()
        return Said(int(code), said.out, said.err)

    yield command
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def rows() -> Callable[..., pd.DataFrame]:
    return patients


@pytest.fixture(scope="session")
def small() -> Callable[[float], Predictor]:
    return predictor


@pytest.fixture(scope="session")
def learnt() -> Callable[..., ClassifierPredictor]:
    return classifier
