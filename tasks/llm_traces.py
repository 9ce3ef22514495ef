"""Trace the calls of a language model in the experiment of the run that makes them.

Calls are gathered and sent together, so that a run waits for the store once in two hundred calls; a trace holds one
span for each. A store that does not take them costs the trace and nothing else.
"""

import json
import logging
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.ports import Answer, Ask, Question
from components.secrets import masked

if TYPE_CHECKING:
    from mlflow.entities import Span

CALLS_PER_TRACE = 200
PREVIEW = 250

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Call:
    """One call.

    Attributes:
        question: What was asked.
        answer: What came back; None where it failed.
        error: Why it failed.
        begin: When it began, in nanoseconds since 1970.
        end: When it ended.
    """

    question: Question
    answer: Answer | None
    error: str
    begin: int
    end: int


class Traced:
    """Asks, and tells the trace of every call."""

    def __init__(self, ask: Ask, traces: "Traces") -> None:
        self._ask, self._traces = ask, traces

    @property
    def model(self) -> str:
        """Name of who answers."""
        return self._ask.model

    def __call__(self, question: Question) -> Answer:
        """The answer of the one asked, or its error."""
        begin = time.time_ns()
        try:
            answer = self._ask(question)
        except Exception as error:
            self._traces.add(Call(question, None, masked(error), begin, time.time_ns()))
            raise
        self._traces.add(Call(question, answer, "", begin, time.time_ns()))
        return answer


class Traces:
    """The calls of one tracked run on their way to its experiment; any thread may add to them."""

    def __init__(self, uri: str, experiment_id: str, run_id: str, model: str) -> None:
        self._uri, self._experiment_id, self._run_id, self._model = uri, experiment_id, run_id, model
        self._calls: list[Call] = []
        self._lock = threading.Lock()
        self._lost = False

    def add(self, call: Call) -> None:
        """Keep a call; the two hundredth sends them all."""
        with self._lock:
            self._calls.append(call)
            due = len(self._calls) >= CALLS_PER_TRACE
        if due:
            self.flush()

    def flush(self) -> None:
        """Send what is kept. When the store does not take it, it is lost, and so is what comes after it."""
        with self._lock:
            calls, self._calls = self._calls, []
        if not calls or self._lost:
            return
        try:
            self._send(calls)
        except Exception as error:  # whatever it is: answers are worth more than their traces
            self._lost = True
            first = (masked(error).splitlines() or [type(error).__name__])[0]
            _log.warning("calls of the language model are not traced: %s", first[:200])

    def _send(self, calls: Sequence[Call]) -> None:
        from mlflow.entities import TraceInfo, TraceLocation, TraceState
        from mlflow.tracing.client import TracingClient
        from mlflow.tracing.constant import TraceMetadataKey, TraceTagKey

        trace = f"tr-{secrets.token_hex(16)}"
        begin, end = min(call.begin for call in calls), max(call.end for call in calls)
        client = TracingClient(self._uri)
        client.start_trace(
            TraceInfo(
                trace,
                TraceLocation.from_experiment_id(self._experiment_id),
                begin // 1_000_000,
                TraceState.ERROR if any(call.error for call in calls) else TraceState.OK,
                request_preview=calls[0].question.text[-PREVIEW:],
                response_preview=_said(calls[0])[:PREVIEW],
                execution_duration=(end - begin) // 1_000_000,
                trace_metadata={TraceMetadataKey.SOURCE_RUN: self._run_id},
                tags={TraceTagKey.TRACE_NAME: f"elicit: {len(calls)} calls"},
            )
        )
        client.log_spans(self._experiment_id, list(self._spans(trace, calls, begin, end)))

    def _spans(self, trace: str, calls: Sequence[Call], begin: int, end: int) -> "Iterator[Span]":
        root = secrets.token_hex(8)
        summary = {"mlflow.spanInputs": {"calls": len(calls)}, "mlflow.spanType": "CHAIN"}
        yield _span(trace, root, None, "elicit", (begin, end), summary)
        for call in calls:
            yield _span(
                trace, secrets.token_hex(8), root, _name(call), (call.begin, call.end), self._told(call), call.error
            )

    def _told(self, call: Call) -> dict[str, Any]:
        question, answer = call.question, call.answer
        sampling = {"temperature": question.temperature, "max_tokens": question.longest, "sample": question.sample}
        told: dict[str, Any] = {
            "mlflow.spanType": "CHAT_MODEL",
            "mlflow.llm.model": self._model,
            "mlflow.spanInputs": {"messages": [{"role": "user", "content": question.text}], **sampling},
        }
        if answer is None:
            return told
        said: dict[str, Any] = {"role": "assistant", "content": answer.text}
        masses = {} if question.free else {"yes": answer.yes, "no": answer.no, "way": answer.way}
        used = {"input_tokens": answer.prompt_tokens, "output_tokens": answer.answer_tokens}
        total = {"total_tokens": answer.prompt_tokens + answer.answer_tokens}
        return told | {"mlflow.spanOutputs": said | masses, "mlflow.chat.tokenUsage": used | total}


@contextmanager
def open_traces(uri: str, experiment_id: str, run_id: str, model: str) -> Iterator[Traces]:
    """Traces for a tracked run; what is kept is sent at the end, whatever the end is."""
    traces = Traces(uri, experiment_id, run_id, model)
    try:
        yield traces
    finally:
        traces.flush()


def _span(
    trace: str,
    span: str,
    parent: str | None,
    name: str,
    times: tuple[int, int],
    attributes: dict[str, Any],
    error: str = "",
) -> "Span":
    from mlflow.entities import Span

    return Span.from_dict(
        {
            "trace_id": trace,
            "span_id": span,
            "parent_span_id": parent,
            "name": name,
            "start_time_unix_nano": times[0],
            "end_time_unix_nano": times[1],
            "status": {"code": "ERROR" if error else "OK", "message": error},
            "attributes": {
                key: json.dumps(value) for key, value in ({"mlflow.traceRequestId": trace} | attributes).items()
            },
        }
    )


def _name(call: Call) -> str:
    subject = call.question.subject
    what = "explain" if call.question.free else "answer"
    return f"{what} {subject.kind}: {subject.cause} -> {subject.effect}" if subject else what


def _said(call: Call) -> str:
    return call.error if call.answer is None else call.answer.text
