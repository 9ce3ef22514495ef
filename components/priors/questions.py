"""How a language model is asked whether one variable causes another."""

from hashlib import sha256

from components.contracts import Column

QUESTION = (
    "Suppose someone intervenes and changes this: {cause}. "
    "Would that intervention, directly or indirectly, change this: {effect}? "
    "Answer with one word only, yes or no."
)
PATTERN = sha256(QUESTION.encode()).hexdigest()[:12]
"""Identity of the wording: a cached answer to another wording is never taken for an answer to this one."""


def question(cause: Column, effect: Column) -> str:
    """The question whether ``cause`` has a directed path to ``effect``, in the columns' plain words."""
    return QUESTION.format(cause=in_words(cause), effect=in_words(effect))


def in_words(column: Column) -> str:
    """The description of a column, or its name with spaces where it has none."""
    return column.description.strip().rstrip(".") or column.name.replace("_", " ")
