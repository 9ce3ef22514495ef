"""The champion is tuned on rows that tuned nothing before; nothing is learnt from a batch, and never for the worse."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.errors import InputError
from components.state import State
from flows.outcome import Outcome
from tasks.registry import load_predictor
from tasks.settings import Settings
from tasks.tracking import Tracking, open_tracking

MODEL = "kintsugi-toy"
WIDE = {"tuning": {"rounds": 3, "window": 4}}  # the first batch is beyond the window of the run that made the champion


@dataclass(frozen=True)
class Tuned:
    """The home folder after the tuning, and what it said."""

    home: Path
    outcome: Outcome
    tracking: Tracking

    def state(self, version: str) -> State:
        return State.load(load_predictor(self.tracking, f"models:/{MODEL}/{version}"))


@pytest.fixture(scope="module")
def tuned(
    home: Path,
    outcome: Outcome,
    run_tune: Any,
    specification: Path,
    toy: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Tuned:
    mine = toy.copied(home, tmp_path_factory.mktemp("tuned") / "kintsugi")
    said = run_tune(mine, specification, **WIDE)
    return Tuned(mine, said, open_tracking(Settings(home=mine), MODEL))


def test_only_rows_that_tuned_nothing_before_are_used(tuned: Tuned) -> None:
    before, after = (tuned.state(version).predictor.posterior.lineage for version in ("1", "2"))
    assert after[: len(before)] == before
    added = after[len(before) :]
    assert added
    assert not set(added) & set(before)
    assert {entry.split(" ")[0] for entry in added} == {"tuned"}


def test_nothing_is_learnt_from_a_batch(tuned: Tuned) -> None:
    before, after = tuned.state("1"), tuned.state("2")
    assert after.absorbed == before.absorbed
    assert after.class_prior == before.class_prior
    assert not np.array_equal(after.predictor.posterior.mean, before.predictor.posterior.mean)
    # The rows that steered are evidence too, and evidence only adds.
    assert (after.predictor.posterior.precision >= before.predictor.posterior.precision).all()


def test_the_result_passes_the_same_gates_and_is_registered(tuned: Tuned) -> None:
    client = tuned.tracking.client
    assert tuned.outcome.uri in (f"models:/{MODEL}@champion", f"models:/{MODEL}@challenger")
    assert str(client.get_model_version_by_alias(MODEL, "challenger").version) == "2"
    champion = str(client.get_model_version_by_alias(MODEL, "champion").version)
    assert champion == ("2" if tuned.outcome.uri.endswith("@champion") else "1")
    assert {"kintsugi", "champion"} <= {row[0] for row in tuned.outcome.scores}


def test_the_last_absorbed_batch_is_scored(tuned: Tuned) -> None:
    assert tuned.outcome.ladder[0] == ("log loss", "2019", "all")


def test_it_is_tracked_stage_by_stage_and_told(tuned: Tuned) -> None:
    names = ["ingest", "tune", "evaluate", "register", "report"]
    assert [stage for stage, _ in tuned.outcome.timings] == names
    assert f"{MODEL}, version 2" in Path(tuned.outcome.report).read_text(encoding="utf-8")


def test_where_no_rows_are_left_no_version_is_made(tuned: Tuned, run_tune: Any, specification: Path) -> None:
    said = run_tune(tuned.home, specification, tuning={"window": 4})
    assert (said.uri, said.report, said.scores) == ("", "", ())
    told = " ".join(dict(said.lines)["tuning"])
    assert "were used before" in told
    assert "tuning.window" in told
    assert "stays champion" in told
    assert len(tuned.tracking.client.search_model_versions(f"name='{MODEL}'")) == 2


def test_without_a_champion_there_is_nothing_to_tune(
    run_tune: Any, specification: Path, empty_store: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    shutil.copy(empty_store, tmp_path / "empty" / "mlflow.db")
    with pytest.raises(InputError, match=f"model '{MODEL}' must have a champion to tune.*kintsugi run"):
        run_tune(tmp_path / "empty", specification)
    assert not list((tmp_path / "empty").glob("datasets/*"))


def test_data_without_a_batch_that_it_knows_are_refused(
    home: Path, outcome: Outcome, run_tune: Any, toy: Any, tmp_path: Path
) -> None:
    mine = toy.copied(home, tmp_path / "mine")
    other = toy.write(tmp_path / "table", toy.visits((2030,), (300,)))
    with pytest.raises(InputError, match=r"must hold a batch that the champion .* has absorbed \(2016, .*hold 2030"):
        run_tune(mine, other)
