"""The pages of ``kintsugi ui`` as a person sees them: the form of a run, the run, what starts runs, runs and models."""

import io
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from components.discovery import METHODS, CamUvX
from components.heads import Linear, Mlp
from components.weak import SETTINGS, UNSETTLED, PositiveUnlabeled
from flows.configuration import Classify, Pipeline
from flows.forms import build, descriptions, read_form
from tests.live_site import Site, ended, wait_for

pytestmark = pytest.mark.server

STAGES = ["ingest", "elicit", "discover", "train", "update", "tune", "evaluate", "register", "report"]
DONE = (33, 157, 75)  # the green of a finished task, as Prefect draws it
MODEL = "kintsugi-toy"
CARD = ("Data", "Corrections", "Scores", "Gates", "Limits")


@pytest.fixture(scope="module")
def first(chromium: Any, site: Site) -> str:
    """A run that goes on while the form is filled in. The browser comes first: without one, no site is started."""
    return str(site.order("pipeline").json()["id"])


def open_form(visitor: Any, site: Site, deployment: str = "pipeline", field: str = "Head") -> None:
    """From the server's first page to the form of a run, on which ``field`` then is."""
    page = visitor.page
    page.goto(site.api.removesuffix("/api"))
    page.get_by_text("Deployments", exact=True).first.click()
    page.get_by_role("link", name=deployment, exact=True).first.click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Custom run").click()
    visitor.field(field).wait_for()


def orders(site: Site) -> int:
    return len(site.runs("pipeline"))


@pytest.fixture(scope="module")
def submitted(first: str) -> list[str]:
    """Ids of the runs that were started through the form."""
    return []


def test_the_form_offers_every_stage_with_its_text(visitor: Any, site: Site, first: str) -> None:
    open_form(visitor, site)
    for name, text in descriptions(Pipeline).items():
        visitor.field(name.capitalize()).get_by_text(text, exact=True).first.wait_for()
    assert "<" in descriptions(Pipeline)["model"]  # which is part of the sentence, and no tag that a page leaves out
    assert visitor.field("Source", "Specification").locator("textarea").input_value() == str(site.specification)
    assert visitor.field("Training", "Rule", "Epochs").locator("input").input_value() == "8"
    visitor.picture("form")


def test_the_form_refuses_a_wrong_value_and_starts_a_right_one(
    visitor: Any, site: Site, first: str, submitted: list[str]
) -> None:
    page, before = visitor.page, orders(site)
    open_form(visitor, site)
    head = visitor.field("Training", "Head")
    assert "Hidden" not in head.inner_text()  # the environment asks for the linear one
    assert {"Linear", "Mlp"} <= {button.inner_text() for button in head.get_by_role("button").all()}
    head.get_by_role("button", name="Mlp", exact=True).click()
    hidden = visitor.field("Training", "Head", "Hidden")
    hidden.get_by_text(descriptions(Mlp)["hidden"]).wait_for()
    hidden.locator("input").fill("0")
    page.get_by_role("button", name="Submit").click()
    page.get_by_text("0 is less than the minimum of 1").first.wait_for()
    hidden.scroll_into_view_if_needed()
    visitor.picture("form-refuses")
    assert orders(site) == before

    hidden.locator("input").fill("2")
    page.get_by_role("button", name="Submit").click()
    page.get_by_role("button", name="View run").last.click()  # Prefect says it twice, one above the other
    page.wait_for_url(re.compile("/runs/flow-run/"))
    submitted.append(page.url.rpartition("/")[2].partition("?")[0])
    run = site.run(submitted[0])
    asked = build(read_form(Pipeline, run["parameters"]["config"]))
    usual = build(read_form(Pipeline, site.run(first)["parameters"]["config"]))
    assert asked == replace(usual, training=replace(usual.training, head=Mlp(hidden=2)))  # and nothing else is changed
    assert orders(site) == before + 1


def test_the_form_of_a_discovery_offers_every_method_with_its_fields(visitor: Any, site: Site, first: str) -> None:
    open_form(visitor, site, "discover", "Target")
    discovery = visitor.field("Discovery")
    names = {kind.replace("_", " ").capitalize() for kind in METHODS}
    assert names <= {button.inner_text() for button in discovery.get_by_role("button").all()}
    assert visitor.field("Discovery", "Replicates").locator("input").input_value() == "5"
    discovery.get_by_role("button", name="Cam uv x", exact=True).click()
    visitor.field("Discovery", "Choices").get_by_text(descriptions(CamUvX)["choices"]).wait_for()
    visitor.picture("form-discovery")


def test_the_automation_says_what_it_does(visitor: Any, site: Site) -> None:
    page = visitor.page
    page.goto(site.api.removesuffix("/api") + "/automations")
    page.get_by_text("update on drift", exact=True).wait_for()
    page.get_by_text("Run deployment:").wait_for()
    page.get_by_text("crash runs that fell silent", exact=True).wait_for()
    told = page.locator("body").inner_text()
    for sentence in ("Starts an update when drift is reported that no run has learnt from yet.", "Run deployment:"):
        assert sentence in told
    visitor.picture("automations")


def green(visitor: Any) -> int:
    """How many pixels of the graph of tasks are those of a finished task."""
    from PIL import Image

    with Image.open(io.BytesIO(visitor.page.locator("canvas").first.screenshot())) as picture:
        far = np.abs(np.asarray(picture.convert("RGB"), dtype=int) - DONE).max(axis=-1)
    return int((far < 8).sum())


def test_the_run_shows_its_tasks_and_what_they_made(visitor: Any, site: Site, submitted: list[str], toy: Any) -> None:
    page, (run,) = visitor.page, submitted
    done = ended(site, run)
    assert done["state_name"] == "Completed", done["state"]["message"]
    page.goto(f"{site.api.removesuffix('/api')}/runs/flow-run/{run}")
    page.get_by_text("Completed", exact=True).first.wait_for()
    wait_for(lambda: green(visitor) > 5_000, "the graph of tasks")
    visitor.picture("run")
    visitor.choose("Task Runs")
    for stage in STAGES:
        page.get_by_text(re.compile(rf"^{stage}-\w+$")).first.wait_for()
    visitor.choose("Artifacts")
    page.get_by_text("Edges of the causal graph.").wait_for()
    visitor.picture("run-artifacts", full_page=True)

    page.get_by_text("Edges of the causal graph.").click()
    page.get_by_role("columnheader", name="cause").wait_for()
    assert set(toy.predictors) >= set(page.locator("tbody tr td:first-child").all_inner_texts()) != set()
    visitor.picture("artifact-edges")
    page.go_back()
    visitor.choose("Artifacts")
    page.get_by_text("The causal graph.", exact=True).click()
    picture = page.locator("img[src^='data:image/png']")
    picture.wait_for()
    assert picture.evaluate("picture => picture.naturalWidth") > 300
    visitor.picture("artifact-graph")
    page.go_back()
    visitor.choose("Artifacts")
    page.get_by_text("Held rows, every model.").click()
    for model in ("kintsugi", "logistic regression", "gradient boosting"):
        page.locator("tbody td").get_by_text(model, exact=True).wait_for()
    visitor.picture("artifact-scorecard")


def test_runs_stand_side_by_side_in_mlflow(visitor: Any, site: Site, first: str, submitted: list[str]) -> None:
    page = visitor.page
    for run in (first, *submitted):
        ended(site, run)
    page.goto(f"{site.tracking}/#/experiments")
    page.get_by_text("Model training", exact=True).click()
    page.get_by_role("link", name=MODEL).click()
    boxes = page.get_by_role("checkbox", name=re.compile("toggle row selection"))
    boxes.nth(1).wait_for()
    visitor.picture("mlflow-runs")
    boxes.nth(0).check()
    boxes.nth(1).check()
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("Comparing 2 Runs").wait_for()
    page.get_by_role("row", name=re.compile(r"^training\.head\.kind\s")).wait_for()
    kinds = page.get_by_role("row", name=re.compile(r"^training\.head\.kind\s")).inner_text().split()[1:]
    assert sorted(kinds) == sorted([Linear().kind, Mlp().kind])
    visitor.picture("mlflow-comparison")


def test_the_registry_shows_alias_and_card(visitor: Any, site: Site, first: str, submitted: list[str]) -> None:
    page = visitor.page
    for run in (first, *submitted):
        ended(site, run)
    page.goto(f"{site.tracking}/#/models")
    page.get_by_role("button", name="Try it now").click()
    page.get_by_role("link", name=MODEL).last.click()
    page.get_by_text("Version 1", exact=True).wait_for()
    page.get_by_text(re.compile("champion$")).first.wait_for()
    visitor.picture("mlflow-model")
    page.get_by_text("Version 1", exact=True).click()
    page.get_by_role("heading", name="Limits", exact=True).wait_for()
    headings = page.get_by_role("heading").all_inner_texts()
    assert [each for each in headings if each in CARD] == list(CARD)
    assert "gates passed." in page.locator("body").inner_text()
    visitor.picture("mlflow-card")


def test_a_classifier_is_ordered_by_saying_what_the_labels_are(visitor: Any, site: Site, first: str) -> None:
    open_form(visitor, site, "classify", "Setting")
    page, setting = visitor.page, visitor.field("Training", "Setting")
    offered = {button.inner_text() for button in setting.get_by_role("button").all()}
    assert {kind.replace("_", " ").capitalize() for kind in (*SETTINGS, *UNSETTLED)} <= offered
    setting.get_by_role("button", name="Positive unlabeled", exact=True).click()
    page.get_by_role("button", name="Submit").click()
    page.get_by_text("'kind': 'positive_unlabeled'} is not valid").first.wait_for()  # its prior nobody knows for them
    setting.locator("input").first.fill("0.4")
    setting.scroll_into_view_if_needed()
    visitor.picture("form-classify")
    page.get_by_role("button", name="Submit").click()
    page.get_by_role("button", name="View run").last.click()
    page.wait_for_url(re.compile("/runs/flow-run/"))
    run = page.url.rpartition("/")[2].partition("?")[0]
    asked = build(read_form(Classify, site.run(run)["parameters"]["config"]))
    assert asked.training.setting == PositiveUnlabeled(0.4)
    assert ended(site, run)["state_type"] == "COMPLETED"
    page.get_by_role("tablist").get_by_text("Artifacts", exact=True).click()
    visitor.picture("run-classify")
