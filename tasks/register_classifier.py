"""Stage 4 of a classifier: a new version in the registry; champion when every condition is met."""

import tempfile
from pathlib import Path

from components.classification import LearntClassifier
from components.classification_assessment import AssessedClassifier
from components.classifier.predictor import ClassifierPredictor
from components.contracts import Dataset
from components.evaluation import OURS
from components.integrity import folder_digest
from tasks.classifier_report import classifier_card
from tasks.locks import locked_file
from tasks.packaging import Candidate
from tasks.promotion import PASSED
from tasks.register import LONGEST_VERDICT
from tasks.registry import RegisteredModel, register
from tasks.settings import shown
from tasks.stage import Stage, stage


@stage("register")
def register_classifier(
    stage: Stage,
    name: str,
    dataset: Dataset,
    learnt: LearntClassifier,
    assessed: AssessedClassifier,
    judged_against: str,
) -> RegisteredModel:
    """Register the classifier; champion when no condition failed, and nobody else became champion meanwhile.

    ``judged_against`` is the version of the champion it was compared with, empty for none.
    """
    tracking, folder = stage.work.tracking, stage.work.folder / "model"
    learnt.predictor.save(folder)
    failed = [verdict.sentence for verdict in assessed.verdicts if not verdict.passed]
    said = "; ".join(failed)[:LONGEST_VERDICT] or PASSED
    ours = {s.metric: s for s in assessed.scorecard.scores if (s.model, s.batch) == (OURS, "all")}
    tags = {
        "dataset": dataset.digest[:16],
        "setting": learnt.coding.setting.kind,
        "batches": ", ".join(batch.label for batch in dataset.batches if batch.index in learnt.batches),
        "gates": said,
        **{metric: f"{score.value:.4f}" for metric, score in ours.items()},
    }
    card = classifier_card(name, dataset, learnt, assessed, shown(tracking.uri))
    candidate = Candidate(folder, learnt.predictor.example(), card, tags)
    with locked_file(stage.work.settings.home / ".registering"):  # equal runs at the same moment make one version
        return register(tracking, stage.run.run_id, name, candidate, said == PASSED, judged_against)


def predictor_digest(predictor: ClassifierPredictor) -> str:
    """The digest that a version made of ``predictor`` would have, to find its opponent by."""
    with tempfile.TemporaryDirectory() as folder:
        predictor.save(Path(folder) / "model")
        return folder_digest(Path(folder) / "model")
