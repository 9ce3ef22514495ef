"""Ask a language model yes or no: over any OpenAI-compatible endpoint, or one embedded in this process."""

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from math import exp, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from components.errors import InputError, OutsideError
from components.ports import Answer
from components.secrets import filled, masked, shown, speakable
from tasks.secrets import revealed, secret
from tasks.settings import Settings

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types.chat.chat_completion import ChatCompletion, Choice

Source = Literal["none", "embedded", "endpoint"]
REMEDY = "check KINTSUGI_LLM_BASE_URL, or elicit without a language model (KINTSUGI_LLM=none)"
SAMPLES = 10
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class OpenAiAsk:
    """Someone who answers yes/no questions behind an OpenAI-compatible chat endpoint.

    The answer is the probability mass on yes and no among the 20 likeliest first tokens, at temperature 0. Where
    the endpoint gives no logprobs it is the share of each among ten answers sampled at temperature 0.7, with half
    an answer added to either side: ten out of ten is no certainty.

    Attributes:
        base_url: Address of the endpoint up to and with ``/v1``.
        model: Name of the model; part of the key of remembered answers.
        api_key: Secret; never shown in a repr or a message.
        timeout: Seconds to wait for one reply.
        retries: Further tries after no reply, status 408, 409, 429 or 5xx; waits grow, ``Retry-After`` is obeyed.
    """

    base_url: str = field(repr=False)
    model: str
    api_key: str = field(default="", repr=False)
    timeout: float = 60.0
    retries: int = 2

    def __post_init__(self) -> None:
        if urlsplit(self.base_url).scheme not in ("http", "https") or not urlsplit(self.base_url).hostname:
            raise InputError(f"base_url must be an http or https address, got {shown(self.base_url)!r}; {REMEDY}")
        if not self.model:
            raise InputError("model must name the language model; set KINTSUGI_LLM_MODEL")
        if not self.timeout > 0:
            raise InputError(f"timeout must be positive seconds, got {self.timeout}")
        if self.retries < 0:
            raise InputError(f"retries must not be negative, got {self.retries}")

    def __call__(self, question: str) -> Answer:
        """The answer to one question; no mass at all where it says neither yes nor no.

        Raises:
            OutsideError: The endpoint is down, slow, refuses, or replies with something that is no chat completion.
        """
        choice = self._choice(question, logprobs=True)
        try:
            answer = from_logprobs(choice)
            if answer is not None:
                return answer
            return from_samples([self._choice(question, logprobs=False) for _ in range(SAMPLES)])
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
        return OpenAI(
            base_url=self.base_url,
            api_key=self.api_key or "none",
            timeout=self.timeout,
            max_retries=self.retries,
            http_client=DefaultHttpxClient(trust_env=not direct),
        )

    def _choice(self, question: str, *, logprobs: bool) -> "Choice":
        """The first choice of one completion, asked for logprobs or sampled."""
        from openai import APIConnectionError, APIStatusError, APITimeoutError, BadRequestError, OpenAIError

        try:
            completion = self._complete(question, logprobs=logprobs)
        except BadRequestError as error:
            if logprobs and "logprob" in str(error).lower():
                return self._choice(question, logprobs=False)
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
        choice: Choice = choices[0]
        return choice

    def _complete(self, question: str, *, logprobs: bool) -> "ChatCompletion":
        from openai import omit

        return self._client.chat.completions.create(
            model=self.model,
            messages=[{"role": "user", "content": question}],
            max_tokens=1 if logprobs else 4,
            temperature=0.0 if logprobs else 0.7,
            logprobs=True if logprobs else omit,
            top_logprobs=20 if logprobs else omit,
        )

    @property
    def _tries(self) -> str:
        return f"tried {self.retries + 1} times" if self.retries else "tried once"

    def _failed(self, what: str) -> OutsideError:
        return OutsideError(f"the language model {self.model!r} at {shown(self.base_url)} {what}; {REMEDY}")


def from_logprobs(choice: "Choice") -> Answer | None:
    """Mass on yes and no among the candidates for the first token; None where the endpoint gives no logprobs."""
    content = choice.logprobs and choice.logprobs.content
    if not content or not content[0].top_logprobs:
        return None
    masses = [(verdict(token.token), exp(min(token.logprob, 0.0))) for token in content[0].top_logprobs]
    yes, no = (min(sum(mass for said, mass in masses if said == word), 1.0) for word in ("yes", "no"))
    if isnan(yes + no):
        raise ValueError("a logprob is no number")
    return Answer(yes, no)


def from_samples(choices: Sequence["Choice"]) -> Answer:
    """Share of yes and of no, half an answer added to either side; nothing where all say neither."""
    said = [verdict(choice.message.content or "") for choice in choices]
    if not any(said):
        return Answer(0.0, 0.0, "samples")
    yes, no = ((said.count(word) + 0.5) / (len(said) + 1) for word in ("yes", "no"))
    return Answer(yes, no, "samples")


def verdict(text: str) -> str:
    """``yes``, ``no`` or nothing: the first word of ``text``, without case, spaces and punctuation."""
    words = "".join(letter if letter.isalpha() else " " for letter in text).split()
    word = words[0].lower() if words else ""
    return word if word in ("yes", "no") else ""


@contextmanager
def open_ask(
    source: Source,
    base_url: str = "",
    model: str = "",
    api_key: str = "",
    model_path: Path | None = None,
    timeout: float = 60.0,
) -> Iterator[OpenAiAsk | None]:
    """The language model to ask, for as long as the context lasts; None for ``none``.

    Args:
        source: ``none``, ``embedded`` (in this process) or ``endpoint``.
        base_url: Address of the endpoint.
        model: Name of the model at the endpoint.
        api_key: Its secret, empty where it wants none.
        model_path: GGUF weights for ``embedded``; None takes the installed ones.
        timeout: Seconds to wait for one reply.

    Raises:
        InputError: What was given does not fit the source.
        OutsideError: The embedded model is not installed or does not start.
    """
    if source == "none":
        yield None
    elif source == "embedded":
        from tasks.embedded_model import embedded_model

        with embedded_model(model_path, timeout) as ask:
            yield ask
    elif source == "endpoint":
        if not base_url:
            raise InputError("base_url must be given for an endpoint; set KINTSUGI_LLM_BASE_URL")
        endpoint = OpenAiAsk(base_url, model, api_key, timeout)
        try:
            yield endpoint
        finally:
            endpoint.close()
    else:
        raise InputError(f"source must be none, embedded or endpoint, got {source!r}")


def ask_of(settings: Settings) -> AbstractContextManager[OpenAiAsk | None]:
    """The language model that the settings name; see :func:`open_ask`."""
    return open_ask(
        settings.llm,
        filled("KINTSUGI_LLM_BASE_URL", settings.llm_base_url, secret),
        settings.llm_model,
        revealed(settings.llm_api_key.get_secret_value()),
        settings.llm_model_path,
        settings.llm_timeout,
    )


def _brief(error: Exception) -> str:
    text = " ".join(masked(error).split())
    return text if len(text) <= 200 else f"{text[:197]}..."
