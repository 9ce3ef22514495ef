"""The questions of Statistical Causal Prompting about one pair: a judgement with reasons, then yes or no."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from components.ports import Ask, Question, Subject
from components.priors.asking import probability, yes_or_no
from components.priors.elicited import Kind
from components.priors.prompts import Frame

if TYPE_CHECKING:
    from components.priors.statistical_prompting import StatisticalPrompting

Cell = tuple[Kind, int, int]
"""What is asked for, the effect, the cause."""

# (effect named first, no named before yes) of each time that a pair is asked.
ORDERS = {
    "one": ((False, False),),
    "options": ((False, False), (False, True)),
    "pair": ((False, False), (True, False)),
}


@dataclass(frozen=True)
class Said:
    """What came of the questions about one pair.

    Attributes:
        probability: P(yes); NaN where an answer said neither yes nor no, or the orders disagreed.
        disagreed: Whether they did.
    """

    probability: float
    disagreed: bool = False


@dataclass(frozen=True)
class PairQuestions:
    """Asks all questions about one pair and kind.

    Attributes:
        method: How they are asked.
        ask: Who answers.
        frame: What all of them share.
    """

    method: "StatisticalPrompting"
    ask: Ask
    frame: Frame

    def __call__(self, cell: Cell) -> Said:
        """What is said of one cell.

        Raises:
            OutsideError: The one asked failed.
            BudgetSpentError: The budget does not allow all of the questions.
        """
        found = list(self._probabilities(cell))
        if np.isnan(found).any():
            return Said(float("nan"))
        if min(found) < 0.5 < max(found):
            return Said(float("nan"), disagreed=True)
        return Said(float(np.mean(found)))

    def _probabilities(self, cell: Cell) -> Iterator[float]:
        method, frame = self.method, self.frame
        kind, effect, cause = cell[0], frame.columns[cell[1]].name, frame.columns[cell[2]].name
        subject = Subject(cause, effect, kind)
        explained: dict[str, str] = {}
        for effect_first, no_first in ORDERS[method.orders]:
            prompt = frame.explain(cause, effect, kind, effect_first)
            if prompt not in explained:
                question = Question(prompt, subject, True, method.explanation_temperature, method.longest_explanation)
                explained[prompt] = self.ask(question).text.strip()
            if not explained[prompt]:
                yield float("nan")
                return
            text = frame.decide((prompt, explained[prompt]), cause, effect, kind, effect_first, no_first)
            answer = yes_or_no(self.ask, text, subject, method.samples, method.answer_temperature)
            yield probability(answer, method.minimum_mass)
