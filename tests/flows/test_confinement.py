"""Who may have what read: one's own command line anything, another person's form only what is in the data folders."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.errors import InputError, OutsideError
from flows.configuration import Source
from flows.inputs import read_gates, read_inputs, read_specification
from tasks.secrets import revealed, secret

BEGAN = "a run began"


@pytest.fixture
def places(tmp_path: Path, toy: Any) -> Path:
    """A specification whose table lies beside its folder, and a complete one in the data folder of the home."""
    frame = toy.visits((2016, 2017), (60, 60))
    toy.write(tmp_path / "kintsugi" / "data" / "inside", frame)
    toy.write(tmp_path / "elsewhere", frame)
    toy.write(tmp_path / "mine", frame, source={"kind": "csv", "path": "../elsewhere/visits.csv"})
    return tmp_path


@pytest.fixture
def ordered(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process was started by a worker."""
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "0b2c2b1e-5a0c-4f0e-8a59-4d1a58f5c9c1")


# One's own command line.


def test_without_folders_a_specification_may_name_anything(places: Path, kintsugi: Any) -> None:
    with pytest.raises(AssertionError, match=BEGAN):
        kintsugi("run", "--data", places / "mine" / "toy.yaml", "--llm", "none")


def test_with_folders_a_specification_is_held_in_them(
    places: Path, kintsugi: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KINTSUGI_DATA_FOLDERS", str(places / "nowhere"))
    said = kintsugi("run", "--data", places / "mine" / "toy.yaml", "--llm", "none")
    assert said.code == 2
    (sentence,) = said.err
    assert sentence.startswith("kintsugi: source.path must lie in ")
    assert str(places / "elsewhere" / "visits.csv") in sentence
    assert "KINTSUGI_DATA_FOLDERS" in sentence
    monkeypatch.setenv("KINTSUGI_DATA_FOLDERS", f"{places / 'nowhere'}:{places / 'elsewhere'}")
    with pytest.raises(AssertionError, match=BEGAN):
        kintsugi("run", "--data", places / "mine" / "toy.yaml", "--llm", "none")


def test_with_folders_what_is_typed_is_still_read(places: Path, kintsugi: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINTSUGI_DATA_FOLDERS", str(places / "nowhere"))
    typed = ("--source", places / "elsewhere" / "visits.csv", "--knowledge", places / "elsewhere" / "knowledge.yaml")
    gates = ("--set", f"gates={places / 'elsewhere' / 'gates.yaml'}")
    with pytest.raises(AssertionError, match=BEGAN):
        kintsugi("run", "--data", places / "mine" / "toy.yaml", "--llm", "none", *typed, *gates)
    with pytest.raises(AssertionError, match=BEGAN):  # its own table lies beside the specification that was typed
        kintsugi("run", "--data", places / "elsewhere" / "toy.yaml", "--llm", "none")


# Runs that others order.


@pytest.mark.usefixtures("ordered")
def test_what_lies_in_the_data_folder_of_the_home_is_read(places: Path) -> None:
    inside = places / "kintsugi" / "data" / "inside"
    inputs = read_inputs(Source(str(inside / "toy.yaml"), str(inside / "*.csv"), str(inside / "knowledge.yaml")))
    assert inputs.person
    assert read_gates(str(inside / "gates.yaml"))
    assert read_gates("")
    assert read_specification(Source("nhanes")).name == "nhanes"


@pytest.mark.usefixtures("ordered")
@pytest.mark.parametrize("field", ["specification", "path", "knowledge"])
@pytest.mark.parametrize("way", ["plain", "dots", "link"])
def test_nothing_else_is(places: Path, field: str, way: str) -> None:
    inside, elsewhere = places / "kintsugi" / "data" / "inside", places / "elsewhere"
    name = {"specification": "toy.yaml", "path": "visits.csv", "knowledge": "knowledge.yaml"}[field]
    (inside / "linked").symlink_to(elsewhere)
    path = {
        "plain": elsewhere / name,
        "dots": inside / ".." / ".." / ".." / "elsewhere" / name,
        "link": inside / "linked" / name,
    }[way]
    given = {"specification": str(inside / "toy.yaml")} | {field: str(path)}
    with pytest.raises(InputError, match=rf"{field} must lie in .*kintsugi/data"):
        read_inputs(Source(**given))


@pytest.mark.usefixtures("ordered")
def test_a_file_of_gates_is_held_too(places: Path) -> None:
    with pytest.raises(InputError, match="gates must lie in"):
        read_gates(str(places / "elsewhere" / "gates.yaml"))


@pytest.mark.usefixtures("ordered")
@pytest.mark.parametrize(
    "pattern", ["*.csv", "../../../elsewhere/*.csv", "linked/*.csv", "*/../*/../../elsewhere/*.csv"]
)
def test_a_pattern_is_held_by_what_it_matches(places: Path, pattern: str) -> None:
    inside = places / "kintsugi" / "data" / "inside"
    (inside / "linked").mkdir()
    (inside / "linked" / "one.csv").symlink_to(places / "elsewhere" / "visits.csv")
    (inside / "two.csv").symlink_to(places / "elsewhere" / "visits.csv")
    with pytest.raises(InputError, match=r"source\.path must"):
        read_inputs(Source(str(inside / "toy.yaml"), str(inside / pattern)))


@pytest.mark.usefixtures("ordered")
def test_a_specification_inside_cannot_name_what_is_outside(places: Path, toy: Any) -> None:
    for source in (
        {"kind": "csv", "path": "../../../elsewhere/visits.csv"},
        {"kind": "sql", "url": "sqlite:////etc/x"},
    ):
        table = {"table": "x"} if source["kind"] == "sql" else {}
        path = toy.write(places / "kintsugi" / "data" / "other", toy.visits((2016,), (60,)), source={**source, **table})
        with pytest.raises(InputError, match=r"source\.(path|url) must lie in"):
            read_inputs(Source(str(path)))


@pytest.mark.usefixtures("ordered")
def test_folders_take_the_place_of_the_one_in_the_home(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINTSUGI_DATA_FOLDERS", f"{places / 'mine'}:{places / 'elsewhere'}")
    read_inputs(Source(str(places / "mine" / "toy.yaml")))
    with pytest.raises(InputError, match=r"source\.specification must lie in"):
        read_inputs(Source(str(places / "kintsugi" / "data" / "inside" / "toy.yaml")))


def test_workers_and_served_flows_say_that_they_started_a_process() -> None:
    """The mark by which a run that another person ordered is known is Prefect's own."""
    from prefect.runner import _starter_engine
    from prefect.workers.base import BaseJobConfiguration

    flow_run = type("FlowRun", (), {"id": "a-run"})()
    assert BaseJobConfiguration._base_flow_run_environment(flow_run) == {"PREFECT__FLOW_RUN_ID": "a-run"}
    assert '"PREFECT__FLOW_RUN_ID": str(flow_run.id)' in inspect.getsource(_starter_engine)


# Secrets in blocks.


@pytest.fixture
def block(prefect: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Any], None]:
    from prefect.blocks.system import Secret

    monkeypatch.setenv("PREFECT_API_URL", prefect)

    def save(name: str, value: Any) -> None:
        Secret(value=value).save(name, overwrite=True)

    return save


@pytest.mark.server
def test_a_secret_comes_from_its_block_when_it_is_used(
    block: Callable[[str, Any], None], places: Path, toy: Any
) -> None:
    block("toy-password", "12345")
    block("toy-both", {"user": "me", "password": "wor@d"})
    assert secret("prefect-block:secret/toy-password") == "12345"
    assert revealed("prefect-block:secret/toy-both.password") == "wor@d"
    assert revealed("said-plainly") == "said-plainly"
    url = "vault://${prefect-block:secret/toy-both.user}:${prefect-block:secret/toy-both.password}@host/db"
    source = {"kind": "sql", "url": url, "table": "visits"}
    path = toy.write(places / "sql", toy.visits((2016,), (60,)), source=source)
    resolved, _ = read_specification(Source(str(path))).source._resolved()  # type: ignore[union-attr]
    assert (resolved.username, resolved.password, resolved.host) == ("me", "wor@d", "host")
    block("toy-password", "changed")
    assert secret("prefect-block:secret/toy-password") == "changed"


@pytest.mark.server
@pytest.mark.parametrize("name", ["toy-nowhere", "toy-both.nowhere", "toy-both"])
def test_a_block_that_cannot_be_used_is_named(block: Callable[[str, Any], None], name: str) -> None:
    block("toy-both", {"user": "me", "password": "wor@d"})
    with pytest.raises(InputError, match="Prefect block secret/toy-") as refusal:
        secret(f"prefect-block:secret/{name}")
    assert "wor@d" not in str(refusal.value)


def test_a_block_needs_an_api_that_outlives_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with pytest.raises(OutsideError, match="KINTSUGI_PREFECT_API_URL"):
        secret("prefect-block:secret/any")
