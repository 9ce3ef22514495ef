"""Finished stages kept by content: whole or not at all, made once, found again."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from components.contracts import Estimate
from components.encoding import ARRAYS
from components.errors import OutsideError
from components.learner import Training
from tasks import stage_store
from tasks.stage_store import FILES, Entry, Kept, Shown, entries, entry_of

SHOWN = Shown({"risk": 0.5}, {}, {"kind": "none"}, (), (("text", "note", "said", "why"),), ("plot.png",))


def kept(value: object) -> Kept:
    return Kept(value, SHOWN, "run-1")


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    return entry_of("train", (Training(), 3), tmp_path / "stages")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "plot.png").write_bytes(b"a picture")
    return folder


def test_what_was_kept_is_found(entry: Entry, files: Path) -> None:
    assert entry.find() is None
    entry.keep(kept((np.arange(3.0), Estimate(0.5, 0.1, 0.9, "x"))), files)
    found = entry.find()
    assert found is not None
    assert found.result[0].tolist() == [0, 1, 2]
    assert found.result[1] == Estimate(0.5, 0.1, 0.9, "x")
    assert vars(found.shown) == vars(SHOWN)
    assert found.run_id == "run-1"
    assert (entry.folder / FILES / "plot.png").read_bytes() == b"a picture"


def test_the_key_follows_every_field_and_input(tmp_path: Path) -> None:
    keys = {
        entry_of(stage, inputs, tmp_path).key
        for stage in ("train", "tune")
        for inputs in ((Training(), 3), (Training(), 4), (Training(batches=1), 3))
    }
    assert len(keys) == 6
    assert entry_of("train", (Training(), 3), tmp_path).key in keys


def test_the_key_follows_the_source_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = entry_of("train", 1, tmp_path).key
    monkeypatch.setattr(stage_store, "code_digest", lambda: "newer")
    assert entry_of("train", 1, tmp_path).key != before


@pytest.mark.parametrize("damage", ["cut", "file gone", "array gone"])
def test_an_entry_that_is_not_whole_is_no_entry(entry: Entry, files: Path, damage: str) -> None:
    entry.keep(kept(np.arange(50.0)), files)
    arrays = entry.folder / ARRAYS
    match damage:
        case "cut":
            arrays.write_bytes(arrays.read_bytes()[:-8])
        case "file gone":
            (entry.folder / FILES / "plot.png").unlink()
        case "array gone":
            arrays.unlink()
    assert entry.find() is None
    entry.keep(kept(np.arange(2.0)), files)
    found = entry.find()
    assert found is not None
    assert found.result.tolist() == [0, 1]


def test_a_disk_that_is_full_leaves_no_entry(entry: Entry, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(OutsideError, match=r"stage 'train' cannot be kept .*No space left.*kintsugi gc"):
        entry.keep(kept(1), files)
    assert entry.find() is None
    assert not list(entry.store.glob("*train*"))


HOLD = """
import sys, time
from pathlib import Path
from tasks.stage_store import Entry
with Entry("train", "k", Path(sys.argv[1])).locked():
    print("locked", flush=True)
    time.sleep(60)
"""


def test_a_lock_is_lifted_when_its_owner_is_killed(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"locked\n"
    killer = subprocess.Popen(["/bin/sh", "-c", f"sleep 0.5; kill -9 {holder.pid}"])
    start = time.monotonic()
    with Entry("train", "k", tmp_path).locked() as waited:
        assert waited
    assert time.monotonic() - start < 30
    assert holder.wait() == -signal.SIGKILL
    killer.wait()
    holder.stdout.close()
    with Entry("train", "k", tmp_path).locked() as waited:
        assert not waited


def test_entries_know_how_long_they_were_not_used(entry: Entry, files: Path) -> None:
    entry.keep(kept(1), files)
    os.utime(entry.folder, (time.time() - 5 * 86_400,) * 2)
    ((folder, days),) = entries(entry.store)
    assert folder == entry.folder
    assert 4.9 < days < 5.1
    entry.find()
    ((_, days),) = entries(entry.store)
    assert days < 0.1


@dataclass(frozen=True)
class Foreign:
    """A dataclass of somebody else."""

    value: int = 1


def test_a_foreign_dataclass_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="none of ours"):
        entry_of("train", Foreign(), tmp_path)
