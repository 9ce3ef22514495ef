"""The manifests of Compose and of Ray's launcher: valid by their own schemas, and true to what they start and name.

No container engine and no cluster runs here. Every command is parsed by the program that it starts, every variable must
be one that somebody reads, every reference must lead somewhere; and each check is shown a fault that it must find.
"""

import copy
import json
import re
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = (DEPLOY / "compose.yaml").read_text()
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


# Compose


def interpolated(text: str) -> Any:
    """The document as Compose reads it where only the required variables are set."""
    return yaml.safe_load(
        re.sub(r"\$\{(\w+):?[-?]([^}]*)\}", lambda each: "given" if "?" in each[0] else each[2], text)
    )


def compose_faults(text: str, manifests: Any) -> list[str]:
    read = yaml.safe_load(text)
    schema = json.loads((files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json").read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)
    found = [f"{'/'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(read)]
    for name, default in re.findall(r"\$\{(\w+)(?!:\?)([^}]*)\}", text):
        if manifests.secret.search(name):
            found.append(f"{name} must be given and have no default{default}")
    site = interpolated(text)
    for name, service in site["services"].items():
        found += [f"{name}: {fault}" for fault in service_faults(service, site, manifests)]
    return found


def service_faults(service: dict[str, Any], site: dict[str, Any], manifests: Any) -> Iterator[str]:
    environment = service.get("environment", {})
    yield from manifests.unpinned(service["image"])
    yield from manifests.unknown_variables(environment)
    yield from (f"depends on {other}" for other in service.get("depends_on", {}) if other not in site["services"])
    for port in service.get("ports", []):
        if not str(port).startswith("127.0.0.1:"):
            yield f"publishes {port} beyond this machine"
    for volume in service.get("volumes", []):
        source = volume.partition(":")[0]
        if source.startswith(".") and not (DEPLOY / source).is_file():
            yield f"{source} is not in the repository"
        if not source.startswith(".") and source not in site["volumes"]:
            yield f"volume {source} is not declared"
    for variable, value in environment.items():
        host = re.match(r"\w+(?:\+\w+)?://(?:\w+@)?([a-z-]+)", str(value or ""))
        if host and host[1] not in {"localhost", *site["services"]}:
            yield f"{variable} names {host[1]}, which is no service"
    if service["restart"] == "unless-stopped" and "healthcheck" not in service:
        yield "has no health check"
    if "build" in service:
        if not (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file():
            yield "is built from a file that is not there"
        if not service.get("read_only") or service.get("cap_drop") != ["ALL"]:
            yield "may write to its image or has capabilities"
        yield from manifests.unknown_command(service["command"])
        if "PROBE" not in environment and "healthcheck" in service:
            yield "has a health check without an address"


def test_nothing_is_wrong_with_compose(manifests: Any) -> None:
    assert compose_faults(COMPOSE, manifests) == []


COMPOSE_FAULTS = {
    "an unknown key": ("    shm_size: 256mb", "    shmsize: 256mb", "shmsize"),
    "a wrong type": ("retries: 3", "retries: [3]", "retries"),
    "a port for everybody": ('"127.0.0.1:5000:5000"', '"5000:5000"', "beyond this machine"),
    "a default password": ("POSTGRES_PASSWORD:?set", "POSTGRES_PASSWORD:-set", "no default"),
    "an unknown service": ("      mlflow: {condition", "      mlfow: {condition", "depends on mlfow"),
    "an undeclared volume": ("artifacts:/var/lib", "artefacts:/var/lib", "volume artefacts"),
    "a file that is not there": ("databases.sql:/docker", "database.sql:/docker", "database.sql is not"),
    "a misspelt option": ("--ray-client-server-port", "--ray-client-port", "--ray-client-port"),
    "a misspelt subcommand": ("[kintsugi, deploy,", "[kintsugi, deplog,", "no command deplog"),
    "a misspelt variable": ("MLFLOW_SERVER_ALLOWED_HOSTS", "MLFLOW_ALLOWED_HOSTS", "read by nobody"),
    "a misspelt host": ("http://mlflow:5000", "http://mlflo:5000", "mlflo, which is no service"),
    "an image of tomorrow": ("postgres:15-bookworm", "postgres:latest", "not pinned"),
    "a capable container": ("cap_drop: [ALL]", "cap_drop: []", "capabilities"),
}


@pytest.mark.parametrize("planted", COMPOSE_FAULTS)
def test_a_fault_in_compose_is_found(planted: str, manifests: Any) -> None:
    before, after, said = COMPOSE_FAULTS[planted]
    assert before in COMPOSE
    found = compose_faults(COMPOSE.replace(before, after), manifests)
    assert any(said in each for each in found), found


# Ray's cluster launcher


def launcher_faults(text: str, manifests: Any) -> list[str]:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = yaml.safe_load(text)
    try:
        validate_config(prepare_config(copy.deepcopy(config)))
    except jsonschema.ValidationError as error:
        return [error.message]
    commands = [line for each in ("head", "worker") for line in config[f"{each}_start_ray_commands"]]
    found = [fault for line in commands for fault in manifests.unknown_command(line.split())]
    given = [each.removeprefix("--env=") for each in config["docker"]["run_options"] if each.startswith("--env=")]
    found += manifests.unknown_variables(dict(each.split("=") for each in given))
    if not any(each.startswith("RAY_AUTH_TOKEN_PATH=") for each in given):
        found.append("nodes find no token")
    return found + manifests.unpinned(config["docker"]["image"])


LAUNCHER = (DEPLOY / "ray-cluster.yaml").read_text()
LAUNCHER_FAULTS = {
    "an unknown key": ("max_workers:", "maximum_workers:", "maximum_workers"),
    "a wrong type": ("cluster_name: kintsugi", "cluster_name: 7", "string"),
    "a misspelt option": ("--num-cpus=0", "--number-cpus=0", "--number-cpus"),
    "a misspelt variable": ("RAY_AUTH_TOKEN_PATH", "RAY_TOKEN_PATH", "nobody"),
    "an image of tomorrow": (f"kintsugi:{VERSION}\n", "kintsugi:latest\n", "not pinned"),
}


def test_nothing_is_wrong_with_the_cluster_of_the_launcher(manifests: Any) -> None:
    assert launcher_faults(LAUNCHER, manifests) == []


@pytest.mark.parametrize("planted", LAUNCHER_FAULTS)
def test_a_fault_in_the_cluster_of_the_launcher_is_found(planted: str, manifests: Any) -> None:
    before, after, said = LAUNCHER_FAULTS[planted]
    assert before in LAUNCHER
    found = launcher_faults(LAUNCHER.replace(before, after), manifests)
    assert any(said in each for each in found), found
