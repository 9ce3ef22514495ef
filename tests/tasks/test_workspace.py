"""What the stages of a run share: a folder, a parent run, and the time each stage took."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from components.errors import OutsideError
from tasks.settings import Settings
from tasks.workspace import Workspace, open_workspace


@dataclass(frozen=True)
class Plan:
    """A plan."""

    model: str = "toy"
    seed: int = 3


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """One home for all tests: only the first pays for the tables of the tracking store."""
    return Settings(home=tmp_path_factory.mktemp("home"))


def run_named(work: Workspace, name: str) -> object:
    found = work.tracking.client.search_runs(
        [work.tracking.experiment_id], filter_string=f"tags.`mlflow.parentRunId` = '{work.run.run_id}'"
    )
    (mine,) = [run for run in found if run.info.run_name == name]
    return mine


def test_a_run_has_a_folder_and_a_parent_run_with_its_parameters(settings: Settings) -> None:
    with open_workspace("pipeline", "toy data", settings, Plan()) as work:
        assert work.folder.is_dir()
        assert work.folder.parent == settings.runs
        assert " " not in work.folder.name
        assert work.folder.name.startswith("pipeline-toy-data-")
        assert work.tracking.experiment == "kintsugi-toy data"
    run = work.tracking.client.get_run(work.run.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"model": "toy", "seed": "3"}
    assert run.data.tags["kintsugi.flow"] == "pipeline"


def test_two_runs_at_the_same_moment_have_folders_of_their_own(settings: Settings) -> None:
    with open_workspace("run", "toy", settings, None) as one, open_workspace("run", "toy", settings, None) as two:
        assert one.folder != two.folder
        assert one.run.run_id != two.run.run_id


def test_a_stage_is_a_nested_run_that_is_timed(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with open_workspace("run", "toy", settings, None) as work:
        with work.stage("train", Plan(seed=5)) as (_, report):
            report(0, 2, {"risk": 0.5})
            report(1, 2, {"risk": 0.25})
        with work.stage("report"):
            pass
    assert [stage for stage, _ in work.seconds()] == ["train", "report"]
    assert all(seconds >= 0 for _, seconds in work.seconds())
    assert list(work.timing_table()["reused"]) == [False, False]
    run = run_named(work, "train")
    assert run.info.status == "FINISHED"
    assert run.data.params == {"model": "toy", "seed": "5"}
    assert run.data.metrics["risk"] == 0.25
    history = work.tracking.client.get_metric_history(run.info.run_id, "risk")
    assert sorted((entry.step, entry.value) for entry in history) == [(0, 0.5), (1, 0.25)]
    shown = capsys.readouterr().err.splitlines()
    assert shown[0] == "train: started"
    assert "risk 0.5" in "\n".join(shown)


def test_a_stage_that_fails_fails_the_run_and_is_not_timed(settings: Settings) -> None:
    with (
        pytest.raises(ValueError, match="out of luck"),
        open_workspace("run", "toy", settings, None) as work,
        work.stage("train"),
    ):
        raise ValueError("out of luck")
    assert work.seconds() == ()
    assert run_named(work, "train").info.status == "FAILED"
    run = work.tracking.client.get_run(work.run.run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags["exception"] == "ValueError: out of luck"


def test_a_run_that_is_stopped_is_killed_and_not_failed(settings: Settings) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        open_workspace("run", "toy", settings, None) as work,
        work.stage("train"),
    ):
        raise KeyboardInterrupt
    assert work.tracking.client.get_run(work.run.run_id).info.status == "KILLED"


def test_a_home_that_cannot_be_written_is_an_outside_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = Settings(home=tmp_path / "file")
    with (
        pytest.raises(OutsideError, match=r"home folder .*/file must be writable .*; set KINTSUGI_HOME"),
        open_workspace("run", "toy", settings, None),
    ):
        pass


def test_a_store_that_is_down_leaves_no_folder(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, tracking_uri="http://127.0.0.1:9")
    with (
        pytest.raises(OutsideError, match=r"http://127.0.0.1:9 does not answer"),
        open_workspace("run", "toy", settings, None),
    ):
        pass
    assert not list(settings.runs.glob("*"))
