"""Prior knowledge of causes: from a person's file, from a language model, and both brought together.

``Elicitation`` lists the ways to ask; a new one is a frozen dataclass in a file of its own and a line in the union.
"""

from typing import get_args

from components.priors.account import account
from components.priors.answers import Nobody, Remembered, recorded_model
from components.priors.budget import Budget, Metered
from components.priors.elicited import Elicited
from components.priors.knowledge_file import load_knowledge
from components.priors.merge import combine
from components.priors.oracles import NoisyOracle, Table
from components.priors.probes import Probe, load_probes
from components.priors.questions import PATTERN, question
from components.priors.reliability import auc, judge
from components.priors.statistical_prompting import StatisticalPrompting
from components.priors.yes_no import YesNo

Elicitation = YesNo | StatisticalPrompting
METHODS: dict[str, type[Elicitation]] = {method.kind: method for method in get_args(Elicitation)}

__all__ = [
    "METHODS",
    "PATTERN",
    "Budget",
    "Elicitation",
    "Elicited",
    "Metered",
    "Nobody",
    "NoisyOracle",
    "Probe",
    "Remembered",
    "StatisticalPrompting",
    "Table",
    "YesNo",
    "account",
    "auc",
    "combine",
    "judge",
    "load_knowledge",
    "load_probes",
    "question",
    "recorded_model",
]
