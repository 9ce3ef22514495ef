"""The disk fails: full, read-only, gone, or giving back something else than it was given."""

import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

MEGABYTE = 2**20
LIMIT = 16_384


def mounted(*words: object) -> bool:
    return subprocess.run(["mount", *map(str, words)], capture_output=True).returncode == 0


def small_disk(home: Path, pid: int) -> Callable[[], None]:
    """Leave no room in the home folder; gives what makes room again."""
    filler = home / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass
    return filler.unlink


def small_files(home: Path, pid: int) -> Callable[[], None]:
    """No file of the process may grow beyond some kilobytes."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (LIMIT, LIMIT))
    return lambda: None


@pytest.fixture
def tmpfs(home: Path) -> Iterator[Path]:
    """The home folder on a disk of its own."""
    if not mounted("-t", "tmpfs", "-o", "size=60m", "none", home.parent / "home"):
        pytest.skip("only root may mount a small disk; the run with a limit on files does instead")
    try:
        yield home
    finally:
        subprocess.run(["umount", "-l", str(home)], check=True)


@pytest.fixture(params=["small disk", "small files"])
def narrow(request: pytest.FixtureRequest, home: Path) -> Callable[[int], Callable[[], None]]:
    """Makes the disk of a process narrow, in one of two ways."""
    if request.param == "small files":
        return lambda pid: small_files(home, pid)
    tables = (home / "mlflow.db").read_bytes()
    request.getfixturevalue("tmpfs")
    (home / "mlflow.db").write_bytes(tables)
    return lambda pid: small_disk(home, pid)


def test_a_full_disk_is_one_sentence_and_costs_one_stage(
    kintsugi: Any, table: Any, home: Path, narrow: Callable[[int], Callable[[], None]]
) -> None:
    going = kintsugi.start(*table.words("discover"), "--set", "discovery.replicates=150")
    going.said("discover: started")
    make_room = narrow(going.pid)
    ended = going.end()
    assert ended.code == 1
    assert str(home) in ended.sentence
    assert "has room and can be written" in ended.sentence
    assert ended.stages == {"ingest": "done", "elicit": "done", "discover": "failed"}
    make_room()
    again = kintsugi.run(*table.words("discover"), "--set", "discovery.replicates=150")
    assert again.code == 0, again.err
    assert again.stages == {"ingest": "reused", "elicit": "reused", "discover": "done"}
    assert not list(home.rglob(".unfinished-*"))
    statuses = kintsugi.statuses(home)
    assert "RUNNING" not in statuses
    assert statuses.count("FINISHED") >= 6  # of the second run all, of the first what could still be told


@pytest.mark.parametrize("api", ["shared", "own"])
def test_a_home_that_cannot_be_written_is_found_before_any_work(
    kintsugi: Any, table: Any, home: Path, api: str
) -> None:
    if os.geteuid() == 0:  # root writes whatever the mode says
        if not mounted("--bind", home, home) or not mounted("-o", "remount,ro,bind", home):
            pytest.skip("this root may not mount")
    else:
        home.chmod(0o500)
    before = sorted(path.name for path in home.rglob("*"))
    if api == "own":
        del kintsugi.environment["KINTSUGI_PREFECT_API_URL"]
    try:
        ended = kintsugi.run(*table.words("discover"))
        assert before == sorted(path.name for path in home.rglob("*"))
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", "-l", str(home)], check=True)
        home.chmod(0o700)
    assert ended.code == 1
    assert ended.stages == {}
    assert str(home) in ended.sentence
    assert "KINTSUGI_HOME" in ended.sentence


def test_a_home_that_is_removed_is_one_sentence_and_a_new_one_works(kintsugi: Any, table: Any, home: Path) -> None:
    tables = (home / "mlflow.db").read_bytes()
    going = kintsugi.start(*table.words("discover"), "--set", "discovery.replicates=150")
    going.said("discover: started")
    home.rename(home.with_name("gone"))  # at once, and not file by file beside what is being written
    shutil.rmtree(home.with_name("gone"))
    ended = going.end()
    assert ended.code == 1
    assert str(home) in ended.sentence
    assert "is there" in ended.sentence
    assert going.left() == []
    home.mkdir(exist_ok=True)
    (home / "mlflow.db").write_bytes(tables)
    again = kintsugi.run(*table.words("discover"))
    assert again.code == 0, again.err


def test_a_damaged_part_is_named_or_read_again_and_never_learnt_from(kintsugi: Any, table: Any, home: Path) -> None:
    first = kintsugi.run(*table.words("discover"))
    assert first.code == 0, first.err
    part = min((home / "datasets").rglob("part-*.parquet"))
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2])
    cut = kintsugi.run(*table.words("discover"))
    assert cut.code == 0, cut.err
    assert (cut.stages["ingest"], cut.summary) == ("done", first.summary)
    assert part.read_bytes() == whole
    # One bit in a page: the file ends as it should, and only who reads the page can know.
    place = len(whole) // 3
    part.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
    turned = kintsugi.run(*table.words("discover"), "--set", "discovery.replicates=3")
    if turned.code:
        assert turned.code == 1
        assert "is damaged" in turned.sentence
        assert str(home / "datasets") in turned.sentence
        shutil.rmtree(home / "datasets")
        turned = kintsugi.run(*table.words("discover"), "--set", "discovery.replicates=3")
    assert turned.code == 0, turned.err
    assert part.read_bytes() == whole
