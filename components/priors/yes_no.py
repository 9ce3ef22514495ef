"""Elicit causal claims by one yes/no question for each ordered pair of variables.

The probability of a path is P = yes / (yes + no), from the mass on either word in the first token of the answer.
Small models lean to one side whatever is asked, so logits are centred over all pairs of the run; how much they
then count is decided by how well the same model told true statements from false ones on the probe set:

    logit P' = strength * (logit P - mean logit)

The idea of thresholding elicited probabilities into knowledge: Takayama et al., Integrating Large Language Models
in Causal Discovery: A Statistical Causal Approach, TMLR 2025.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal

import numpy as np

from components.contracts import CausalGraph, Column, FloatArray, Reliability
from components.errors import InputError
from components.ports import Answer, Ask, Map, Report, Subject, in_order, silent
from components.priors.asking import gather, probability, yes_or_no
from components.priors.budget import Budget
from components.priors.elicited import Elicited, check_thresholds, claims_beyond, told_remaining
from components.priors.probes import load_probes
from components.priors.probing import Probing, told
from components.priors.questions import question


@dataclass(frozen=True)
class YesNo:
    """Ask a language model yes or no for every ordered pair of variables.

    Attributes:
        minimum_mass: Answers with less probability on yes and no together are rejected, in [0, 1].
        required_above: A path more probable than this is required, in (0.5, 1].
        forbidden_below: A path less probable than this is forbidden, in [0, 0.5).
        most_certain: No single answer is taken for more certain than this, in (0.5, 1).
        probe_resamples: Bootstrap resamples behind the interval of the model's reliability.
        most_questions: Refuse to ask more pairs than this; p variables make p (p - 1).
        ask_anyway: Ask about the pairs even when the probe set gave the answers no strength.
        budget: What asking may cost.
    """

    kind: Literal["yes_no"] = "yes_no"
    minimum_mass: float = 0.3
    required_above: float = 0.95
    forbidden_below: float = 0.05
    most_certain: float = 0.999
    probe_resamples: int = 2000
    most_questions: int = 2000
    ask_anyway: bool = False
    budget: Budget = Budget()

    def __post_init__(self) -> None:
        check_thresholds(self.minimum_mass, self.required_above, self.forbidden_below)
        if not 0.5 < self.most_certain < 1:
            raise InputError(f"most_certain must lie in (0.5, 1), got {self.most_certain}")
        if self.probe_resamples < 100:
            raise InputError(f"probe_resamples must be at least 100, got {self.probe_resamples}")
        if self.most_questions < 1:
            raise InputError(f"most_questions must be at least 1, got {self.most_questions}")

    @property
    def needs_survey(self) -> bool:
        """Whether the questions quote what discovery finds without knowledge: they do not."""
        return False

    def elicit(
        self,
        ask: Ask,
        columns: Sequence[Column],
        report: Report = silent,
        seed: int = 0,
        survey: CausalGraph | None = None,
        map: Map = in_order,
    ) -> Elicited:
        """Test ``ask`` on the probe set, then, where that gives it strength, ask about every pair of ``columns``.

        Args:
            ask: Who answers; wrap it in ``Remembered`` so that nothing is asked twice.
            columns: The variables, the target among them, in the order of the result.
            report: Gets one step a question.
            seed: Seed of the bootstrap.
            survey: Not looked at.
            map: Asks several questions at once, in threads; the result does not depend on it.

        Raises:
            InputError: There are more pairs than ``most_questions``.
            OutsideError: The one asked failed more often than the budget bears.
        """
        size, probes = len(columns), len(load_probes())
        pairs = [(i, j) for j in range(size) for i in range(size) if i != j]
        if len(pairs) > self.most_questions:
            raise InputError(
                f"most_questions must cover all pairs, got {self.most_questions} for the {len(pairs)} ordered pairs of "
                f"{size} variables; raise it or leave variables out"
            )
        steps, silence = count(), 0

        def heard(answer: Answer | None) -> None:
            nonlocal silence
            silence += answer is None or np.isnan(self.probability(answer))
            mass = 0.0 if answer is None else answer.yes + answer.no
            report(next(steps), probes + len(pairs), {"answer_mass": mass, "rejected": float(silence)})

        probing = Probing(self.probe_resamples, seed, self.probability)
        reliability = probing.judge(ask, map, self.budget.most_failures, heard)
        raw, remaining, silence = np.full((size, size), np.nan), [], 0
        pairs = pairs if reliability.strength > 0 or self.ask_anyway else []
        asked = gather(_Pair(ask, tuple(columns)), pairs, map, self.budget.most_failures)
        for (i, j), outcome in zip(pairs, asked, strict=True):
            heard(outcome.result)
            if outcome.result is None:
                remaining.append(told_remaining(columns[j].name, columns[i].name, "path", outcome.trouble))
            else:
                raw[i, j] = self.probability(outcome.result)
        found = _centred(raw, reliability.strength)
        names = tuple(column.name for column in columns)
        evidence = claims_beyond(names, found, "path", ask.model, self.required_above, self.forbidden_below)
        answered = len(pairs) - len(remaining)
        rejected = answered - int(np.isfinite(raw).sum())
        note, edge = _note(reliability, answered, rejected), np.full(raw.shape, np.nan)
        return Elicited(names, found, evidence, reliability, answered, rejected, note, edge, tuple(remaining))

    def probability(self, answer: Answer) -> float:
        """P(yes) of one answer, clipped to ``most_certain``; NaN where yes and no have too little mass."""
        found = probability(answer, self.minimum_mass)
        return min(max(found, 1 - self.most_certain), self.most_certain) if np.isfinite(found) else found


@dataclass(frozen=True)
class _Pair:
    ask: Ask
    columns: tuple[Column, ...]

    def __call__(self, pair: tuple[int, int]) -> Answer:
        effect, cause = (self.columns[place] for place in pair)
        return yes_or_no(self.ask, question(cause, effect), Subject(cause.name, effect.name))


def _centred(raw: FloatArray, strength: float) -> FloatArray:
    """Probabilities with their logits centred over all accepted pairs and shrunk by ``strength``."""
    logits = np.log(raw) - np.log1p(-raw)
    if np.isfinite(logits).any():
        logits = strength * (logits - np.nanmean(logits))
    return np.asarray(1 / (1 + np.exp(-logits)))


def _note(reliability: Reliability, asked: int, rejected: int) -> str:
    if reliability.strength == 0:
        return f"{told(reliability)}: that interval holds chance, so its answers count for nothing"
    counts = f"its answers count with strength {reliability.strength:.2f}; {rejected} of {asked} were rejected"
    return f"{told(reliability)}: {counts}"
