"""For all tests of the tasks: a language model that says what a test wants."""

from collections.abc import Iterator

import pytest

from tests.tasks.fake_endpoint import FakeEndpoint, serving


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    with serving() as fake:
        yield fake
