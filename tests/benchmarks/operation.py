"""Days of operation in fast motion: hundreds of scheduled updates, one after the other, against running servers.

    python tests/benchmarks/operation.py [--updates 200] [--every 2] [--picture docs/operation.png]

Prefect and MLflow servers run as `kintsugi ui` starts them. A first run of the pipeline makes a champion; then updates
follow without a pause, as from a schedule. A new batch has come before every second of them; on the others there
is nothing new. Between updates `kintsugi gc` runs as often as it would in a month. Reported after every tenth: resident
memory of both servers and of the process that runs the flows, bytes of each part of the home folder, seconds of an
update. Prints the table of BENCHMARKS.md and draws the picture.
"""

import argparse
import importlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

sys.path.insert(0, str(Path(__file__).parents[2]))

from tasks.servers import MlflowServer, PrefectServer
from tasks.settings import load_settings, quiet_environment
from tests import toy_world

SECOND_BATCHES = (2016, 2017)
BATCH_ROWS = 400
PARTS = ("prefect", "mlflow.db", "artifacts", "datasets", "stages", "runs")
GC_EVERY = 50


def main(updates: int, every: int, picture: Path | None) -> None:
    quiet_environment()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "home")
        os.environ |= {"KINTSUGI_HOME": str(home), "KINTSUGI_LLM": "none", "KINTSUGI_MAP": "inline"}
        os.environ |= {"PREFECT_LOGGING_LEVEL": "CRITICAL", "PREFECT_HOME": str(home / "prefect")}
        with servers() as (prefect, mlflow):
            rows = list(watched(Path(folder, "table"), home, (prefect, mlflow), (updates, every)))
    table = pd.DataFrame(rows)
    print("| " + " | ".join(table) + " |\n" + "|---" * len(table.columns) + "|")
    for row in table.itertuples(index=False):
        print("| " + " | ".join(f"{value:g}" for value in row) + " |")
    if picture is not None:
        draw(table, picture)


@contextmanager
def servers() -> Iterator[tuple[PrefectServer, MlflowServer]]:
    settings = load_settings()
    with ExitStack() as stack:
        prefect, mlflow = PrefectServer(settings.home), MlflowServer(settings.home)
        for server in (prefect, mlflow):
            server.start()
            stack.callback(server.stop)
        for server in (prefect, mlflow):
            server.wait()
        os.environ |= {"PREFECT_API_URL": prefect.url, "KINTSUGI_TRACKING_URI": mlflow.url}
        yield prefect, mlflow


def watched(
    place: Path, home: Path, running: tuple[PrefectServer, MlflowServer], plan: tuple[int, int]
) -> Iterator[dict[str, float]]:
    from tasks.prune import prune

    updates, every = plan
    years = list(SECOND_BATCHES)
    specification = written(place, years)
    flow("pipeline", specification)
    learnt, idle = [], []
    for number in range(1, updates + 1):
        new = number % every == 0
        if new:
            years.append(years[-1] + 1)
            written(place, years)
        begin = time.monotonic()
        flow("update", specification)
        (learnt if new else idle).append(time.monotonic() - begin)
        if number % GC_EVERY == 0:
            prune(load_settings(), 0.02)
        if number % 10 == 0:
            yield {
                "updates": number,
                "with a new batch, s": round(statistics.median(learnt), 2),
                "nothing new, s": round(statistics.median(idle), 2),
                "Prefect MiB": megabytes(running[0].pid),
                "MLflow MiB": megabytes(running[1].pid),
                "worker MiB": megabytes(os.getpid()),
            } | {f"{part} MB": round(size(home / part) / 1e6, 1) for part in PARTS}
            learnt.clear()
            idle.clear()


def written(place: Path, years: list[int]) -> Path:
    specification = toy_world.write_toy(place, toy_world.visits(tuple(years), (BATCH_ROWS,) * len(years)))
    # What is watched is the operation and not the model: every update that learnt something is promoted.
    (place / "gates.yaml").write_text("gates: [{metric: log_loss, limit: 10}]", encoding="utf-8")
    return specification


def flow(name: str, specification: Path) -> None:
    from flows.configuration import PLANS
    from flows.forms import read_form

    values: dict[str, Any] = {"source": {"specification": str(specification)}}
    plan = PLANS[name]
    values |= {stage: given for stage, given in toy_world.SMALL.items() if stage in plan.__dataclass_fields__}
    values["gates"] = str(specification.with_name("gates.yaml"))
    getattr(importlib.import_module(f"flows.{name}"), name)(read_form(plan, values))


def megabytes(pid: int) -> int:
    """Resident memory of a process and its children."""
    parent = psutil.Process(pid)
    members = [parent] if pid == os.getpid() else [parent, *parent.children(recursive=True)]
    return round(sum(each.memory_info().rss for each in members) / 2**20)


def size(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.lstat().st_size for file in files)


def draw(table: pd.DataFrame, picture: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3), layout="constrained")
    for axes, ending in zip(figure.subplots(1, 3), ("MiB", "MB", ", s"), strict=True):
        for name in (each for each in table if each.endswith(ending)):
            axes.plot(table["updates"], table[name], label=name.removesuffix(ending).strip())
        title = {"MiB": "memory, MiB", "MB": "files, MB", ", s": "one update, s"}[ending]
        axes.set(xlabel="updates", title=title, ylim=0)
        axes.legend(fontsize=7, frameon=False)
    figure.savefig(picture, dpi=150)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--updates", type=int, default=200)
    parser.add_argument("--every", type=int, default=2)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    main(given.updates, given.every, given.picture)
