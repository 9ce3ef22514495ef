"""Stage 5 of a classifier: one page that tells the run."""

from datetime import datetime
from pathlib import Path

import pandas as pd

from components.classification import LearntClassifier
from components.classification_assessment import AssessedClassifier
from components.contracts import Dataset
from tasks.classifier_report import PICTURES, ClassifierStory, render_classifier_report
from tasks.registry import RegisteredModel
from tasks.report import link_report
from tasks.report_page import Registered
from tasks.settings import shown
from tasks.stage import Stage, stage

DOUBTFUL = 50


@stage("report")
def tell_classifier(
    stage: Stage, dataset: Dataset, learnt: LearntClassifier, assessed: AssessedClassifier, model: RegisteredModel
) -> Path:
    """Write the page, keep it with the run, and link it from the run's page."""
    work = stage.work
    path, doubtful = work.folder / "report.html", work.folder / "doubtful.csv"
    story = ClassifierStory(
        title=f"{model.name}, version {model.version}",
        generated=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        dataset=dataset,
        learnt=learnt,
        assessed=assessed,
        doubtful=pd.read_csv(doubtful, nrows=DOUBTFUL) if doubtful.is_file() else pd.DataFrame(),
        registered=Registered(
            model.name, model.version, model.alias, f"models:/{model.name}@{model.alias}", shown(work.tracking.uri)
        ),
        pictures={name: work.folder / f"{name}.png" for name in PICTURES},
        timings=work.timing_table()[["stage", "seconds"]].round(1),
    )
    render_classifier_report(story, path)
    link_report(path, model, work)
    return path
