"""What an observation says about the class, and how the risk of a class is read back from observations.

A channel is a table between K clean classes and S observed symbols. For samples of known composition the symbol is the
sample, p_s = sum_y mixture[s, y] p_y; for labels that replace the class it is the label, p(s | y) = transition[y, s].
Any W with W mixture = diag(prior) undoes it:

    prior[y] E_y[loss_y] = sum_s W[y, s] E_s[loss_y]

and read forwards it is the likelihood of the symbol given the class. Where every row has a channel of its own, only the
shares of the strata are left here and the rows carry the rest (:class:`~components.weak.evidence.Evidence`).

Lu, Niu, Menon, Sugiyama, On the minimal supervision for training any binary classifier from only unlabeled data, 2019.
Katz-Samuels, Blanchard, Scott, Decontamination of mutual contamination models, JMLR 20, 2019.
Chiang, Sugiyama, Unified risk analysis for weakly supervised learning, TMLR 2025.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from components.contracts import FloatArray, frozen
from components.errors import InputError

POSITIVE, NEGATIVE = 0, 1
WORST_CONDITION = 1e10  # beyond it a float64 inverse keeps fewer than six digits
SUM = 1e-6  # how far from one a row of probabilities may sum, when written by hand


def decontamination(mixture: ArrayLike, prior: ArrayLike, counts: ArrayLike) -> FloatArray:
    """The [K, S] weights that turn means over sources into risks of classes.

    With as many sources as classes the answer is unique; with more it is the left inverse that least squares finds
    with each source weighted by its number of rows.

    Args:
        mixture: [S, K] class composition of each source.
        prior: [K] class prior of the population the risk is for.
        counts: [S] rows of each source.

    Raises:
        InputError: The sources do not tell the classes apart, or the shapes disagree.
    """
    theta, target, rows = (np.asarray(values, dtype=np.float64) for values in (mixture, prior, counts))
    if theta.ndim != 2 or target.shape != theta.shape[1:] or rows.shape != theta.shape[:1] or (rows <= 0).any():
        raise InputError(
            f"counts must be one positive number for each source of mixture {theta.shape}, got {rows.tolist()}"
        )
    sources, classes = theta.shape
    if sources < classes or np.linalg.cond(theta) > WORST_CONDITION:
        raise InputError(
            f"mixture must have rank {classes}, got {theta.tolist()}; give sources with different shares of the classes"
        )
    if sources == classes:
        return np.asarray(target[:, None] * np.linalg.inv(theta))
    weighted = theta.T * rows
    return np.asarray(target[:, None] * np.linalg.solve(weighted @ theta, weighted))


@dataclass(frozen=True, eq=False)
class SourceChannel:
    """Samples, each a known mixture of the classes.

    Attributes:
        mixture: [S, K] class composition of each sample, rows sum to one.
        prior: [K] class prior of the population the risk is for.
        counts: [S] rows of each sample, positive.
        kind: Names the channel.
    """

    mixture: FloatArray
    prior: FloatArray
    counts: FloatArray
    kind: Literal["source"] = "source"

    def __post_init__(self) -> None:
        for name in ("mixture", "prior", "counts"):
            object.__setattr__(self, name, frozen(getattr(self, name)))
        check_stochastic("mixture", self.mixture)
        check_prior("prior", self.prior, self.mixture.shape[1])
        check_counts(self.counts, len(self.mixture))
        if not (self.counts > 0).all():
            raise InputError(f"counts must be positive, so every source needs a row, got {self.counts.tolist()}")

    def inverse(self) -> FloatArray:
        """[K, S] weights of the sources in the risk of each class.

        Raises:
            InputError: The sources do not tell the classes apart.
        """
        return decontamination(self.mixture, self.prior, self.counts)

    def log_likelihood(self) -> FloatArray:
        """[S, K] log probability that a row of class k among all rows drawn stems from source s."""
        return np.asarray(_log(self._joint() / self._joint().sum(axis=0)))

    def log_tilt(self) -> FloatArray:
        """[K] log of how much likelier each class is among the rows drawn than in the population.

        Raises:
            InputError: Some class is in no source, so nothing is known of it.
        """
        tilt = self._joint().sum(axis=0)
        if not (tilt > 0).all():
            raise InputError(f"mixture must hold every class in some source, got {self.mixture.tolist()}")
        return np.asarray(np.log(tilt))

    def shares(self) -> FloatArray:
        """[S] share of each source among the rows."""
        return shares_of(self.counts)

    def _joint(self) -> FloatArray:
        return np.asarray(self.shares()[:, None] * self.mixture / self.prior)


@dataclass(frozen=True, eq=False)
class LabelChannel:
    """Symbols that stand in the place of the class, given at random once the class is known.

    Attributes:
        transition: [K, S] probability of each symbol given the clean class, rows sum to one.
        counts: [S] rows with each symbol, from all the rows there are and not from a minibatch.
        kind: Names the channel.
    """

    transition: FloatArray
    counts: FloatArray
    kind: Literal["label"] = "label"

    def __post_init__(self) -> None:
        for name in ("transition", "counts"):
            object.__setattr__(self, name, frozen(getattr(self, name)))
        check_stochastic("transition", self.transition)
        check_counts(self.counts, self.transition.shape[1])
        impossible = (self.counts > 0) & (self.transition.sum(axis=0) == 0)
        if impossible.any():
            raise InputError(
                f"transition must allow every label that occurs, got {self.transition.tolist()} "
                f"although label {int(np.argmax(impossible))} occurs"
            )

    def inverse(self) -> FloatArray:
        """[K, S] weights of the symbols in the risk of each class; the class prior is what the counts imply.

        Raises:
            InputError: The transition is singular; the forward rewrite needs no inverse.
        """
        classes, symbols = self.transition.shape
        if symbols < classes or np.linalg.cond(self.transition) > WORST_CONDITION:
            raise InputError(
                f"transition must have rank {classes} to be inverted, got {self.transition.tolist()}; "
                "the forward rewrite needs no inverse"
            )
        likely = np.maximum(self.counts, 0.5) / self.counts.sum()  # of a symbol never seen, half a row
        return decontamination(self.transition.T, np.ones(classes), 1 / likely) * self.shares()

    def log_likelihood(self) -> FloatArray:
        """[S, K] log probability of the symbol s given the class k."""
        return np.asarray(_log(self.transition.T))

    def log_tilt(self) -> FloatArray:
        """[K] zeros: rows are drawn as they come."""
        return np.zeros(len(self.transition))

    def shares(self) -> FloatArray:
        """[S] share of each symbol among the rows."""
        return shares_of(self.counts)


@dataclass(frozen=True, eq=False)
class RowChannel:
    """Rows that each have a channel of their own: a set of classes, or a confidence.

    Attributes:
        classes: Number of classes.
        counts: [S] rows of each stratum; mostly there is one.
        signed: Whether a row may count against a class, so that the risk of a class can turn negative.
        kind: Names the channel.
    """

    classes: int
    counts: FloatArray
    signed: bool
    kind: Literal["set", "instance"]

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", frozen(self.counts))
        check_counts(self.counts, len(self.counts))

    def inverse(self) -> FloatArray:
        """[K, S] share of each stratum; what a row says of each class stands beside the row."""
        return np.tile(self.shares(), (self.classes, 1))

    def log_tilt(self) -> FloatArray:
        """[K] zeros: rows are drawn as they come."""
        return np.zeros(self.classes)

    def shares(self) -> FloatArray:
        """[S] share of each stratum among the rows."""
        return shares_of(self.counts)


@dataclass(frozen=True, eq=False)
class BagChannel:
    """So many samples that a minibatch has rows of few: rows are weighed one by one, and averaged together.

    The samples together are the population, so rows are as likely of each class as they come.

    Attributes:
        mixture: [S, K] class composition of each sample, rows sum to one.
        counts: [S] rows of each sample, positive.
        kind: Names the channel.
    """

    mixture: FloatArray
    counts: FloatArray
    kind: Literal["bag"] = "bag"

    def __post_init__(self) -> None:
        for name in ("mixture", "counts"):
            object.__setattr__(self, name, frozen(getattr(self, name)))
        self._sources()

    @property
    def prior(self) -> FloatArray:
        """[K] class prior of all samples together."""
        return np.asarray(shares_of(self.counts) @ self.mixture)

    def inverse(self) -> FloatArray:
        """[K, 1] ones: the weights stand beside the rows."""
        return np.ones((self.mixture.shape[1], 1))

    def row_factors(self) -> FloatArray:
        """[S, K] what a loss of a row of each sample counts for the risk of each class.

        Raises:
            InputError: The samples do not tell the classes apart.
        """
        return np.asarray(self._sources().inverse().T / shares_of(self.counts)[:, None])

    def log_likelihood(self) -> FloatArray:
        """[S, K] log probability that a row of class k stems from sample s."""
        return self._sources().log_likelihood()

    def log_tilt(self) -> FloatArray:
        """[K] zeros: rows are drawn as they come."""
        return np.zeros(self.mixture.shape[1])

    def shares(self) -> FloatArray:
        """[1] one: all rows are averaged together."""
        return np.ones(1)

    def _sources(self) -> SourceChannel:
        return SourceChannel(self.mixture, self.prior, self.counts)


Channel = SourceChannel | LabelChannel | RowChannel | BagChannel


def shares_of(counts: FloatArray) -> FloatArray:
    """[S] counts as shares of all."""
    return np.asarray(counts / counts.sum())


def check_stochastic(name: str, table: FloatArray) -> None:
    """Refuse what is not a matrix whose rows are probabilities."""
    if table.ndim != 2 or table.size == 0:
        raise InputError(f"{name} must be a matrix, got shape {table.shape}")
    if not (np.isfinite(table).all() and (table >= 0).all() and np.allclose(table.sum(axis=1), 1, rtol=0, atol=SUM)):
        raise InputError(f"{name} must have rows of probabilities that sum to one, got {table.tolist()}")


def check_prior(name: str, prior: FloatArray, classes: int) -> None:
    """Refuse what is not one positive probability for each class."""
    if prior.shape != (classes,):
        raise InputError(f"{name} must hold one number for each of {classes} classes, got {prior.tolist()}")
    if not ((prior > 0).all() and (prior < 1).all() and abs(prior.sum() - 1) <= SUM):
        raise InputError(f"{name} must lie in (0, 1) and sum to one, got {prior.tolist()}")


def check_counts(counts: FloatArray, sources: int) -> None:
    """Refuse what does not count the rows of each source."""
    if counts.shape != (sources,):
        raise InputError(f"counts must hold one number for each of {sources} sources, got {counts.tolist()}")
    if not (np.isfinite(counts).all() and (counts >= 0).all() and counts.sum() > 0):
        raise InputError(f"counts must be numbers of rows, not all zero, got {counts.tolist()}")


def _log(values: FloatArray) -> FloatArray:
    return np.log(values, out=np.full(values.shape, -np.inf), where=values > 0)
