"""Descends on the risk that ``components.weak`` puts together."""

import torch
from torch import Tensor

from components.classifier.learners.learner import Learner, Passes, Problem, Progress
from components.classifier.learners.noisy_labels import label_doubts
from components.classifier.minibatches import Minibatch
from components.weak import Evidence, Inverse, NoisyLabels, PosteriorRewrite, WeakRisk


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
        self._negative, self._steps = torch.zeros(()), 0

    def evidence(self, marks: Tensor, weights: Tensor | None) -> Evidence:
        """As the risk reads it."""
        return self.risk.evidence(marks, weights)

    def start_epoch(self, progress: Progress, passes: Passes) -> None:
        """Count anew how often a class risk is negative."""
        self._negative, self._steps = torch.zeros(()), 0

    def metrics(self) -> dict[str, float]:
        """Share of the epoch's minibatches in which the risk of some class was negative."""
        return {"negative_share": float(self._negative) / self._steps} if self._steps else {}

    def objective(self, batch: Minibatch, progress: Progress) -> Tensor:
        """The corrected risk of the minibatch."""
        evidence = batch.evidence if self.beliefs is None else self._remembering(batch)
        logits = self.logits(batch.features)
        groups = batch.sum(self.risk.groups(logits, evidence, batch.totals))
        if self.beliefs is not None:
            self.beliefs[batch.places] = batch.everyone(self.risk.beliefs(logits.detach(), batch.evidence))
        if self._inverts:
            self._negative = self._negative + (groups.detach() < 0).any()
            self._steps += 1
        return self.risk.objective(groups)

    def doubts(self, features: Tensor, marks: Tensor) -> Tensor | None:
        """[n] P(the clean class is not the label | label, x) under the table that the setting states."""
        setting = self.problem.setting
        if not isinstance(setting, NoisyLabels) or setting.class_count != setting.symbol_count:
            return None
        table = torch.tensor(setting.table).log().to(features)
        return label_doubts(self.log_probabilities(features), table, marks.long())

    def _remembering(self, batch: Minibatch) -> Evidence:
        assert self.beliefs is not None
        kept, first = self.beliefs[batch.mine], batch.evidence.spread().beliefs
        assert first is not None
        return batch.evidence.remembering(torch.where(kept.isnan(), first, kept))
