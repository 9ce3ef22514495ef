"""From the losses of a minibatch to the risk of each class.

    R_y = sum_s W[y, s] mean over the rows of source s of loss_y

Each source is averaged by itself, with its own weights: a mean over the whole minibatch would let the chance number of
rows of each source change the risk.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def group_risks(
    losses: "torch.Tensor",
    sources: "torch.Tensor",
    weights: "torch.Tensor",
    decontamination: "torch.Tensor",
    totals: "torch.Tensor | None" = None,
) -> "torch.Tensor":
    """[K] risk of each class, prior included; their sum is the risk.

    A source that has no row (or no weight) in the minibatch contributes nothing to it.

    Args:
        losses: [n, K] loss of each row were it of each class.
        sources: [n, S] bool, the row belongs to the source.
        weights: [n, S] nonnegative importance weights.
        decontamination: [K, S] weights from ``components.weak.decontamination``.
        totals: [S] weight of each source, where the rows are a share of those the risk is of: the risks of the shares
            then add up to the risk of all. None: the rows are all there are.
    """
    import torch

    inside = _inside(sources, weights)
    if totals is None:
        totals = inside.sum(dim=0)
    safe = torch.where(totals > 0, totals, torch.ones_like(totals))
    means = (inside / safe).T @ losses
    return (decontamination * means.T).sum(dim=1)


def source_totals(sources: "torch.Tensor", weights: "torch.Tensor") -> "torch.Tensor":
    """[S] weight of the rows within each source, from membership [n, S] and weights [n, S]."""
    return _inside(sources, weights).sum(dim=0)


def _inside(sources: "torch.Tensor", weights: "torch.Tensor") -> "torch.Tensor":
    import torch

    return torch.where(sources, weights, torch.zeros_like(weights))


def logistic_losses(logits: "torch.Tensor") -> "torch.Tensor":
    """[n, 2] cross entropy of the logits [n] of the positive class, were the row positive and were it negative."""
    import torch

    return torch.stack([torch.nn.functional.softplus(-logits), torch.nn.functional.softplus(logits)], dim=-1)


def sigmoid_losses(logits: "torch.Tensor") -> "torch.Tensor":
    """[n, 2] sigmoid losses, bounded and with l(z) + l(-z) = 1, in the same order as ``logistic_losses``."""
    import torch

    return torch.stack([torch.sigmoid(-logits), torch.sigmoid(logits)], dim=-1)
