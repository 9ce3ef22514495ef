"""Downloads from a server that misbehaves: nothing is fetched twice, nothing half or wrong is kept."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.errors import OutsideError
from components.ingestion.cdc import download
from components.ingestion.cdc.download import Manners, fetch, listing, reach
from components.ingestion.cdc.shelf import Record, Wanted, record_of
from tasks.servers import free_port

NAMES = ("DEMO_I.xpt", "BMX_I.xpt", "MCQ_I.xpt")
HASTY = Manners(connections=2, attempts=3, pause=0.0, timeout=5.0)
ONCE = Manners(connections=1, attempts=1, pause=0.0, timeout=5.0)


@pytest.fixture
def served(cdc: Any, make: SimpleNamespace) -> Any:
    for number, name in enumerate(NAMES):
        cdc.files[f"/{name}"] = make.xpt({"SEQN": range(500), "A": [number] * 500, "B": range(500)})
    return cdc


def unheard(count: int, record: Record) -> None:
    """Nobody listens."""


def wanted(cdc: Any, *names: str) -> list[Wanted]:
    return [Wanted(name, "2015-2016", f"{cdc.url}/{name}") for name in names or NAMES]


def brought(cdc: Any, folder: Path, *names: str, manners: Manners = HASTY, refresh: bool = False) -> list[Record]:
    folder.mkdir(exist_ok=True)
    return fetch(wanted(cdc, *names), folder, manners, refresh, unheard)


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_come_whole_with_their_records_and_never_again(served: Any, tmp_path: Path) -> None:
    heard = []
    first = fetch(wanted(served), tmp_path, HASTY, False, lambda count, record: heard.append((count, record.bytes)))
    assert [count for count, _ in heard] == [1, 2, 3]
    for name, record in zip(NAMES, first, strict=True):
        assert (tmp_path / name).read_bytes() == served.files[f"/{name}"]
        assert record == record_of(tmp_path / name)
        assert record.url == f"{served.url}/{name}"
        assert record.etag
    assert kept(tmp_path) == sorted([*NAMES, *(f"{name}.json" for name in NAMES)])
    requests = len(served.asked)
    assert brought(served, tmp_path) == first
    assert len(served.asked) == requests == 3


def test_a_cut_connection_is_gone_on_from_where_it_broke(served: Any, tmp_path: Path) -> None:
    content = served.files["/DEMO_I.xpt"]
    served.tricks["/DEMO_I.xpt"] = [("cut", 3001)]
    with pytest.raises(OutsideError, match=r"cannot reach 127\.0\.0\.1:\d+ for DEMO_I\.xpt of cycle 2015-2016"):
        brought(served, tmp_path, "DEMO_I.xpt", manners=ONCE)
    assert (tmp_path / "DEMO_I.xpt.part").read_bytes() == content[:3001]
    assert not (tmp_path / "DEMO_I.xpt").exists()
    brought(served, tmp_path, "DEMO_I.xpt", manners=ONCE)
    assert (tmp_path / "DEMO_I.xpt").read_bytes() == content
    assert [(asked.range, asked.status) for asked in served.asked] == [("", 200), ("bytes=3001-", 206)]
    assert served.sent("DEMO_I.xpt") == len(content)
    assert kept(tmp_path) == ["DEMO_I.xpt", "DEMO_I.xpt.json"]


def test_a_connection_that_keeps_breaking_is_not_given_up_while_bytes_come(served: Any, tmp_path: Path) -> None:
    content = served.files["/BMX_I.xpt"]
    served.tricks["/BMX_I.xpt"] = [("cut", 1000)] * 9
    brought(served, tmp_path, "BMX_I.xpt")
    assert (tmp_path / "BMX_I.xpt").read_bytes() == content
    assert served.sent("BMX_I.xpt") == len(content)
    assert len(served.asked) == 10


def test_the_rest_of_another_content_is_not_glued_on(served: Any, make: SimpleNamespace, tmp_path: Path) -> None:
    served.tricks["/DEMO_I.xpt"] = [("cut", 4000)]
    with pytest.raises(OutsideError):
        brought(served, tmp_path, "DEMO_I.xpt", manners=ONCE)
    served.files["/DEMO_I.xpt"] = make.xpt({"SEQN": range(500), "A": [9] * 500, "B": range(500)})
    brought(served, tmp_path, "DEMO_I.xpt", manners=ONCE)
    assert (tmp_path / "DEMO_I.xpt").read_bytes() == served.files["/DEMO_I.xpt"]
    assert [asked.status for asked in served.asked] == [200, 200]


@pytest.mark.parametrize("answer", [("whole",), ("elsewhere",), (416,)])
def test_a_server_that_does_not_continue_is_asked_for_the_whole(
    served: Any, tmp_path: Path, answer: tuple[Any, ...]
) -> None:
    served.tricks["/DEMO_I.xpt"] = [("cut", 4000), answer]
    brought(served, tmp_path, "DEMO_I.xpt")
    assert (tmp_path / "DEMO_I.xpt").read_bytes() == served.files["/DEMO_I.xpt"]


def test_a_server_that_gives_a_part_of_the_rest_is_asked_for_more(served: Any, tmp_path: Path) -> None:
    served.tricks["/DEMO_I.xpt"] = [("cut", 4000), ("some", 1000)]
    brought(served, tmp_path, "DEMO_I.xpt")
    assert (tmp_path / "DEMO_I.xpt").read_bytes() == served.files["/DEMO_I.xpt"]
    assert [asked.range for asked in served.asked] == ["", "bytes=4000-", "bytes=5000-"]


def test_without_a_mark_of_the_content_a_broken_download_begins_anew(served: Any, tmp_path: Path) -> None:
    served.validators = False
    served.tricks["/DEMO_I.xpt"] = [("cut", 4000)]
    brought(served, tmp_path, "DEMO_I.xpt")
    assert (tmp_path / "DEMO_I.xpt").read_bytes() == served.files["/DEMO_I.xpt"]
    assert [asked.range for asked in served.asked] == ["", ""]


def test_all_but_the_name_was_done_when_a_run_was_killed(served: Any, tmp_path: Path) -> None:
    brought(served, tmp_path, "DEMO_I.xpt")
    content = served.files["/DEMO_I.xpt"]
    (tmp_path / "DEMO_I.xpt").rename(tmp_path / "DEMO_I.xpt.part")
    about = f'{{"url": "{served.url}/DEMO_I.xpt", "etag": "", "modified": "", "size": {len(content)}}}'
    (tmp_path / "DEMO_I.xpt.part.json").write_text(about)
    brought(served, tmp_path, "DEMO_I.xpt")
    assert (tmp_path / "DEMO_I.xpt").read_bytes() == content
    assert len(served.asked) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(served: Any, tmp_path: Path, status: int) -> None:
    served.tricks["/DEMO_I.xpt"] = [(status, {"Retry-After": "0"}), (status,)]
    brought(served, tmp_path, "DEMO_I.xpt")
    assert [asked.status for asked in served.asked] == [status, status, 200]


def test_a_server_that_stays_busy_is_left_alone(served: Any, tmp_path: Path) -> None:
    served.tricks["/DEMO_I.xpt"] = [(503,)] * 20
    with pytest.raises(OutsideError, match=r"for DEMO_I\.xpt of cycle 2015-2016 \(it answers 503\); run again when"):
        brought(served, tmp_path, "DEMO_I.xpt")
    assert len(served.asked) == HASTY.attempts


def test_a_server_says_how_long_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download.time, "time", lambda: 1_000_000_000.0)
    waits = {"7": 7.0, "Sun, 09 Sep 2001 01:46:47 GMT": 7.0, "Sun, 09 Sep 2001 01:46:33 GMT": 0.0, "9999": 120.0}
    assert {said: download._wait(said) for said in waits} == waits
    assert download._wait("") == download._wait("soon") == 0.0


def test_a_file_that_is_not_there_is_named_with_its_cycle(served: Any, tmp_path: Path) -> None:
    del served.files["/BMX_I.xpt"]
    with (
        pytest.raises(OutsideError, match=r"does not have BMX_I\.xpt of cycle 2015-2016: it answers 404 for http"),
        listing(wanted(served), tmp_path),
    ):
        brought(served, tmp_path, manners=ONCE)
    assert len(served.got("BMX_I.xpt")) == 1
    assert f"{served.url}/BMX_I.xpt" in (tmp_path / "missing.txt").read_text().splitlines()
    assert (tmp_path / "DEMO_I.xpt").is_file()


def test_a_web_page_in_place_of_a_file_is_refused(served: Any, tmp_path: Path) -> None:
    served.tricks["/DEMO_I.xpt"] = [("page",)]
    with pytest.raises(OutsideError, match=r"DEMO_I\.xpt of cycle 2015-2016 must be .* gives a web page"):
        brought(served, tmp_path, "DEMO_I.xpt")
    assert kept(tmp_path) == []
    brought(served, tmp_path, "DEMO_I.xpt")


def test_a_file_that_is_cut_short_at_the_server_is_refused(served: Any, tmp_path: Path) -> None:
    served.files["/DEMO_I.xpt"] = served.files["/DEMO_I.xpt"][:-85]
    with pytest.raises(OutsideError, match=r"DEMO_I\.xpt of cycle 2015-2016 .* gives is cut short"):
        brought(served, tmp_path, "DEMO_I.xpt")
    assert kept(tmp_path) == []


def test_a_file_that_has_changed_here_is_refused_until_a_person_decides(served: Any, tmp_path: Path) -> None:
    brought(served, tmp_path, "DEMO_I.xpt")
    file = tmp_path / "DEMO_I.xpt"
    changed = file.read_bytes()[:-1] + b"!"
    file.write_bytes(changed)
    with pytest.raises(
        OutsideError, match=r"DEMO_I\.xpt is not what it was when it came \(SHA-256 \w{12} then, \w{12}"
    ):
        brought(served, tmp_path, "DEMO_I.xpt")
    assert file.read_bytes() == changed
    file.unlink()
    brought(served, tmp_path, "DEMO_I.xpt")
    assert file.read_bytes() == served.files["/DEMO_I.xpt"]


def test_a_file_that_the_server_has_replaced_is_noticed(served: Any, make: SimpleNamespace, tmp_path: Path) -> None:
    (before,) = brought(served, tmp_path, "DEMO_I.xpt")
    served.files["/DEMO_I.xpt"] = make.xpt({"SEQN": range(500), "A": [9] * 500, "B": range(500)})
    assert brought(served, tmp_path, "DEMO_I.xpt") == [before]
    (tmp_path / "DEMO_I.xpt").unlink()
    with pytest.raises(OutsideError, match=r"the server has replaced DEMO_I\.xpt of cycle 2015-2016 since"):
        brought(served, tmp_path, "DEMO_I.xpt")
    assert kept(tmp_path) == ["DEMO_I.xpt.json"]
    (after,) = brought(served, tmp_path, "DEMO_I.xpt", refresh=True)
    assert (tmp_path / "DEMO_I.xpt").read_bytes() == served.files["/DEMO_I.xpt"]
    assert after.replaced == before.sha256 != after.sha256
    assert brought(served, tmp_path, "DEMO_I.xpt") == [after]


def test_asking_whether_files_have_changed_brings_only_those_that_have(
    served: Any, make: SimpleNamespace, tmp_path: Path
) -> None:
    before = brought(served, tmp_path)
    assert brought(served, tmp_path, refresh=True) == before
    assert [asked.status for asked in served.asked] == [200, 200, 200, 304, 304, 304]
    served.files["/BMX_I.xpt"] = make.xpt({"SEQN": range(7)})
    after = brought(served, tmp_path, refresh=True)
    assert [record.replaced for record in after] == ["", before[1].sha256, ""]
    assert (tmp_path / "BMX_I.xpt").read_bytes() == served.files["/BMX_I.xpt"]


def test_files_put_there_by_hand_are_taken_whatever_their_capitals(served: Any, tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / name.upper()).write_bytes(served.files[f"/{name}"])
    records = brought(served, tmp_path)
    assert served.asked == []
    assert {record.url for record in records} == {"put there by hand"}
    (tmp_path / "DEMO_I.XPT").write_bytes(b"<!DOCTYPE html>")
    (tmp_path / "DEMO_I.XPT.json").unlink()
    with pytest.raises(OutsideError, match=r"DEMO_I\.xpt of cycle .* must be .*, but .*DEMO_I\.XPT gives a web page"):
        brought(served, tmp_path)


def test_a_server_out_of_reach_is_named_with_what_to_do(served: Any, tmp_path: Path) -> None:
    absent = [Wanted(name, "2015-2016", f"http://127.0.0.1:{free_port()}/{name}") for name in NAMES]
    (tmp_path / NAMES[1]).write_bytes(served.files[f"/{NAMES[1]}"])
    for attempt in (
        lambda: fetch(absent, tmp_path, ONCE, False, unheard),
        lambda: reach(absent[0], tmp_path),
    ):
        with (
            pytest.raises(OutsideError, match=r"cannot reach 127\.0\.0\.1:\d+ for .*or download the files listed in /"),
            listing(absent, tmp_path),
        ):
            attempt()
        listed = (tmp_path / "missing.txt").read_text().splitlines()
        assert listed == [absent[0].url, absent[2].url]


def test_a_record_that_is_damaged_is_named_and_what_is_said_of_a_part_forgotten(served: Any, tmp_path: Path) -> None:
    (tmp_path / "DEMO_I.xpt.part").write_bytes(b"half")
    (tmp_path / "DEMO_I.xpt.part.json").write_text("{")
    brought(served, tmp_path, "DEMO_I.xpt")
    assert (tmp_path / "DEMO_I.xpt").read_bytes() == served.files["/DEMO_I.xpt"]
    for content in ("{", "[]", '{"sha": 1}'):
        (tmp_path / "DEMO_I.xpt.json").write_text(content)
        with pytest.raises(OutsideError, match=r"DEMO_I\.xpt\.json must describe a file .*; delete it"):
            brought(served, tmp_path, "DEMO_I.xpt")


def test_no_more_files_are_asked_for_at_a_time_than_agreed(served: Any, tmp_path: Path) -> None:
    for number in range(12):
        served.files[f"/X{number}.xpt"] = served.files["/DEMO_I.xpt"]
    served.pause = 0.02
    brought(served, tmp_path, *(f"X{number}.xpt" for number in range(12)), manners=Manners(connections=3))
    assert served.busiest == 3


def test_a_folder_that_takes_nothing_is_named(served: Any, tmp_path: Path) -> None:
    (tmp_path / "DEMO_I.xpt.part").mkdir()
    with pytest.raises(OutsideError, match=r"DEMO_I\.xpt cannot be read or written: Is a directory"):
        brought(served, tmp_path, "DEMO_I.xpt", manners=ONCE)


def test_one_file_that_fails_ends_the_others_and_what_came_of_them_stays(served: Any, tmp_path: Path) -> None:
    served.tricks["/BMX_I.xpt"] = [("stall", 2000)]
    served.tricks["/DEMO_I.xpt"] = [(404,)]
    with pytest.raises(OutsideError, match="answers 404"):
        brought(served, tmp_path, "BMX_I.xpt", "DEMO_I.xpt", manners=Manners(connections=2, pause=0.0, timeout=2.0))
    assert len(served.got("BMX_I.xpt")) == 1
    assert (tmp_path / "BMX_I.xpt.part").stat().st_size == 2000
    brought(served, tmp_path, "BMX_I.xpt")
    assert served.sent("BMX_I.xpt") == len(served.files["/BMX_I.xpt"])
