"""Find out what a language model's answers are worth before they count: ask it what is known."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from components.contracts import Column, Reliability
from components.errors import InputError
from components.ports import Answer, Ask, Map, Subject
from components.priors.asking import gather, yes_or_no
from components.priors.probes import Probe, load_probes
from components.priors.questions import question
from components.priors.reliability import judge

Heard = Callable[[Answer | None], None]


@dataclass(frozen=True)
class Probing:
    """The test on the probe set.

    Attributes:
        resamples: Bootstrap resamples behind the interval of the area under the ROC curve.
        seed: Their seed.
        probability: Turns an answer into P(yes); NaN where it says nothing.
    """

    resamples: int
    seed: int
    probability: Callable[[Answer], float]

    def judge(self, ask: Ask, map: Map, most_failures: int, heard: Heard) -> Reliability:
        """What the answers of ``ask`` are worth; ``heard`` gets every answer. A probe that is not answered counts half.

        Raises:
            InputError: The budget does not cover the probes.
            OutsideError: The model failed on more than ``most_failures`` of them.
        """
        probes = load_probes()
        found: list[float] = []
        for outcome in gather(_Probed(ask), probes, map, most_failures):
            if outcome.result is None and not outcome.trouble:
                raise InputError(
                    f"budget must cover the {len(probes)} statements that the model is tested on, it was spent after "
                    f"{len(found)}; raise it (what was answered is kept)"
                )
            heard(outcome.result)
            found.append(np.nan if outcome.result is None else self.probability(outcome.result))
        return judge(found, [probe.true for probe in probes], self.resamples, self.seed, ask.model)


@dataclass(frozen=True)
class _Probed:
    ask: Ask

    def __call__(self, probe: Probe) -> Answer:
        text = question(Column(probe.cause), Column(probe.effect))
        return yes_or_no(self.ask, text, Subject(probe.cause, probe.effect))


def told(reliability: Reliability) -> str:
    """The result in a sentence, without its end."""
    return (
        f"{reliability.model} told true from false statements with AUC {reliability.auc:.2f} "
        f"[{reliability.low:.2f}, {reliability.high:.2f}] on {reliability.probes} probes"
    )
