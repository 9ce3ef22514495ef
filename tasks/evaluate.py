"""Stage 7: score the final model, its baselines and every step of the chain on held rows."""

from collections.abc import Sequence

from components.assessment import STEPS, Assessed, Chain, assess
from components.contracts import Dataset, EvaluationLabels
from components.evaluation import BASELINES, OURS, Evaluation, Gate, GateResult, decide
from components.pictures.calibration import draw_calibration
from components.pictures.ladder import draw_ladder
from components.pictures.scores import draw_scores
from components.pictures.slices import draw_slices
from components.predictor import Predictor
from tasks.stage import Keeping, Stage, stage
from tasks.tables import gate_table, score_table


@stage("evaluate", Keeping())
def evaluate_chain(
    stage: Stage,
    method: Evaluation,
    data: tuple[Dataset, EvaluationLabels | None],
    chain: Chain,
    champion: Predictor | None,
    gates: Sequence[Gate],
) -> tuple[Assessed, tuple[GateResult, ...]]:
    """The scores, and what each gate says of them."""
    assessed = assess(*data, chain, champion, method, stage.report)
    verdicts = decide(assessed.scorecard, gates, assessed.differences)
    stage.table(assessed.scorecard.frame(), "scorecard")
    stage.table(assessed.ladder.frame(), "ladder")
    stage.table(gate_table(verdicts), "gates")
    scores = [s for s in assessed.scorecard.scores if (s.model, s.batch, s.slice) == (OURS, "all", "all")]
    stage.metrics({score.metric: score.value for score in scores}, of_run=True)
    _draw(assessed, stage)
    stage.page_table("scorecard", score_table(assessed.scorecard).round(4), "Held rows, every model.")
    stage.page_table("gates", gate_table(verdicts), "What a challenger must show.")
    stage.page_picture("ladder.png", "What each step of the chain is worth.")
    return assessed, verdicts


def _draw(assessed: Assessed, stage: Stage) -> None:
    draw_ladder(assessed.ladder.frame(), STEPS, tuple(BASELINES), stage.folder / "ladder.png")
    draw_scores(assessed.scorecard, stage.folder / "scores.png")
    draw_slices(assessed.scorecard, stage.folder / "slices.png")
    draw_calibration(assessed.scored.truth, assessed.scored.probabilities, stage.folder / "calibration.png")
    for picture in ("ladder", "scores", "slices", "calibration"):
        stage.file(f"{picture}.png")
