"""The files of the deployments say each thing once, and what is wrong in them is found before anything is deployed."""

import json
import shutil
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.bayes.ivon import Ivon
from components.contracts import DriftReport
from components.errors import InputError
from flows.configuration import PLANS, Pipeline
from flows.deployments import read_deployments
from flows.forms import build, read_form
from tasks import drift_events
from tasks.drift_events import announce_drift

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "deploy"
ENVIRONMENTS = sorted(folder.name for folder in (SHIPPED / "params").iterdir())
FOUND = DriftReport("2026", "covariate", 0.5, 0.01, 0.2, 0.01, 0.0, 0.1, 0.2, (), "update and forget")


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A copy of the shipped parameters, to be spoilt."""
    return Path(shutil.copytree(SHIPPED / "params" / "local", tmp_path / "mine"))


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_environment_is_right_and_whole(name: str) -> None:
    read = read_deployments(name)
    assert set(read.names) == set(PLANS)
    for deployment in read.file["deployments"]:
        assert list(deployment["parameters"]) == ["config"]
        build(read_form(PLANS[deployment["name"]], deployment["parameters"]["config"]))
        assert deployment["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}
        assert deployment["work_pool"] == {"name": "kintsugi"}
        path, _, flow = deployment["entrypoint"].partition(":")
        assert f"def {flow}(" in (read.root / path).read_text(encoding="utf-8")


def test_there_are_two_environments_and_they_differ() -> None:
    assert ENVIRONMENTS == ["local", "production"]
    local, production = (read_deployments(name).file["deployments"] for name in ENVIRONMENTS)
    assert [each for each in local if each not in production]


def test_parameters_stand_nowhere_else() -> None:
    described = yaml.safe_load((SHIPPED / "prefect.yaml").read_text(encoding="utf-8"))
    assert [each["name"] for each in described["deployments"] if "parameters" in each] == []
    parameters = read_deployments("local").file["deployments"][0]["parameters"]
    written = yaml.safe_load((SHIPPED / "params" / "local" / "pipeline.yaml").read_text())
    assert list(parameters["config"]) == list(written)
    assert read_form(Pipeline, parameters["config"]) == read_form(Pipeline, written)


def test_a_stage_of_which_something_is_said_is_written_out_in_full(environment: Path) -> None:
    (environment / "pipeline.yaml").write_text("training: {rule: {epochs: 3}}")
    (config,) = (
        each["parameters"]["config"]
        for each in read_deployments(str(environment)).file["deployments"]
        if each["name"] == "pipeline"
    )
    assert list(config) == ["training"]
    usual = Pipeline().training
    assert usual.rule != Ivon()  # so that a form that begins with the rule's own defaults would change the run
    assert build(read_form(Pipeline, config)).training == replace(usual, rule=replace(usual.rule, epochs=3))
    assert set(config["training"]["rule"]) == {field.name for field in fields(Ivon)}


def test_the_pipeline_is_weekly_the_update_daily_the_others_on_demand() -> None:
    schedules = {each["name"]: each.get("schedules", []) for each in read_deployments("local").file["deployments"]}
    assert {name: [each["cron"].split()[2:] for each in found] for name, found in schedules.items()} == {
        "pipeline": [["*", "*", "0"]],
        "update": [["*", "*", "*"]],
        "discover": [],
        "tune": [],
        "classify": [],
    }


def test_a_folder_of_ones_own_is_an_environment_too(environment: Path) -> None:
    (environment / "tune.yaml").write_text("model: mine\n", encoding="utf-8")
    found = {
        each["name"]: each["parameters"]["config"] for each in read_deployments(str(environment)).file["deployments"]
    }
    assert found["tune"] == {"model": "mine"}


def test_an_unknown_environment_is_refused() -> None:
    with pytest.raises(InputError, match=r"--environment must be one of local, production or .*'prodution'; did"):
        read_deployments("prodution")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("update.yaml", None, r"the parameters of update must name a YAML file, there is none at .*update\.yaml"),
        ("tune.yaml", "tuning: {rouns: 3}", r"tune\.yaml: tuning\.rouns is no field.*did you mean rounds"),
        ("tune.yaml", "tuning: {rounds: 0}", r"tune\.yaml: tuning: rounds must be at least 1, got 0"),
        ("tune.yaml", "training: {batches: 3}", r"tune\.yaml: training is no field"),
        ("update.yaml", "model: a/b", r"update\.yaml: model must be a name without"),
        ("discover.yaml", "- nhanes", r"the parameters of discover must hold a mapping of names to values"),
        ("discover.yaml", "a: [", r"the parameters of discover must be YAML"),
        ("pipelin.yaml", "", r"pipelin\.yaml must be named after a deployment \(pipeline, .*did you mean pipeline"),
    ],
)
def test_a_mistake_in_a_file_of_parameters_is_named(
    environment: Path, file: str, content: str | None, message: str
) -> None:
    (environment / file).unlink(missing_ok=True)
    if content is not None:
        (environment / file).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_deployments(str(environment))


@pytest.fixture
def announced(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The events that were emitted during the test."""
    events: list[dict[str, Any]] = []
    monkeypatch.setattr(drift_events, "emit_event", lambda **event: events.append(event))
    return events


def covered(event: dict[str, Any]) -> bool:
    """Whether the automation of the update deployment acts on an event: Prefect's own judgement."""
    from prefect.server.events.schemas.automations import EventTrigger
    from prefect.server.events.schemas.events import ReceivedEvent

    (update,) = (each for each in read_deployments("local").file["deployments"] if each["name"] == "update")
    (described,) = update["triggers"]
    trigger = EventTrigger.model_validate({k: v for k, v in described.items() if k not in ("name", "description")})
    stamped = {"occurred": "2026-11-23T00:00:00Z", "id": "6a1d4c3e-0000-4000-8000-000000000000"}
    return trigger.covers(ReceivedEvent.model_validate(json.loads(json.dumps(event | stamped))))


def test_drift_that_was_learnt_from_starts_no_update(announced: list[dict[str, Any]]) -> None:
    announce_drift("nhanes", FOUND, absorbed=True)
    announce_drift("nhanes", FOUND, absorbed=False)
    assert [covered(event) for event in announced] == [False, True]
    assert announced[1]["payload"] == {"batch": "2026", "kind": "covariate", "action": "update and forget"}


def test_where_nothing_has_moved_nothing_is_announced(announced: list[dict[str, Any]]) -> None:
    announce_drift("nhanes", replace(FOUND, kind="none"), absorbed=False)
    assert announced == []


def test_the_automations_are_as_prefect_wants_them() -> None:
    from prefect.events.schemas.automations import AutomationCore

    for described in read_deployments("local").automations:
        made = AutomationCore.model_validate(described)
        assert made.name == described["name"]
        assert made.description
