"""The main job, whole process trees: wall time, peak memory, seconds a stage, and what Prefect and MLflow add.

    python tests/benchmarks/main_job.py [--repeats 3]

Each repeat runs, one after the other in the same process tree, `kintsugi run` on a fresh home, `kintsugi run` again on
that home, where every stage is taken from the store, and the same chain without Prefect and MLflow on a fresh folder.
The overhead is the difference of wall times of the first and the third. Prints the tables of BENCHMARKS.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

HERE = Path(__file__).parent
KINTSUGI = Path(sys.executable).with_name("kintsugi")


def measured(command: list[str], home: Path) -> tuple[float, float, str]:
    """Wall seconds, peak resident MiB summed over the process tree, and standard output of one command."""
    environment = {**os.environ, "KINTSUGI_HOME": str(home), "PYTHONPATH": str(HERE.parents[1])}
    begin, peak = time.monotonic(), 0
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as run:
        tree = psutil.Process(run.pid)
        while run.poll() is None:
            peak = max(peak, _resident(tree))
            time.sleep(0.1)
        assert run.stdout is not None
        output = run.stdout.read()
    if run.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {run.returncode}:\n{output}")
    return time.monotonic() - begin, peak / 2**20, output


def _resident(tree: psutil.Process) -> int:
    total = 0
    try:
        for process in [tree, *tree.children(recursive=True)]:
            total += process.memory_info().rss
    except psutil.NoSuchProcess:
        return total
    return total


def stages_of(home: Path) -> dict[str, float]:
    newest = max((home / "runs").glob("*/outcome.json"), key=lambda file: file.stat().st_mtime)
    return dict(json.loads(newest.read_text())["timings"])


def main(repeats: int) -> None:
    walls: dict[str, list[float]] = {"first run, fresh home": [], "second run, same home": [], "chain alone": []}
    peaks: dict[str, list[float]] = {name: [] for name in walls}
    full: list[dict[str, float]] = []
    plain: list[dict[str, float]] = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            home, bare = Path(folder, "home"), Path(folder, "bare")
            bare.mkdir()
            for name in list(walls)[:2]:
                wall, peak, _ = measured([str(KINTSUGI), "run"], home)
                walls[name].append(wall)
                peaks[name].append(peak)
                if name.startswith("first"):
                    full.append(stages_of(home))
            wall, peak, output = measured([sys.executable, str(HERE / "plain_chain.py"), str(bare)], bare)
            walls["chain alone"].append(wall)
            peaks["chain alone"].append(peak)
            plain.append(json.loads(output.strip().splitlines()[-1]))
    print(f"\n{repeats} repeats, medians\n\n| what | wall s | peak MiB (tree) |\n|---|---|---|")
    for name, taken in walls.items():
        print(f"| {name} | {statistics.median(taken):.1f} | {statistics.median(peaks[name]):.0f} |")
    print("\n| stage | in the run, s | chain alone, s |\n|---|---|---|")
    for stage in full[0]:
        alone = [one[stage] for one in plain if stage in one]
        shown = f"{statistics.median(alone):.1f}" if alone else ""
        print(f"| {stage} | {statistics.median(one[stage] for one in full):.1f} | {shown} |")
    extra = [a - b for a, b in zip(walls["first run, fresh home"], walls["chain alone"], strict=True)]
    share = statistics.median(x / a for x, a in zip(extra, walls["first run, fresh home"], strict=True))
    print(f"\nframework overhead of the first run: {statistics.median(extra):.1f} s, {share:.0%} of it")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    main(parser.parse_args().repeats)
