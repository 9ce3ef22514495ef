"""Prior knowledge of causes: from a person's file, from a language model, and both brought together.

``Elicitation`` lists the ways to ask; a new one is a frozen dataclass in a file of its own and a line in the union.
"""

from components.priors.answers import Remembered
from components.priors.knowledge_file import load_knowledge
from components.priors.merge import combine
from components.priors.probes import Probe, load_probes
from components.priors.questions import PATTERN, question
from components.priors.reliability import auc, judge
from components.priors.yes_no import Elicited, YesNo

Elicitation = YesNo
METHODS: dict[str, type[Elicitation]] = {method.kind: method for method in (YesNo,)}

__all__ = [
    "METHODS",
    "PATTERN",
    "Elicitation",
    "Elicited",
    "Probe",
    "Remembered",
    "YesNo",
    "auc",
    "combine",
    "judge",
    "load_knowledge",
    "load_probes",
    "question",
]
