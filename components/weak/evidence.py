"""What is known of each row, as tensors beside the row's logits."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Evidence:
    """What n rows say of their classes.

    Attributes:
        inside: [n, S] weight of each row within each source (symbol, stratum), 0 outside.
        factors: [n, K] what a loss of the row counts for the risk of each class once its source is averaged; None: 1.
        log_likelihood: [n, K] log probability of what was observed given each class, up to a constant of the row;
            -inf: ruled out. None: the rows do not say.
        beliefs: [n, K] probabilities of the classes that a posterior rewrite remembers from the last time it saw the
            rows; None: it takes the present ones.
    """

    inside: "Tensor"
    factors: "Tensor | None" = None
    log_likelihood: "Tensor | None" = None
    beliefs: "Tensor | None" = None

    def __len__(self) -> int:
        return len(self.inside)

    def rows(self, index: "Tensor | slice") -> "Evidence":
        """The evidence of the rows at ``index``."""
        return Evidence(
            self.inside[index],
            None if self.factors is None else self.factors[index],
            None if self.log_likelihood is None else self.log_likelihood[index],
            None if self.beliefs is None else self.beliefs[index],
        )

    def to(self, device: "torch.device | str | None" = None, dtype: "torch.dtype | None" = None) -> "Evidence":
        """The same on another device, or as other floating point numbers."""
        parts = (self.inside, self.factors, self.log_likelihood, self.beliefs)
        return Evidence(*(part if part is None else part.to(device=device, dtype=dtype) for part in parts))  # type: ignore[arg-type]

    def totals(self) -> "Tensor":
        """[S] weight of the rows within each source; totals of micro-batches add up to those of the batch."""
        return self.inside.sum(dim=0)

    def remembering(self, beliefs: "Tensor") -> "Evidence":
        """The same rows, with ``beliefs`` [n, K] about their classes."""
        return replace(self, beliefs=beliefs.detach())

    def spread(self) -> "Evidence":
        """The same rows, believing alike in all classes that are not ruled out: where PRODEN starts."""
        assert self.log_likelihood is not None
        possible = (self.log_likelihood > float("-inf")).to(self.inside.dtype)
        return self.remembering(possible / possible.sum(dim=-1, keepdim=True))
