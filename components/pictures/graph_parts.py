"""What a picture of a graph is made of: nodes, the lines between them, and their looks."""

from dataclasses import dataclass
from typing import Literal

from components.contracts import FloatArray

# Lengths are inches; colours are those of Okabe and Ito, told apart with any colour vision.
POSITIVE, NEGATIVE, CONFOUNDED, UNDIRECTED = "#0072B2", "#D55E00", "#AA4499", "#5F6B76"
INK, NODE, TARGET, TARGET_EDGE = "#22303C", "#F2F5F8", "#FFF1B8", "#B07D00"
STRONG = 0.5
DASHED = (0, (4, 2.5))

Kind = Literal["directed", "confounded", "undirected"]


@dataclass(frozen=True, eq=False)
class Node:
    """A variable: a box around ``x``, ``y``; ``rootless`` when it was told to have no causes."""

    name: str
    x: float
    y: float
    width: float
    height: float
    rootless: bool


@dataclass(frozen=True, eq=False)
class Edge:
    """A line from ``cause`` to ``effect`` (indices of nodes) along the points ``line``, or a pair without direction."""

    effect: int
    cause: int
    kind: Kind
    weight: float
    support: float
    known: bool
    scale: float
    line: FloatArray

    @property
    def colour(self) -> str:
        """By sign, or by what keeps the pair from having a direction."""
        if self.kind != "directed":
            return CONFOUNDED if self.kind == "confounded" else UNDIRECTED
        return POSITIVE if self.weight > 0 else NEGATIVE

    @property
    def width(self) -> float:
        """In points; the surer the thicker."""
        return (0.7 + 2.3 * self.support) * self.scale
