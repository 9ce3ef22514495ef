import io
import threading

import pytest

from tasks.progress import UPDATES, Progress, combine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_elsewhere_a_stage_is_a_few_plain_lines() -> None:
    out = io.StringIO()
    with Progress(out).stage("train") as report:
        for step in range(1000):
            report(step, 1000, {"loss": 1 / (step + 1), "gap": float("nan")})
    lines = out.getvalue().splitlines()
    assert lines[0] == "train: started"
    assert lines[-1].startswith("train: done in ")
    assert len(lines) == 2 + UPDATES
    assert lines[1] == "train: 167 of 1000, loss 0.005988"


def test_a_failed_stage_says_so_and_the_error_goes_on() -> None:
    out = io.StringIO()
    with pytest.raises(ValueError, match="broken"), Progress(out).stage("train"):
        raise ValueError("broken")
    assert out.getvalue().splitlines()[-1].startswith("train: failed in ")


def test_a_terminal_shows_a_bar_per_stage_with_the_newest_metrics() -> None:
    out = Terminal()
    progress = Progress(out)
    with progress.stage("discover") as outer, progress.stage("[train]") as inner:
        outer(0, 2, {})
        inner(0, 3, {"loss": 0.5})
        inner(1, 3, {"loss": 0.25})
        progress.say("a word")
    shown = out.getvalue()
    assert "discover: done" in shown
    assert "[train]: done" in shown
    assert "loss 0.25" in shown
    assert "a word" in shown


@pytest.mark.parametrize("out", [io.StringIO, Terminal])
def test_stages_of_several_threads_do_not_mix(out: type[io.StringIO]) -> None:
    stream = out()
    progress = Progress(stream)

    def work(name: str) -> None:
        with progress.stage(name) as report:
            for step in range(200):
                report(step, 200, {name: float(step)})

    threads = [threading.Thread(target=work, args=(f"stage{index}",)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    text = stream.getvalue()
    for index in range(6):
        assert f"stage{index}: done" in text
    if out is io.StringIO:
        for line in text.splitlines():
            name = line.split(":")[0]
            assert line.count("stage") == 1 + (f", {name} " in line), line


def test_combine_passes_everything_to_all_in_order() -> None:
    seen: list[tuple[str, int, int, dict[str, float]]] = []
    both = combine(
        lambda step, total, metrics: seen.append(("first", step, total, dict(metrics))),
        lambda step, total, metrics: seen.append(("second", step, total, dict(metrics))),
    )
    both(3, 9, {"loss": 1.0})
    assert seen == [("first", 3, 9, {"loss": 1.0}), ("second", 3, 9, {"loss": 1.0})]
    combine()(0, 1, {})
