"""Ask a language model behind any OpenAI-compatible chat endpoint."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from math import exp, isnan
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from components.errors import InputError, OutsideError
from components.ports import Answer, Question
from components.secrets import masked, shown, speakable

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types.chat.chat_completion import ChatCompletion, Choice

REMEDY = "check KINTSUGI_LLM_BASE_URL, or elicit without a language model (KINTSUGI_LLM=none)"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
CANDIDATES = 20


class Pace:
    """Lets so many requests a minute pass, evenly, whichever thread sends them; repeated ones count too."""

    def __init__(
        self,
        per_minute: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._gap = 60 / per_minute
        self._clock, self._sleep = clock, sleep
        self._lock = Lock()
        self._next = clock()

    def __call__(self, request: object = None) -> None:
        """Wait for the turn of one request."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._next)
            self._next = turn + self._gap
        if turn > now:
            self._sleep(turn - now)


@dataclass(frozen=True)
class OpenAiAsk:
    """Someone who answers questions behind an OpenAI-compatible chat endpoint; safe to call from several threads.

    The answer to a yes/no question is the probability mass on yes and no among the 20 likeliest first tokens. Where the
    endpoint gives no logprobs only the words are known, and the way of the answer is ``text``.

    Attributes:
        base_url: Address of the endpoint up to and with ``/v1``.
        model: Name of the model; part of the key of remembered answers.
        api_key: Secret; never shown in a repr or a message.
        timeout: Seconds to wait for one reply.
        retries: Further tries after no reply, status 408, 409, 429 or 5xx; waits grow, ``Retry-After`` is obeyed.
        per_minute: Requests a minute at most, further tries included; 0 sets no limit.
        seeded: Whether drawn answers are asked for with a seed, so that they are the same again; not every endpoint
            takes one.
    """

    base_url: str = field(repr=False)
    model: str
    api_key: str = field(default="", repr=False)
    timeout: float = 60.0
    retries: int = 2
    per_minute: float = 0.0
    seeded: bool = False

    def __post_init__(self) -> None:
        if urlsplit(self.base_url).scheme not in ("http", "https") or not urlsplit(self.base_url).hostname:
            raise InputError(f"base_url must be an http or https address, got {shown(self.base_url)!r}; {REMEDY}")
        if not self.model:
            raise InputError("model must name the language model; set KINTSUGI_LLM_MODEL")
        if not self.timeout > 0:
            raise InputError(f"timeout must be positive seconds, got {self.timeout}")
        if self.retries < 0:
            raise InputError(f"retries must not be negative, got {self.retries}")
        if not 0 <= self.per_minute < float("inf"):
            raise InputError(f"per_minute must be 0 or a positive number, got {self.per_minute}")

    def __call__(self, question: Question) -> Answer:
        """The answer to one question; no mass at all where it says neither yes nor no.

        Raises:
            OutsideError: The endpoint is down, slow, refuses, or replies with something that is no chat completion.
        """
        completion = self._completion(question, logprobs=not question.free and not self._without_logprobs)
        try:
            return read_answer(completion, question.free)
        except (AttributeError, TypeError, ValueError, LookupError) as error:
            raise self._failed(f"sent what cannot be read: {_brief(error)}") from speakable(error)

    def close(self) -> None:
        """Close the connections; the next question opens new ones."""
        client = self.__dict__.pop("_client", None)
        if client is not None:
            client.close()

    @cached_property
    def _client(self) -> "OpenAI":
        from openai import DefaultHttpxClient, OpenAI

        # A proxy of the surroundings cannot reach this machine's own loopback.
        direct = urlsplit(self.base_url).hostname in LOOPBACK
        hooks: dict[str, list[Callable[..., Any]]] = {"request": [Pace(self.per_minute)]} if self.per_minute else {}
        return OpenAI(
            base_url=self.base_url,
            api_key=self.api_key or "none",
            timeout=self.timeout,
            max_retries=self.retries,
            http_client=DefaultHttpxClient(trust_env=not direct, event_hooks=hooks),
        )

    @property
    def _without_logprobs(self) -> bool:
        """Whether the endpoint has refused a request for logprobs before."""
        return bool(self.__dict__.get("_refused_logprobs", False))

    def _completion(self, question: Question, *, logprobs: bool) -> "ChatCompletion":
        """One completion with at least one choice, asked for logprobs or not."""
        from openai import APIConnectionError, APIStatusError, APITimeoutError, BadRequestError, OpenAIError

        try:
            completion = self._complete(question, logprobs=logprobs)
        except BadRequestError as error:
            if logprobs and "logprob" in str(error).lower():
                self.__dict__["_refused_logprobs"] = True
                return self._completion(question, logprobs=False)
            raise self._failed(f"refused the request with status 400: {_brief(error)}") from speakable(error)
        except APITimeoutError as error:
            raise self._failed(f"gave no reply within {self.timeout:g} s, {self._tries}") from speakable(error)
        except APIConnectionError as error:
            raise self._failed(f"cannot be reached, {self._tries}") from speakable(error)
        except APIStatusError as error:
            raise self._failed(f"replied with status {error.status_code}, {self._tries}") from speakable(error)
        except (OpenAIError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise self._failed(f"sent what cannot be read: {_brief(error)}") from speakable(error)
        choices = getattr(completion, "choices", None)
        if not choices or getattr(choices[0], "message", None) is None:
            raise self._failed("sent something that is no chat completion")
        return completion

    def _complete(self, question: Question, *, logprobs: bool) -> "ChatCompletion":
        from openai import omit

        return self._client.chat.completions.create(
            model=self.model,
            messages=[{"role": "user", "content": question.text}],
            max_tokens=question.longest,
            temperature=question.temperature,
            logprobs=True if logprobs else omit,
            top_logprobs=CANDIDATES if logprobs else omit,
            seed=question.sample if self.seeded and question.temperature > 0 else omit,
        )

    @property
    def _tries(self) -> str:
        return f"tried {self.retries + 1} times" if self.retries else "tried once"

    def _failed(self, what: str) -> OutsideError:
        return OutsideError(f"the language model {self.model!r} at {shown(self.base_url)} {what}; {REMEDY}")


def read_answer(completion: "ChatCompletion", free: bool) -> Answer:
    """What the first choice of a completion says, with the tokens that were counted."""
    choice = completion.choices[0]
    text = choice.message.content or ""
    if not isinstance(text, str):
        raise TypeError(f"the content of the message is no text but {type(text).__name__}")
    counted = _tokens(completion)
    masses = None if free else from_logprobs(choice)
    if masses is not None:
        return Answer(*masses, "logprobs", text, *counted)
    said = "" if free else verdict(text)
    return Answer(float(said == "yes"), float(said == "no"), "text", text, *counted)


def from_logprobs(choice: "Choice") -> tuple[float, float] | None:
    """Mass on yes and on no among the candidates for the first token; None where the endpoint gives no logprobs."""
    content = choice.logprobs and choice.logprobs.content
    if not content or not content[0].top_logprobs:
        return None
    masses = [(verdict(token.token), exp(min(token.logprob, 0.0))) for token in content[0].top_logprobs]
    yes, no = (min(sum(mass for said, mass in masses if said == word), 1.0) for word in ("yes", "no"))
    if isnan(yes + no):
        raise ValueError("a logprob is no number")
    return yes, no


def verdict(text: str) -> str:
    """``yes``, ``no`` or nothing: the first word of ``text``, without case, spaces and punctuation."""
    words = "".join(letter if letter.isalpha() else " " for letter in text).split()
    word = words[0].lower() if words else ""
    return word if word in ("yes", "no") else ""


def _tokens(completion: "ChatCompletion") -> tuple[int, int]:
    """Tokens of the question and of the answer; 0 where the endpoint does not count them."""
    usage = getattr(completion, "usage", None)
    counts = (getattr(usage, name, None) for name in ("prompt_tokens", "completion_tokens"))
    prompt, answer = (count if isinstance(count, int) and count > 0 else 0 for count in counts)
    return prompt, answer


def _brief(error: Exception) -> str:
    text = " ".join(masked(error).split())
    return text if len(text) <= 200 else f"{text[:197]}..."
