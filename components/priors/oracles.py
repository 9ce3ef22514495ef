"""Those who answer without a language model: a table, and an oracle that knows the truth and errs at a known rate."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from components.contracts import FloatArray
from components.errors import InputError
from components.ports import Answer, Question, Subject
from components.priors.probes import load_probes
from components.relations import widest

NOTHING = Answer(0.5, 0.5)
EXPLANATION = "I judge this from what I know."


class Table:
    """Answers with P(yes) from a table, and with 1/2 what is not in it.

    Attributes:
        model: Name of the table.
    """

    def __init__(self, answers: Mapping[Subject, float], model: str = "table") -> None:
        strange = [f"{value} for {subject}" for subject, value in answers.items() if not 0 <= value <= 1]
        if strange:
            raise InputError(f"answers must lie in [0, 1], got {strange[0]}")
        self.model = model
        self._answers = dict(answers)

    @classmethod
    def of_graph(
        cls, names: tuple[str, ...], edges: FloatArray, sure: float = 1.0, model: str = "perfect oracle"
    ) -> "Table":
        """One who knows a graph and the probe set, and is as sure as ``sure`` of all of it.

        Args:
            names: The p variables.
            edges: [effect, cause] nonzero where there is an edge.
            sure: Probability of each right answer, in [0.5, 1].
            model: Its name.
        """
        truth = truths(names, edges)
        return cls({subject: sure if true else 1 - sure for subject, true in truth.items()}, model)

    def __call__(self, question: Question) -> Answer:
        """The answer."""
        if question.free:
            return Answer(way="text", text=EXPLANATION)
        if question.subject not in self._answers:
            return NOTHING
        yes = self._answers[question.subject]
        return Answer(yes, 1 - yes)


@dataclass(frozen=True, eq=False)
class NoisyOracle:
    """Knows a graph and the probe set, and answers each question falsely with probability ``flip``.

    Which answers are false depends on the seed and the question alone: asked again, it says the same.

    Attributes:
        names: The p variables.
        edges: [effect, cause] nonzero where there is an edge.
        flip: Rate of false answers, in [0, 0.5].
        seed: Decides which ones.
        sure: Probability that it gives its answer, right or false, in (0.5, 1].
    """

    names: tuple[str, ...]
    edges: FloatArray
    flip: float
    seed: int = 0
    sure: float = 0.99

    def __post_init__(self) -> None:
        if not 0 <= self.flip <= 0.5:
            raise InputError(f"flip must lie in [0, 0.5], got {self.flip}")
        if not 0.5 < self.sure <= 1:
            raise InputError(f"sure must lie in (0.5, 1], got {self.sure}")
        object.__setattr__(self, "_truths", truths(self.names, self.edges))

    @property
    def model(self) -> str:
        """Its name tells how it errs."""
        return f"oracle with flip rate {self.flip:g}, seed {self.seed}"

    def __call__(self, question: Question) -> Answer:
        """The answer."""
        if question.free:
            return Answer(way="text", text=EXPLANATION)
        known: dict[Subject, bool] = self.__dict__["_truths"]
        if question.subject not in known:
            return NOTHING
        yes = self.sure if known[question.subject] != self._errs(question.subject) else 1 - self.sure
        return Answer(yes, 1 - yes)

    def _errs(self, subject: Subject) -> bool:
        text = f"{self.seed}\n{subject.cause}\n{subject.effect}\n{subject.kind}"
        return int.from_bytes(sha256(text.encode()).digest()[:8]) / 2**64 < self.flip


def truths(names: tuple[str, ...], edges: FloatArray) -> dict[Subject, bool]:
    """Whether there is a path, and an edge, from each variable to each other; and the same of the probe set's paths."""
    known = {Subject(probe.cause, probe.effect): probe.true for probe in load_probes()}
    reach = widest((np.asarray(edges) != 0).astype(np.float64)) > 0
    for i, effect in enumerate(names):
        for j, cause in enumerate(names):
            if i != j:
                known[Subject(cause, effect, "path")] = bool(reach[i, j])
                known[Subject(cause, effect, "edge")] = bool(edges[i, j])
    return known
