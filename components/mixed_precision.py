"""The logits of a head with its products in bfloat16, for accelerators that are much faster at them.

Products take bfloat16 numbers (8 bits of mantissa, the range of float32) and add up in float32; what is no product
stays in float32; the logits come back in float64, so that losses, weights and all sums over rows and workers are as
exact as ever. Gradients take the same way back.

Micikevicius et al., Mixed Precision Training, ICLR 2018.
"""

import torch
from torch import Tensor

from components.heads import Head


def mixed_logits(head: Head, theta: Tensor, features: Tensor) -> Tensor:
    """[..., n] logits as `Head.logits` gives them, to about two digits; on whichever device the features are."""
    # Autocast passes float64 by, so what goes in must be float32.
    with torch.autocast(features.device.type, dtype=torch.bfloat16):
        return head.logits(theta.float(), features.float()).double()
