"""Who reigns: promotions are numbered, decided once, followed by the aliases, and can be gone back."""

import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from components.errors import InputError, OutsideError
from tasks.ledger import Ledger, OvertakenError, ledger_of
from tasks.promotion import promote, roll_back, version_rows

ROOT = Path(__file__).parents[2]
RACER = """
import sys
from components.errors import OutsideError
from tasks.ledger import ledger_of
from tasks.tracking import Tracking

tracking = Tracking(sys.argv[1], "registry", sys.argv[2])
tracking.client.search_registered_models()
print("ready", flush=True)
for line in sys.stdin:
    name, version = line.split()
    ledger = ledger_of(tracking, name)
    try:
        ledger.crown(ledger.reign(), version, "promoted", "", "1")
        print("won", flush=True)
    except OutsideError as error:
        print(f"{type(error).__name__} {error}", flush=True)
"""


def kill(_: Ledger) -> None:
    raise KeyboardInterrupt


def crown(store: Any, name: str, version: str) -> None:
    ledger = ledger_of(store.tracking, name)
    ledger.crown(ledger.reign(), version, "promoted", "because")


def test_promotions_follow_a_stack_even_when_promoters_are_killed(sqlite: Any, monkeypatch: Any) -> None:
    """Any sequence of promotions, steps back, moves by hand and kills, against a list in memory."""
    sqlite.bare("stack", 4, gates="passed")
    ledger, dice = ledger_of(sqlite.tracking, "stack"), random.Random(5)
    monkeypatch.setattr("tasks.promotion.load_predictor", lambda *_: None)
    stack: list[str] = []
    for _ in range(20):
        what, version, killed = dice.random(), str(dice.randint(1, 4)), dice.random() < 0.25
        with monkeypatch.context() as dying:
            if killed:  # between the decision and the aliases
                dying.setattr(Ledger, "settle", kill)
            try:
                if what < 0.55:
                    promote(sqlite.tracking, "stack", version, "a person says so")
                    stack += [version] if stack[-1:] != [version] else []
                elif what < 0.9:
                    roll_back(sqlite.tracking, "stack")
                    stack.pop()
                elif stack:
                    sqlite.tracking.client.set_registered_model_alias("stack", "champion", version)
                    stack = stack[: len(stack) - stack[::-1].index(version)] if version in stack else [*stack, version]
            except KeyboardInterrupt:
                stack = [*stack, version] if what < 0.55 else stack[:-1]
            except InputError:  # nowhere to go back to
                assert len(stack) < 2
        reign = ledger.reign()
        assert reign.chain == tuple(stack)
        aliases = sqlite.aliases("stack")
        assert aliases.get("champion", "") == reign.champion == (stack[-1] if stack else "")
    assert {each.kind for each in ledger.promotions()} == {"forced", "rolled back"}


def test_a_step_back_that_was_killed_is_finished_and_not_taken_twice(
    sqlite: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite.bare("killed", 3)
    for version in "123":
        crown(sqlite, "killed", version)
    monkeypatch.setattr("tasks.promotion.load_predictor", lambda *_: None)
    with monkeypatch.context() as dying:
        dying.setattr(Ledger, "settle", kill)
        with pytest.raises(KeyboardInterrupt):
            roll_back(sqlite.tracking, "killed", "alarms")
    assert sqlite.aliases("killed") == {"champion": "3", "previous": "2"}
    moved = roll_back(sqlite.tracking, "killed", "alarms")
    assert (moved.was, moved.now) == ("3", "2")
    assert sqlite.aliases("killed") == {"champion": "2", "previous": "1"}
    assert sqlite.tracking.client.get_model_version("killed", "3").tags["rolled_back"].endswith(": alarms")
    assert roll_back(sqlite.tracking, "killed").now == "1"
    assert sqlite.aliases("killed") == {"champion": "1"}


def test_who_looked_before_another_was_promoted_comes_too_late(store: Any) -> None:
    store.bare("late", 3)
    crown(store, "late", "1")
    ledger = ledger_of(store.tracking, "late")
    looked = ledger.reign()
    crown(store, "late", "2")
    with pytest.raises(OvertakenError, match=r"'late' version 2 reigns now \(.* by .*: because\); nothing was changed"):
        ledger.crown(looked, "3", "promoted", "")
    assert store.aliases("late") == {"champion": "2", "previous": "1"}
    ledger.crown(looked, "2", "promoted", "")  # what it wanted is so by now
    assert [each.version for each in ledger.promotions()] == ["1", "2"]


def test_a_slow_promoter_does_not_undo_a_later_promotion(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One decides and stops before the aliases; another is promoted; then the first goes on."""
    store.bare("slow", 3)
    crown(store, "slow", "1")
    slow = ledger_of(store.tracking, "slow")
    with monkeypatch.context() as stopped:
        stopped.setattr(Ledger, "settle", lambda _: None)
        assert slow.decide(slow.reign(), "2", ("1", "2"), "promoted", "")
    assert store.aliases("slow")["champion"] == "1"
    crown(store, "slow", "3")
    assert [each.version for each in slow.promotions()] == ["1", "2", "3"]
    slow.settle()
    assert store.aliases("slow") == {"champion": "3", "previous": "2"}


def test_of_two_processes_that_promote_at_once_exactly_one_wins(store: Any) -> None:
    names = [f"race-{index}" for index in range(4)]
    for name in names:
        store.bare(name, 3)
        crown(store, name, "1")
    words = [sys.executable, "-c", RACER, store.tracking.uri, store.tracking.experiment_id]
    racers = [
        subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        for _ in range(2)
    ]
    try:
        assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * 2
        for name in names:
            for racer, version in zip(racers, "23", strict=True):
                racer.stdin.write(f"{name} {version}\n")
            said = dict(zip("23", (racer.stdout.readline().strip() for racer in racers), strict=True))
            winner = store.aliases(name)["champion"]
            assert said.pop(winner) == "won"
            (lost,) = said.values()
            assert lost.startswith(
                f"OvertakenError somebody else was faster: of model {name!r} version {winner} reigns"
            )
            assert store.aliases(name) == {"champion": winner, "previous": "1"}
            assert [each.version for each in ledger_of(store.tracking, name).promotions()] == ["1", winner]
    finally:
        for racer in racers:
            racer.stdin.close()
            racer.wait(20)
            racer.stdout.close()


def test_of_many_threads_that_promote_at_once_exactly_one_wins(store: Any) -> None:
    store.bare("threads", 5)
    crown(store, "threads", "1")
    wanted, said = [str(number) for number in range(2, 6)], {}
    ready = threading.Barrier(len(wanted))

    def one(version: str) -> None:
        ledger = ledger_of(store.tracking, "threads")
        before = ledger.reign()
        ready.wait()
        try:
            ledger.crown(before, version, "promoted", "")
            said[version] = ""
        except OutsideError as error:
            said[version] = str(error)

    threads = [threading.Thread(target=one, args=(version,)) for version in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [version for version, error in said.items() if not error]
    assert store.aliases("threads") == {"champion": winner, "previous": "1"}
    assert all(f"version {winner} reigns now" in error for version, error in said.items() if version != winner)
    assert len(said) == len(wanted)


def test_a_promotion_needs_gates_that_passed_against_the_champion_or_a_reason(sqlite: Any, tmp_path: Path) -> None:
    name, tracking = "gated", sqlite.tracking
    sqlite.register(name, tmp_path, 1.0, "", True)
    sqlite.register(name, tmp_path, 2.0, "1", False)
    sqlite.register(name, tmp_path, 3.0, "1", False)
    tracking.client.set_model_version_tag(name, "2", "gates", "Log loss is 0.9; it must be at most 0.5.")
    with pytest.raises(
        InputError, match=r"version 2 of model 'gated' must have passed its gates, but: Log loss is 0.9"
    ):
        promote(tracking, name, "2")
    tracking.client.set_model_version_tag(name, "2", "gates", "not judged")
    with pytest.raises(InputError, match="but: not judged"):
        promote(tracking, name, "2")
    assert sqlite.aliases(name)["champion"] == "1"
    assert promote(tracking, name, "2", "the ward asked for it").now == "2"
    with pytest.raises(InputError, match=r"version 3 .* compared with version 1, but version 2 reigns now"):
        promote(tracking, name)
    assert "forced" not in tracking.client.get_model_version(name, "1").tags
    said = tracking.client.get_model_version(name, "2").tags["forced"]
    assert said.endswith(": the ward asked for it")
    assert "@" in said
    assert [(row.version, row.aliases, row.gates) for row in version_rows(tracking, name)] == [
        ("3", "challenger", "passed"),
        ("2", "champion", "not judged, forced"),
        ("1", "previous", "passed"),
    ]
    roll_back(tracking, name)
    assert promote(tracking, name).now == "3"
    with pytest.raises(InputError, match=r"must have version 9 to promote; its versions: 1, 2, 3"):
        promote(tracking, name, "9")
    with pytest.raises(InputError, match="none called 'unheard-of'"):
        promote(tracking, "unheard-of")


def test_a_model_whose_versions_were_deleted_can_still_go_back(sqlite: Any) -> None:
    sqlite.bare("deleted", 3)
    for version in "123":
        crown(sqlite, "deleted", version)
    sqlite.tracking.client.delete_model_version("deleted", "2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.promotion.load_predictor", lambda *_: None)
        assert roll_back(sqlite.tracking, "deleted").now == "1"
        with pytest.raises(InputError, match="a champion before version 1 to go back to"):
            roll_back(sqlite.tracking, "deleted")
    assert sqlite.aliases("deleted") == {"champion": "1"}


def test_promotions_go_on_when_the_run_that_kept_them_was_deleted(sqlite: Any) -> None:
    client = sqlite.tracking.client
    with sqlite.tracking.tracked_run("another") as run:
        pass
    sqlite.bare("orphan", 1)
    sqlite.bare_version("orphan", run.run_id)
    with sqlite.tracking.tracked_run("first") as first:
        pass
    client.set_registered_model_tag("orphan", "kintsugi.promotions", first.run_id)
    crown(sqlite, "orphan", "1")
    assert ledger_of(sqlite.tracking, "orphan").run_id == first.run_id
    client.delete_run(first.run_id)
    crown(sqlite, "orphan", "2")
    assert ledger_of(sqlite.tracking, "orphan").run_id == sqlite.run_id
    assert ledger_of(sqlite.tracking, "orphan").reign().chain == ("1", "2")
    assert sqlite.aliases("orphan") == {"champion": "2", "previous": "1"}
