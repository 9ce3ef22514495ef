"""Secrets are put in where they are used, and found in whatever is said afterwards."""

import traceback
from base64 import b64encode

import pytest
import sqlalchemy as sa
from hypothesis import assume, given
from hypothesis import strategies as st

from components import secrets
from components.errors import InputError
from components.secrets import environment, filled, masked, remembered, shown, speakable

PASSWORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=4, max_size=20)
PLAIN = st.text("abcdefgh", min_size=1, max_size=8)


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_known", set())


@given(PLAIN, PASSWORDS, PLAIN)
def test_whatever_stands_in_a_password_arrives_whole(user: str, password: str, host: str) -> None:
    made = filled("source.url", f"postgresql://{user}:${{PW}}@{host}/db?x=1", lambda _: password)
    url = sa.make_url(made)
    assert (url.username, url.password, url.host, url.database) == (user, password, host, "db")


@given(PLAIN, PASSWORDS)
def test_no_spelling_of_a_used_secret_is_shown(user: str, password: str) -> None:
    # What is left of a URL without the password must not hold it by chance.
    assume(password not in f"http://{user}@host/db failed: Basic {secrets.STARS}" and password not in "postgresql")
    made = filled("source.url", f"postgresql://{user}:${{PW}}@host/db", lambda _: password)
    echoed = b64encode(f"{user}:{password}".encode()).decode()
    for said in (made, f"failed: {password}", f"got {made!r} there", f"Authorization: Basic {echoed}", repr(password)):
        assert password not in masked(said)
        assert echoed not in masked(said)
    assert password not in shown(made)


@given(st.text(max_size=60))
def test_where_there_is_no_secret_nothing_is_changed(text: str) -> None:
    assume("@" not in text and "=" not in text)
    assert masked(text) == shown(text) == text


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        ("postgresql://user:pass@host:5432/db", "postgresql://host:5432/db"),
        ("postgresql://user:pa#ss/w?rd@host/db", "postgresql://host/db"),
        ("postgresql://user:p@ss@host/db", "postgresql://host/db"),
        ("https://token@host/v1", "https://host/v1"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("postgresql://host/db?user=me&password=pass", "postgresql://host/db?user=me&password=***"),
        ("https://host/v1?api_key=pass&x=1", "https://host/v1?api_key=***&x=1"),
        ("https://host/blob?sig=pass", "https://host/blob?sig=***"),
        ("visits.csv", "visits.csv"),
        ("", ""),
    ],
)
def test_an_address_is_shown_without_its_secrets(address: str, seen: str) -> None:
    assert shown(address) == seen
    words = masked(f"cannot connect to {address}: refused")
    assert [secret for secret in (":pass", "=pass", "pa#ss", "p@ss", "token@") if secret in words] == []


def test_a_variable_that_is_not_set_is_named_with_its_field() -> None:
    with pytest.raises(InputError, match=r"^source\.url names the environment variable NOWHERE, which is not set$"):
        filled("source.url", "postgresql://u:${NOWHERE}@host/db")


def test_the_environment_is_read_at_the_time_of_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB", "first")
    assert filled("url", "${DB}") == "first"
    monkeypatch.setenv("DB", "second")
    assert filled("url", "${DB}", environment) == "second"
    assert filled("url", "vault://${DB}.host:80/${DB}") == "vault://second.host:80/second"
    assert filled("url", "$DB and {DB} and $${}") == "$DB and {DB} and $${}"


def test_short_words_are_not_taken_for_secrets() -> None:
    remembered("at")
    assert masked("at home") == "at home"


def failing(words: str) -> Exception:
    try:
        try:
            raise KeyError(words)
        except KeyError as inner:
            raise ValueError("outer") from inner
    except ValueError as outer:
        return outer


def test_a_cause_that_holds_a_secret_is_cut_off() -> None:
    remembered("correct-horse")
    harmless, telling = failing("nothing"), failing("the key is correct-horse")
    assert speakable(harmless) is harmless
    assert speakable(telling) is None
    with pytest.raises(RuntimeError) as raised:
        raise RuntimeError("said") from speakable(telling)
    assert "correct-horse" not in "".join(traceback.format_exception(raised.value))
