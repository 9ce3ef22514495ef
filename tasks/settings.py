"""Where a run happens: folders, servers, workers, language model; read from ``KINTSUGI_*`` in the environment."""

import difflib
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from components.confinement import Folders
from components.errors import InputError
from components.secrets import masked
from components.secrets import shown as shown  # an address as it may be shown

PREFIX = "KINTSUGI_"
QUIET = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
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
    data_folders: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(),
        title="Folders with data",
        description="Folders that runs may read, joined by colons. Empty: the folder data in the home folder for runs "
        "that others order through a worker, everything for the command line.",
    )
    tracking_uri: str = Field(
        default="",
        repr=False,
        title="Tracking server",
        description="URL of an MLflow tracking server. Empty: an SQLite file in the home folder.",
    )
    prefect_api_url: str = Field(
        default="",
        repr=False,
        title="Prefect API",
        description="URL of a Prefect API, ending in /api. Empty: one is started for the run and stopped after it.",
    )
    prefect_database: SecretStr = Field(
        default=SecretStr(""),
        title="Database of the Prefect server",
        description="URL for the server that kintsugi ui starts, as postgresql+asyncpg://name:password@host/database. "
        "Empty: an SQLite file in the home folder.",
    )
    mlflow_store: SecretStr = Field(
        default=SecretStr(""),
        title="Database of the MLflow server",
        description="URL for the server that kintsugi ui starts, as postgresql://name:password@host/database. "
        "Empty: an SQLite file in the home folder.",
    )
    mlflow_artifacts: str = Field(
        default="",
        title="Artifacts of the MLflow server",
        description="Folder or URL, as s3://bucket/path, for the server that kintsugi ui starts. "
        "Empty: a folder in the home folder.",
    )
    runner: Literal["inline", "threads", "ray"] = Field(
        default="threads",
        title="Task runner",
        description="Where stages run: here, one after the other; here, in threads; or each on a worker of Ray.",
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
    training_workers: int = Field(
        default=1,
        ge=1,
        title="Training workers",
        description="Number of Ray's workers that share the rows of every training step. 1: training is not shared.",
    )
    gpus_per_worker: float = Field(
        default=0.5,
        ge=0,
        le=1,
        title="GPUs per training worker",
        description="Share of a GPU that each of several training workers asks for where Ray has any. 0: none.",
    )
    reuse: bool = Field(
        default=True,
        title="Reuse finished stages",
        description="Whether a stage whose method and inputs have not changed is taken from the home folder's store.",
    )
    llm: Literal["none", "embedded", "endpoint", "transcript"] = Field(
        default="embedded",
        title="Language model",
        description="Who answers questions about causes: nobody, a small model inside this process, an endpoint, or a "
        "transcript of answers that were given before.",
    )
    llm_base_url: str = Field(
        default="",
        repr=False,
        title="Endpoint of the language model",
        description="URL of an OpenAI-compatible endpoint, usually ending in /v1. Only for llm=endpoint.",
    )
    llm_model: str = Field(
        default="",
        title="Name of the language model",
        description="Name by which the endpoint knows the model. Only for llm=endpoint; for llm=transcript it chooses "
        "whose answers are wanted where there are several.",
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
    llm_retries: int = Field(
        default=2,
        ge=0,
        title="Further tries at the endpoint",
        description="Tries after no reply, or after one that says to come again; waits grow, Retry-After is obeyed.",
    )
    llm_requests_per_minute: float = Field(
        default=0.0,
        ge=0,
        title="Requests a minute",
        description="Requests that go to the endpoint in a minute at most, further tries included. 0: no limit.",
    )
    llm_threads: int = Field(
        default=4,
        ge=1,
        title="Questions at once",
        description="Questions put to the endpoint at the same time. The answers are the same with any number.",
    )
    llm_transcript: Path | None = Field(
        default=None,
        title="Transcript",
        description="File of answers to be read again for llm=transcript; each run of the stage elicit leaves one.",
    )

    @field_validator("home", "llm_model_path", "llm_transcript")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return path and path.expanduser().absolute()

    @field_validator("data_folders", mode="before")
    @classmethod
    def _folders(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(Path(part).expanduser().absolute() for part in value.split(os.pathsep) if part)

    @field_validator("llm_model_path", "llm_transcript", mode="before")
    @classmethod
    def _nothing(cls, value: object) -> object:
        return None if value == "" else value

    @property
    def readable(self) -> Folders | None:
        """The folders that what a specification names must lie in; None where the caller may read what they can."""
        if self.data_folders or ordered_by_another():
            return Folders(self.data_folders or (self.home / "data",))
        return None

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
    def downloads(self) -> Path:
        """Files that sources have downloaded, one folder a source."""
        return self.home / "downloads"

    @property
    def stages(self) -> Path:
        """What finished stages made, by content."""
        return self.home / "stages"

    @property
    def checkpoints(self) -> Path:
        """Where trainings stand that are under way, or were killed."""
        return self.home / "checkpoints"

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


def ordered_by_another() -> bool:
    """Whether a worker started this process: by the run form, the API, a schedule or an event, not by its own user."""
    return bool(os.environ.get("PREFECT__FLOW_RUN_ID"))


def quiet_environment() -> None:
    """Turn telemetry and advertisements of the libraries off, for this process and its children.

    A variable that is already set is left as it is.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def _sentence(place: tuple[int | str, ...], rule: str, value: object) -> str:
    name = PREFIX + str(place[0]).upper()
    wanted = rule.removeprefix("Input should be ").removeprefix("a valid ")
    got = "" if "KEY" in name else f", got {masked(shown(str(value)))!r}"
    return f"{name} must be {wanted}{got}"
