import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from components.errors import InputError
from tasks.settings import QUIET, Settings, load_settings, quiet_environment


def test_every_field_can_be_set_by_its_name_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "home": "/srv/kintsugi",
        "tracking_uri": "http://localhost:5000",
        "prefect_api_url": "http://localhost:4200/api",
        "prefect_database": "postgresql+asyncpg://me:s3cret@db/prefect",
        "mlflow_store": "postgresql://me:s3cret@db/mlflow",
        "mlflow_artifacts": "s3://bucket/artifacts",
        "data_folders": "/srv/tables:/srv/more",
        "runner": "ray",
        "map": "ray",
        "workers": "3",
        "ray_address": "10.0.0.1:6379",
        "training_workers": "2",
        "gpus_per_worker": "0.25",
        "reuse": "False",
        "llm": "endpoint",
        "llm_base_url": "http://localhost:8000/v1",
        "llm_model": "small",
        "llm_api_key": "s3cret",
        "llm_model_path": "/srv/model.gguf",
        "llm_timeout": "5.5",
        "llm_retries": "4",
        "llm_requests_per_minute": "30.0",
        "llm_threads": "8",
        "llm_transcript": "/srv/answers.jsonl",
    }
    assert set(given) == set(Settings.model_fields)
    for name, value in given.items():
        monkeypatch.setenv(f"KINTSUGI_{name.upper()}", value)
    found = load_settings()
    secrets = ("prefect_database", "mlflow_store", "llm_api_key")
    apart = {"data_folders": str((Path("/srv/tables"), Path("/srv/more")))} | dict.fromkeys(secrets, "**********")
    assert {name: str(getattr(found, name)) for name in given} == given | apart
    assert {name: getattr(found, name).get_secret_value() for name in secrets} == {
        name: given[name] for name in secrets
    }


def test_every_field_has_a_title_and_a_description() -> None:
    for name, field in Settings.model_fields.items():
        assert field.title, name
        assert field.description, name
        assert field.description.endswith("."), name


def test_home_is_one_visible_folder_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KINTSUGI_HOME")
    home = load_settings().home
    assert home == Path.home() / "kintsugi"
    inside = load_settings()
    for folder in (inside.database, inside.artifacts, inside.prefect, inside.datasets, inside.answers, inside.runs):
        assert folder.parent == home


def test_a_tilde_means_the_users_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINTSUGI_HOME", "~/elsewhere")
    assert load_settings().home == Path.home() / "elsewhere"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("RUNNER", "dask", "KINTSUGI_RUNNER must be 'inline', 'threads' or 'ray', got 'dask'"),
        ("MAP", "dask", "KINTSUGI_MAP must be .*'ray', got 'dask'"),
        ("WORKERS", "-1", "KINTSUGI_WORKERS must be greater than or equal to 0, got '-1'"),
        ("LLM", "cloud", "KINTSUGI_LLM must be .*'endpoint' or 'transcript', got 'cloud'"),
        ("LLM_TIMEOUT", "0", "KINTSUGI_LLM_TIMEOUT must be greater than 0, got '0'"),
        ("RUNER", "inline", "KINTSUGI_RUNER is not a setting; did you mean KINTSUGI_RUNNER?"),
    ],
)
def test_a_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str) -> None:
    monkeypatch.setenv(f"KINTSUGI_{name}", value)
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        load_settings()


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().runner = "inline"


def test_all_cores_unless_told() -> None:
    assert Settings(workers=3).worker_count == 3
    assert Settings().worker_count == len(os.sched_getaffinity(0))


def test_the_environment_is_made_quiet_but_never_overruled(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in QUIET:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    quiet_environment()
    assert os.environ["DO_NOT_TRACK"] == "true"
    assert os.environ["RAY_AUTH_MODE"] == "disabled"
    for name in QUIET:
        monkeypatch.setenv(name, os.environ[name])  # so that they are restored after the test


def test_light_modules_stay_light() -> None:
    heavy = ("mlflow", "prefect", "ray", "torch", "pandas", "joblib", "rich")
    code = (
        "import sys, tasks.settings, tasks.compute, tasks.servers, tasks.progress;"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
