"""Statistical Causal Prompting: a language model judges each pair in view of what discovery found, then says yes or no.

For every ordered pair a first prompt asks for a judgement with reasons, and a second one quotes it and asks for yes or
no. From the mass on either word in the first token of M answers

    P = mean(yes) / (mean(yes) + mean(no)),    logit P' = strength * logit P,

where the strength is what the same model is worth on the probe set (1 without the test). P' above one threshold is a
required path or edge, below the other a forbidden one. One kind costs (M + 1) p (p - 1) questions.

Takayama et al., Integrating Large Language Models in Causal Discovery: A Statistical Causal Approach, TMLR 2025.
Asking in both orders: an idea of MosaCD, arXiv 2509.23570.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np

from components.contracts import CausalGraph, Column, Evidence, FloatArray, Reliability
from components.errors import InputError
from components.ports import Answer, Ask, Map, Report, in_order, silent
from components.priors.asking import Outcome, gather, probability
from components.priors.budget import Budget
from components.priors.control import survival
from components.priors.elicited import Elicited, Kind, check_thresholds, claims_beyond, told_remaining
from components.priors.pair_questions import ORDERS, Cell, PairQuestions, Said
from components.priors.probes import load_probes
from components.priors.probing import Probing, told
from components.priors.prompts import Frame
from components.priors.survey_words import SurveyWords

KINDS: dict[str, tuple[Kind, ...]] = {"paths": ("path",), "edges": ("edge",), "both": ("path", "edge")}
MOST_CERTAIN = 1 - 1e-6


@dataclass(frozen=True)
class StatisticalPrompting:
    """Let a language model explain its judgement of every pair in view of what the data say, and then say yes or no.

    Attributes:
        pattern: What the model is shown of a first discovery without knowledge: 0 nothing, 1 the edges, 2 edges with
            their bootstrap frequency, 3 edges with their coefficient, 4 both. All but 0 run discovery once more.
        ask_for: Whether there is a path from one variable to the other, a direct edge, or both, which are two
            questions and give two kinds of claims.
        theme: What the data are about, in a few words for the model; empty leaves it out.
        data_description: How the data were collected, in a few words for the model; empty leaves it out.
        explanation_temperature: How freely the explanation is drawn; 0 takes the likeliest words.
        longest_explanation: Tokens an explanation may have.
        samples: Answers of yes or no drawn for one explanation. One at temperature 0 is exact where the model gives
            the probabilities of its tokens.
        answer_temperature: How freely they are drawn; 0 asks for the likeliest, and needs no more than one.
        orders: Ask once; with the options in both orders (yes or no, no or yes); or with the pair in both orders
            (cause first, effect first), explanation included. Answers that disagree are unknown.
        minimum_mass: Answers with less probability on yes and no together are rejected, in [0, 1].
        required_above: A path or edge more probable than this is required, in (0.5, 1].
        forbidden_below: A path or edge less probable than this is forbidden, in [0, 0.5).
        probe: Test the model on statements whose truth is known: the answers of one that cannot be told from chance
            count for nothing, those of others for as much as it is worth. Off: they count as they are.
        probe_resamples: Bootstrap resamples behind the interval of that test.
        control: Ask everything again with neutral names and without a theme, to see how much of the answers comes from
            the names alone, which a model may have learnt by heart; twice the questions.
        budget: What asking may cost.
    """

    kind: Literal["scp"] = "scp"
    pattern: int = 2
    ask_for: Literal["paths", "edges", "both"] = "both"
    theme: str = ""
    data_description: str = ""
    explanation_temperature: float = 0.7
    longest_explanation: int = 400
    samples: int = 1
    answer_temperature: float = 0.0
    orders: Literal["one", "options", "pair"] = "one"
    minimum_mass: float = 0.3
    required_above: float = 0.95
    forbidden_below: float = 0.05
    probe: bool = True
    probe_resamples: int = 2000
    control: bool = False
    budget: Budget = Budget()

    def __post_init__(self) -> None:
        if self.pattern not in range(5):
            raise InputError(f"pattern must be 0, 1, 2, 3 or 4, got {self.pattern}")
        for name, choices in (("ask_for", KINDS), ("orders", ORDERS)):
            if getattr(self, name) not in choices:
                raise InputError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        for name in ("explanation_temperature", "answer_temperature"):
            if not 0 <= getattr(self, name) <= 2:
                raise InputError(f"{name} must lie in [0, 2], got {getattr(self, name)}")
        for name, least in (("longest_explanation", 16), ("samples", 1), ("probe_resamples", 100)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.samples > 1 and self.answer_temperature == 0:
            raise InputError(
                f"samples must be 1 while answer_temperature is 0, which gives equal answers, got {self.samples}; "
                "set answer_temperature=0.7"
            )
        check_thresholds(self.minimum_mass, self.required_above, self.forbidden_below)

    @property
    def needs_survey(self) -> bool:
        """Whether the questions quote what discovery finds without knowledge."""
        return self.pattern > 0

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
            report: Gets one step a probe, then one a pair and kind.
            seed: Seed of the bootstrap of the test.
            survey: What discovery found without knowledge, its weights in standard deviations; for pattern 0 none.
            map: Asks about several pairs at once, in threads; the result does not depend on it.

        Raises:
            InputError: The pattern needs a survey and there is none.
            OutsideError: The one asked failed more often than the budget bears.
        """
        if self.needs_survey and survey is None:
            raise InputError(f"pattern must be 0 where discovery has not been run first, got {self.pattern}")
        words = SurveyWords(survey, self.pattern) if survey is not None and self.needs_survey else None
        frame = Frame(tuple(columns), self.theme, self.data_description, words)
        rounds = [frame, frame.renamed()] if self.control else [frame]
        progress = _Progress(report, (len(load_probes()) if self.probe else 0) + len(rounds) * len(self._cells(frame)))
        reliability = self._probed(ask, map, seed, progress) if self.probe else None
        strength = 1.0 if reliability is None else reliability.strength
        heard = [self._heard(ask, each, map, progress) if strength > 0 else {} for each in rounds]
        return self._elicited(ask.model, frame, reliability, strength, heard)

    def _probed(self, ask: Ask, map: Map, seed: int, progress: "_Progress") -> Reliability:
        probing = Probing(self.probe_resamples, seed, lambda answer: probability(answer, self.minimum_mass))

        def heard(answer: Answer | None) -> None:
            found = None if answer is None else probability(answer, self.minimum_mass)
            progress.step(found is None or np.isnan(found))

        return probing.judge(ask, map, self.budget.most_failures, heard)

    def _cells(self, frame: Frame) -> list[Cell]:
        size = len(frame.columns)
        pairs = [(i, j) for j in range(size) for i in range(size) if i != j]
        return [(kind, i, j) for kind in KINDS[self.ask_for] for i, j in pairs]

    def _heard(self, ask: Ask, frame: Frame, map: Map, progress: "_Progress") -> dict[Cell, Outcome[Said]]:
        cells = self._cells(frame)
        heard = {}
        for cell, outcome in zip(
            cells, gather(PairQuestions(self, ask, frame), cells, map, self.budget.most_failures), strict=True
        ):
            heard[cell] = outcome
            progress.step(outcome.result is None or np.isnan(outcome.result.probability))
        return heard

    def _elicited(
        self,
        model: str,
        frame: Frame,
        reliability: Reliability | None,
        strength: float,
        heard: list[dict[Cell, Outcome[Said]]],
    ) -> Elicited:
        names = tuple(column.name for column in frame.columns)
        found = [{kind: _matrix(each, kind, len(names), strength) for kind in KINDS["both"]} for each in heard]
        claims = [self._claims(names, each, model) for each in found]
        remaining = tuple(
            told_remaining(names[j], names[i], kind, outcome.trouble)
            for (kind, i, j), outcome in heard[0].items()
            if outcome.result is None
        )
        said = [outcome.result for outcome in heard[0].values() if outcome.result is not None]
        rejected = sum(np.isnan(each.probability) for each in said)
        disagreed = sum(each.disagreed for each in said)
        metrics = {"pairs_asked": len(said), "pairs_rejected": rejected, "pairs_disagreed": disagreed}
        notes = [_note(model, reliability, len(said), int(rejected), disagreed)]
        if self.control and strength > 0:
            control = survival(found[0], found[1], claims[0], claims[1])
            metrics |= control.metrics()
            notes.append(control.told())
        return Elicited(
            names,
            found[0]["path"],
            claims[0],
            reliability,
            len(said),
            int(rejected),
            " ".join(notes),
            found[0]["edge"],
            remaining,
            {name: float(value) for name, value in metrics.items()},
        )

    def _claims(self, names: tuple[str, ...], found: dict[Kind, FloatArray], model: str) -> tuple[Evidence, ...]:
        each = (
            claims_beyond(names, matrix, kind, model, self.required_above, self.forbidden_below)
            for kind, matrix in found.items()
        )
        return tuple(chain.from_iterable(each))


@dataclass(eq=False)
class _Progress:
    """Counts what was reported."""

    report: Report
    total: int
    done: int = 0
    rejected: int = 0

    def step(self, rejected: bool) -> None:
        self.rejected += rejected
        self.report(self.done, self.total, {"rejected": float(self.rejected)})
        self.done += 1


def _matrix(heard: dict[Cell, Outcome[Said]], kind: Kind, size: int, strength: float) -> FloatArray:
    """[effect, cause] probabilities, their logits shrunk by ``strength``; NaN where nothing was said."""
    raw = np.full((size, size), np.nan)
    for (which, i, j), outcome in heard.items():
        if which == kind and outcome.result is not None:
            raw[i, j] = outcome.result.probability
    clipped = np.clip(raw, 1 - MOST_CERTAIN, MOST_CERTAIN)
    return np.asarray(1 / (1 + np.exp(-strength * (np.log(clipped) - np.log1p(-clipped)))))


def _note(model: str, reliability: Reliability | None, asked: int, rejected: int, disagreed: int) -> str:
    if reliability is not None and reliability.strength == 0:
        return f"{told(reliability)}: that interval holds chance, so it was not asked about the pairs."
    worth = (
        f"{model} was not tested: its answers count as they are"
        if reliability is None
        else f"{told(reliability)}: its answers count with strength {reliability.strength:.2f}"
    )
    unclear = f"{rejected} of {asked} questions about pairs stay unknown"
    return f"{worth}. {unclear}, {disagreed} of them because the two orders disagreed."
