"""The chain of the main job without Prefect and MLflow: what the work itself costs.

Run as a script it prints the seconds of each stage as JSON; the eleven-cycle benchmark imports its functions.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from components.assessment import STEPS, Assessed, Chain, assess
from components.contracts import CausalGraph, Dataset, EvaluationLabels, PriorKnowledge
from components.discovery import DirectLingam
from components.evaluation import BASELINES, Bootstrapped
from components.ingestion import ingest
from components.learner import Training
from components.pictures.calibration import draw_calibration
from components.pictures.drift import draw_drift
from components.pictures.graph import draw_graph
from components.pictures.ladder import draw_ladder
from components.pictures.scores import draw_scores
from components.pictures.slices import draw_slices
from components.pictures.weights import draw_belief, draw_weights
from components.ports import in_order, silent
from components.priors import Remembered, YesNo, combine
from components.storage import read_rows
from components.tuning import PosteriorTuning
from components.updating import Updating
from flows.configuration import Source
from flows.inputs import Inputs, read_inputs
from tasks.compute import compute_in_one_thread, open_map
from tasks.llm import open_ask
from tasks.settings import load_settings

SECONDS: dict[str, float] = {}


@contextmanager
def timed(stage: str) -> Iterator[None]:
    begin = time.monotonic()
    yield
    SECONDS[stage] = SECONDS.get(stage, 0.0) + time.monotonic() - begin


def known(inputs: Inputs, answers: Path, seed: int = 0) -> PriorKnowledge:
    """A person's knowledge and the embedded model's."""
    names = tuple(column.name for column in inputs.variables)
    with open_ask("embedded") as ask:
        assert ask is not None
        found = YesNo().elicit(Remembered(ask, answers), inputs.variables, silent, seed)
    return combine(names, inputs.person, found.evidence, found.probability, found.reliability)


def graph_of(dataset: Dataset, knowledge: PriorKnowledge, training: Training, replicates: int) -> CausalGraph:
    """The graph on the training batches; one replicate needs no processes."""
    batches, _ = training.split(dataset)
    table = read_rows(dataset, knowledge.names, batches, ("fit",))[list(knowledge.names)].astype(float)
    method = DirectLingam(replicates=replicates)
    if replicates == 1:
        return method.discover(table, knowledge, dataset.weak_label, in_order, silent)
    with open_map(load_settings()) as spread:
        return method.discover(table, knowledge, dataset.weak_label, spread, silent)


def learnt(
    data: tuple[Dataset, EvaluationLabels | None], graph: CausalGraph, training: Training, updating: Updating
) -> tuple[Chain, Assessed]:
    """Train, update, tune and assess."""
    dataset, labels = data
    with timed("train"):
        trained = training.train(dataset, graph)
    with timed("update"):
        absorbed, state = [], trained.state
        for batch in dataset.batches:
            if batch.index not in trained.batches:
                absorbed.append(updating.absorb(dataset, batch.index, state))
                state = absorbed[-1].after
    with timed("tune"):
        tuned = tuple(PosteriorTuning().tune(dataset, entry.batch, entry.after) for entry in absorbed)
    chain = Chain(trained, tuple(absorbed), tuned)
    with timed("evaluate"):
        assessed = assess(dataset, labels, chain, None, Bootstrapped())
    return chain, assessed


def main(folder: Path) -> None:
    begin = time.monotonic()
    compute_in_one_thread()  # as the stages of a run do
    inputs = read_inputs(Source())
    with timed("ingest"):
        dataset, labels = ingest(inputs.specification, folder / "datasets", 0, silent)
    with timed("elicit"):
        knowledge = known(inputs, folder / "answers.jsonl")
    training = Training()
    with timed("discover"):
        graph = graph_of(dataset, knowledge, training, 100)
    chain, assessed = learnt((dataset, labels), graph, training, Updating())
    with timed("draw"):
        draw_graph(graph, folder / "graph.png", folder / "graph.svg", knowledge=knowledge)
        assert chain.trained is not None
        draw_weights(chain.trained.weights, folder / "weights.png")
        draw_belief(chain.final.frequency, 0.15, folder / "belief.png")
        draw_drift([entry.drift for entry in chain.absorbed], folder / "drift.png")
        draw_ladder(assessed.ladder.frame(), STEPS, tuple(BASELINES), folder / "ladder.png")
        draw_scores(assessed.scorecard, folder / "scores.png")
        draw_slices(assessed.scorecard, folder / "slices.png")
        draw_calibration(assessed.scored.truth, assessed.scored.probabilities, folder / "calibration.png")
    with timed("save"):
        replace(chain.final).save(folder / "model")
    print(json.dumps({**SECONDS, "inside": time.monotonic() - begin}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
