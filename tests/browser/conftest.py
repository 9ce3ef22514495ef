"""Chromium, as Debian brings it, and what a person does with it: look at a page, find a field, keep a picture."""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

PICTURES = os.environ.get("KINTSUGI_SCREENSHOTS", "")  # read now: a test sees no variable of ours
SECONDS = 30.0
HERE = ("127.0.0.1", "localhost", "")
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
# MLflow greets a new browser with its assistant, which takes a third of the page.
GREETED = "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"


@dataclass
class Visitor:
    """A person at a browser.

    Attributes:
        page: Playwright's page.
        pictures: Folder to keep pictures in; None keeps none.
        strangers: Addresses outside this machine that a page has asked.
    """

    page: Any
    pictures: Path | None
    strangers: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", self._heard)

    def _heard(self, request: Any) -> None:
        address = urlsplit(request.url)
        if address.scheme in ("http", "https", "ws", "wss") and address.hostname not in HERE:
            self.strangers.append(request.url)

    def field(self, *names: str) -> Any:
        """A field of Prefect's run form, by its title and those of the fields that it lies in, the outermost first."""
        place = self.page
        for name in names:
            title = self.page.get_by_text(re.compile(rf"^{re.escape(name)}( \(Optional\))?$"))
            place = place.locator(".schema-form-property").filter(has=title).last
        return place

    def choose(self, tab: str) -> None:
        """Open a tab of Prefect's pages."""
        self.page.get_by_role("tablist").get_by_text(tab, exact=True).click()

    def picture(self, name: str, **how: Any) -> None:
        """Keep a picture of what is seen."""
        if self.pictures:
            self.pictures.mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=self.pictures / f"{name}.png", **how)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser; the test is skipped where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (the group dev has it)")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed; make system installs it")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visitor(chromium: Any) -> Iterator[Visitor]:
    """A person who has never been here before; whatever page is opened may ask nobody outside this machine."""
    context = chromium.new_context(
        viewport={"width": 1400, "height": 950}, reduced_motion="reduce", locale="en-GB", timezone_id="UTC"
    )
    context.add_init_script(GREETED)
    context.set_default_timeout(SECONDS * 1000)
    made = Visitor(context.new_page(), Path(PICTURES) if PICTURES else None)
    yield made
    made.picture("last")  # of the last test that ran: the one that failed, with -x
    context.close()
    assert made.strangers == []
