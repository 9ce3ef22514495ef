"""Whom to ask about causes: an endpoint, a model embedded in this process, a recorded transcript, nobody."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal

from components.errors import InputError
from components.priors import Nobody, recorded_model
from components.secrets import filled
from tasks.openai_ask import OpenAiAsk
from tasks.secrets import revealed, secret
from tasks.settings import Settings

Source = Literal["none", "embedded", "endpoint", "transcript"]


@contextmanager
def open_ask(
    source: Source,
    endpoint: OpenAiAsk | None = None,
    path: Path | None = None,
    model: str = "",
    timeout: float = 60.0,
) -> Iterator[OpenAiAsk | Nobody | None]:
    """Whoever is to be asked, for as long as the context lasts; None for ``none``.

    Args:
        source: ``none``, ``embedded`` (in this process), ``endpoint``, or ``transcript`` (nobody, put behind a file of
            answers).
        endpoint: The endpoint; closed at the end.
        path: GGUF weights for ``embedded``, where None takes the installed ones; the file for ``transcript``.
        model: Whose answers are wanted of a transcript that holds those of several.
        timeout: Seconds to wait for one reply of the embedded model.

    Raises:
        InputError: What was given does not fit the source.
        OutsideError: The embedded model is not installed or does not start.
    """
    if source == "none":
        yield None
    elif source == "embedded":
        from tasks.embedded_model import embedded_model

        with embedded_model(path, timeout) as ask:
            yield ask
    elif source == "endpoint":
        if endpoint is None:
            raise InputError("base_url must be given for an endpoint; set KINTSUGI_LLM_BASE_URL")
        try:
            yield endpoint
        finally:
            endpoint.close()
    elif source == "transcript":
        if path is None:
            raise InputError("transcript must name a file of answers; set KINTSUGI_LLM_TRANSCRIPT")
        yield Nobody(recorded_model(path, model), path)
    else:
        raise InputError(f"source must be none, embedded, endpoint or transcript, got {source!r}")


def ask_of(settings: Settings) -> AbstractContextManager[OpenAiAsk | Nobody | None]:
    """Whoever the settings name; see :func:`open_ask`."""
    path = settings.llm_transcript if settings.llm == "transcript" else settings.llm_model_path
    endpoint = _endpoint(settings) if settings.llm == "endpoint" else None
    return open_ask(settings.llm, endpoint, path, settings.llm_model, settings.llm_timeout)


def answers_of(settings: Settings) -> Path:
    """The file of answers that are not asked for again: the transcript, or what earlier runs have kept."""
    if settings.llm == "transcript" and settings.llm_transcript is not None:
        return settings.llm_transcript
    return settings.answers / "answers.jsonl"


def threads_of(settings: Settings) -> int:
    """How many questions are asked at once; the embedded model answers one after the other."""
    return settings.llm_threads if settings.llm == "endpoint" else 1


def _endpoint(settings: Settings) -> OpenAiAsk | None:
    address = filled("KINTSUGI_LLM_BASE_URL", settings.llm_base_url, secret)
    if not address:
        return None
    return OpenAiAsk(
        address,
        settings.llm_model,
        revealed(settings.llm_api_key.get_secret_value()),
        settings.llm_timeout,
        settings.llm_retries,
        settings.llm_requests_per_minute,
    )
