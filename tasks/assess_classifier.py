"""Stage 3 of a classifier: scored on held rows, by weak labels alone and, where there are any, by true ones."""

from collections.abc import Sequence

from components.classification import LearntClassifier
from components.classification_assessment import AssessedClassifier, assess_classifier
from components.classifier.predictor import ClassifierPredictor
from components.contracts import Dataset, EvaluationLabels
from components.evaluation import OURS
from components.evaluation.class_metrics import CLASS_SCORES
from components.pictures.classes import draw_confusion, draw_reliability
from components.pictures.scores import draw_scores
from tasks.stage import Keeping, Stage, stage
from tasks.tables import score_table


@stage("evaluate", Keeping())
def score_classifier(
    stage: Stage,
    data: tuple[Dataset, EvaluationLabels | None],
    learnt: LearntClassifier,
    champion: ClassifierPredictor | None,
    batches: Sequence[int],
) -> AssessedClassifier:
    """Score the classifier, the champion, and whoever says one class for all rows; and say what follows."""
    assessed = assess_classifier(*data, learnt, champion, batches, report=stage.report)
    scores = [s for s in assessed.scorecard.scores if (s.model, s.batch) == (OURS, "all")]
    stage.metrics({score.metric: score.value for score in scores}, of_run=True)
    stage.table(assessed.scorecard.frame(), "scorecard")
    stage.page_table(
        "scorecard", score_table(assessed.scorecard, known=CLASS_SCORES).round(4), "Held rows, every model."
    )
    draw_scores(assessed.scorecard, stage.folder / "scores.png", CLASS_SCORES)
    stage.file("scores.png")
    if assessed.confusion is not None:
        draw_confusion(assessed.confusion, assessed.classes, stage.folder / "confusion.png")
        draw_reliability(assessed.truth, assessed.probabilities, stage.folder / "calibration.png")
        for picture in ("confusion", "calibration"):
            stage.file(f"{picture}.png")
        stage.page_picture("confusion.png", "What each class is taken for.")
    return assessed
