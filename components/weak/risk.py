"""From the losses of a minibatch to the risk of each class.

    R_y = sum_s W[y, s] mean over the rows of source s of loss_y

Each source is averaged by itself, with its own weights: a mean over the whole minibatch would let the chance number of
rows of each source change the risk.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def reduced(
    losses: "torch.Tensor",
    inside: "torch.Tensor",
    coefficients: "torch.Tensor",
    totals: "torch.Tensor | None" = None,
) -> "torch.Tensor":
    """[G] sums over sources of coefficients times mean losses.

    A source that has no row (or no weight) in the minibatch contributes nothing to it.

    Args:
        losses: [n, G] loss of each row for each group.
        inside: [n, S] weight of each row within each source, 0 outside.
        coefficients: [G, S] what the mean over each source counts for each group.
        totals: [S] weight of each source, where the rows are a share of those the risk is of: the risks of the shares
            then add up to the risk of all. None: the rows are all there are.
    """
    # First what each row counts: that needs no gradient.
    return (shares_of(inside, inside.sum(dim=0) if totals is None else totals) @ coefficients.T * losses).sum(dim=0)


def shares_of(inside: "torch.Tensor", totals: "torch.Tensor") -> "torch.Tensor":
    """[n, S] weight of each row within each source, in shares of the weight of the source.

    Args:
        inside: [n, S] weight of each row within each source, 0 outside.
        totals: [S], or [n, S] of each row's minibatch, weight of each source; where it has none the shares are 0.
    """
    import torch

    return inside / torch.where(totals > 0, totals, 1.0)


def group_risks(
    losses: "torch.Tensor",
    sources: "torch.Tensor",
    weights: "torch.Tensor",
    decontamination: "torch.Tensor",
    totals: "torch.Tensor | None" = None,
) -> "torch.Tensor":
    """[K] risk of each class, prior included; their sum is the risk.

    Args:
        losses: [n, K] loss of each row were it of each class.
        sources: [n, S] bool, the row belongs to the source.
        weights: [n, S] nonnegative importance weights.
        decontamination: [K, S] weights from ``components.weak.decontamination``.
        totals: [S] weight of each source, as in ``reduced``.
    """
    return reduced(losses, _inside(sources, weights), decontamination, totals)


def source_totals(sources: "torch.Tensor", weights: "torch.Tensor") -> "torch.Tensor":
    """[S] weight of the rows within each source, from membership [n, S] and weights [n, S]."""
    return _inside(sources, weights).sum(dim=0)


def _inside(sources: "torch.Tensor", weights: "torch.Tensor") -> "torch.Tensor":
    import torch

    return torch.where(sources, weights, torch.zeros_like(weights))
