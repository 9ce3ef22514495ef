"""How good a classifier is, told from rows kept for validation and their weak labels alone."""

import torch

from components.classifier.learners.learner import Learner, Problem
from components.classifier.minibatches import Minibatches
from components.classifier.rows import Source, tally
from components.classifier.weak_score import told
from components.errors import InputError
from components.weak import WeakRisk


class Check:
    """Scores a learner on rows it does not learn from, the lower the better.

    The score is the error rate where the channel can be inverted, else what the learner itself makes of the labels, or
    minus the log likelihood of what was observed.

    Attributes:
        name: Names the score.
        weak: Whether it comes from the setting alone, and not from what the learner makes of the labels.
    """

    def __init__(self, problem: Problem, learner: Learner, rows: Source, size: int) -> None:
        """Prepare to score ``learner`` on ``rows``.

        Raises:
            InputError: The rows are not of the problem.
        """
        held, self._learner = tally(rows, problem.setting), learner
        self._risk: WeakRisk | None = None
        if held.width != problem.width:
            raise InputError(f"validation must have the {problem.width} features of rows, got {held.width}")
        self.weak = type(learner).score is Learner.score
        if not self.weak:
            self.name = learner.score_name
            self._rows = Minibatches(rows, learner.evidence, held.rows, size, problem.together)
        else:
            self.name, self._risk, self._rows = _weak(problem, rows, held.rows, size)
        self._together = problem.together

    def score(self) -> float:
        """The score as the learner is now."""
        with torch.no_grad():
            if self._risk is None:
                scores = [self._learner.score(batch) for batch in self._rows.passes()]
                return float(sum(float(score) for score in scores if score is not None))
            parts = [
                self._risk.groups(self._learner.logits(batch.features), batch.evidence, batch.totals)
                for batch in self._rows.passes()
            ]
            return self._risk.objective(self._together.sum(torch.stack(parts).sum(dim=0))).item()


def _weak(problem: Problem, source: Source, rows: int, size: int) -> tuple[str, WeakRisk, Minibatches]:
    return told(
        problem.setting,
        problem.counts,
        lambda risk: Minibatches(source, risk.evidence, rows, size, problem.together),
    )
