"""The source as a run uses it: declared, fetched, built, ingested; killed, repeated, without a network."""

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.errors import InputError, OutsideError
from components.ingestion import Specification, check, ingest, load_specification
from components.ingestion.cdc import NhanesCdc
from components.ports import silent
from components.storage import read_rows
from flows.configuration import Source
from flows.inputs import read_inputs, read_specification
from tasks.servers import free_port

PEOPLE = 12


def population(make: SimpleNamespace, cycles: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    """People with numbers that rise from cycle to cycle; each third has been told of diabetes."""
    found: dict[str, list[dict[str, Any]]] = {}
    for place, name in enumerate(sorted(cycles)):
        numbers = range(100 * place + 1, 100 * place + 1 + PEOPLE)
        found[name] = [
            make.person(number, RIDAGEYR=20 + number % 50, DIQ010=1 + number % 3 // 2, LBXGH=5 + number % 4, BMXBMI=25)
            for number in numbers
        ]
    return found


@pytest.fixture
def survey(cdc: Any, make: SimpleNamespace) -> Any:
    cdc.files |= make.survey(population(make, tuple(name for name in make.cycles if name != "2017-2020")))
    return cdc


def built_in(cdc: Any, folder: Path, **changes: Any) -> Specification:
    """The built-in specification, at the server of the test."""
    specification = load_specification("nhanes-cdc").with_downloads_in(folder)
    source = specification.source.model_copy(update={"base_url": cdc.url, **changes})
    return specification.model_copy(update={"source": source})


def small(cdc: Any, folder: Path, **changes: Any) -> NhanesCdc:
    cycles = ("2015-2016", "2021-2023")
    return NhanesCdc(**{"base_url": cdc.url, "cycles": cycles, "folder": folder, "connections": 2, **changes})


def test_the_built_in_specification_becomes_eleven_batches_and_then_needs_no_network(
    survey: Any, tmp_path: Path
) -> None:
    specification, heard = built_in(survey, tmp_path / "downloads"), []
    dataset, labels = ingest(specification, tmp_path / "data", 0, lambda *said: heard.append(said))
    assert [batch.label for batch in dataset.batches] == list(specification.source.cycles)
    assert {batch.rows for batch in dataset.batches} == {PEOPLE}
    assert labels is not None
    rows = read_rows(dataset, ["seqn", "age", "dx_diabetes", "bmi"])
    np.testing.assert_array_equal(rows["age"], 20 + rows["seqn"] % 50)
    np.testing.assert_array_equal(rows["dx_diabetes"], rows["seqn"] % 3 != 2)
    truth = pd.read_parquet(labels.path).set_index("_row")["label"].reindex(rows["_row"]).to_numpy()
    np.testing.assert_array_equal(truth, (rows["seqn"] % 3 != 2) | (rows["seqn"] % 4 >= 2))

    files = [(step, total, said) for step, total, said in heard if "files" in said]
    assert [step for step, _, _ in files] == list(range(138))
    assert {total for _, total, _ in files} == {138 + 11}
    assert [said["files"] for _, _, said in files] == list(range(1, 139))
    assert len(survey.asked) == 138
    away = SimpleNamespace(url=f"http://127.0.0.1:{free_port()}")
    again, _ = ingest(built_in(away, tmp_path / "downloads"), tmp_path / "data", 0, silent)
    assert (again.path, again.digest) == (dataset.path, dataset.digest)
    assert len(survey.asked) == 138


def test_without_a_network_and_files_a_person_is_told_before_anything_starts(survey: Any, tmp_path: Path) -> None:
    away = SimpleNamespace(url=f"http://127.0.0.1:{free_port()}")
    specification = built_in(away, tmp_path / "downloads", cycles=("1999-2000",))
    with pytest.raises(OutsideError, match=r"cannot reach 127\.0\.0\.1:\d+ .* download the files listed in /"):
        check(specification)
    folder = tmp_path / "downloads" / "nhanes-cdc"
    listed = (folder / "missing.txt").read_text().splitlines()
    assert len(listed) == 12
    for url in listed:
        place = url.removeprefix(away.url)
        (folder / place.rsplit("/", 1)[1]).write_bytes(survey.files[place])
    check(specification)
    dataset, _ = ingest(specification, tmp_path / "data", 0, silent)
    assert dataset.rows == PEOPLE
    assert survey.asked == []
    assert not (folder / "missing.txt").exists()


def test_a_declaration_is_checked_before_the_download(survey: Any, tmp_path: Path) -> None:
    right = built_in(survey, tmp_path)
    check(right)
    content = {**load_content(), "source": {"kind": "nhanes-cdc", "base_url": survey.url, "folder": tmp_path}}
    for column, words in (("smoking", "must be a number"), ("cholesterol", "has no 'cholesterol'")):
        declared = {**content["columns"], column: {"kind": "number"}}
        with pytest.raises(InputError, match=words):
            check(Specification.model_validate({**content, "columns": declared}))
    assert {asked.method for asked in survey.asked} == {"HEAD"}
    assert len(survey.asked) == 2


def load_content() -> dict[str, Any]:
    return json.loads(load_specification("nhanes-cdc").model_dump_json(exclude={"source", "label_frequency"}))


def test_the_three_ways_to_the_survey_declare_the_same_columns(tmp_path: Path) -> None:
    cycles, cdc = load_specification("nhanes-cycles"), load_specification("nhanes-cdc")
    for field in ("columns", "batches", "keep", "undeclared"):
        assert getattr(cdc, field) == getattr(cycles, field)
    assert cdc.knowledge == cycles.knowledge
    assert cdc.name != cycles.name


def test_other_cycles_are_chosen_in_a_file_that_is_like_the_built_in_one(
    survey: Any, make: Any, tmp_path: Path
) -> None:
    survey.files |= make.survey(population(make, ("2017-2020",)))
    (tmp_path / "mine.yaml").write_text(
        "like: nhanes-cdc\nname: mine\n"
        f"source: {{kind: nhanes-cdc, base_url: '{survey.url}/', cycles: [2021-2023, 2017-2020], folder: files}}\n"
    )
    specification = load_specification(tmp_path / "mine.yaml")
    dataset, _ = ingest(specification, tmp_path / "data", 0, silent)
    assert [batch.label for batch in dataset.batches] == ["2017-2020", "2021-2023"]
    assert (tmp_path / "files" / "P_DEMO.xpt").is_file()
    assert specification.knowledge == load_specification("nhanes-cdc").knowledge
    assert specification.columns == load_specification("nhanes-cycles").columns


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("like: nhanes-cd", r"like must be one of .*, got 'nhanes-cd'; did you mean 'nhanes-cdc'\?"),
        ("like: [a]", r"like must be one of"),
        (
            "like: nhanes-cdc\nsource: {kind: nhanes-cdc, base_url: ftp://here}",
            r"source\.base_url must begin with https",
        ),
        ("like: nhanes-cdc\nsource: {kind: nhanes-cdc, base_url: 'https://me:hushhush@here'}", r"must not hold a user"),
        (
            "like: nhanes-cdc\nsource: {kind: nhanes-cdc, cycles: [2017-2018, 2017-2020]}",
            r"one of 2017-2018 and 2017-2020",
        ),
        (
            "like: nhanes-cdc\nsource: {kind: nhanes-cdc, cycles: [2001-2002, 2001-2002]}",
            r"source\.cycles must name each",
        ),
        ("like: nhanes-cdc\nsource: {kind: nhanes-cdc, cycles: []}", r"source\.cycles must name each .* got none"),
        (
            "like: nhanes-cdc\nsource: {kind: nhanes-cdc, cycles: [2019-2020]}",
            r"source\.cycles\.0 must be one of 1999-2000",
        ),
        ("like: nhanes-cdc\nsource: {kind: nhanes-cdc, connections: 99}", r"source\.connections must fit"),
        ("like: nhanes-cdc\nsource: {kind: nhanes-cdc, cycle: [2017-2018]}", r"key 'cycle' in source .* mean 'cycles'"),
        ("like: nhanes-cdc\nsource: {kind: nhanes-cd}", r"source\.kind must be one of .* did you mean 'nhanes-cdc'\?"),
    ],
)
def test_a_mistake_in_the_declaration_is_named(tmp_path: Path, written: str, words: str) -> None:
    (tmp_path / "mine.yaml").write_text(written)
    with pytest.raises(InputError, match=words) as refused:
        load_specification(tmp_path / "mine.yaml")
    assert "hushhush" not in str(refused.value)


def test_a_run_lends_a_folder_for_downloads(survey: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"source\.folder must be given here"):
        check(load_specification("nhanes-cdc"))
    lent = read_specification(Source("nhanes-cdc")).source
    assert isinstance(lent, NhanesCdc)
    assert lent.folder == tmp_path / "kintsugi" / "downloads" / "nhanes-cdc"
    brought = read_specification(Source("nhanes-cdc", path=str(tmp_path / "mine"))).source
    assert isinstance(brought, NhanesCdc)
    assert brought.folder == tmp_path / "mine"
    (tmp_path / "mine.yaml").write_text(f"like: nhanes-cdc\nsource: {{kind: nhanes-cdc, base_url: '{survey.url}'}}")
    assert {column.name for column in read_inputs(Source(str(tmp_path / "mine.yaml"))).variables} > {
        "bmi",
        "dx_diabetes",
    }


def test_a_folder_that_cannot_be_made_is_named(cdc: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutsideError, match=r"folder .*/file/below cannot be written: Not a directory"):
        small(cdc, tmp_path / "file" / "below").fetch(silent)


def test_two_runs_at_once_fetch_each_file_once(survey: Any, tmp_path: Path) -> None:
    survey.pause = 0.005
    tables: list[Path] = []
    runs = [threading.Thread(target=lambda: tables.append(small(survey, tmp_path).fetch(silent))) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert len(survey.asked) == len({asked.path for asked in survey.asked}) == 13 + 11
    assert len(tables) == 3
    assert len(set(tables)) == 1


def test_a_file_that_was_replaced_makes_another_table_and_a_note(survey: Any, make: Any, tmp_path: Path) -> None:
    source = small(survey, tmp_path / "files")
    before = source.fetch(silent)
    assert source.stamp() == before.name
    names = ("SEQN", *make.published("2015-2016")["BMX_I"])
    survey.files["/2015/DataFiles/BMX_I.xpt"] = make.xpt({name: [1] for name in names})
    specification = built_in(survey, tmp_path).with_source_path(tmp_path / "files")
    assert source.fetch(silent) == before
    assert source.notes() == []
    renewing = small(survey, tmp_path / "files", refresh=True)
    assert renewing.stamp() is None
    after = renewing.fetch(silent)
    assert after != before
    assert source.stamp() == after.name
    (note,) = source.notes()
    assert note.startswith("the CDC has replaced BMX_I.xpt of cycle 2015-2016 since it was first downloaded (SHA-256 ")
    dataset, _ = ingest(specification.model_copy(update={"source": source}), tmp_path / "data", 0, silent)
    assert note in dataset.notes


def child(source: NhanesCdc, hanging: str = "") -> subprocess.Popen[str]:
    """Another process that fetches, and says when it comes to the second cycle; with ``hanging`` it stays there."""
    code = (
        "import sys, threading\n"
        "from components.ingestion.cdc import NhanesCdc, build\n"
        "from components.ports import silent\n"
        "real, seen = build.cycle_of, []\n"
        "def slow(folder, cycle):\n"
        "    seen.append(cycle)\n"
        "    if len(seen) > 1:\n"
        "        print('second', flush=True)\n"
        f"        {hanging or 'pass'}\n"
        "    return real(folder, cycle)\n"
        "build.cycle_of = slow\n"
        "NhanesCdc.model_validate_json(sys.argv[1]).fetch(silent)\n"
    )
    root = Path(__file__).parents[4]
    return subprocess.Popen(
        [sys.executable, "-c", code, source.model_dump_json()], cwd=root, stdout=subprocess.PIPE, text=True
    )


def test_a_build_that_is_killed_leaves_no_table_and_the_next_one_is_the_same(survey: Any, tmp_path: Path) -> None:
    source = small(survey, tmp_path / "killed")
    killed = child(source, "threading.Event().wait(60)")
    with killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "second\n"
        killed.send_signal(signal.SIGKILL)
    assert list((tmp_path / "killed").glob("*.parquet")) == []
    assert list((tmp_path / "killed").glob(".unfinished-*/*.parquet"))
    requests = len(survey.asked)
    table = source.fetch(silent)
    assert len(survey.asked) == requests == 13 + 11
    assert list((tmp_path / "killed").glob(".unfinished-*")) == []
    untroubled = small(survey, tmp_path / "other").fetch(silent)
    assert table.name == untroubled.name
    assert table.read_bytes() == untroubled.read_bytes()


def test_a_download_that_is_killed_goes_on_where_it_was(survey: Any, make: Any, tmp_path: Path) -> None:
    place = "/2015/DataFiles/MCQ_I.xpt"
    names = ("SEQN", *make.published("2015-2016")["MCQ_I"])
    survey.files[place] = make.xpt({name: range(9000) for name in names})
    survey.tricks[place] = [("stall", 200_000)]
    source = small(survey, tmp_path)
    with child(source) as killed:
        assert survey.stalled.wait(60)
        part = tmp_path / "MCQ_I.xpt.part"
        arrived = threading.Event()
        while not (part.exists() and part.stat().st_size > 100_000) and killed.poll() is None:
            arrived.wait(0.01)
        killed.send_signal(signal.SIGKILL)
    survey.ended.set()
    left = part.stat().st_size
    source.fetch(silent)
    assert (tmp_path / "MCQ_I.xpt").read_bytes() == survey.files[place]
    assert survey.got("MCQ_I.xpt")[-1].range == f"bytes={left}-"
    assert survey.got("MCQ_I.xpt")[-1].sent == len(survey.files[place]) - left
