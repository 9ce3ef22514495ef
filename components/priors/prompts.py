"""The two prompts of Statistical Causal Prompting: explain a judgement about a pair, then answer yes or no.

The first prompt shows the theme, the variables and, from pattern 1 on, what discovery found from the data alone. The
second one quotes the first and its answer. A path and an edge are asked for in different words.

Takayama et al., Integrating Large Language Models in Causal Discovery: A Statistical Causal Approach, TMLR 2025; the
wording is our own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from components.contracts import Column
from components.priors.elicited import Kind
from components.priors.survey_words import SurveyWords, renamed_graph

HOW: dict[Kind, str] = {
    "path": "directly or by way of other variables",
    "edge": "directly, and not only by way of other variables of this list",
}


@dataclass(frozen=True, eq=False)
class Frame:
    """What all questions of one elicitation share.

    Attributes:
        columns: The variables.
        theme: What the data are about; empty leaves it out.
        about: How the data were collected; empty leaves it out.
        survey: What discovery found without knowledge; None for pattern 0.
    """

    columns: tuple[Column, ...]
    theme: str = ""
    about: str = ""
    survey: SurveyWords | None = None

    def explain(self, cause: str, effect: str, kind: Kind, effect_first: bool = False) -> str:
        """Ask for a judgement with its reasons."""
        parts = ["You are an expert who judges statements about causes."]
        parts += [f"Theme: {self.theme}"] if self.theme else []
        parts += [f"The data: {self.about}"] if self.about else []
        parts.append("\n".join(["Variables:", *map(_listed, self.columns)]))
        if self.survey is not None:
            parts.append(self.survey.listing())
            parts.append(
                f"{self.survey.statement(cause, effect)} Such a result can be wrong. Judge whether what it says about "
                "this pair is plausible in the light of what is known of the field."
            )
        parts.append(f"Question: {asked(cause, effect, kind, effect_first)}")
        parts.append("Explain your judgement in a few sentences, from what is known of the mechanisms.")
        return "\n\n".join(parts)

    def decide(
        self,
        explanation: tuple[str, str],
        cause: str,
        effect: str,
        kind: Kind,
        effect_first: bool = False,
        no_first: bool = False,
    ) -> str:
        """Ask for yes or no, in view of an ``explanation``: the first prompt and what was answered."""
        prompt, answer = explanation
        options = "no or yes" if no_first else "yes or no"
        return (
            f"An expert was asked this:\n\n{prompt}\n\nThe expert answered:\n\n{answer.strip()}\n\n"
            f"Weigh this answer with what you know yourself. {asked(cause, effect, kind, effect_first)} "
            f"Answer with one word only, {options}."
        )

    def renamed(self) -> "Frame":
        """The same questions with neutral names, and without theme and descriptions: nothing can be remembered."""
        known = [column.name for column in self.columns]
        further = [name for name in (self.survey.graph.names if self.survey else ()) if name not in known]
        names = neutral([*known, *further])
        survey = self.survey and replace(self.survey, graph=renamed_graph(self.survey.graph, names))
        return Frame(tuple(Column(names[name]) for name in known), survey=survey)


def asked(cause: str, effect: str, kind: Kind, effect_first: bool = False) -> str:
    """The question itself, the cause or the effect named first."""
    if effect_first:
        return f"Is {effect} among what would change, {HOW[kind]}, if someone intervened and changed {cause}?"
    return f"If someone intervened and changed {cause}, would that change {effect}, {HOW[kind]}?"


def neutral(names: Sequence[str]) -> dict[str, str]:
    """V1, V2, ... for each of ``names``."""
    return {name: f"V{place}" for place, name in enumerate(names, start=1)}


def _listed(column: Column) -> str:
    meaning = column.description.strip().rstrip(".")
    unit = f" [{column.unit}]" if column.unit else ""
    return f"- {column.name}: {meaning}{unit}" if meaning else f"- {column.name}{unit}"
