"""Rows as mixtures of parts, and tables as mixtures of the tables of parts.

Lee, Seung, Algorithms for non-negative matrix factorization, NeurIPS 2000 (the multiplicative updates).
"""

import torch
from torch import Tensor

ROUNDS = 100  # of the updates for the parts
MIXING_ROUNDS = 30  # of those for a row's mixture of known parts
LITTLE = 1e-9
PULL = 1e-3  # to the mean of what is seen, of tables of which the anchors say little


def found_parts(rows: Tensor, parts: int, generator: torch.Generator) -> Tensor:
    """[r, d] ``parts`` of which ``rows`` [n, d], not negative, are mixtures as nearly as the updates come."""
    mixtures = torch.rand(len(rows), parts, generator=generator).to(rows) + LITTLE
    found = torch.rand(parts, rows.shape[1], generator=generator).to(rows) * rows.mean() + LITTLE
    for _ in range(ROUNDS):
        mixtures *= (rows @ found.T) / (mixtures @ (found @ found.T) + LITTLE)
        found *= (mixtures.T @ rows) / (mixtures.T @ mixtures @ found + LITTLE)
    return found


def mixtures_of(rows: Tensor, parts: Tensor) -> Tensor:
    """[n, r] shares, of sum one, of ``parts`` [r, d] in each of ``rows`` [n, d]."""
    towards, gram = rows @ parts.T, parts @ parts.T
    shares = torch.full_like(towards, 1.0 / len(parts))
    for _ in range(MIXING_ROUNDS):
        shares = shares * (towards + LITTLE) / (shares @ gram + LITTLE)
    return shares / shares.sum(dim=1, keepdim=True)


def tables_of_parts(mixtures: Tensor, posteriors: Tensor) -> Tensor:
    """[r, K, K] a table for each part, such that their mixtures at anchors give what is seen there.

    Args:
        mixtures: [K, a, r] shares of the parts in the ``a`` anchors of each class.
        posteriors: [K, a, K] P(noisy label | x) at them.
    """
    parts, classes = mixtures.shape[2], len(mixtures)
    # Cells as softmax: rows stay probabilities, and the problem has no other bounds. It starts at the mean of what is
    # seen, alike for all parts.
    start = posteriors.mean(dim=1).clamp_min(LITTLE).log().expand(parts, classes, classes)
    cells, usual = start.clone().requires_grad_(), torch.softmax(start, dim=2)
    optimiser = torch.optim.LBFGS(
        [cells], max_iter=300, tolerance_grad=1e-9, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def misfit() -> Tensor:
        optimiser.zero_grad()
        tables = torch.softmax(cells, dim=2)
        gap = torch.einsum("kar,rks->kas", mixtures, tables) - posteriors
        value = gap.square().sum() / mixtures.shape[1] + PULL * (tables - usual).square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        optimiser.step(misfit)  # type: ignore[no-untyped-call]
    return torch.softmax(cells.detach(), dim=2)
