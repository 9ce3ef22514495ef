"""What a survey graph, found from the data alone, says of all pairs and of one pair, in words.

Which numbers are told is the pattern: 1 the edges only, 2 their frequency among the bootstrap replicates, 3 their
coefficient, 4 both. No pattern uses the words or the numbers of another.
"""

from dataclasses import dataclass, replace

import numpy as np

from components.contracts import CausalGraph
from components.findings import Findings

FREQUENCIES, COEFFICIENTS = (2, 4), (3, 4)
OPEN, HIDDEN = "adjacent, direction open", "held to share a hidden cause"


@dataclass(frozen=True, eq=False)
class SurveyWords:
    """A survey graph in the words of one pattern.

    Attributes:
        graph: Found without knowledge; its weights in standard deviations.
        pattern: Which numbers are told, 1 to 4.
    """

    graph: CausalGraph
    pattern: int

    def listing(self) -> str:
        """What was run, how to read its result, and every edge."""
        lines = [f"- {line}" for line in (*self._edges(), *self._pairs())]
        return "\n".join([self._heading(), *(lines or ["- no edge at all"])])

    def statement(self, cause: str, effect: str) -> str:
        """What the result says of an edge from ``cause`` to ``effect``."""
        left_out = [name for name in (cause, effect) if name not in self.graph.names]
        if left_out:
            return f"The program left {' and '.join(left_out)} out, so its result says nothing about this pair."
        i, j = self.graph.names.index(effect), self.graph.names.index(cause)
        weight, support = float(self.graph.weights[i, j]), float(self.graph.support[i, j])
        said = self._verdict(frozenset((cause, effect)), f"{cause} -> {effect}", weight != 0)
        if self.pattern in FREQUENCIES:
            said += f" The frequency of {cause} -> {effect} is {support:.2f}."
        if self.pattern in COEFFICIENTS and (weight or self.pattern == 4):
            said += f" The coefficient of {cause} -> {effect} is {_number(weight)}."
        return said

    def _heading(self) -> str:
        graph = self.graph
        method = graph.findings.method.replace("_", " ") or "causal discovery"
        said = (
            f"A program for finding causes in data ({method}) was run on {graph.rows} rows of these variables, each "
            "brought to mean 0 and standard deviation 1, and was told nothing of the field. Its result, where "
            "A -> B reads: A acts directly on B"
        )
        if self.pattern in FREQUENCIES:
            said += f"; frequency: the share of {graph.replicates} random resamples of the rows that show the same"
        if self.pattern in COEFFICIENTS:
            said += "; coefficient: change of B in standard deviations for one standard deviation of A"
        return f"{said}:"

    def _edges(self) -> list[str]:
        shown = self.graph.support > 0 if self.pattern in FREQUENCIES else self.graph.weights != 0
        lines = []
        for i, j in np.argwhere(shown):
            numbers = []
            if self.pattern in FREQUENCIES:
                numbers.append(f"frequency {self.graph.support[i, j]:.2f}")
            if self.pattern in COEFFICIENTS:
                numbers.append(f"coefficient {_number(float(self.graph.weights[i, j]))}")
            line = f"{self.graph.names[j]} -> {self.graph.names[i]}"
            lines.append(f"{line}: {', '.join(numbers)}" if numbers else line)
        return lines

    def _pairs(self) -> list[str]:
        """The pairs without a direction."""
        graph = self.graph
        open_ = [f"{a} -- {b}: {OPEN}{self._share(frozenset((a, b)))}" for a, b in graph.undirected]
        return open_ + [f"{a} <-> {b}: {HIDDEN}{self._share(frozenset((a, b)))}" for a, b in graph.confounded]

    def _verdict(self, pair: frozenset[str], edge: str, found: bool) -> str:
        if found:
            return f"The result holds the edge {edge}."
        for pairs, meaning in ((self.graph.undirected, OPEN), (self.graph.confounded, HIDDEN)):
            if pair in map(frozenset, pairs):
                return f"In the result {' and '.join(sorted(pair))} are {meaning}{self._share(pair)}."
        return f"The result holds no edge {edge}."

    def _share(self, pair: frozenset[str]) -> str:
        """How often the replicates say the same of a pair without a direction, where the pattern tells that."""
        known = {frozenset((each.first, each.second)): each.support for each in self.graph.findings.pairs}
        return f", frequency {known[pair]:.2f}" if self.pattern in FREQUENCIES and pair in known else ""


def renamed_graph(graph: CausalGraph, names: dict[str, str]) -> CausalGraph:
    """The same graph over other names."""

    def pair(of: tuple[str, str]) -> tuple[str, str]:
        return names[of[0]], names[of[1]]

    pairs = [replace(each, first=names[each.first], second=names[each.second]) for each in graph.findings.pairs]
    findings = Findings(graph.findings.method, pairs=tuple(pairs))
    return replace(
        graph,
        names=tuple(names[name] for name in graph.names),
        target=names[graph.target],
        confounded=tuple(map(pair, graph.confounded)),
        undirected=tuple(map(pair, graph.undirected)),
        notes=(),
        findings=findings,
    )


def _number(value: float) -> str:
    return f"{value:.2g}"
