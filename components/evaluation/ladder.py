"""Where a correction does not help: the steps of the chain compared with the step before."""

from collections.abc import Sequence
from itertools import pairwise
from math import nan

from components.contracts import Scorecard
from components.evaluation.metrics import METRICS


def limits(scorecard: Scorecard, steps: Sequence[str], metric: str = "log_loss") -> tuple[str, ...]:
    """One sentence for every step that is not better than the step before, overall or in some batches.

    Args:
        scorecard: Holds the steps as models; steps it does not hold are passed over.
        steps: Names of the steps, in the order they were added.
        metric: A metric out of ``METRICS`` that is better lower or better higher.
    """
    values = {(s.model, s.batch): s.value for s in scorecard.scores if s.metric == metric and s.slice == "all"}
    batches = list(dict.fromkeys(s.batch for s in scorecard.scores if s.batch != "all"))
    present = [step for step in steps if (step, "all") in values]
    sign = -1 if METRICS[metric].better == "higher" else 1
    title = METRICS[metric].title.partition(" (")[0]
    sentences = []
    for before, step in pairwise(present):
        worse = [b for b in batches if sign * (values.get((step, b), nan) - values.get((before, b), nan)) > 0]
        now, then = values[step, "all"], values[before, "all"]
        where = f"worse in {len(worse)} of {len(batches)} batches: {', '.join(worse)}"
        if not sign * (now - then) < 0:
            sentences.append(
                f"“{step}” is not better than “{before}” over all batches: {title} {now:.4f} after {then:.4f}"
                + (f"; {where}." if worse else ".")
            )
        elif worse:
            sentences.append(f"“{step}” is better than “{before}” over all batches, but {where}.")
    return tuple(sentences)
