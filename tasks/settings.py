"""Where a run happens: folders, servers, workers, language model; read from ``KINTSUGI_*`` in the environment."""

import difflib
import os
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from components.errors import InputError

PREFIX = "KINTSUGI_"
QUIET = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
}


class Settings(BaseSettings):
    """Where a run happens, never what it computes: equal configurations give equal results under any settings."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    home: Path = Field(
        default=Path("~/kintsugi"),
        validate_default=True,
        title="Home folder",
        description="The folder that holds everything Kintsugi writes: data, runs, answers, tracking, artifacts.",
    )
    tracking_uri: str = Field(
        default="",
        title="Tracking server",
        description="URL of an MLflow tracking server. Empty: an SQLite file in the home folder.",
    )
    prefect_api_url: str = Field(
        default="",
        title="Prefect API",
        description="URL of a Prefect API, ending in /api. Empty: one is started for the run and stopped after it.",
    )
    runner: Literal["inline", "threads"] = Field(
        default="threads",
        title="Task runner",
        description="How stages that do not wait for each other run: one after the other, or in threads.",
    )
    map: Literal["inline", "threads", "processes", "ray"] = Field(
        default="processes",
        title="Parallel map",
        description="Where the replicates inside a stage run. The numbers are the same everywhere.",
    )
    workers: int = Field(
        default=0,
        ge=0,
        title="Workers",
        description="Number of parallel workers of the map. 0: one for every core this process may use.",
    )
    ray_address: str = Field(
        default="local",
        title="Ray cluster",
        description="Address of a running Ray cluster. local: Ray is started for the run and stopped after it.",
    )
    llm: Literal["none", "embedded", "endpoint"] = Field(
        default="embedded",
        title="Language model",
        description="Who answers questions about causes: nobody, a small model inside this process, or an endpoint.",
    )
    llm_base_url: str = Field(
        default="",
        title="Endpoint of the language model",
        description="URL of an OpenAI-compatible endpoint, usually ending in /v1. Only for llm=endpoint.",
    )
    llm_model: str = Field(
        default="",
        title="Name of the language model",
        description="Name by which the endpoint knows the model. Only for llm=endpoint.",
    )
    llm_api_key: SecretStr = Field(
        default=SecretStr(""),
        title="Key of the endpoint",
        description="Sent to the endpoint and shown nowhere. Empty: none is sent.",
    )
    llm_model_path: Path | None = Field(
        default=None,
        title="File of the embedded model",
        description="A GGUF file for llm=embedded. Empty: the model that is installed with Kintsugi.",
    )
    llm_timeout: float = Field(
        default=60.0,
        gt=0,
        title="Patience with the endpoint",
        description="Seconds to wait for one answer.",
    )

    @field_validator("home", "llm_model_path")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return path and path.expanduser().absolute()

    @field_validator("llm_model_path", mode="before")
    @classmethod
    def _nothing(cls, value: object) -> object:
        return None if value == "" else value

    @property
    def database(self) -> Path:
        """The SQLite file of the embedded tracking store."""
        return self.home / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        """Files of tracked runs and registered models, for the embedded tracking store."""
        return self.home / "artifacts"

    @property
    def prefect(self) -> Path:
        """State, results and log of the embedded Prefect server."""
        return self.home / "prefect"

    @property
    def datasets(self) -> Path:
        """Ingested datasets, one folder each."""
        return self.home / "datasets"

    @property
    def answers(self) -> Path:
        """Answers of language models, kept so that none is asked twice."""
        return self.home / "answers"

    @property
    def runs(self) -> Path:
        """What the stages of each run made."""
        return self.home / "runs"

    @property
    def worker_count(self) -> int:
        """Workers of the map, at least one."""
        return self.workers or len(os.sched_getaffinity(0))


def load_settings() -> Settings:
    """The settings of this process.

    Raises:
        InputError: A ``KINTSUGI_*`` variable has a value outside its range, or a name that is nearly a setting's.
    """
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for name in sorted(os.environ):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            for near in difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.85):
                raise InputError(f"{name} is not a setting; did you mean {near}?")
    try:
        return Settings()
    except ValidationError as error:
        raise InputError(
            "; ".join(_sentence(each["loc"], each["msg"], each["input"]) for each in error.errors())
        ) from None


def shown(url: str) -> str:
    """An address as it may be shown: without the name and password in it."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def quiet_environment() -> None:
    """Turn telemetry and advertisements of the libraries off, for this process and its children.

    A variable that is already set is left as it is.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def _sentence(place: tuple[int | str, ...], rule: str, value: object) -> str:
    name = PREFIX + str(place[0]).upper()
    wanted = rule.removeprefix("Input should be ").removeprefix("a valid ")
    shown = "" if "KEY" in name else f", got {str(value)!r}"
    return f"{name} must be {wanted}{shown}"
