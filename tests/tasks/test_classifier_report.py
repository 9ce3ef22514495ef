"""The page and the card of a classifier tell what was found, escape what they are given, and load nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.classification_assessment import assess_classifier
from components.classifier.coding import Coding
from components.contracts import Column
from components.evaluation.class_metrics import CLASS_SCORES
from components.weak import LabelProportions, SemiSupervised, UnlabeledSets
from tasks.classifier_report import PICTURES, ClassifierStory, classifier_card, render_classifier_report
from tasks.report_page import Registered
from tests.class_world import CLASSES, ClassWorld, class_world
from tests.tasks.test_report_page import EVIL, Page

SECTIONS = {"summary", "data", "labels", "training", "scorecard", "classes", "doubts", "limits", "use"}


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> ClassWorld:
    return class_world(tmp_path_factory.mktemp("three") / "table")


@pytest.fixture(scope="module")
def bare(three: ClassWorld) -> ClassifierStory:
    """Judged by weak labels alone, and nothing drawn."""
    learnt = replace(three.learnt(), notes=(), history=(), epoch=0)
    assessed = assess_classifier(three.dataset, None, learnt, None, (1, 2))
    return ClassifierStory("A run", "2026-01-02", three.dataset, learnt, assessed)


@pytest.fixture(scope="module")
def full(three: ClassWorld, tmp_path_factory: pytest.TempPathFactory) -> ClassifierStory:
    """Worse than the champion; every text that comes from data tries to break out."""
    from components.pictures.weights import draw_weights

    picture = tmp_path_factory.mktemp("pictures") / "picture.png"
    draw_weights(np.ones(30), picture)
    learnt = three.learnt(7, 0.4)
    assessed = assess_classifier(three.dataset, three.labels, learnt, three.predictor(1), (1, 2))
    classes = tuple(f"{name} {EVIL}" for name in CLASSES)
    columns = tuple(replace(c, name=f"{c.name} {EVIL}", description=f"meaning {EVIL}") for c in three.features.columns)
    predictor = replace(learnt.predictor, classes=classes, features=replace(three.features, columns=columns))
    label = replace(learnt.coding.column, name=f"told {EVIL}", description=f"said {EVIL}", values=classes)
    rate = replace(learnt.estimates["noise_rate"], source=f"source {EVIL}")
    learnt = replace(
        learnt,
        predictor=predictor,
        coding=Coding(label, three.setting),
        estimates={"noise_rate": rate},
        notes=(f"note {EVIL}", f"note {EVIL}"),
    )
    card = replace(assessed.scorecard, label=f"species {EVIL}", notes=(f"score note {EVIL}",))
    batches = tuple(replace(batch, label=f"{batch.label} {EVIL}") for batch in three.dataset.batches)
    doubtful = pd.DataFrame(
        {"batch": [1], "_row": [12345], "_part": ["fit"], "told": [f"doubted {EVIL}"], "doubt": 0.9}
    )
    return ClassifierStory(
        f"A run {EVIL}",
        "2026-01-02",
        replace(three.dataset, batches=batches, notes=(f"data note {EVIL}",)),
        learnt,
        replace(assessed, scorecard=card, classes=classes),
        doubtful,
        Registered("trees", "7", "challenger", "models:/trees/7", "http://127.0.0.1:5000"),
        {**dict.fromkeys(PICTURES, picture), "extra": picture, "absent": picture.with_name("absent.png")},
        pd.DataFrame({"stage": ["train"], "seconds": [3.5]}),
        {"run": "http://127.0.0.1:5000/#/run?a=1&b=2", "bad": "javascript:alert(1)"},
    )


def render(story: ClassifierStory, path: Path) -> Page:
    render_classifier_report(story, path)
    return Page(path.read_text(encoding="utf-8"))


def card(story: ClassifierStory) -> str:
    return classifier_card("trees", story.dataset, story.learnt, story.assessed, "http://127.0.0.1:5000")


def test_every_section_is_there_and_linked(bare: ClassifierStory, full: ClassifierStory, tmp_path: Path) -> None:
    for story in (bare, full):
        page = render(story, tmp_path / "new" / "report.html")
        ids = page.values("id")
        assert set(ids) >= SECTIONS
        assert len(ids) == len(set(ids))
        assert {link[1:] for link in page.values("href") if link.startswith("#")} == SECTIONS
        assert [tag for tag, _ in page.tags].count("h1") == 1
        assert "graph" not in page.text.replace("paragraph", "")


def test_what_was_found_is_told(full: ClassifierStory, tmp_path: Path) -> None:
    text = render(full, tmp_path / "report.html").text
    ours = full.assessed.scorecard.value("kintsugi", "error")
    for told in (
        "1 of 2 conditions failed: the model is challenger",
        "minus that of champion is +0.",
        "minus that of the best constant is -0.",
        f"{ours.value:.3f}[{ours.low:.3f}, {ours.high:.3f}]",
        f"95 % interval {ours.low:.3f} to {ours.high:.3f}, {ours.rows} rows",
        "noisy_labels: Labels that are wrong by habit",
        "What is not known of them was estimated from the rows.",
        "noise_rate0.3000.2700.340",
        "6 epochs, of which epoch 5 was kept",
        "12345",
        'mlflow.pyfunc.load_model("models:/trees/7")',
        'mlflow.set_tracking_uri("http://127.0.0.1:5000")',
        "train3.50",
        *(CLASS_SCORES[name].title for name in ("validation_error", "error", "log_loss", "brier", "calibration_error")),
    ):
        assert told in text, told
    assert text.count(f"note {EVIL}") == 3  # of the training, said once; of the scores; of the data


def test_everything_given_is_escaped(full: ClassifierStory, tmp_path: Path) -> None:
    page = render(full, tmp_path / "report.html")
    assert not [tag for tag, _ in page.tags if tag == "script"]
    told = ("A run", "ash", "oak", "height", "meaning", "told", "said", "source", "note", "score note", "species")
    for start in (*told, "spring", "data note", "doubted"):
        assert f"{start} {EVIL}" in page.text, start


def test_nothing_is_loaded_from_elsewhere(full: ClassifierStory, tmp_path: Path) -> None:
    page = render(full, tmp_path / "report.html")
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "iframe", "object", "embed", "base", "form"})
    assert all(source.startswith("data:image/png;base64,") for source in page.values("src"))
    outside = [link for link in page.values("href") if not link.startswith("#")]
    assert outside == ["http://127.0.0.1:5000/#/run?a=1&b=2"]
    assert "bad: javascript:alert(1)" in page.text  # told, and no link
    assert "run: http" not in page.text
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == len(PICTURES) + 1
    assert all(image["alt"] and image["width"] for image in images)


def test_weak_scores_are_never_called_truth(bare: ClassifierStory, tmp_path: Path) -> None:
    text = render(bare, tmp_path / "report.html").text
    for told in (
        "1 of 1 conditions met",
        "no true label is known",
        "No true label of a held row is known",
        "told (weak label)",
        "Which class is taken for which, only true labels tell.",
        "Nothing was noted of the epochs.",
        "The model of this run was not registered.",
        "Share of each class that is given each label",  # as a table where it was not drawn
        "0.700[0.650, 0.760]",
    ):
        assert told in text, told
    assert "Truth is" not in text
    assert "against told (weak label)" in card(bare)


def test_weak_labels_that_contradict_true_ones_are_told(three: ClassWorld, tmp_path: Path) -> None:
    learnt = three.learnt()
    wrong = replace(learnt, coding=replace(learnt.coding, setting=SemiSupervised((0.3, 0.3, 0.4))))  # taken at its word
    frame = three.frame.assign(told=lambda rows: np.where(rows["_row"] % 4 == 0, None, rows["told"]))
    for index, part in frame.drop(columns="truth").groupby("batch"):
        (tmp_path / f"batch={index}").mkdir()
        part.drop(columns="batch").to_parquet(tmp_path / f"batch={index}" / "part-0.parquet", index=False)
    dataset = replace(three.dataset, path=tmp_path)
    told = classifier_card("x", dataset, wrong, assess_classifier(dataset, three.labels, wrong, None, (1, 2)), "")
    assert "Weak labels put the error rate at 0.4" in told
    right = classifier_card(
        "x", three.dataset, learnt, assess_classifier(three.dataset, three.labels, learnt, None, (1, 2)), ""
    )
    assert "Weak labels put the error rate" not in right


def test_the_card_tells_what_a_user_needs(full: ClassifierStory) -> None:
    text = card(full)
    assert text.startswith("# trees\n\nPredicts one of 3 classes: ash ")
    for told in (
        "Held back: 1 of 2 conditions failed.",
        'mlflow.pyfunc.load_model("models:/trees@champion")',
        "MLFLOW_TRACKING_URI=http://127.0.0.1:5000",
        "probability of ash",
        "likeliest, outside_support",
        "noisy_labels: Labels that are wrong by habit",
        "| noise_rate | 0.300 | 0.270 | 0.340 | source",
        "0.700 [0.650, 0.760]",
        "- met: Log loss minus that of the best constant",
        "- failed: Log loss minus that of champion",
        "- Rows: 1,800 in 2 batches",
        "| girth",
        "from 0",
    ):
        assert told in text, told
    for section in ("Labels", "Scores", "Limits", "Data", "Features"):
        assert f"\n## {section}\n" in text
    assert "<script>" not in text.replace("\\<script\\>", "")
    assert "\n\n\n" not in text
    tables = [block for block in text.split("\n\n") if block.startswith("| ")]
    assert len(tables) == 5  # nuisances, labels of classes, scores, batches, features
    for table in tables:
        assert len({line.replace("\\|", "").count("|") for line in table.strip().split("\n")}) == 1, table


@pytest.mark.parametrize(
    ("setting", "values", "told"),
    [
        (
            UnlabeledSets(((0.6, 0.3, 0.1), (0.1, 0.6, 0.3), (0.3, 0.1, 0.6)), (0.3, 0.3, 0.4)),
            CLASSES,
            (
                "- Mixture: 0.6, 0.3, 0.1; 0.1, 0.6, 0.3; 0.3, 0.1, 0.6",
                "| prior of ash | 0.300 | 0.300 | 0.300 | given |",
            ),
        ),
        (
            LabelProportions(3, ((0.2, 0.3, 0.5),) * 40),
            (),
            ("- Classes: 3", "- Proportions: 40 of them", "label_proportions: Rows in bags"),
        ),
    ],
)
def test_settings_are_put_in_words(
    three: ClassWorld, bare: ClassifierStory, setting: object, values: tuple[str, ...], told: tuple[str, ...]
) -> None:
    kind = "category" if values else "number"
    coding = Coding(Column("told", "observed_label", kind, values=values), setting)  # type: ignore[arg-type]
    learnt = replace(three.learnt(), coding=coding, estimates={}, transition=None)
    text = classifier_card("x", three.dataset, learnt, bare.assessed, "")
    for sentence in told:
        assert sentence in text, sentence
    assert "estimated from the rows" not in text


def test_of_many_classes_some_are_named(bare: ClassifierStory, tmp_path: Path) -> None:
    many = tuple(f"kind {number}" for number in range(30))
    story = replace(bare, assessed=replace(bare.assessed, classes=many))
    text = render(story, tmp_path / "report.html").text
    assert "one of 30 classes: kind 0, " in text
    assert "kind 11 and 18 more" in text


def test_equal_stories_make_equal_pages(bare: ClassifierStory, tmp_path: Path) -> None:
    for name in ("one.html", "two.html"):
        render_classifier_report(bare, tmp_path / name)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()
