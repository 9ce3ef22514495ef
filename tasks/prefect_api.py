"""A Prefect API that others run: found to answer before a run, and missed in one sentence when it goes away."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from components.errors import OutsideError
from components.secrets import filled, masked, shown, speakable
from tasks.secrets import secret
from tasks.settings import Settings

KNOCK_SECONDS = 5.0
SETTING = "KINTSUGI_PREFECT_API_URL"
REMEDY = f"start it, or unset {SETTING} for one that lives as long as the run"


def answering_api(settings: Settings) -> str:
    """The address of the Prefect API that the settings name, which answers.

    Raises:
        OutsideError: It does not.
        InputError: It is no address, or names a secret that is not there.
    """
    url = filled(SETTING, settings.prefect_api_url, secret)
    try:
        with urllib.request.urlopen(f"{_without_user(url)}/health", timeout=KNOCK_SECONDS):  # noqa: S310 - a person's setting
            return url
    except (OSError, ValueError) as error:
        raise _unanswered(shown(url), error, REMEDY) from speakable(error)


@contextmanager
def while_it_answers(url: str, remedy: str = REMEDY) -> Iterator[None]:
    """Turn a Prefect API at ``url`` that goes away while the block runs into one sentence.

    Raises:
        OutsideError: It went away; ``remedy`` says what to do about it.
    """
    import httpx
    from prefect.exceptions import PrefectHTTPStatusError

    try:
        yield
    except (httpx.TransportError, PrefectHTTPStatusError) as error:
        raise _unanswered(shown(url), error, remedy) from speakable(error)


def _unanswered(url: str, error: Exception, remedy: str) -> OutsideError:
    first = (masked(error).splitlines() or [""])[0][:200]
    return OutsideError(f"the Prefect API {url} does not answer ({first or type(error).__name__}); {remedy}")


def _without_user(url: str) -> str:
    # The health page wants none, and urllib takes the user for a part of the host.
    return shown(url).rstrip("/")
