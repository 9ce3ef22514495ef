"""Secrets: named by a reference until they are used, and never shown.

A reference is ``${NAME}`` in an address. Whatever a reference stood for is remembered in this process, so that
:func:`masked` finds it in a sentence that another library wrote.
"""

import os
import re
import threading
import traceback
from base64 import b64encode
from collections.abc import Callable
from urllib.parse import quote, quote_plus, unquote, urlsplit, urlunsplit

from components.errors import InputError

Lookup = Callable[[str], str]

STARS = "***"
_SHORTEST = 4  # a shorter one would take ordinary words for itself
_REFERENCE = re.compile(r"\$\{([^${}]+)\}")
_CREDENTIALS = re.compile(r"(?P<scheme>[\w+.-]+://)(?P<user>[^@\s/:]*):(?P<password>[^@\s]*)@")
_IN_TEXT = re.compile(r"(?P<scheme>\b[\w+.-]+://)[^@\s/:'\"]*(?::[^\s'\"]*)?@")
_NAMES = r"(?:\w*(?:password|passwd|pwd|passphrase|secret|token|api_?key|access_?key|signature|credential)\w*|sig)"
_OPTION = re.compile(rf"(?P<name>[?&;\s]{_NAMES}=)[^&\s'\"]+", re.IGNORECASE)

_known: set[str] = set()
_lock = threading.Lock()


def environment(name: str) -> str:
    """The value of an environment variable.

    Raises:
        InputError: It is not set; the words are the end of a sentence that :func:`filled` begins.
    """
    if name not in os.environ:
        raise InputError(f"the environment variable {name}, which is not set")
    return os.environ[name]


def filled(field: str, address: str, lookup: Lookup = environment) -> str:
    """The address in ``field`` with what its references stand for, a user or password percent-encoded as it must be.

    Raises:
        InputError: A reference stands for nothing.
    """

    def plain(match: re.Match[str]) -> str:
        try:
            return remembered(lookup(match[1]))
        except InputError as error:
            raise InputError(f"{field} names {error}") from None

    found = _CREDENTIALS.match(address)
    end = found.end() if found else 0
    user = _REFERENCE.sub(lambda match: quote(plain(match), safe=""), address[:end])
    made = user + _REFERENCE.sub(plain, address[end:])
    _remember_password(made)
    return made


def remembered(secret: str) -> str:
    """``secret`` itself, which :func:`masked` knows from now on."""
    if len(secret) >= _SHORTEST:
        with _lock:
            _known.update(_spellings(secret))
    return secret


def shown(address: str) -> str:
    """An address as it may be shown: without user, password and any option that has the name of a secret."""
    parts = urlsplit(address)
    if "@" in parts.netloc:
        return _hidden(urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])))
    # A password with a slash, a question mark or a hash ends what urlsplit takes for the host.
    return _hidden(_IN_TEXT.sub(r"\g<scheme>", address))


def masked(text: object) -> str:
    """``text`` with stars for every password in an address and for every secret this process has used."""
    hidden = _hidden(_IN_TEXT.sub(rf"\g<scheme>{STARS}@", str(text)))
    with _lock:
        known = sorted(_known, key=len, reverse=True)
    for secret in known:
        hidden = hidden.replace(secret, STARS)
    return hidden


def speakable(error: BaseException) -> BaseException | None:
    """``error`` as a cause that may be logged; None where its words, or those of its own causes, hold a secret."""
    words = "".join(traceback.format_exception(error))
    return error if masked(words) == words else None


def _hidden(text: str) -> str:
    return _OPTION.sub(rf"\g<name>{STARS}", text)


def _remember_password(address: str) -> None:
    before, at, _ = urlsplit(address).netloc.rpartition("@")
    user, colon, password = before.partition(":")
    if not at and (found := _CREDENTIALS.match(address)):
        user, colon, password = found["user"], ":", found["password"]
    if colon:
        remembered(password)
        remembered(unquote(password))
        remembered(b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode())  # as a server may echo it


def _spellings(secret: str) -> set[str]:
    return {secret, quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1]}
