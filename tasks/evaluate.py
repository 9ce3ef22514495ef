"""Stage 7: score the final model, its baselines and every step of the chain on held rows."""

from collections.abc import Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE

from components.assessment import STEPS, Assessed, Chain, assess
from components.contracts import Dataset, EvaluationLabels
from components.evaluation import BASELINES, OURS, Evaluation, Gate, GateResult, decide
from components.pictures.calibration import draw_calibration
from components.pictures.ladder import draw_ladder
from components.pictures.scores import draw_scores
from components.pictures.slices import draw_slices
from components.predictor import Predictor
from tasks.artifacts import publish_picture, publish_table
from tasks.tables import gate_table, rows_of, score_table
from tasks.workspace import Stage, Workspace


@task(name="evaluate", cache_policy=NO_CACHE)
def evaluate_chain(
    method: Evaluation,
    data: tuple[Dataset, EvaluationLabels | None],
    chain: Chain,
    champion: Predictor | None,
    gates: Sequence[Gate],
    work: Workspace,
) -> tuple[Assessed, tuple[GateResult, ...]]:
    """The scores, and what each gate says of them."""
    with work.stage("evaluate", method) as stage:
        assessed = assess(*data, chain, champion, method, stage.report)
        verdicts = decide(assessed.scorecard, gates, assessed.differences)
        stage.run.table(assessed.scorecard.frame(), "scorecard")
        stage.run.table(assessed.ladder.frame(), "ladder")
        stage.run.table(gate_table(verdicts), "gates")
        scores = [s for s in assessed.scorecard.scores if (s.model, s.batch, s.slice) == (OURS, "all", "all")]
        for run in (stage.run, work.run):
            run.metrics({score.metric: score.value for score in scores})
        _draw(assessed, stage)
        publish_table("scorecard", rows_of(score_table(assessed.scorecard).round(4)), "Held rows, every model.")
        publish_table("gates", rows_of(gate_table(verdicts)), "What a challenger must show.")
        publish_picture("ladder", stage.folder / "ladder.png", "What each step of the chain is worth.")
        return assessed, verdicts


def _draw(assessed: Assessed, stage: Stage) -> None:
    draw_ladder(assessed.ladder.frame(), STEPS, tuple(BASELINES), stage.folder / "ladder.png")
    draw_scores(assessed.scorecard, stage.folder / "scores.png")
    draw_slices(assessed.scorecard, stage.folder / "slices.png")
    draw_calibration(assessed.scored.truth, assessed.scored.probabilities, stage.folder / "calibration.png")
    for picture in ("ladder", "scores", "slices", "calibration"):
        stage.run.artifact(stage.folder / f"{picture}.png")
