"""Statements whose truth is known, to find out what a language model's answers are worth."""

from dataclasses import dataclass
from importlib.resources import files

import yaml


@dataclass(frozen=True)
class Probe:
    """One ordered pair whose truth is known.

    Attributes:
        cause: The supposed cause, in words.
        effect: The supposed effect, in words.
        true: Whether the one does cause the other.
    """

    cause: str
    effect: str
    true: bool


def load_probes() -> tuple[Probe, ...]:
    """The 38 shipped statements: 16 true ones, their 16 reverses, 6 about unrelated things."""
    content = yaml.safe_load(files("components.priors").joinpath("probes.yaml").read_text(encoding="utf-8"))
    causes = [(cause, effect) for cause, effect in content["causes"]]
    return (
        *(Probe(cause, effect, true=True) for cause, effect in causes),
        *(Probe(effect, cause, true=False) for cause, effect in causes),
        *(Probe(cause, effect, true=False) for cause, effect in content["unrelated"]),
    )
