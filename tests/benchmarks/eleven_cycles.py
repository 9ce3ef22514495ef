"""What each correction buys on eleven survey cycles, NHANES 1999 to 2023: true labels, held rows, per cycle.

    python tests/benchmarks/eleven_cycles.py --source nhanes_adults_1999_2023.parquet [--seeds 3] [--picture out.png]

For each seed the rows are split anew. Steps: naive (unlabeled is negative), PU, PU + shift, + updates, + tune; the
baselines are refitted on all rows seen when a cycle arrives. Three readings of the label frequency are compared:
estimated once (the default), renewed with each cycle, and declared. Prints Markdown tables of means
over the seeds.
"""

import argparse
import tempfile
import time
from pathlib import Path

import pandas as pd
from plain_chain import graph_of, learnt

from components.assessment import STEPS
from components.contracts import Estimate
from components.evaluation import BASELINES
from components.ingestion import ingest
from components.learner import Training
from components.pictures.ladder import draw_ladder
from components.ports import silent
from components.priors import combine
from components.updating import Updating
from flows.configuration import Source
from flows.inputs import read_inputs

METRICS = ("log_loss", "calibration_error", "prevalence_bias", "auc")
# About the share of US adults with diabetes who know of it, as national reports have it; recalled, not looked up.
DECLARED = Estimate(0.77, 0.74, 0.80, "declared: national reports, recalled")


def ladder(source: str, seed: int, folder: Path) -> pd.DataFrame:
    """The scores of every step on every later cycle, for each reading of the label frequency."""
    inputs = read_inputs(Source("nhanes-cycles", source))
    dataset, labels = ingest(inputs.specification, folder, seed, silent)
    names = tuple(column.name for column in inputs.variables)
    training = Training()
    graph = graph_of(dataset, combine(names, inputs.person), training, 1)
    found = []
    declared = dataset.__class__(**{**vars(dataset), "label_frequency": DECLARED})
    for reading, data, updating in (
        ("estimated once", dataset, Updating()),
        ("renewed each cycle", dataset, Updating(renew_frequency=True)),
        ("declared 0.77", declared, Updating()),
    ):
        chain, assessed = learnt((data, labels), graph, training, updating)
        frame = assessed.ladder.frame().query("slice == 'all'").assign(reading=reading, seed=seed)
        found.append(frame)
        frequency = chain.final.frequency.estimate
        assert chain.trained is not None
        print(
            f"seed {seed}, {reading}: label frequency {frequency.value:.3f} at the end, "
            f"correction {chain.trained.correction.kind}",
            flush=True,
        )
    return pd.concat(found)


def tables(scores: pd.DataFrame) -> None:
    """Mean over the seeds, one table a reading and metric."""
    models = [*STEPS, *BASELINES]
    batches = list(dict.fromkeys(scores["batch"]))
    for reading, mine in scores.groupby("reading", sort=False):
        for metric in METRICS:
            chosen = mine[mine["metric"] == metric]
            table = chosen.pivot_table(index="model", columns="batch", values="value").loc[models, batches]
            print(f"\n**{metric.replace('_', ' ')}, label frequency {reading}**\n")
            print("| | " + " | ".join(batches) + " |")
            print("|---" * (len(batches) + 1) + "|")
            for model, row in table.iterrows():
                print(f"| {model} | " + " | ".join(f"{value:.4f}" for value in row) + " |")


def main(source: str, seeds: int, picture: Path | None) -> None:
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        scores = pd.concat([ladder(source, seed, Path(folder)) for seed in range(seeds)])
    tables(scores)
    if picture is not None:
        once = scores[scores["reading"] == "estimated once"]
        keys = ["model", "batch", "slice", "metric"]
        mean = once.groupby(keys, sort=False, as_index=False)[["value", "low", "high", "rows"]].mean()
        draw_ladder(mean, STEPS, tuple(BASELINES), picture)
    print(f"\n{seeds} seeds in {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--source", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    main(given.source, given.seeds, given.picture)
