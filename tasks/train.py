"""Stage 4: the first posterior, weakly supervised and corrected for shift."""

from components.contracts import CausalGraph, Dataset
from components.learner import Trained, Training
from components.pictures.learning import draw_training
from components.pictures.weights import draw_belief, draw_weights
from tasks.curves import Curves
from tasks.progress import combine
from tasks.ray_training import train_together
from tasks.stage import Keeping, Stage, stage


@stage("train", Keeping())
def train_posterior(stage: Stage, method: Training, dataset: Dataset, graph: CausalGraph) -> Trained:
    """Fit the head with and without corrections; what is kept is the corrected one."""
    curves = Curves()
    trained = train_together(method, dataset, graph, stage.work.settings, combine(stage.report, curves))
    correction, frequency = trained.correction, trained.state.frequency
    draw_training(dict(zip(trained.steps, curves.risks(), strict=True)), stage.folder / "training.png")
    draw_weights(trained.weights, stage.folder / "weights.png")
    draw_belief(frequency, frequency.estimate.value * correction.class_prior.value, stage.folder / "belief.png")
    for picture in ("training", "weights", "belief"):
        stage.file(f"{picture}.png")
    stage.dataset(dataset, "training")
    stage.metrics(
        {
            "class_prior": correction.class_prior.value,
            "target_prior": correction.target_prior.value,
            "label_frequency": frequency.estimate.value,
            "effective_share": correction.effective_share,
            "divergence": correction.divergence,
        }
    )
    stage.tags({"correction": correction.kind, "reason": correction.reason})
    said = f"**{correction.kind}**: {correction.reason}.\n\n{frequency.note}"
    stage.page_text("correction", said, f"The correction for {correction.kind} shift, and why.")
    return trained
