"""The subspace of one iteration: two anchors and a random sketch, orthonormalised without being formed.

With A the stacked rows (unit gradient, unit previous step, sketch P) and A A^T = Q diag(w) Q^T, the rows of
B = diag(w)^-1/2 Q^T A are orthonormal. Only A's two dense rows and the small mixing matrix are kept: B v and B^T u
go through A, in O(d) memory.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from components.contracts import FloatArray
from components.errors import InputError
from components.subspace.sketch import HashSketch, Sketch
from components.subspace.subproblem import Model

DEPENDENT = 1e-10


@dataclass(frozen=True, eq=False)
class Basis:
    """Orthonormal rows B in implicit form.

    Attributes:
        anchors: [a, d] unit rows.
        sketch: The random rows.
        mixing: [k, a + s] B = mixing A.
    """

    anchors: Tensor
    sketch: Sketch
    mixing: Tensor

    @property
    def size(self) -> int:
        """Number k of rows."""
        return len(self.mixing)

    def reduced(self, vector: Tensor) -> Tensor:
        """B v: [k] from [d]."""
        return self.mixing @ torch.cat([self.anchors @ vector, self.sketch.apply(vector)])

    def lifted(self, coordinates: "FloatArray | Tensor") -> Tensor:
        """B^T u: [d] from [k]."""
        weights = self.mixing.T @ torch.as_tensor(coordinates)
        count = len(self.anchors)
        return weights[:count] @ self.anchors + self.sketch.transpose(weights[count:])

    def model(self, gradient: Tensor, product: Callable[[Tensor], Tensor]) -> Model | None:
        """The quadratic model on the subspace, at one Hessian-vector product a row; None where it is not finite."""
        rows = [self.reduced(product(self.lifted(unit))) for unit in torch.eye(self.size, dtype=torch.float64)]
        hessian = torch.stack(rows)
        return Model.of(self.reduced(gradient).numpy(), hessian.numpy()) if hessian.isfinite().all() else None


def subspace(gradient: Tensor, previous: Tensor | None, dimensions: int, seed: int) -> Basis:
    """The span of the gradient, the previous step and ``dimensions`` random rows (fewer in fewer coordinates)."""
    width = len(gradient)
    sketch = HashSketch(width, min(dimensions, width), seed)
    units = [vector / vector.norm() for vector in (gradient, previous) if vector is not None and vector.norm() > 0]
    anchors = torch.stack(units) if units else gradient.new_zeros((0, width))
    return orthonormal(anchors, sketch)


def orthonormal(anchors: Tensor, sketch: Sketch) -> Basis:
    """The basis of the span of ``anchors`` and of the rows of ``sketch``; dependent rows are dropped."""
    gram = sketch.gram()
    scale = torch.cat([anchors.new_ones(len(anchors)), gram.diagonal().rsqrt()])
    across = torch.stack([sketch.apply(row) for row in anchors]) if len(anchors) else anchors.new_zeros((0, len(gram)))
    full = torch.cat([torch.cat([anchors @ anchors.T, across], 1), torch.cat([across.T, gram], 1)])
    weight, directions = torch.linalg.eigh(scale[:, None] * full * scale)
    kept = weight > DEPENDENT * weight.max()
    return Basis(anchors, sketch, (directions[:, kept] * weight[kept].rsqrt()).T * scale)


def slope_and_product(function: Callable[[Tensor], Tensor], point: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """The gradient at ``point`` and a function that multiplies vectors by the Hessian there.

    Costs one gradient with its graph, then about two gradients a product.

    Raises:
        InputError: The function does not depend on its parameters.
    """
    theta = point.clone().requires_grad_()
    value = function(theta)
    if not value.requires_grad:
        raise InputError("function must be a differentiable scalar of its parameters, it does not depend on them")
    (slope,) = torch.autograd.grad(value, theta, create_graph=True)

    def product(vector: Tensor) -> Tensor:
        if not slope.requires_grad:
            return torch.zeros_like(vector)
        (image,) = torch.autograd.grad(
            slope, theta, vector, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return image

    return slope.detach(), product
