"""What stands beside the edges of a causal graph: how sure its paths are, how well it fits, what was assumed.

Names are those of the graph's variables; a pair ``(cause, effect)`` reads in the direction of time.
"""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["edge", "no edge", "confounded", "undirected"]


@dataclass(frozen=True)
class PathSupport:
    """One directed path among the bootstrap replicates.

    Attributes:
        path: Its variables, causes first.
        effect: Median of the product of its weights over the replicates that have it, in units of the last variable
            per unit of the first.
        low: Lower end of the 95 % percentile interval of that product.
        high: Upper end.
        support: Share of replicates that have every edge of the path, in [0, 1].
    """

    path: tuple[str, ...]
    effect: float
    low: float
    high: float
    support: float


@dataclass(frozen=True)
class GraphSupport:
    """One whole graph among the bootstrap replicates.

    Attributes:
        edges: Its edges (cause, effect), sorted.
        support: Share of replicates that found exactly these edges, in [0, 1].
    """

    edges: tuple[tuple[str, str], ...]
    support: float


@dataclass(frozen=True)
class PairSupport:
    """A pair without a direction, and how often the replicates agree.

    Attributes:
        first: One variable.
        second: The other, later in the table.
        verdict: ``confounded``, or ``undirected`` where the data leave the direction open.
        support: Share of replicates with the same verdict, in [0, 1].
    """

    first: str
    second: str
    verdict: Verdict
    support: float


@dataclass(frozen=True)
class FitIndices:
    """How well a linear model with this graph reproduces the covariance matrix. No graph is ever chosen by it.

    Attributes:
        chi2: Likelihood-ratio statistic against the saturated model.
        df: Its degrees of freedom; the block of exogenous variables is saturated.
        p_value: Upper tail of chi2; NaN with no degree of freedom.
        cfi: Comparative fit index, in [0, 1].
        rmsea: Root mean square error of approximation; NaN with no degree of freedom.
        bic: Bayesian information criterion of the whole model.
    """

    chi2: float
    df: int
    p_value: float
    cfi: float
    rmsea: float
    bic: float


@dataclass(frozen=True)
class Noise:
    """The residual of one variable given its parents; the methods without a known direction need it non-Gaussian.

    Attributes:
        name: The variable.
        skewness: Third standardised moment.
        kurtosis: Excess kurtosis, 0 for a Gaussian.
        p_value: Of the hypothesis that the residual is Gaussian.
    """

    name: str
    skewness: float
    kurtosis: float
    p_value: float


@dataclass(frozen=True)
class Dependence:
    """Two residuals that ought to be independent.

    Attributes:
        first: One variable.
        second: The other.
        p_value: Of the hypothesis that the residuals are independent (HSIC), not adjusted.
    """

    first: str
    second: str
    p_value: float


@dataclass(frozen=True)
class Decision:
    """Which test decided the relation of a pair.

    Attributes:
        cause: First variable of the pair; the cause where the verdict is ``edge``.
        effect: The other.
        verdict: What was decided.
        test: The test in words.
        p_value: Its p-value; NaN where logic and not data decided.
        given: Variables that were regressed out or conditioned on.
    """

    cause: str
    effect: str
    verdict: Verdict
    test: str
    p_value: float
    given: tuple[str, ...] = ()


@dataclass(frozen=True)
class Findings:
    """Everything beside the edges.

    Attributes:
        method: Kind of the method that found the graph.
        paths: Directed paths to the target, best supported first.
        graphs: Whole graphs, best supported first.
        pairs: Confounded and undirected pairs with their support.
        fit: Fit indices; None where the graph leaves pairs open.
        noise: One entry a variable.
        dependences: One entry a pair of residuals, smallest p-value first.
        decisions: What was decided by which test, where the method keeps account.
    """

    method: str = ""
    paths: tuple[PathSupport, ...] = ()
    graphs: tuple[GraphSupport, ...] = ()
    pairs: tuple[PairSupport, ...] = ()
    fit: FitIndices | None = None
    noise: tuple[Noise, ...] = ()
    dependences: tuple[Dependence, ...] = ()
    decisions: tuple[Decision, ...] = ()
