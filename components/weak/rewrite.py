"""How the risk of a clean classifier is written in terms of what was observed.

Each rewrite gives a table of losses [n, G] and what the mean of each source counts for each group [G, S]:

    inverse     losses of all classes, weighted so that the mean is the clean risk; can turn negative, hence corrections
    forward     minus the log likelihood of what was observed under the classifier's probabilities g
    posterior   losses of all classes, weighted by P(class | observed, x) under the present or the remembered g
    reweight    the loss of the noisy label, weighted by how much likelier the clean label is than the noisy one
    surrogate   a bounded function of the probability of the classes that are not ruled out

Where rows are drawn by source, classes are likelier among them than in the population. The logits are those of the
population; forward and posterior add the log of that tilt to them.

Patrini, Rozza, Menon, Nock, Qu, Making deep neural networks robust to label noise: a loss correction approach, 2017.
Liu, Tao, Classification with noisy labels by importance reweighting, 2016. Xia et al., Are anchor points really
indispensable in label-noise learning?, 2019. Feng et al., Provably consistent partial-label learning, 2020. Lv et al.,
Progressive identification of true labels for partial-label learning, 2020. Chou et al., Unbiased risk estimators can
mislead: a case study of learning with complementary labels, 2020. Feng et al., Learning with multiple complementary
labels, 2020.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from components.contracts import FloatArray
from components.errors import InputError
from components.weak.channel import BagChannel, Channel, RowChannel
from components.weak.evidence import Evidence
from components.weak.losses import Losses, Slope, columns, exponentials, sloped

if TYPE_CHECKING:
    from torch import Tensor

Shape = Literal["logarithm", "exponential", "linear"]
FAR = 60.0  # of the log of a weight: those that are averaged stay far below, the others must not become infinite


class Weighted(ABC):
    """Losses of all classes, each times a factor that has no gradient."""

    def seen(self, logits: "Tensor", tilt: "Tensor | None") -> "Tensor":
        """The logits that the losses are of."""
        return logits

    @abstractmethod
    def factor(self, seen: "Tensor", evidence: Evidence) -> "Tensor | None":
        """[n, K] what the losses of ``seen`` count; None: 1."""

    def losses(self, logits: "Tensor", evidence: Evidence, tilt: "Tensor | None", loss: Losses) -> "Tensor":
        """[n, K] losses of all classes, weighted."""
        seen = self.seen(logits, tilt)
        table, factor = loss(seen), self.factor(seen, evidence)
        return table if factor is None else table * factor

    def sloped(
        self, logits: "Tensor", evidence: Evidence, tilt: "Tensor | None", loss: Losses
    ) -> "tuple[Tensor | None, Tensor, Slope]":
        """The factor, and without a graph the losses and their slope."""
        seen = self.seen(logits, tilt)
        table, slope = sloped(loss, seen)
        return self.factor(seen, evidence), table, lambda weights: along(slope(weights), logits)


@dataclass(frozen=True)
class Inverse(Weighted):
    """The unbiased risk: losses weighted so that their mean is the clean risk, whatever the loss.

    Attributes:
        kind: Name of the rewrite.
    """

    kind: Literal["inverse"] = "inverse"

    def coefficients(self, channel: Channel) -> FloatArray:
        """[K, S]: the inverse of the channel."""
        return channel.inverse()

    def factor(self, seen: "Tensor", evidence: Evidence) -> "Tensor | None":
        """What the rows bring along."""
        return evidence.factors


@dataclass(frozen=True)
class Forward:
    """The likelihood of what was observed; the loss plays no part.

    Attributes:
        kind: Name of the rewrite.
    """

    kind: Literal["forward"] = "forward"

    def coefficients(self, channel: Channel) -> FloatArray:
        """[1, S]: the share of each source."""
        return channel.shares()[None]

    def losses(self, logits: "Tensor", evidence: Evidence, tilt: "Tensor | None", loss: Losses) -> "Tensor":
        """[n, 1] minus the log likelihood of each row."""
        import torch

        seen = drawn(logits, tilt)
        joint = torch.logsumexp(seen + likelihood_of(evidence), dim=-1, keepdim=True)
        return torch.logsumexp(seen, dim=-1, keepdim=True) - joint

    def sloped(
        self, logits: "Tensor", evidence: Evidence, tilt: "Tensor | None", loss: Losses
    ) -> "tuple[None, Tensor, Slope]":
        """``losses`` without a graph, and their slope."""
        surprise, slope = surprised(drawn(logits, tilt), likelihood_of(evidence))
        return None, surprise, lambda weights: along(weights * slope, logits)


@dataclass(frozen=True)
class PosteriorRewrite(Weighted):
    """Losses weighted by the probability of each class given what was observed; the weights have no gradient.

    Attributes:
        remembered: Use the beliefs that came with the rows (PRODEN), where there are any, and not those of the
            present classifier (RC). Whoever trains asks for beliefs after a step and hands them in the next time.
        kind: Name of the rewrite.
    """

    remembered: bool = False
    kind: Literal["posterior"] = "posterior"

    def coefficients(self, channel: Channel) -> FloatArray:
        """[K, S]: the share of each source."""
        return np.tile(channel.shares(), (len(channel.log_tilt()), 1))

    def seen(self, logits: "Tensor", tilt: "Tensor | None") -> "Tensor":
        """Logits of the classes among the rows drawn."""
        return drawn(logits, tilt)

    def factor(self, seen: "Tensor", evidence: Evidence) -> "Tensor":
        """The beliefs."""
        kept = evidence.beliefs if self.remembered else None
        return posterior(seen, evidence) if kept is None else kept


@dataclass(frozen=True)
class Reweight(Weighted):
    """The loss of the noisy label times P(clean = label) / P(noisy = label) under the present classifier.

    Attributes:
        live: Let the gradient pass through the weight too, as when the transition is revised.
        kind: Name of the rewrite.
    """

    live: bool = False
    kind: Literal["reweight"] = "reweight"

    def coefficients(self, channel: Channel) -> FloatArray:
        """[K, K]: the share of each noisy label.

        Raises:
            InputError: The symbols are not the classes.
        """
        shares = channel.shares()
        if channel.kind != "label" or len(shares) != len(channel.log_tilt()):
            raise InputError(
                f"rewrite must not be reweight unless noisy labels stand for as many classes, got a {channel.kind} "
                f"channel with {len(shares)} symbols"
            )
        return np.diag(shares)

    def factor(self, seen: "Tensor", evidence: Evidence) -> "Tensor":
        """P(clean = class) / P(noisy = label); only that of the class of the label is averaged."""
        import torch

        wide = columns(seen)
        joint = wide + likelihood_of(evidence)
        if self.live:
            return (wide - torch.logsumexp(joint, dim=-1, keepdim=True)).clamp(max=FAR).exp()
        with torch.no_grad():
            largest, _, _, total = exponentials(joint)
            return (wide - largest).clamp_(max=FAR).exp_().div_(total)


@dataclass(frozen=True)
class Surrogate:
    """A function of the probability P of all classes that are not ruled out; the loss plays no part.

    Attributes:
        shape: ``logarithm``: -log P. ``exponential``: exp(1 - P), bounded. ``linear``: 1 - P, bounded and the mean
            absolute error.
        kind: Name of the rewrite.
    """

    shape: Shape = "logarithm"
    kind: Literal["surrogate"] = "surrogate"

    def __post_init__(self) -> None:
        if self.shape not in get_args(Shape):
            raise InputError(f"shape must be one of {', '.join(get_args(Shape))}, got {self.shape!r}")

    def coefficients(self, channel: Channel) -> FloatArray:
        """[1, S]: the share of each source."""
        return channel.shares()[None]

    def losses(self, logits: "Tensor", evidence: Evidence, tilt: "Tensor | None", loss: Losses) -> "Tensor":
        """[n, 1] losses of the rows."""
        import torch

        seen = drawn(logits, tilt)
        joint = torch.logsumexp(seen + self._possible(evidence), dim=-1, keepdim=True)
        return self._shaped(torch.logsumexp(seen, dim=-1, keepdim=True) - joint)

    def sloped(
        self, logits: "Tensor", evidence: Evidence, tilt: "Tensor | None", loss: Losses
    ) -> "tuple[None, Tensor, Slope]":
        """``losses`` without a graph, and their slope."""
        minus_log, slope = surprised(drawn(logits, tilt), self._possible(evidence))
        losses = self._shaped(minus_log)
        if self.shape == "logarithm":
            return None, losses, lambda weights: along(weights * slope, logits)
        outer = 1 - losses if self.shape == "linear" else losses * (1 - losses.log())
        return None, losses, lambda weights: along(weights * outer * slope, logits)

    def _possible(self, evidence: Evidence) -> "Tensor":
        """[n, K] the likelihood of what was observed, were it the same of all classes that are not ruled out."""
        likelihood = likelihood_of(evidence)
        return likelihood.masked_fill(likelihood > float("-inf"), 0.0)

    def _shaped(self, minus_log: "Tensor") -> "Tensor":
        import torch

        if self.shape == "logarithm":
            return minus_log
        wrong = -torch.expm1(-minus_log)
        return wrong.exp() if self.shape == "exponential" else wrong


Rewrite = Inverse | Forward | PosteriorRewrite | Reweight | Surrogate


def drawn(logits: "Tensor", tilt: "Tensor | None") -> "Tensor":
    """[n, K] logits of the classes among the rows drawn, from ``logits`` [n, K] or [n] of the population."""
    return columns(logits) if tilt is None else columns(logits) + tilt


def posterior(seen: "Tensor", evidence: Evidence) -> "Tensor":
    """[n, K] P(class | observed, x), no gradient, given logits ``seen`` [n, K] of the classes among the rows drawn."""
    import torch

    with torch.no_grad():
        _, _, shares, total = exponentials(seen + likelihood_of(evidence))
        return shares.div_(total)


def surprised(seen: "Tensor", likelihood: "Tensor") -> "tuple[Tensor, Tensor]":
    """[n, 1] minus the log likelihood of what was observed and [n, K] its slope along ``seen``, without a graph."""
    import torch

    _, centred, shares, total = exponentials(seen)
    largest, _, joint, joint_total = exponentials(centred + likelihood)
    slope = torch.addcdiv(shares / total, joint, joint_total, value=-1)
    return (total / joint_total).log() - largest, slope


def along(slope: "Tensor", logits: "Tensor") -> "Tensor":
    """A slope along ``columns`` of the logits, or along the logits themselves, as one along the logits."""
    return slope[..., 0] if slope.ndim > logits.ndim else slope


def likelihood_of(evidence: Evidence) -> "Tensor":
    """[n, K] log likelihood of what was observed.

    Raises:
        InputError: The evidence has none: a confidence never has, and for an inverse rewrite none is worked out.
    """
    if evidence.log_likelihood is None:
        raise InputError("evidence must hold the likelihood of what was observed, got that of an inverse rewrite")
    return evidence.log_likelihood


def needs_likelihood(rewrite: Rewrite) -> bool:
    """Whether the rewrite reads the likelihood of what was observed, and not the inverse of the channel."""
    return not isinstance(rewrite, Inverse)


def signs(rewrite: Rewrite, channel: Channel) -> FloatArray:
    """[G, S] below zero where a source counts against a group, so that its risk can turn negative."""
    table = rewrite.coefficients(channel)
    beside = isinstance(channel, BagChannel) or (isinstance(channel, RowChannel) and channel.signed)
    if isinstance(rewrite, Inverse) and beside:
        return -np.ones_like(table)
    return table
