"""What the frame costs where nothing is worked out: a chain of nine stages that do nothing, on each kind of runner.

    python tests/benchmarks/frame.py [--repeats 5]

For every way of running, one process in an empty home folder starts what it needs, runs the chain once to warm up and
then some times more. Each stage is a Prefect task with a nested MLflow run, a metric, a table on the run's page and an
entry in the store of finished stages, as the real ones are. Prints the table of BENCHMARKS.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tasks.servers import MlflowServer, PrefectServer, embedded_prefect
from tasks.settings import load_settings, quiet_environment

STAGES = ("ingest", "elicit", "discover", "train", "update", "tune", "evaluate", "register", "report")
WAYS = {
    "threads, everything embedded": {"KINTSUGI_RUNNER": "threads"},
    "threads, Prefect and MLflow servers": {"KINTSUGI_RUNNER": "threads", "SERVERS": "1"},
    "a Ray of its own, everything embedded": {"KINTSUGI_RUNNER": "ray", "KINTSUGI_MAP": "ray"},
}


def chain() -> None:
    """Nine stages, each after the one before, and then the same again from the store."""
    import pandas as pd
    from prefect import flow

    from flows.runner import runner
    from tasks.stage import Keeping, Stage, stage
    from tasks.workspace import open_workspace

    def nothing(stage: Stage, moment: float, before: str | None) -> str:
        stage.metrics({"moment": moment})
        stage.page_table("nothing", pd.DataFrame({"a": [1]}), "Nothing.")
        return f"{before} done"

    tasks = [stage(name, Keeping())(nothing) for name in STAGES]

    @flow(name="empty", task_runner=runner())
    def empty(moment: float) -> list[float]:
        with open_workspace("empty", "nothing", load_settings(), {"moment": moment}) as work:
            made = None
            for task in tasks:
                made = task.submit(work, moment, made).result()
            return [seconds for _, seconds in work.seconds()]

    moment = time.time()
    begin = time.monotonic()
    stages = empty(moment)
    first = time.monotonic()
    empty(moment)
    print(json.dumps({"chain": first - begin, "stage": statistics.median(stages), "again": time.monotonic() - first}))


def inside(repeats: int) -> None:
    """One way, as the environment names it."""
    quiet_environment()
    os.environ |= {"PREFECT_LOGGING_LEVEL": "CRITICAL"}
    with served() as url:
        os.environ["PREFECT_API_URL"] = url
        print(json.dumps({"ready": time.monotonic() - float(os.environ["BEGUN"])}))
        for _ in range(repeats + 1):
            chain()


@contextmanager
def served() -> Iterator[str]:
    settings = load_settings()
    with ExitStack() as stack:
        if not os.environ.get("SERVERS"):
            yield stack.enter_context(embedded_prefect(settings.home))
            return
        prefect, mlflow = PrefectServer(settings.home), MlflowServer(settings.home)
        for server in (prefect, mlflow):
            server.start()
            stack.callback(server.stop)
        for server in (prefect, mlflow):
            server.wait()
        os.environ["KINTSUGI_TRACKING_URI"] = mlflow.url
        yield prefect.url


def main(repeats: int) -> None:
    print("| where | ready after, s | nine empty stages, s | one of them, s | all nine from the store, s |")
    print("|---|---|---|---|---|")
    for way, variables in WAYS.items():
        with tempfile.TemporaryDirectory() as home:
            environment = os.environ | variables | {"KINTSUGI_HOME": home, "BEGUN": str(time.monotonic())}
            environment |= {"PYTHONPATH": str(Path(__file__).parents[2]), "KINTSUGI_LLM": "none"}
            words = [sys.executable, "-W", "ignore", __file__, "--inside", "--repeats", str(repeats)]
            done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
        ready, _, *said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        medians = [statistics.median(each[name] for each in said) for name in ("chain", "stage", "again")]
        print(f"| {way} | {ready['ready']:.1f} | " + " | ".join(f"{value:.2f}" for value in medians) + " |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    (inside if given.inside else main)(given.repeats)
