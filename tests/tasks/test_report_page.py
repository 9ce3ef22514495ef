"""The page holds every section, escapes what it is given, loads nothing, and is written whole or not at all."""

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.contracts import (
    CausalGraph,
    Column,
    ColumnDrift,
    Correction,
    Dataset,
    DriftReport,
    Estimate,
    Evidence,
    LabelFrequency,
    PriorKnowledge,
    Reliability,
    Score,
    Scorecard,
    TimeBatch,
)
from components.evaluation import METRICS, Gate, GateResult
from tasks.report_page import PICTURES, Registered, ReportStory, render_report

SECTIONS = {
    "summary",
    "data",
    "knowledge",
    "graph",
    "corrections",
    "drift",
    "scorecard",
    "groups",
    "gates",
    "limits",
    "use",
}
EVIL = "<script>alert('x')</script>"


class Page(HTMLParser):
    """What a browser would see: tags with attributes, ids, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, name: str) -> list[str]:
        return [attributes[name] or "" for _, attributes in self.tags if name in attributes]


def card(loss: dict[str, float] | None = None, weak: bool = False) -> Scorecard:
    losses = loss or {"naive": 0.5, "PU": 0.45, "kintsugi": 0.4, "gradient boosting": 0.6}
    scores = [
        Score(model, batch, group, metric, value, value - 0.1, value + 0.1, 1234)
        for model, value in losses.items()
        for batch, group in (("all", "all"), ("2001-2002", "all"), ("all", f"sex={EVIL}"))
        for metric in METRICS
    ]
    return Scorecard(tuple(scores), f"label {EVIL}", weak)


def dataset() -> Dataset:
    columns = (Column(f"age {EVIL}", unit="years"), Column("told", "weak_label", "flag"))
    return Dataset(Path("data"), columns, (TimeBatch(1, "2001-2002", 1000, 80),), "ab" * 32, (f"A note {EVIL}.",))


def bare() -> ReportStory:
    return ReportStory("A run", "2026-01-02", dataset(), card())


def full(tmp_path: Path) -> ReportStory:
    from components.pictures.weights import draw_weights

    picture = tmp_path / "picture.png"
    draw_weights(np.ones(30), picture)
    names = (f"age {EVIL}", "told")
    unknown = np.full((2, 2), -1)
    zero = np.zeros((2, 2))
    weights = np.array([[0, 0], [0.4, 0]])
    estimate = Estimate(0.14, 0.1, 0.2, f"source {EVIL}")
    drift = DriftReport(
        "2003-2004", "concept", 0.1, 0.001, 0.1, 0.1, 0.0, 0.1, 0.2, (ColumnDrift(EVIL, 0.4, 0.0),), "ask for labels"
    )
    gate = Gate("brier", limit=0.1, why=f"because {EVIL}")
    return replace(
        bare(),
        title=f"A run {EVIL}",
        profile=pd.DataFrame({"column": [EVIL], "missing_share": [0.25], "mean": [np.nan], "rows": [1000]}),
        knowledge=PriorKnowledge(
            names,
            unknown,
            unknown,
            np.full((2, 2), np.nan),
            (Evidence("told", EVIL, "forbidden path", "person", 1.0, EVIL),),
            (f"conflict {EVIL}",),
            Reliability("tiny model", 0.5, 0.4, 0.6, 0.0, 40),
        ),
        graph=CausalGraph(names, weights, (0, 1), weights != 0, zero, zero, zero, "told", 900, 50, (names,), (EVIL,)),
        correction=Correction("covariate", f"reason {EVIL}", True, estimate, estimate, "2003-2004", 0.2, 0.3),
        frequency=LabelFrequency(np.array([0.5, 0.6]), np.array([0.5, 0.5]), "test", "The bound is 0.79."),
        drift=(drift,),
        gates=(GateResult(gate, False, True, f"Too high {EVIL}."), GateResult(gate, True, False, "No champion.")),
        registered=Registered("kintsugi-x", "7", "challenger", "models:/kintsugi-x/7", "http://127.0.0.1:5000"),
        pictures={**dict.fromkeys(PICTURES, picture), "extra": picture, "absent": tmp_path / "absent.png"},
        summary=(f"It worked {EVIL}.",),
        steps=("naive", "PU", "kintsugi"),
        timings=pd.DataFrame({"stage": ["train"], "seconds": [3.5]}),
        links={"run": "http://127.0.0.1:5000/#/run?a=1&b=2", "bad": "javascript:alert(1)"},
    )


def render(story: ReportStory, path: Path) -> Page:
    render_report(story, path)
    return Page(path.read_text(encoding="utf-8"))


def test_every_section_is_there_and_linked(tmp_path: Path) -> None:
    for story in (bare(), full(tmp_path)):
        page = render(story, tmp_path / "report.html")
        ids = page.values("id")
        assert set(ids) >= SECTIONS
        assert len(ids) == len(set(ids))
        anchors = {link[1:] for link in page.values("href") if link.startswith("#")}
        assert anchors == SECTIONS
        assert [tag for tag, _ in page.tags].count("h1") == 1


def test_what_the_stages_found_is_told(tmp_path: Path) -> None:
    text = render(full(tmp_path), tmp_path / "report.html").text
    for told in (
        "1 of 1 gates failed: the model is challenger",
        'mlflow.pyfunc.load_model("models:/kintsugi-x/7")',
        'mlflow.set_tracking_uri("http://127.0.0.1:5000")',
        "cannot be told from chance",
        "A person chose this against the graph",
        "The bound is 0.79.",
        "not judged",
        "0.400[0.300, 0.500]",
        "drift calls for new labels",
        "The importance weights leave 20%",
        "0.250",
    ):
        assert told in text, told


def test_everything_given_is_escaped(tmp_path: Path) -> None:
    page = render(full(tmp_path), tmp_path / "report.html")
    assert not [tag for tag, _ in page.tags if tag == "script"]
    for start in (
        "A run",
        "age",
        "conflict",
        "reason",
        "source",
        "because",
        "Too high",
        "A note",
        "label",
        "It worked",
    ):
        assert f"{start} {EVIL}" in page.text, start


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    page = render(full(tmp_path), path)
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "iframe", "object", "embed", "base", "form"})
    assert all(source.startswith("data:image/png;base64,") for source in page.values("src"))
    outside = [link for link in page.values("href") if not link.startswith("#")]
    assert outside == ["http://127.0.0.1:5000/#/run?a=1&b=2"]
    text = path.read_text(encoding="utf-8")
    assert "@import" not in text
    assert "url(" not in text
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_pictures_have_words_and_sizes_and_missing_ones_are_left_out(tmp_path: Path) -> None:
    page = render(full(tmp_path), tmp_path / "report.html")
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == len(PICTURES) + 1
    assert all(image["alt"] and image["width"] == "832" for image in images)
    assert "picture-absent" not in page.values("id")


@pytest.mark.parametrize(
    ("loss", "steps", "told"),
    [
        ({"PU": 0.4, "kintsugi": 0.41}, ("PU", "kintsugi"), "“kintsugi” is not better than “PU”"),
        ({"naive": 0.3, "PU": 0.4, "kintsugi": 0.35}, ("naive", "PU", "kintsugi"), "“PU” is not better than “naive”"),
        ({"kintsugi": 0.5, "gradient boosting": 0.5}, ("kintsugi",), "“gradient boosting” has a log loss of 0.5000"),
    ],
)
def test_corrections_that_do_not_help_are_told(
    tmp_path: Path, loss: dict[str, float], steps: tuple[str, ...], told: str
) -> None:
    story = replace(bare(), scorecard=card(loss), steps=steps)
    assert told in render(story, tmp_path / "report.html").text


def test_the_ladder_is_read_where_it_is_apart(tmp_path: Path) -> None:
    apart = card({"PU": 0.4, "+ tune": 0.41, "kintsugi": 0.41})
    story = replace(bare(), scorecard=card({"kintsugi": 0.4}), ladder=apart, steps=("naive", "PU", "+ tune"))
    assert "“+ tune” is not better than “PU”" in render(story, tmp_path / "report.html").text


def test_a_chain_that_helps_everywhere_is_told_so(tmp_path: Path) -> None:
    quiet = replace(dataset(), notes=())
    story = replace(bare(), dataset=quiet, steps=("naive", "PU", "kintsugi"))
    assert "Every step of the chain lowered the log loss" in render(story, tmp_path / "report.html").text


def test_a_weak_truth_is_never_called_truth(tmp_path: Path) -> None:
    text = render(replace(bare(), scorecard=card(weak=True)), tmp_path / "report.html").text
    assert "no evaluation label exists" in text
    assert "not with truth" in text


def test_passed_gates_are_told(tmp_path: Path) -> None:
    passed = (GateResult(Gate("brier", limit=0.1), True, True, "Low enough."),)
    assert "1 of 1 gates passed" in render(replace(bare(), gates=passed), tmp_path / "report.html").text


def test_a_page_that_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def full_disk(self: Path, target: Path) -> Path:
        raise OSError("disk is full")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(OSError, match="disk is full"):
        render_report(bare(), path)
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_equal_stories_make_equal_pages(tmp_path: Path) -> None:
    for name in ("one.html", "two.html"):
        render_report(bare(), tmp_path / "new" / name)
    assert (tmp_path / "new" / "one.html").read_bytes() == (tmp_path / "new" / "two.html").read_bytes()
