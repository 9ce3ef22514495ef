"""Logits made to mean what they say, from rows kept for validation and their weak labels alone.

A bounded loss orders rows well but leaves the scale of its logits open. One scale and one offset a class are fitted to
the likelihood of what was observed, or, where a row has none, to the unbiased cross entropy of the clean labels.

Platt, Probabilistic outputs for support vector machines, 1999; Guo, Pleiss, Sun, Weinberger, On calibration of modern
neural networks, 2017: there from clean labels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from components.classifier.learners.learner import Learner, Problem
from components.classifier.minibatches import Minibatches
from components.classifier.rows import Source, tally
from components.errors import InputError
from components.weak import CrossEntropy, Forward, Inverse, Uncorrected, WeakRisk
from components.weak.losses import columns

ROWS = 50_000  # more would not move three numbers
STRENGTH = 1.0  # rows that say beforehand: leave the logits as they are


@dataclass(frozen=True)
class Calibration:
    """A map from logits to logits.

    Attributes:
        scale: Factor, positive.
        offsets: Added to the logit of each class after that; their sum is 0.
    """

    scale: float
    offsets: tuple[float, ...]

    def __call__(self, logits: Tensor) -> Tensor:
        """[n, K] logits from logits [n, K] or [n]."""
        wide = columns(logits)
        return self.scale * wide + torch.tensor(self.offsets, dtype=wide.dtype, device=wide.device)


def calibrate(problem: Problem, learner: Learner, source: Source) -> Calibration:
    """The calibration under which the labels of ``source`` are likeliest."""
    risk, rows = _likelihood(problem, source)
    logits, parts, count = [], [], 0
    with torch.no_grad():
        for batch in rows.passes():
            logits.append(columns(learner.logits(batch.features)).double())
            parts.append(batch)
            count += len(batch.places)
            if count >= ROWS:
                break
    totals = torch.stack([batch.evidence.totals() for batch in parts]).sum(dim=0)
    free = torch.zeros(1 + problem.classes, dtype=torch.float64, requires_grad=True)
    fitted = torch.optim.LBFGS([free], max_iter=100, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        fitted.zero_grad()
        groups = [
            risk.groups(free[0].exp() * known + free[1:], batch.evidence, totals)
            for known, batch in zip(logits, parts, strict=True)
        ]
        value = torch.stack(groups).sum() + STRENGTH / count * free.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    fitted.step(objective)  # type: ignore[no-untyped-call]
    found = free.detach()
    if not bool(found.isfinite().all()):
        return Calibration(1.0, (0.0,) * problem.classes)
    offsets = found[1:] - found[1:].mean()
    return Calibration(float(found[0].exp()), tuple(offsets.tolist()))


def _likelihood(problem: Problem, source: Source) -> tuple[WeakRisk, Minibatches]:
    """The likelihood of what was observed, or the unbiased cross entropy where rows have none."""
    rows = tally(source, problem.setting).rows
    try:
        risk = problem.setting.risk(problem.counts, rewrite=Forward(), dtype=torch.float64)
        return risk, Minibatches(source, risk.evidence, rows, rows)
    except InputError:
        loss, inverse = CrossEntropy(), Inverse()
        risk = problem.setting.risk(problem.counts, loss, inverse, Uncorrected(), dtype=torch.float64)
        return risk, Minibatches(source, risk.evidence, rows, rows)
