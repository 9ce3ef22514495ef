"""Learning from weak labels: the gates, peers and seconds, and a survey's undiagnosed people.

    python tests/benchmarks/weak.py [--only gates peers speed health seeds calibration] [--seeds 3] [--benchmark PART]

Without ``--only`` all but the last two: how Co-teaching depends on the seed (eight of them, whatever ``--seeds`` says)
and what calibration does. The digits and the survey come from the shared test data. Prints the tables of BENCHMARKS.md;
ends with 1 where a gate is missed. The protocols of the papers, at full size, are in ``weak_reproduce.py``.
"""

import argparse
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # so that the other benchmarks are found


def main() -> None:
    """Run the chosen parts."""
    import torch

    from tests.benchmarks.weak_calibration import calibration
    from tests.benchmarks.weak_gates import gates
    from tests.benchmarks.weak_health import health
    from tests.benchmarks.weak_peers import peers
    from tests.benchmarks.weak_seeds import seeds
    from tests.benchmarks.weak_speed import speed

    torch.set_num_threads(1)

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ("gates", "peers", "speed", "health")
    parser.add_argument("--only", nargs="+", choices=(*parts, "seeds", "calibration"), default=parts)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--benchmark", default="", help="gates of benchmarks with these letters in their name only")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    work: dict[str, Callable[[], bool | None]] = {
        "gates": lambda: gates(given.seeds, given.benchmark),
        "peers": lambda: peers(given.seeds),
        "speed": speed,
        "health": lambda: health(given.seeds),
        "seeds": seeds,
        "calibration": lambda: calibration(given.seeds),
    }
    missed = []
    for part in given.only:
        print(f"\n## {part}", flush=True)
        if work[part]() is False:
            missed.append(part)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
