"""What is known of each row, as tensors beside the row's logits."""

from collections.abc import Callable
from dataclasses import dataclass
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
        """The evidence of the rows at ``index``: numbers, which rows to keep, or a stretch."""

        def of(part: "Tensor") -> "Tensor":
            if isinstance(index, slice) or index.dtype.itemsize == 1:  # a mask
                return part[index]
            return part.index_select(0, index)  # which is faster with numbers

        return self._each(of)

    def to(self, device: "torch.device | str | None" = None, dtype: "torch.dtype | None" = None) -> "Evidence":
        """The same on another device, or as other floating point numbers."""
        return self._each(lambda part: part.to(device=device, dtype=dtype))

    def _each(self, change: "Callable[[Tensor], Tensor]") -> "Evidence":
        rest = (self.factors, self.log_likelihood, self.beliefs)
        return Evidence(change(self.inside), *(None if part is None else change(part) for part in rest))

    def totals(self) -> "Tensor":
        """[S] weight of the rows within each source; totals of micro-batches add up to those of the batch."""
        return self.inside.sum(dim=0)

    def remembering(self, beliefs: "Tensor") -> "Evidence":
        """The same rows, with ``beliefs`` [n, K] about their classes."""
        return Evidence(self.inside, self.factors, self.log_likelihood, beliefs.detach())

    def spread(self) -> "Evidence":
        """The same rows, believing alike in all classes that are not ruled out: where PRODEN starts."""
        assert self.log_likelihood is not None
        possible = (self.log_likelihood > float("-inf")).to(self.inside.dtype)
        return self.remembering(possible / possible.sum(dim=-1, keepdim=True))
