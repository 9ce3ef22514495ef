"""Random maps from d coordinates to s, kept as a seed and never as a dense matrix.

A hash sketch P has one nonzero in each column: coordinate j adds to bucket h(j) with a random sign, so that

    (P x)_i = sum over h(j) = i of sign_j x_j        (P^T y)_j = sign_j y_h(j)        E[P^T P] = I

and the rows of P are disjoint: P P^T is diagonal and holds the bucket sizes, which balanced buckets keep within one
of each other. Both products cost O(d).

Cartis, Fiala and Shao, Hashing embeddings of optimal dimension, with applications to linear least squares, 2021.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class HashSketch:
    """A balanced hash of ``width`` coordinates into ``size`` buckets; equal seeds give equal maps.

    Attributes:
        width: Number d of coordinates.
        size: Number s of buckets, at most ``width``; at ``width`` the map is a signed permutation.
        seed: Address of the map.
    """

    width: int
    size: int
    seed: int
    _bucket: Tensor = field(init=False, repr=False)
    _sign: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        random = np.random.default_rng(self.seed)
        bucket = random.permutation(self.width) % max(self.size, 1)
        sign = 2.0 * random.integers(0, 2, self.width) - 1.0
        object.__setattr__(self, "_bucket", torch.from_numpy(bucket))
        object.__setattr__(self, "_sign", torch.from_numpy(sign))

    def apply(self, vector: Tensor) -> Tensor:
        """P x: [s] from [d]."""
        return torch.zeros(self.size, dtype=torch.float64).index_add_(0, self._bucket, self._sign * vector)

    def transpose(self, vector: Tensor) -> Tensor:
        """P^T y: [d] from [s]."""
        return self._sign * vector[self._bucket]

    def gram(self) -> Tensor:
        """P P^T: [s, s]."""
        return torch.diag(torch.bincount(self._bucket, minlength=self.size).double())


@dataclass(frozen=True, eq=False)
class GaussianSketch:
    """Independent N(0, 1/s) entries, a dense matrix of s * d numbers: the reference the hash is measured against.

    Attributes:
        width: Number d of coordinates.
        size: Number s of rows.
        seed: Address of the map.
    """

    width: int
    size: int
    seed: int
    _matrix: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        draws = np.random.default_rng(self.seed).standard_normal((self.size, self.width))
        object.__setattr__(self, "_matrix", torch.from_numpy(draws / max(self.size, 1) ** 0.5))

    def apply(self, vector: Tensor) -> Tensor:
        """P x: [s] from [d]."""
        return self._matrix @ vector

    def transpose(self, vector: Tensor) -> Tensor:
        """P^T y: [d] from [s]."""
        return self._matrix.T @ vector

    def gram(self) -> Tensor:
        """P P^T: [s, s]."""
        return self._matrix @ self._matrix.T


Sketch = HashSketch | GaussianSketch
