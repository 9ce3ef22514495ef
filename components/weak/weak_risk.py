"""The risk of logits on weakly labelled rows: channel, rewrite, correction and loss put together.

    groups = rewrite(loss(logits), evidence) averaged source by source      linear in the rows
    value  = correction(groups)                                            not linear, so only after all rows are in

``WeakRisk`` is the torch loss of every setting: ``risk(logits, risk.evidence(marks))``. ``WeakRisk.step`` is the same
for who takes one step after the other. The risk is piecewise linear in the losses: once the groups are known, the step
is one weighted sum of losses, and its slope along the logits is written down at once. Of a small network that saves a
tenth of the time.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cache, cached_property
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from components.contracts import FloatArray
from components.errors import InputError
from components.weak.channel import Channel
from components.weak.correction import RiskCorrection, Uncorrected
from components.weak.evidence import Evidence
from components.weak.losses import Losses, ZeroOne
from components.weak.rewrite import Inverse, Reweight, Rewrite, drawn, needs_likelihood, posterior, signs
from components.weak.risk import reduced

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from components.weak.settings.setting import Setting


@dataclass(frozen=True, eq=False)
class WeakRisk:
    """What is descended on; made by ``Setting.risk``.

    It follows the logits to their device, and works in its own precision where theirs is less.

    Attributes:
        setting: What the observations are.
        channel: What they say of the classes, with the counts of all rows.
        rewrite: How the clean risk is written in them.
        correction: What is done where the risk of a class turns negative.
        loss: Losses of all classes from logits.
        coefficients: [G, S] what the mean over each source counts for each group.
        signs: [G, S] below zero where a source counts against a group.
        tilt: [K] added to logits where rows are drawn by source; None: they are drawn as they come.
    """

    setting: "Setting"
    channel: Channel
    rewrite: Rewrite
    correction: RiskCorrection
    loss: Losses
    coefficients: "Tensor"
    signs: "Tensor"
    tilt: "Tensor | None"

    def __call__(self, logits: "Tensor", evidence: Evidence) -> "Tensor":
        """Scalar whose value is the corrected risk of ``logits`` [n, K] or [n] and whose gradient is the step.

        Raises:
            InputError: Logits hold NaN, or their losses are infinite.
        """
        groups = self.groups(logits, evidence)
        value = self.objective(groups)
        if not isfinite(value.detach().item()):
            raise InputError(f"logits must be finite and so must their losses, got risks {groups.tolist()}")
        return value

    def step(
        self,
        logits: "Tensor",
        evidence: Evidence,
        shares: "Tensor",
        add: "Callable[[Tensor], Tensor] | None" = None,
    ) -> "tuple[Tensor, list[float]]":
        """What ``objective(add(groups(...)))`` is, to be differentiated once, and the groups [G].

        Args:
            logits: As in ``groups``.
            evidence: As in ``groups``.
            shares: [n, S] ``evidence.inside`` divided by the totals of the whole batch (``risk.shares_of``).
            add: Makes of what these rows contribute the groups of the whole batch; None: these rows are all.

        Raises:
            InputError: The logits are not of these rows or classes.
        """
        self._check(logits, evidence)
        with _exact(logits):
            objective, groups = self._stepped(logits, evidence, shares, add)
        return objective, groups

    def _stepped(
        self, logits: "Tensor", evidence: Evidence, shares: "Tensor", add: "Callable[[Tensor], Tensor] | None"
    ) -> "tuple[Tensor, list[float]]":
        import torch

        here, precise = self._beside(logits)
        weights = shares @ here._turned
        if here._live(evidence):
            part = (weights * here.rewrite.losses(precise, evidence, here.tilt, here.loss)).sum(dim=0)
            groups = part if add is None else add(part)
            return here.objective(groups), groups.tolist()
        with torch.no_grad():
            factor, losses, slope = here.rewrite.sloped(precise, evidence, here.tilt, here.loss)
            weights = weights if factor is None else weights * factor
            part = (weights * losses).sum(dim=0)
            groups = part if add is None else add(part)
            found: list[float] = groups.tolist()
            if min(found) < 0:
                value, slopes = here.correction.pieces(groups, here._allowed)
                weights = weights * slopes
            else:  # nothing is corrected
                value = groups.sum()
            along = slope(weights)
        return _told_slope()(logits, along if along.dtype == logits.dtype else along.to(logits.dtype), value), found

    def groups(self, logits: "Tensor", evidence: Evidence, totals: "Tensor | None" = None) -> "Tensor":
        """[G] risk of each group on these rows; what micro-batches contribute adds up.

        Args:
            logits: [n, K], or [n] of the positive class.
            evidence: Of the same rows.
            totals: [S] weight within each source of the whole batch of which these rows are a part; None: of these.

        Raises:
            InputError: The logits are not of these rows or classes.
        """
        self._check(logits, evidence)
        here, precise = self._beside(logits)
        with _exact(logits):
            losses = here.rewrite.losses(precise, evidence, here.tilt, here.loss)
            return reduced(losses, evidence.inside, here.coefficients, totals)

    def _check(self, logits: "Tensor", evidence: Evidence) -> None:
        wide = (len(evidence), self._classes)
        if logits.shape != wide and not (logits.shape == wide[:1] and wide[1] == 2):
            single = f" or {wide[:1]}" if wide[1] == 2 else ""
            raise InputError(f"logits must have shape {wide}{single}, got {tuple(logits.shape)}")

    def _live(self, evidence: Evidence) -> bool:
        """Whether gradients pass elsewhere than through the losses: the likelihood is learnt, or weights move."""
        if isinstance(self.rewrite, Reweight) and self.rewrite.live:
            return True
        factors, likelihood = evidence.factors, evidence.log_likelihood
        learnt = likelihood is not None and likelihood.requires_grad
        return learnt or evidence.inside.requires_grad or (factors is not None and factors.requires_grad)

    def objective(self, groups: "Tensor") -> "Tensor":
        """Scalar to descend on, from the ``groups`` [G] of a whole batch; its value is the corrected risk."""
        return self.correction.objective(groups, self.signs.to(groups.device))

    def beliefs(self, logits: "Tensor", evidence: Evidence) -> "Tensor":
        """[n, K] P(class | observed, x) under the classifier, for ``Evidence.remembering``."""
        here, precise = self._beside(logits)
        return posterior(drawn(precise, here.tilt), evidence)

    def evidence(self, marks: "Tensor", weights: "Tensor | None" = None) -> Evidence:
        """The evidence of rows with ``marks`` and importance ``weights`` [n], on the device of the marks."""
        made = self.setting.evidence(marks, self.channel, self.coefficients.dtype, needs_likelihood(self.rewrite))
        return made if weights is None else replace(made, inside=made.inside * weights.to(made.inside)[:, None])

    def validation(self) -> "WeakRisk":
        """The error rate as weak labels alone tell it: the 0-1 loss, inverted and not corrected.

        Negative values are information and stay. The error is that of the population the prior speaks of. It wants
        evidence of its own: ``check = risk.validation(); check(logits, check.evidence(marks))``.

        Raises:
            InputError: The channel has no inverse.
        """
        dtype, device = self.coefficients.dtype, self.coefficients.device
        return build_risk(self.setting, self.channel, Inverse(), Uncorrected(), ZeroOne(), dtype).to(device)

    def to(self, device: "torch.device | str | None" = None, dtype: "torch.dtype | None" = None) -> "WeakRisk":
        """The same on another device, or in other floating point numbers."""
        if device in (None, self.coefficients.device) and dtype in (None, self.coefficients.dtype):
            return self
        coefficients, signed = (part.to(device=device, dtype=dtype) for part in (self.coefficients, self.signs))
        tilt = None if self.tilt is None else self.tilt.to(device=device, dtype=dtype)
        return replace(self, coefficients=coefficients, signs=signed, tilt=tilt)

    @cached_property
    def _allowed(self) -> "Tensor":
        return self.correction.allowed(self.signs)

    @cached_property
    def _turned(self) -> "Tensor":
        return self.coefficients.T.contiguous()

    @cached_property
    def _classes(self) -> int:
        """Number of classes; some settings work out a table to tell, too much for every step."""
        return self.setting.class_count

    def _beside(self, logits: "Tensor") -> "tuple[WeakRisk, Tensor]":
        """This risk on the device of ``logits``, and these with at least its precision."""
        import torch

        here = self.to(logits.device)
        mine = here.coefficients.dtype
        return here, logits if logits.dtype == mine else logits.to(torch.promote_types(logits.dtype, mine))

    def diagnosis(self) -> dict[str, float]:
        """Metrics of the rewrite: how far it magnifies chance, and how near the channel is to no inverse."""
        weights = self.coefficients.double().abs().sum(dim=1).tolist()
        named = {f"variance_factor_{group}": float(value) for group, value in enumerate(weights)}
        table = condition_table(self.channel)
        return named if table is None else {"condition": float(np.linalg.cond(table)), **named}


def _exact(logits: "Tensor") -> AbstractContextManager[None]:
    """Only the network can do with fewer digits: within, what is multiplied keeps those it has."""
    import torch

    kind = logits.device.type  # of which autocast knows not all
    mixed = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.autocast(kind, enabled=False) if mixed else nullcontext()


@cache
def _told_slope() -> "Callable[[Tensor, Tensor, Tensor], Tensor]":
    """Makes of logits, the slope along them and a value that value, with that slope; torch is imported late."""
    import torch
    from torch.autograd.function import once_differentiable

    class ToldSlope(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, _logits: "Tensor", slope: "Tensor", value: "Tensor") -> "Tensor":
            context.slope = slope  # not saved as inputs are, which takes longer
            return value

        @staticmethod
        @once_differentiable
        def backward(context: Any, *outer: "Tensor") -> "tuple[Tensor, None, None]":
            return outer[0] * context.slope, None, None

    return ToldSlope.apply


def build_risk(
    setting: "Setting",
    channel: Channel,
    rewrite: Rewrite,
    correction: RiskCorrection,
    loss: Losses,
    dtype: "torch.dtype | None" = None,
) -> WeakRisk:
    """The risk of one combination; ``dtype`` None: float32.

    Raises:
        InputError: The rewrite does not fit the channel.
    """
    import torch

    if not isinstance(rewrite, Inverse) and not setting.likely:
        raise InputError(f"rewrite must be inverse for {setting.kind}, got {rewrite.kind}")
    tables = (rewrite.coefficients(channel), signs(rewrite, channel), channel.log_tilt())
    coefficients, signed, tilt = (torch.tensor(np.array(table), dtype=dtype or torch.float32) for table in tables)
    return WeakRisk(setting, channel, rewrite, correction, loss, coefficients, signed, tilt if tilt.any() else None)


def condition_table(channel: Channel) -> FloatArray | None:
    """The table of the channel that an inverse inverts; None where each row has its own."""
    if channel.kind == "label":
        return channel.transition
    return channel.mixture if channel.kind in ("source", "bag") else None
