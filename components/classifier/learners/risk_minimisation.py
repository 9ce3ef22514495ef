"""Descends on the risk that ``components.weak`` puts together."""

import torch
from torch import Tensor

from components.classifier.learners.learner import Learner, Passes, Problem, Progress
from components.classifier.minibatches import Minibatch
from components.weak import (
    NEGATIVE,
    POSITIVE,
    Evidence,
    Forward,
    Inverse,
    NegativeUnlabeled,
    NoisyLabels,
    PositiveUnlabeled,
    PosteriorRewrite,
    Setting,
    WeakRisk,
)


class RiskLearner(Learner):
    """One network and a risk, and the beliefs about each row where the rewrite remembers them."""

    def __init__(self, problem: Problem, risk: WeakRisk) -> None:
        super().__init__(problem)
        self.risk = risk.to(problem.together.device)
        self.beliefs: Tensor | None
        remembers = isinstance(risk.rewrite, PosteriorRewrite) and risk.rewrite.remembered
        # NaN until a row is first seen: PRODEN then believes alike in all that is not ruled out.
        start = torch.full((problem.rows, problem.classes), torch.nan) if remembers else None
        self.register_buffer("beliefs", start)
        self._inverts = isinstance(risk.rewrite, Inverse)
        self._negative, self._steps = 0, 0
        self._unseen = remembers  # some rows have no beliefs yet

    def evidence(self, marks: Tensor, weights: Tensor | None) -> Evidence:
        """As the risk reads it."""
        return self.risk.evidence(marks, weights)

    def start_epoch(self, progress: Progress, passes: Passes) -> None:
        """Count anew how often a class risk is negative, and see whether all rows were seen."""
        self._negative, self._steps = 0, 0
        self._unseen = self.beliefs is not None and bool(self.beliefs.isnan().any())

    def metrics(self) -> dict[str, float]:
        """Share of the epoch's minibatches in which the risk of some class was negative."""
        return {"negative_share": self._negative / self._steps} if self._steps else {}

    def objective(self, batch: Minibatch, progress: Progress) -> Tensor:
        """The corrected risk of the minibatch."""
        evidence = batch.evidence if self.beliefs is None else self._remembering(batch)
        logits = self.logits(batch.features)
        objective, groups = self.risk.step(logits, evidence, batch.shares, batch.sum)
        if self.beliefs is not None:
            believed = batch.everyone(self.risk.beliefs(logits.detach(), batch.evidence))
            self.beliefs.index_copy_(0, batch.places, believed.to(self.beliefs.dtype))
        if self._inverts:
            self._negative += min(groups) < 0
            self._steps += 1
        return objective

    def doubts(self, features: Tensor, marks: Tensor, log_clean: Tensor) -> Tensor | None:
        """[n] P(the clean class is not the one the mark is taken for | mark, x), as the setting has it."""
        classes = taken_for(self.problem.setting)
        if classes is None:
            return None
        risk = self.problem.setting.risk(self.problem.counts, rewrite=Forward(), dtype=log_clean.dtype)
        beliefs = risk.beliefs(log_clean, risk.evidence(marks))
        taken = torch.tensor(classes, device=marks.device)[marks.long()]
        return 1 - beliefs.gather(1, taken[:, None])[:, 0]

    def _remembering(self, batch: Minibatch) -> Evidence:
        assert self.beliefs is not None
        kept = self.beliefs.index_select(0, batch.mine)
        if self._unseen:
            first = batch.evidence.spread().beliefs
            assert first is not None
            kept = torch.where(kept.isnan(), first, kept)
        return batch.evidence.remembering(kept)


def taken_for(setting: Setting) -> tuple[int, ...] | None:
    """[S] class that each mark is taken for by who believes it, an unlabeled row for what is not known of any row.

    None: a mark names no class, or only one that it cannot be wrong about.
    """
    if isinstance(setting, NoisyLabels) and setting.class_count == setting.symbol_count:
        return tuple(range(setting.class_count))
    if isinstance(setting, PositiveUnlabeled):
        return POSITIVE, NEGATIVE
    return (NEGATIVE, POSITIVE) if isinstance(setting, NegativeUnlabeled) else None
