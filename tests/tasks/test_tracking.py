import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from components.contracts import Column, Dataset, TimeBatch
from components.errors import InputError, OutsideError
from tasks.servers import free_port
from tasks.settings import Settings
from tasks.tracked_run import flatten
from tasks.tracking import Tracking, open_tracking


@dataclass(frozen=True)
class Inner:
    kind: Literal["inner"] = "inner"
    rate: float = 0.5


@dataclass(frozen=True)
class Outer:
    kind: Literal["outer"] = "outer"
    steps: int = 3
    names: tuple[str, ...] = ("a", "b")
    inner: Inner = field(default_factory=Inner)
    parts: tuple[Inner, ...] = (Inner(rate=1.0), Inner(rate=2.0))


FLAT = {
    "kind": "outer",
    "steps": "3",
    "names": "('a', 'b')",
    "inner.kind": "inner",
    "inner.rate": "0.5",
    "parts.0.kind": "inner",
    "parts.0.rate": "1.0",
    "parts.1.kind": "inner",
    "parts.1.rate": "2.0",
}


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    """One store for all tests of this file: its tables are made once."""
    return open_tracking(Settings(home=tmp_path_factory.mktemp("home")), "tests")


def nested(tracking: Tracking, parent: str) -> dict[str, Run]:
    found = tracking.client.search_runs([tracking.experiment_id], f"tags.mlflow.parentRunId = '{parent}'")
    return {run.info.run_name: run for run in found}


def test_mlflow_is_the_real_one() -> None:
    root = Path(__file__).parents[2]
    assert "site-packages" in str(mlflow.__file__)
    assert (root / "mlflow").is_dir()
    assert not list((root / "mlflow").rglob("*.py"))


def test_nested_fields_become_dotted_parameters() -> None:
    assert flatten(Outer()) == FLAT
    assert flatten(None) == {}


def test_a_stage_is_a_finished_run_with_the_fields_of_its_method(tracking: Tracking) -> None:
    with (
        tracking.tracked_run("pipeline", {"who": "me"}) as run,
        tracking.stage("train", Outer(), run.run_id) as report,
    ):
        for step in range(3):
            report(step, 3, {"loss": 1.0 / (step + 1), "p(y=1)": 0.5})
    parent = tracking.client.get_run(run.run_id)
    assert (parent.info.status, parent.data.tags["who"]) == ("FINISHED", "me")
    stage = nested(tracking, run.run_id)["train"]
    assert stage.info.status == "FINISHED"
    assert stage.data.params == FLAT
    history = tracking.client.get_metric_history(stage.info.run_id, "loss")
    assert [(each.step, each.value) for each in history] == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    assert stage.data.metrics["p_y_1_"] == 0.5
    assert 0 <= stage.data.metrics["wall_seconds"] < 60
    assert stage.data.metrics["cpu_seconds"] >= 0


def test_concurrent_stages_do_not_mix(tracking: Tracking) -> None:
    meet = threading.Barrier(2)

    def work(name: str, value: float, parent: str) -> None:
        with tracking.stage(name, Inner(rate=value), parent) as report:
            for step in range(50):
                if step % 10 == 0:
                    meet.wait(30)
                    report.flush()
                report(step, 50, {"mine": value, name: value})

    with tracking.tracked_run("pipeline") as run:
        threads = [
            threading.Thread(target=work, args=(name, value, run.run_id))
            for name, value in (("one", 1.0), ("two", 2.0))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    runs = nested(tracking, run.run_id)
    for name, value, other in (("one", 1.0, "two"), ("two", 2.0, "one")):
        assert runs[name].data.params["rate"] == str(value)
        assert other not in runs[name].data.metrics
        history = tracking.client.get_metric_history(runs[name].info.run_id, "mine")
        assert [(each.step, each.value) for each in history] == [(step, value) for step in range(50)]


def test_metrics_are_sent_together(tracking: Tracking, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    log_batch = MlflowClient.log_batch

    def spy(self, run_id, metrics=(), params=(), tags=(), synchronous=None):
        sent.append(len(metrics))
        return log_batch(self, run_id, metrics, params, tags, synchronous)

    monkeypatch.setattr(MlflowClient, "log_batch", spy)
    monkeypatch.setattr(MlflowClient, "log_metric", lambda *_: pytest.fail("one by one"))
    with tracking.tracked_run("pipeline") as run:
        start = time.monotonic()
        for step in range(400):
            run(step, 400, {"loss": 1.0, "gap": 2.0, "rate": 3.0})
        seconds = time.monotonic() - start
    assert sum(sent) == 1202
    assert len(sent) <= 4 + seconds / 2


@pytest.mark.parametrize(("error", "status"), [(ValueError("broken"), "FAILED"), (KeyboardInterrupt(), "KILLED")])
def test_a_stage_that_raises_is_marked_and_the_error_goes_on(
    tracking: Tracking, error: BaseException, status: str
) -> None:
    def work(parent: str) -> None:
        with tracking.stage("train", None, parent) as report:
            report(0, 2, {"loss": 1.0})
            raise error

    with tracking.tracked_run("pipeline") as run, pytest.raises(type(error)):
        work(run.run_id)
    stage = nested(tracking, run.run_id)["train"]
    assert stage.info.status == status
    assert stage.data.tags["exception"] == f"{type(error).__name__}: {error}"
    assert stage.data.metrics["loss"] == 1.0


def test_files_tables_pictures_and_data_are_kept(tracking: Tracking, tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "note.txt").write_text("hello")
    columns = (Column("age", unit="years"), Column("sick", role="weak_label", kind="flag"))
    data = Dataset(tmp_path / "survey", columns, (TimeBatch(1, "2017", 5, 2),), digest="d" * 64)
    with tracking.tracked_run("pipeline") as run:
        run.artifact(folder / "note.txt", "notes")
        run.artifacts(folder)
        run.table(pd.DataFrame({"a": [1, 2]}), "numbers")
        run.figure(Figure(), "empty")
        run.dataset(data, "training")
    client = tracking.client
    assert {each.path for each in client.list_artifacts(run.run_id)} == {
        "notes",
        "note.txt",
        "numbers.csv",
        "empty.png",
    }
    kept = Path(client.get_run(run.run_id).info.artifact_uri.removeprefix("file://"))
    assert kept.is_relative_to(Path(tracking.uri.removeprefix("sqlite:///")).parent / "artifacts")
    assert (kept / "numbers.csv").read_text() == "a\n1\n2\n"
    (used,) = client.get_run(run.run_id).inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("survey", "d" * 16)
    assert str(tmp_path / "survey") in used.dataset.source
    assert used.tags[0].value == "training"
    assert '"num_rows": 5' in used.dataset.profile


def test_the_same_experiment_is_found_again_and_a_deleted_one_is_named(tracking: Tracking) -> None:
    home = Path(tracking.uri.removeprefix("sqlite:///")).parent
    assert open_tracking(Settings(home=home), "tests") == tracking
    gone = open_tracking(Settings(home=home), "gone")
    assert gone.experiment_id != tracking.experiment_id
    gone.client.delete_experiment(gone.experiment_id)
    with pytest.raises(InputError, match="experiment 'gone' was deleted"):
        open_tracking(Settings(home=home), "gone")


def test_a_server_that_is_down_is_known_at_once(tmp_path: Path) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    start = time.monotonic()
    with pytest.raises(OutsideError, match=rf"{uri} does not answer .*refused.*KINTSUGI_TRACKING_URI"):
        open_tracking(Settings(home=tmp_path, tracking_uri=uri), "tests")
    assert time.monotonic() - start < 5


def test_a_server_that_goes_down_meanwhile_is_known_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RETRIES": "2", "BACKOFF_FACTOR": "1", "TIMEOUT": "20"}.items():
        monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_{name.replace('RETRIES', 'MAX_RETRIES')}", value)
    lost = Tracking(f"http://127.0.0.1:{free_port()}", "tests", "1")
    start = time.monotonic()
    with pytest.raises(OutsideError, match="does not answer"), lost.tracked_run("pipeline"):
        pytest.fail("no work is begun")
    assert time.monotonic() - start < 15


def test_metrics_outlive_a_short_silence_of_the_store(tracking: Tracking, monkeypatch: pytest.MonkeyPatch) -> None:
    log_batch = MlflowClient.log_batch
    with tracking.tracked_run("pipeline") as run:
        run(0, 2, {"loss": 2.0})
        with monkeypatch.context() as silence:
            silence.setattr(MlflowClient, "log_batch", refuse)
            run.flush(final=False)
            with pytest.raises(OutsideError, match="does not answer"):
                run.flush()
        assert MlflowClient.log_batch is log_batch
        run(1, 2, {"loss": 1.0})
    history = tracking.client.get_metric_history(run.run_id, "loss")
    assert [each.value for each in history] == [2.0, 1.0]


def refuse(*_: object, **__: object) -> None:
    raise ConnectionRefusedError("nobody there")


def test_a_store_that_is_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").mkdir()
    with pytest.raises(OutsideError, match=r"mlflow\.db cannot be opened .*set KINTSUGI_HOME"):
        open_tracking(Settings(home=tmp_path), "tests")


def test_nothing_is_written_to_the_working_directory(tracking: Tracking) -> None:
    assert tracking.uri.startswith("sqlite:////")
    assert not {"mlflow.db", "mlruns", "mlartifacts"} & {path.name for path in Path.cwd().iterdir()}
