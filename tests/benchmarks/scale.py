"""Seconds and peak memory against rows: ingest of CSV and of Parquet, train, update, evaluate.

    python tests/benchmarks/scale.py [--rows 1e4 1e5 1e6 1e7] [--minutes 15] [--work FOLDER] [--picture docs/scale.png]

The table is made as it is written: 30 columns, of them 24 numbers (an id among them), 4 flags (weak label and
truth among them), 2 categories and the time; ten batches whose rows lie in no order. Each stage runs in a process
of its own. Seconds are those of the stage itself; memory is the resident set of the largest process of its tree,
sampled 20 times a second. Training learns from the first three batches in 2 epochs, three fits each; the update is
of the fourth; the evaluation scores the held rows of the seven later batches with six steps of the chain and two
baselines refitted for each of them.
A stage whose time, drawn out from the last two sizes, would not fit into what is left of the minutes is not run.
Prints the tables of BENCHMARKS.md and draws the picture. What is written is deleted again.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

ROOT = Path(__file__).parents[2]
STAGES = ("ingest CSV", "ingest Parquet", "train", "update", "evaluate")
NUMBERS, BATCHES, EPOCHS, STEP, GROUP = 22, 10, 2, 100_000, 1_000_000
PLANS, REGIONS = ("basic", "plus", "family", "business", "none"), ("north", "south", "east", "west")


@dataclass(frozen=True)
class Taken:
    """One measurement.

    Attributes:
        stage: What ran.
        rows: Rows of the table.
        seconds: Of the stage itself.
        peak: Resident MiB of the largest process.
    """

    stage: str
    rows: int
    seconds: float
    peak: float


def some_rows(start: int, rows: int) -> Any:
    """Rows ``start`` to ``start + rows`` of the made-up table, as an Arrow table."""
    import pyarrow as pa

    random = np.random.default_rng([0, start])
    batch = random.integers(BATCHES, size=rows)
    x = random.normal(size=(rows, NUMBERS))
    x[:, :3] += 0.05 * batch[:, None]
    positive = random.random(rows) < 1 / (1 + np.exp(1.5 - 1.2 * x[:, 0] + x[:, 1] - 0.5 * x[:, 2] * x[:, 3]))
    columns: dict[str, Any] = {"id": np.arange(start, start + rows) * 7919 % 1_000_003_000_001}
    columns["month"] = pa.array(np.array([f"2025-{month:02d}-01" for month in range(1, BATCHES + 1)])[batch])
    for index in range(NUMBERS):
        missing = random.random(rows) < 0.02 if index % 5 == 4 else None
        columns[f"x{index:02d}"] = pa.array(10 * x[:, index] + 50, mask=missing)
    columns |= {f"flag{index}": (random.random(rows) < 0.3).astype(np.int8) for index in range(2)}
    columns["plan"] = pa.array(np.array(PLANS)[random.integers(len(PLANS), size=rows)])
    columns["region"] = pa.array(np.array(REGIONS)[random.integers(len(REGIONS), size=rows)])
    columns["truth"] = positive.astype(np.int8)
    columns["label"] = (positive & (random.random(rows) < 0.5)).astype(np.int8)
    return pa.table(columns)


def chunks(rows: int, most: int) -> Iterator[Any]:
    """The table in pieces of at most ``most`` rows."""
    import pyarrow as pa

    for begin in range(0, rows, most):
        end = min(begin + most, rows)
        yield pa.concat_tables(some_rows(at, min(STEP, end - at)) for at in range(begin, end, STEP))


def write(kind: str, rows: int, file: Path) -> None:
    """Write the table as one file; Parquet in row groups of a million rows, as its writers do unless told otherwise."""
    from pyarrow import csv
    from pyarrow import parquet as pq

    schema = some_rows(0, 1).schema
    if kind == "csv":
        with csv.CSVWriter(file, schema, write_options=csv.WriteOptions(quoting_style="needed")) as plain:
            for piece in chunks(rows, STEP):
                plain.write_table(piece)
    else:
        with pq.ParquetWriter(file, schema) as packed:
            for piece in chunks(rows, GROUP):
                packed.write_table(piece, row_group_size=GROUP)


def specification(kind: str, file: Path) -> Any:
    from components.ingestion import Specification

    columns: dict[str, dict[str, Any]] = {"id": {"role": "id"}, "month": {"role": "time", "kind": "time"}}
    columns |= {f"x{index:02d}": {"minimum": -100, "maximum": 300} for index in range(NUMBERS)}
    columns |= {"flag0": {"kind": "flag"}, "flag1": {"kind": "flag"}, "plan": {"kind": "category"}}
    columns |= {"region": {"role": "group", "kind": "category"}, "truth": {"role": "evaluation_label", "kind": "flag"}}
    columns["label"] = {"role": "weak_label", "kind": "flag"}
    source = {"kind": kind, "path": str(file)}
    batches = {"by": "month", "every": "month"}
    return Specification.model_validate({"name": "scale", "source": source, "columns": columns, "batches": batches})


def graph(names: tuple[str, ...], target: str) -> Any:
    """The first half of the features cause the target, which causes the others: the joint correction is asked for."""
    from components.contracts import CausalGraph

    size, half = len(names) + 1, len(names) // 2
    weights = np.zeros((size, size))
    weights[-1, :half], weights[half:-1, -1] = 1.0, 0.5
    order = (*range(half), size - 1, *range(half, size - 1))
    return CausalGraph((*names, target), weights, order, weights, weights, weights, weights, target, 1000, 1)


def run_stage(stage: str, rows: int, work: Path) -> dict[str, object]:
    """Run one stage in this process; what it made lies in ``work`` for the next."""
    import torch

    from components.assessment import Chain, assess
    from components.bayes import Continual, Ivon
    from components.encoding import load_value, save_value
    from components.evaluation import Bootstrapped
    from components.ingestion import ingest
    from components.learner import Training
    from components.ports import silent
    from components.storage import load_dataset
    from components.tuning import TunedState
    from components.updating import Absorbed, Updating

    torch.set_num_threads(os.cpu_count() or 1)
    if stage.startswith("ingest"):
        kind = stage.split()[1].lower()
        begin = time.monotonic()
        dataset, _ = ingest(specification(kind, work / f"table.{kind}"), work / kind, 0, silent)
        return {"seconds": time.monotonic() - begin, "digest": dataset.digest, "folder": str(dataset.path)}
    (folder,) = (work / "parquet").glob("scale-*")
    dataset, labels = load_dataset(folder)
    for name in ("train", "update"):
        (work / name).mkdir(exist_ok=True)
    begin = time.monotonic()
    if stage == "train":
        names = tuple(column.name for column in dataset.columns if column.role == "feature" and column.kind == "number")
        trained = Training(rule=Ivon(prior_deviation=0.3, epochs=EPOCHS)).train(dataset, graph(names, "label"))
        save_value(trained, work / "train")
    elif stage == "update":
        method = Updating(rule=Continual(rule=Ivon(epochs=EPOCHS)))
        save_value(method.absorb(dataset, 4, load_value(work / "train").state), work / "update")
    else:
        one: Absorbed = load_value(work / "update")
        later = [batch.index for batch in dataset.batches[3:]]
        absorbed = tuple(Absorbed(one.before, one.after, one.drift, index) for index in later)
        chain = Chain(load_value(work / "train"), absorbed, tuple(TunedState(entry.after, ()) for entry in absorbed))
        assess(dataset, labels, chain, None, Bootstrapped())
    return {"seconds": time.monotonic() - begin}


def measured(stage: str, rows: int, work: Path) -> tuple[Taken, dict[str, Any]]:
    """One stage in a process of its own, watched 20 times a second."""
    command = [sys.executable, __file__, "--stage", stage, "--rows", str(rows), "--work", str(work)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    highest: dict[int, int] = {}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as run:
        tree = psutil.Process(run.pid)
        while run.poll() is None:
            _look(tree, highest)
            time.sleep(0.05)
        assert run.stdout is not None
        output = run.stdout.read()
    if run.returncode:
        raise SystemExit(f"{stage} of {rows:,} rows ended with {run.returncode}")
    told = json.loads(output.strip().splitlines()[-1])
    return Taken(stage, rows, told["seconds"], max(highest.values()) / 2**20), told


def _look(tree: psutil.Process, highest: dict[int, int]) -> None:
    try:
        for process in [tree, *tree.children(recursive=True)]:
            highest[process.pid] = max(highest.get(process.pid, 0), process.memory_info().rss)
    except psutil.NoSuchProcess:
        return


def slope(taken: list[Taken], least: int) -> float:
    """Of log seconds over log rows, by least squares over sizes from ``least`` on; NaN with fewer than two."""
    points = [(np.log(one.rows), np.log(one.seconds)) for one in taken if one.rows >= least]
    return float(np.polyfit(*zip(*points, strict=True), 1)[0]) if len(points) > 1 else float("nan")


def expected(taken: list[Taken], rows: int) -> float:
    """Seconds that a stage will take, drawn out linearly from its last measurement."""
    return taken[-1].seconds * rows / taken[-1].rows if taken else 0.0


def all_taken(sizes: list[int], minutes: float, work: Path) -> dict[str, list[Taken]]:
    """Every stage at every size that the minutes allow."""
    deadline = time.monotonic() + 60 * minutes
    found: dict[str, list[Taken]] = {stage: [] for stage in STAGES}
    for rows in sorted(sizes):
        digests = set()
        for stage in STAGES:
            inputs = {"update": "train", "evaluate": "update"}.get(stage)
            if inputs and not any(one.rows == rows for one in found[inputs]):
                break
            if time.monotonic() + expected(found[stage], rows) > deadline:
                print(f"{stage} of {rows:,} rows is left out: it would take too long", file=sys.stderr)
                break
            kind = stage.split()[-1].lower()
            if stage.startswith("ingest"):
                write(kind, rows, work / f"table.{kind}")
            one, told = measured(stage, rows, work)
            found[stage].append(one)
            print(f"{stage}, {rows:,} rows: {one.seconds:.1f} s, {one.peak:.0f} MiB", file=sys.stderr, flush=True)
            if stage.startswith("ingest"):
                digests.add(told["digest"])
                (work / f"table.{kind}").unlink()
                if kind == "csv":
                    shutil.rmtree(work / kind)
        if len(digests) > 1:
            raise SystemExit(f"CSV and Parquet of the same {rows:,} rows gave different datasets")
        for name in ("parquet", "train", "update"):
            shutil.rmtree(work / name, ignore_errors=True)
    return found


def report(found: dict[str, list[Taken]]) -> None:
    """Print the tables of BENCHMARKS.md."""
    sizes = sorted({one.rows for taken in found.values() for one in taken})
    shown = {stage: {one.rows: one for one in taken} for stage, taken in found.items()}
    for what, number in (("seconds", lambda one: f"{one.seconds:.1f}"), ("peak MiB", lambda one: f"{one.peak:,.0f}")):
        last = " slope, all | slope, from 10^5 |" if what == "seconds" else ""
        print(f"\n| {what} | {' | '.join(f'{rows:,}' for rows in sizes)} |{last}")
        print("|---" * (1 + len(sizes) + 2 * bool(last)) + "|")
        for stage, taken in shown.items():
            cells = [number(taken[rows]) if rows in taken else "not run" for rows in sizes]
            slopes = f" {slope(found[stage], 0):.2f} | {slope(found[stage], 100_000):.2f} |" if last else ""
            print(f"| {stage} | {' | '.join(cells)} |{slopes}")
    print(f"\nload average at the end: {', '.join(f'{load:.1f}' for load in os.getloadavg())}; {os.cpu_count()} cores")


def draw(found: dict[str, list[Taken]], path: Path) -> None:
    """Seconds and peak memory over rows, both axes logarithmic."""
    from components.pictures import style

    colours = dict(zip(found, (style.BLUE, *style.OTHERS[:2], style.OTHERS[3], style.OURS), strict=True))
    with style.page(path, 9.6, 4.2) as figure:
        left, right = figure.subplots(1, 2)
        for number, (stage, taken) in enumerate(found.items()):
            rows, looks = [one.rows for one in taken], {"color": colours[stage], "marker": style.MARKERS[number]}
            steep = slope(taken, 100_000)
            label = stage if np.isnan(steep) else f"{stage} (slope {steep:.2f})"
            left.plot(rows, [one.seconds for one in taken], label=label, **looks)
            right.plot(rows, [one.peak for one in taken], **looks)
        right.axhline(1536, color=style.INK, linewidth=1, linestyle=(0, (2, 2)))
        right.annotate("1.5 GiB", (0.02, 1536), xycoords=("axes fraction", "data"), xytext=(0, 4), fontsize=8.5,
                       textcoords="offset points")  # fmt: skip
        left.set(title="Seconds of each stage", ylabel="seconds")
        right.set(title="Peak memory of its largest process", ylabel="resident MiB", ylim=(200, 4000))
        for axes in (left, right):
            axes.set(xscale="log", yscale="log", xlabel="rows of 30 columns")
        left.legend(loc="upper left")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", nargs="+", default=["1e4", "1e5", "1e6", "1e7"])
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--work", type=Path, help="folder for what is written, about 10 GB for 10 million rows")
    parser.add_argument("--picture", type=Path, default=ROOT / "docs" / "scale.png")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    sizes = [int(float(rows)) for rows in asked.rows]
    if asked.stage:
        print(json.dumps(run_stage(asked.stage, sizes[0], asked.work)))
        return
    with tempfile.TemporaryDirectory(prefix="kintsugi-scale-", dir=asked.work) as folder:
        found = all_taken(sizes, asked.minutes, Path(folder))
    report(found)
    draw(found, asked.picture)


if __name__ == "__main__":
    main()
