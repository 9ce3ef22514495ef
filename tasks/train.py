"""Stage 4: the first posterior, weakly supervised and corrected for shift."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from components.contracts import CausalGraph, Dataset
from components.learner import Trained, Training
from components.pictures.learning import draw_training
from components.pictures.weights import draw_belief, draw_weights
from tasks.artifacts import publish_markdown
from tasks.curves import Curves
from tasks.progress import combine
from tasks.workspace import Workspace


@task(name="train", cache_policy=NO_CACHE)
def train_posterior(method: Training, dataset: Dataset, graph: CausalGraph, work: Workspace) -> Trained:
    """Fit the head with and without corrections; what is kept is the corrected one."""
    with work.stage("train", method) as stage:
        curves = Curves()
        trained = method.train(dataset, graph, combine(stage.report, curves))
        correction, frequency = trained.correction, trained.state.frequency
        draw_training(dict(zip(trained.steps, curves.risks(), strict=True)), stage.folder / "training.png")
        draw_weights(trained.weights, stage.folder / "weights.png")
        draw_belief(frequency, frequency.estimate.value * correction.class_prior.value, stage.folder / "belief.png")
        for picture in ("training", "weights", "belief"):
            stage.run.artifact(stage.folder / f"{picture}.png")
        stage.run.dataset(dataset, "training")
        stage.run.metrics(
            {
                "class_prior": correction.class_prior.value,
                "target_prior": correction.target_prior.value,
                "label_frequency": frequency.estimate.value,
                "effective_share": correction.effective_share,
                "divergence": correction.divergence,
            }
        )
        stage.run.tags({"correction": correction.kind, "reason": correction.reason})
        said = f"**{correction.kind}**: {correction.reason}.\n\n{frequency.note}"
        publish_markdown("correction", said, f"The correction for {correction.kind} shift, and why.")
        return trained
