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
from typing import Literal

import numpy as np

from components.contracts import Column, Evidence, FloatArray, Reliability, frozen
from components.errors import InputError
from components.ports import Answer, Ask, Report, silent
from components.priors.probes import load_probes
from components.priors.questions import question
from components.priors.reliability import judge


@dataclass(frozen=True, eq=False)
class Elicited:
    """What a language model said, and what it is worth.

    Attributes:
        names: The p variables.
        probability: [effect, cause] probability of a path, centred and shrunk; NaN where none was accepted.
        evidence: Claims beyond the thresholds.
        reliability: Result on the probe set.
        asked: Pairs that were asked, p (p - 1) or 0.
        rejected: Pairs whose answer had too little mass on yes and no.
        note: What a reader must know, in a sentence.
    """

    names: tuple[str, ...]
    probability: FloatArray
    evidence: tuple[Evidence, ...]
    reliability: Reliability
    asked: int
    rejected: int
    note: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "probability", frozen(self.probability))


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
    """

    kind: Literal["yes_no"] = "yes_no"
    minimum_mass: float = 0.3
    required_above: float = 0.95
    forbidden_below: float = 0.05
    most_certain: float = 0.999
    probe_resamples: int = 2000
    most_questions: int = 2000
    ask_anyway: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.minimum_mass <= 1:
            raise InputError(f"minimum_mass must lie in [0, 1], got {self.minimum_mass}")
        if not 0.5 < self.required_above <= 1:
            raise InputError(f"required_above must lie in (0.5, 1], got {self.required_above}")
        if not 0 <= self.forbidden_below < 0.5:
            raise InputError(f"forbidden_below must lie in [0, 0.5), got {self.forbidden_below}")
        if not 0.5 < self.most_certain < 1:
            raise InputError(f"most_certain must lie in (0.5, 1), got {self.most_certain}")
        if self.probe_resamples < 100:
            raise InputError(f"probe_resamples must be at least 100, got {self.probe_resamples}")
        if self.most_questions < 1:
            raise InputError(f"most_questions must be at least 1, got {self.most_questions}")

    def elicit(self, ask: Ask, columns: Sequence[Column], report: Report = silent, seed: int = 0) -> Elicited:
        """Test ``ask`` on the probe set, then, where that gives it strength, ask about every pair of ``columns``.

        Args:
            ask: Who answers; wrap it in ``Remembered`` so that nothing is asked twice.
            columns: The variables, the target among them, in the order of the result.
            report: Gets one step a question.
            seed: Seed of the bootstrap.

        Raises:
            InputError: There are more pairs than ``most_questions``.
            OutsideError: The one asked failed.
        """
        size, probes = len(columns), load_probes()
        pairs = [(i, j) for j in range(size) for i in range(size) if i != j]
        if len(pairs) > self.most_questions:
            raise InputError(
                f"most_questions must cover all pairs, got {self.most_questions} for the {len(pairs)} ordered pairs of "
                f"{size} variables; raise it or leave variables out"
            )
        statements = [question(Column(probe.cause), Column(probe.effect)) for probe in probes]
        answers = self._ask_all(ask, statements, report, (0, len(probes) + len(pairs)))
        reliability = judge(answers, [probe.true for probe in probes], self.probe_resamples, seed, ask.model)
        raw = np.full((size, size), np.nan)
        asking = bool(reliability.strength > 0 or self.ask_anyway)
        if asking:
            wordings = [question(columns[j], columns[i]) for i, j in pairs]
            answers = self._ask_all(ask, wordings, report, (len(probes), len(probes) + len(pairs)))
            for cell, answer in zip(pairs, answers, strict=True):
                raw[cell] = answer
        probability = _centred(raw, reliability.strength)
        names = tuple(column.name for column in columns)
        evidence = self._claims(names, probability, ask.model)
        asked = len(pairs) if asking else 0
        rejected = asked - int(np.isfinite(raw).sum())
        note = _note(reliability, asked, rejected)
        return Elicited(names, probability, evidence, reliability, asked, rejected, note)

    def probability(self, answer: Answer) -> float:
        """P(yes) of one answer, clipped to ``most_certain``; NaN where yes and no have too little mass."""
        mass = answer.yes + answer.no
        if not (mass > 0 and mass >= self.minimum_mass):
            return float("nan")
        return min(max(answer.yes / mass, 1 - self.most_certain), self.most_certain)

    def _ask_all(self, ask: Ask, questions: list[str], report: Report, steps: tuple[int, int]) -> list[float]:
        found = []
        for place, text in enumerate(questions):
            answer = ask(text)
            found.append(self.probability(answer))
            rejected = float(np.isnan(found).sum())
            report(steps[0] + place, steps[1], {"answer_mass": answer.yes + answer.no, "rejected": rejected})
        return found

    def _claims(self, names: tuple[str, ...], probability: FloatArray, model: str) -> tuple[Evidence, ...]:
        found = []
        for effect, cause in np.argwhere(np.isfinite(probability)):
            sure = float(probability[effect, cause])
            note = f"the model gives a path a probability of {sure:.3f}"
            if sure > self.required_above:
                found.append(Evidence(names[effect], names[cause], "required path", model, sure, note))
            elif sure < self.forbidden_below:
                found.append(Evidence(names[effect], names[cause], "forbidden path", model, 1 - sure, note))
        return tuple(found)


def _centred(raw: FloatArray, strength: float) -> FloatArray:
    """Probabilities with their logits centred over all accepted pairs and shrunk by ``strength``."""
    logits = np.log(raw) - np.log1p(-raw)
    if np.isfinite(logits).any():
        logits = strength * (logits - np.nanmean(logits))
    return np.asarray(1 / (1 + np.exp(-logits)))


def _note(reliability: Reliability, asked: int, rejected: int) -> str:
    judged = (
        f"{reliability.model} told true from false statements with AUC {reliability.auc:.2f} "
        f"[{reliability.low:.2f}, {reliability.high:.2f}] on {reliability.probes} probes"
    )
    if reliability.strength == 0:
        return f"{judged}: that interval holds chance, so its answers count for nothing"
    return f"{judged}: its answers count with strength {reliability.strength:.2f}; {rejected} of {asked} were rejected"
