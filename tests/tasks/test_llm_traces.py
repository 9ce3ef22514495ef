"""Every call of a language model is traced in the run's experiment; a store that fails costs the trace only."""

import logging
from pathlib import Path
from typing import Any

import pytest

from components.errors import OutsideError
from components.ports import Answer, Question, Subject
from tasks import llm_traces
from tasks.llm_traces import Traced, open_traces
from tasks.settings import Settings
from tasks.tracking import Tracking, open_tracking

ASKED = Question("Does rain make the ground wet?", Subject("rain", "wet"))
FREE = Question("Why?", Subject("rain", "wet", "edge"), free=True, temperature=0.7, longest=50, sample=2)


class Model:
    model = "smith-7b"

    def __call__(self, question: Question) -> Answer:
        if "fail" in question.text:
            raise OutsideError("status 500 for https://me:hunter22@host/v1")
        if question.free:
            return Answer(0, 0, "text", "It rains.", 20, 3)
        return Answer(0.75, 0.25, "logprobs", "Yes", 12, 1)


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    return open_tracking(Settings(home=tmp_path_factory.mktemp("home")), "traces")


def traces_of(tracking: Tracking, run_id: str) -> list[Any]:
    found = tracking.client.search_traces(locations=[tracking.experiment_id])
    return [trace for trace in found if trace.info.trace_metadata["mlflow.sourceRun"] == run_id]


def test_a_call_is_told_with_its_question_answer_tokens_and_run(tracking: Tracking) -> None:
    with tracking.tracked_run("one") as run:
        with open_traces(tracking.uri, tracking.experiment_id, run.run_id, "smith-7b") as traces:
            traced = Traced(Model(), traces)
            assert traced.model == "smith-7b"
            assert traced(ASKED) == Answer(0.75, 0.25)
            assert traced(FREE).text == "It rains."
        [trace] = traces_of(tracking, run.run_id)
    assert trace.info.state == "OK"
    assert trace.info.token_usage == {"input_tokens": 32, "output_tokens": 4, "total_tokens": 36}
    root, first, second = trace.data.spans
    assert (root.name, root.span_type, root.parent_id) == ("elicit", "CHAIN", None)
    assert first.parent_id == second.parent_id == root.span_id
    assert (first.name, first.span_type) == ("answer path: rain -> wet", "CHAT_MODEL")
    assert first.inputs["messages"] == [{"role": "user", "content": ASKED.text}]
    assert first.outputs == {"role": "assistant", "content": "Yes", "yes": 0.75, "no": 0.25, "way": "logprobs"}
    assert second.name == "explain edge: rain -> wet"
    assert (second.inputs["temperature"], second.inputs["max_tokens"], second.inputs["sample"]) == (0.7, 50, 2)
    assert second.outputs == {"role": "assistant", "content": "It rains."}
    assert first.get_attribute("mlflow.llm.model") == "smith-7b"
    assert root.start_time_ns <= first.start_time_ns <= first.end_time_ns <= second.end_time_ns <= root.end_time_ns


def test_a_call_that_fails_is_told_too_and_shows_no_secret(tracking: Tracking) -> None:
    with tracking.tracked_run("two") as run:
        with (
            pytest.raises(OutsideError),
            open_traces(tracking.uri, tracking.experiment_id, run.run_id, "smith-7b") as traces,
        ):
            Traced(Model(), traces)(Question("fail"))
        [trace] = traces_of(tracking, run.run_id)
    assert trace.info.state == "ERROR"
    status = trace.data.spans[1].status
    assert status.status_code == "ERROR"
    assert "status 500" in status.description
    assert "hunter22" not in str(trace.to_dict())


def test_many_calls_are_sent_a_heap_at_a_time(tracking: Tracking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llm_traces, "CALLS_PER_TRACE", 10)
    with tracking.tracked_run("three") as run:
        with open_traces(tracking.uri, tracking.experiment_id, run.run_id, "smith-7b") as traces:
            traced = Traced(Model(), traces)
            for _ in range(10):
                traced(ASKED)
            assert len(traces_of(tracking, run.run_id)) == 1
            for _ in range(13):
                traced(ASKED)
        sizes = sorted(len(trace.data.spans) - 1 for trace in traces_of(tracking, run.run_id))
    assert sizes == [3, 10, 10]


def test_no_call_is_no_trace(tracking: Tracking) -> None:
    with tracking.tracked_run("four") as run:
        with open_traces(tracking.uri, tracking.experiment_id, run.run_id, "smith-7b"):
            pass
        assert traces_of(tracking, run.run_id) == []


def test_a_store_that_does_not_take_traces_costs_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llm_traces, "CALLS_PER_TRACE", 2)
    (tmp_path / "broken.db").write_bytes(b"this is no database" * 100)
    with (
        caplog.at_level(logging.WARNING, "tasks.llm_traces"),
        open_traces(f"sqlite:///{tmp_path / 'broken.db'}", "0", "run", "smith-7b") as traces,
    ):
        answers = [Traced(Model(), traces)(ASKED) for _ in range(7)]
    assert answers == [Answer(0.75, 0.25)] * 7
    said = [record.getMessage() for record in caplog.records if record.name == "tasks.llm_traces"]
    assert len(said) == 1, "it is told once"
    assert said[0].startswith("calls of the language model are not traced: ")
