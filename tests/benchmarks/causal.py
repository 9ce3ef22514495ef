"""Causal discovery beside its peers: seconds, agreement, memory, and how far the graphs are from agreed ones.

    python tests/benchmarks/causal.py [--only speed cost memory agreement bootstrap confounded peers truth health]
                                      [--all] [--picture docs/pictures]

Every comparison is made in one run of this process, with BLAS in one thread; ours uses the threads it says. Tables are
linear models with up to three parents a variable, effects in [0.3, 0.9] and uniform noise unless a line says
otherwise. ``--all`` lets lingam sort 100 columns too, which takes it some five minutes. Prints the tables of
BENCHMARKS.md. The tables of people need the shared test data and are left out without it.
"""

import argparse
import os
import statistics
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from components.contracts import CausalGraph, Column, Evidence, FloatArray, PriorKnowledge
from components.discovery import DirectLingam
from components.discovery.adjacency import adjacency
from components.discovery.causal_order_search import causal_order
from components.discovery.constraints import BoolArray
from components.discovery.enforcing import enforce
from components.discovery.preparation import PreparedTable
from components.discovery.search import usable_cores
from components.evaluation.graph_metrics import GraphMetrics, graph_metrics
from components.ports import in_order, silent
from components.priors import YesNo, combine
from components.synthetic import linear_sem, random_dag

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # so that the other benchmarks are found
DATA = Path(os.environ.get("KINTSUGI_TEST_DATA", ROOT.parent / "shared" / "data"))
AGREED = ("auto_mpg", "dwd_climate", "sachs")
RATES = (0.05, 0.1, 0.2, 0.3)
MOST_ASKED = 5  # variables whose pairs the embedded model is asked to explain: some ten seconds for each pair
KINDS = ("uniform", "laplace", "gaussian", "exponential", "rounded")


@dataclass(frozen=True)
class Took:
    """Medians of repeated runs.

    Attributes:
        wall: Seconds on the clock.
        cpu: Seconds of work, over all threads.
    """

    wall: float
    cpu: float


def took(work: Callable[[], object], repeats: int) -> Took:
    """How long ``work`` takes."""
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return Took(statistics.median(walls), statistics.median(cpus))


def table(rows: int, p: int, seed: int = 0, parents: int = 3) -> FloatArray:
    """A made-up table whose order is to be found."""
    weights, order = random_dag(p, parents, seed)
    return linear_sem(weights, order, rows, "uniform", seed)


def ours(values: FloatArray, threads: int) -> tuple[tuple[int, ...], FloatArray]:
    """Order and adjacency."""
    order = causal_order(values, threads=threads)
    return order, adjacency(values, order)


def warm() -> None:
    """Compile what is compiled once, for all time, on a machine."""
    for threads in (1, 2):
        ours(table(20_000, 6), threads)


def speed(everything: bool) -> None:
    """DirectLiNGAM: order and adjacency, ours and lingam's."""
    from lingam import DirectLiNGAM

    print("\n| rows x columns | ours, 1 thread, s | 2 threads, s | lingam, s | ratio, 1 thread | 2 threads | same |")
    print("|---|---|---|---|---|---|---|")
    for rows, p, repeats in ((2000, 20, 5), (5000, 40, 5), (10_000, 50, 5), (10_000, 100, 3), (10_000, 200, 3)):
        values = table(rows, p)
        one, two = (took(partial(ours, values, threads), repeats) for threads in (1, 2))
        if p > 50 and not (everything and p <= 100):
            print(f"| {rows:,} x {p} | {one.wall:.2f} | {two.wall:.2f} | not run | | | |", flush=True)
            continue
        oracle = DirectLiNGAM()
        peer = took(partial(oracle.fit, values), 1)
        order, weights = ours(values, 1)
        same = list(order) == oracle.causal_order_ and np.allclose(weights, oracle.adjacency_matrix_, atol=1e-10)
        print(
            f"| {rows:,} x {p} | {one.wall:.3f} | {two.wall:.3f} | {peer.wall:.1f} | {peer.wall / one.wall:.0f} | "
            f"{peer.wall / two.wall:.0f} | {'yes' if same else 'NO'} |",
            flush=True,
        )


def cost(picture: Path | None) -> None:
    """Seconds over columns and over rows."""
    by_columns = [(p, took(partial(ours, table(10_000, p), 2), 1).wall) for p in (10, 20, 50, 100, 200, 300)]
    by_rows = [(n, took(partial(ours, table(n, 20), 2), 1).wall) for n in (1_000, 10_000, 100_000, 1_000_000)]
    dense, nothing = (took(partial(ours, table(10_000, 100, parents=most), 2), 1).wall for most in (10, 0))
    print("\n| columns (10,000 rows) | " + " | ".join(str(p) for p, _ in by_columns) + " |")
    print("|---" * (len(by_columns) + 1) + "|")
    print("| s | " + " | ".join(f"{s:.2f}" for _, s in by_columns) + " |")
    print("\n| rows (20 columns) | " + " | ".join(f"{n:,}" for n, _ in by_rows) + " |")
    print("|---" * (len(by_rows) + 1) + "|")
    print("| s | " + " | ".join(f"{s:.3f}" for _, s in by_rows) + " |")
    print(f"\n10,000 x 100 with up to 10 parents: {dense:.2f} s; with no edge at all: {nothing:.2f} s")
    if picture is not None:
        draw(by_columns, by_rows, picture / "causal-cost.png")


def draw(by_columns: list[tuple[int, float]], by_rows: list[tuple[int, float]], path: Path) -> None:
    """Both curves on logarithmic axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, points, label in zip(
        figure.subplots(1, 2), (by_columns, by_rows), ("columns, of 10,000 rows", "rows, of 20 columns"), strict=True
    ):
        x, y = zip(*points, strict=True)
        axes.loglog(x, y, marker="o", color="#0072B2")
        axes.set(xlabel=label, ylabel="seconds, 2 threads")
        axes.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def memory() -> None:
    """Peak memory of a fresh process beside the size of its table."""
    print("\n| rows x columns | table, MiB | peak with the table, MiB | times the table |")
    print("|---|---|---|---|")
    for rows, p in ((200_000, 60), (1_000_000, 30)):
        said = subprocess.run(
            [sys.executable, __file__, "--peak", str(rows), str(p)], capture_output=True, text=True, check=True
        ).stdout.split()
        size, above = float(said[0]), float(said[1])
        print(f"| {rows:,} x {p} | {size:.0f} | {above:.0f} | {above / size:.2f} |", flush=True)


def peak(rows: int, p: int) -> None:
    """Print MiB of the table, and what the search took at most beyond what there was with the table in memory."""
    warm()
    # A million draws by the thousand columns of the model would be a peak of their own: independent columns will do.
    random = np.random.default_rng(0)
    values = np.empty((rows, p))
    for column in range(p):
        values[:, column] = random.random(rows)
        if column:
            values[:, column] += 0.6 * values[:, column - 1]
    size, before, over, seen = values.nbytes / 2**20, _resident(), threading.Event(), [_resident()]

    def watch() -> None:
        while not over.wait(0.002):
            seen.append(_resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    ours(values, 2)
    over.set()
    watcher.join()
    print(size, max(seen) - before + size)


def _resident() -> float:
    import psutil

    return float(psutil.Process().memory_info().rss / 2**20)


def agreement() -> None:
    """Two hundred tables of every kind: the same order and weights as lingam."""
    from lingam import DirectLiNGAM

    rng, same, total, worst = np.random.default_rng(0), 0, 0, 0.0
    for seed in range(200):
        rows = int(rng.choice([100, 200, 500, 1000, 2000, 5000]))
        # Lingam takes a minute for 5,000 rows of 40 columns; of many rows the columns are fewer.
        most = min(40, int((5_000 * 20**3 / rows) ** (1 / 3)))
        values = of_kind(KINDS[seed % len(KINDS)], rows, int(rng.integers(2, most + 1)), seed)
        oracle = DirectLiNGAM().fit(values)
        found, effects = ours(values, 1)
        equal = list(found) == oracle.causal_order_
        gap = float(np.abs(effects - oracle.adjacency_matrix_).max()) if equal else np.inf
        total, same = total + 1, same + (gap < 1e-10)
        worst = max(worst, gap if equal else 0.0)
    print(
        f"\n{same} of {total} tables have the order and weights of lingam (largest difference of a weight {worst:.0e})"
    )


def of_kind(kind: str, rows: int, p: int, seed: int) -> FloatArray:
    """A table whose noise is of a kind; rounded ones have ties."""
    weights, order = random_dag(p, 3, seed)
    if kind in ("uniform", "laplace", "gaussian"):
        return linear_sem(weights, order, rows, kind, seed)  # type: ignore[arg-type]  # one of the three
    values = np.random.default_rng(seed).exponential(size=(rows, p))
    for effect in order:
        values[:, effect] += values @ weights[effect]
    return np.round(values, 1) if kind == "rounded" else values


def bootstrap() -> None:
    """A hundred replicates of 5,000 x 40, in threads and in processes."""
    from tasks.compute import open_map
    from tasks.settings import load_settings

    values = table(5_000, 40)
    frame = pd.DataFrame(values, columns=[f"x{index}" for index in range(40)])
    knowledge = PriorKnowledge.unknown(tuple(frame.columns))
    method = DirectLingam(replicates=100, log_skewness=0)
    graphs = []
    print("\n| where 100 replicates of 5,000 x 40 run | s |")
    print("|---|---|")
    for where in ("inline", "threads", "processes"):
        os.environ["KINTSUGI_MAP"] = where
        begin = time.perf_counter()
        with open_map(load_settings()) as spread:
            graphs.append(method.discover(frame, knowledge, "x0", spread, silent))
        print(f"| {where} | {time.perf_counter() - begin:.1f} |", flush=True)
    equal = all(np.array_equal(graph.support, graphs[0].support) for graph in graphs)
    print(f"\nthe three give {'the same numbers' if equal else 'DIFFERENT NUMBERS'}; {usable_cores()} cores")


def peers() -> None:
    """Other packages' DirectLiNGAM on one table."""
    values = table(2_000, 20)
    frame = pd.DataFrame(values)
    print("\n| DirectLiNGAM of 2,000 x 20 | s | ratio to ours |")
    print("|---|---|---|")
    base = took(lambda: ours(values, 1), 5).wall
    print(f"| ours, 1 thread | {base:.4f} | 1 |")
    for name, fit in _peer_fits(values, frame):
        print(f"| {name} | {took(fit, 1).wall:.2f} | {took(fit, 1).wall / base:.0f} |", flush=True)


def _peer_fits(values: FloatArray, frame: pd.DataFrame) -> Iterator[tuple[str, Callable[[], object]]]:
    import lingam

    yield "lingam", lambda: lingam.DirectLiNGAM().fit(values)
    try:
        from castle.algorithms import DirectLiNGAM as Castle

        yield "gCastle", lambda: Castle().learn(values)
    except ImportError as error:
        print(f"gCastle is not here ({error})")
    try:
        from causallearn.search.FCMBased.lingam import DirectLiNGAM as CausalLearn

        yield "causal-learn", lambda: CausalLearn().fit(frame.to_numpy())
    except ImportError as error:
        print(f"causal-learn is not here ({error})")


def agreed(name: str) -> tuple[PreparedTable, BoolArray]:
    """One of the three tables with an agreed graph."""
    frame = pd.read_csv(DATA / "causal" / f"{name}.csv")
    truth = np.loadtxt(DATA / "causal" / f"{name}_truth.csv", delimiter=",") != 0
    return PreparedTable(tuple(frame.columns), frame.to_numpy(dtype=np.float64), ()).standardised()[0], truth


def searched(prepared: PreparedTable, knowledge: PriorKnowledge) -> BoolArray:
    """Edges found under knowledge."""
    method = DirectLingam(log_skewness=0, minimum_weight=0.0)
    constraints = method.reconcile(knowledge, prepared.names, prepared.names)
    return np.asarray(enforce(method.search(prepared, constraints), prepared, constraints).weights != 0)


def told(names: tuple[str, ...], said: BoolArray, sure: float) -> PriorKnowledge:
    """What somebody says of every direct edge, repaired where it contradicts itself."""
    evidence = [
        Evidence(names[i], names[j], "required edge" if said[i, j] else "forbidden edge", "oracle", sure)
        for i, j in np.argwhere(~np.eye(len(names), dtype=bool))
    ]
    return combine(names, (), evidence)


def truth() -> None:
    """Distance from the agreed graphs, with knowledge of every quality."""
    from tests.benchmarks.causal_health import elicited, model_methods

    print("\n| graph | knowledge | SHD | F1 | NHD |")
    print("|---|---|---|---|---|")
    for name in AGREED:
        if not (DATA / "causal" / f"{name}.csv").exists():
            print(f"| {name} | no such table; set KINTSUGI_TEST_DATA | | | |")
            continue
        prepared, edges = agreed(name)
        scored(name, "none", [graph_metrics(searched(prepared, PriorKnowledge.unknown(prepared.names)), edges)])
        scored(name, "perfect, of edges", [graph_metrics(searched(prepared, told(prepared.names, edges, 0.99)), edges)])
        for rate in RATES:
            rng = np.random.default_rng(0)
            flips = [edges ^ ((rng.random(edges.shape) < rate) & ~np.eye(len(edges), dtype=bool)) for _ in range(100)]
            found = [graph_metrics(searched(prepared, told(prepared.names, said, 1 - rate)), edges) for said in flips]
            scored(name, f"wrong in {rate:.0%} of the cells, 100 draws", found)
        for title, method in model_methods().items():
            if len(edges) > MOST_ASKED and not isinstance(method, YesNo):
                continue
            survey = surveyed(prepared) if method.needs_survey else None
            knowledge = elicited([Column(each) for each in prepared.names], method, survey)
            claims = f"{title}: {len(knowledge.evidence)} claims"
            scored(name, claims, [graph_metrics(searched(prepared, knowledge), edges)])


def surveyed(prepared: PreparedTable) -> CausalGraph:
    """What the data alone say, to be shown to the model."""
    frame = pd.DataFrame(prepared.values, columns=prepared.names)
    method = DirectLingam(log_skewness=0, replicates=100)
    return method.discover(frame, PriorKnowledge.unknown(prepared.names), prepared.names[0], in_order, silent)


def scored(name: str, knowledge: str, found: list[GraphMetrics]) -> None:
    """One line of means."""
    shd, f1, nhd = (float(np.nanmean([getattr(one, field) for one in found])) for field in ("shd", "f1", "nhd"))
    print(f"| {name} | {knowledge} | {shd:.2f} | {f1:.2f} | {nhd:.3f} |", flush=True)


def main() -> None:
    """Run the chosen parts."""
    from threadpoolctl import threadpool_limits

    from tests.benchmarks.causal_confounded import confounded
    from tests.benchmarks.causal_health import health

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ("speed", "cost", "memory", "agreement", "bootstrap", "confounded", "peers", "truth", "health")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    parser.add_argument("--all", action="store_true", help="lingam sorts 100 columns too")
    parser.add_argument("--picture", type=Path, help="folder for the pictures")
    parser.add_argument("--peak", nargs=2, type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    if given.peak:
        peak(*given.peak)
        return
    threadpool_limits(1)
    warm()
    work: dict[str, Callable[[], None]] = {
        "speed": lambda: speed(given.all),
        "cost": lambda: cost(given.picture),
        "memory": memory,
        "agreement": agreement,
        "bootstrap": bootstrap,
        "confounded": confounded,
        "peers": peers,
        "truth": truth,
        "health": lambda: health(given.picture),
    }
    for part in given.only:
        print(f"\n## {part}: {(work[part].__doc__ or part).splitlines()[0]}", flush=True)
        work[part]()


if __name__ == "__main__":
    main()
