"""For every test: no telemetry, pictures without a screen, hypothesis without a clock."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.toy_world", "tests.live_site"]

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OMP_NUM_THREADS", "1")
for _name, _value in {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
}.items():
    os.environ[_name] = _value

settings.register_profile("kintsugi", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kintsugi")


@pytest.fixture(autouse=True)
def _no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A test sees no ``KINTSUGI_*`` variable of its machine, and writes below its own folder."""
    for name in [name for name in os.environ if name.startswith("KINTSUGI_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("KINTSUGI_HOME", str(tmp_path / "kintsugi"))
