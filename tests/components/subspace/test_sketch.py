"""Sketches are linear maps addressed by a seed; the basis built on them is orthonormal."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.subspace.basis import orthonormal, slope_and_product, subspace
from components.subspace.sketch import GaussianSketch, HashSketch

SKETCHES = [HashSketch, GaussianSketch]
each_sketch = pytest.mark.parametrize("make", SKETCHES, ids=["hash", "gaussian"])
seeds = st.integers(0, 10_000)


def vector(seed: int, size: int) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).normal(size=size))


@each_sketch
@given(seed=seeds, width=st.integers(1, 60), data=st.data())
@settings(deadline=None)
def test_transpose_is_the_adjoint(make: type, seed: int, width: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, width))
    sketch, x, y = make(width, size, seed), vector(seed + 1, width), vector(seed + 2, size)
    assert float(sketch.apply(x) @ y) == pytest.approx(float(x @ sketch.transpose(y)), abs=1e-11)


@each_sketch
def test_gram_is_that_of_the_rows(make: type) -> None:
    sketch = make(40, 6, 3)
    rows = torch.stack([sketch.transpose(unit) for unit in torch.eye(6).double()])
    torch.testing.assert_close(sketch.gram(), rows @ rows.T)


@each_sketch
def test_lengths_are_kept_on_average(make: type) -> None:
    """E|P x|^2 = |x|^2, also for a vector with few entries; 3 standard errors."""
    dense, sparse = vector(0, 200), torch.zeros(200).double()
    sparse[:5] = vector(1, 5)
    for x in (dense, sparse):
        ratios = [float(make(200, 16, seed).apply(x).square().sum() / x.square().sum()) for seed in range(600)]
        assert abs(np.mean(ratios) - 1) < 3 * np.std(ratios) / 600**0.5


@each_sketch
def test_a_seed_is_an_address(make: type) -> None:
    x = vector(0, 50)
    assert torch.equal(make(50, 5, 9).apply(x), make(50, 5, 9).apply(x))
    assert not torch.equal(make(50, 5, 9).apply(x), make(50, 5, 10).apply(x))


@given(seed=seeds, width=st.integers(1, 100), data=st.data())
@settings(deadline=None)
def test_buckets_of_the_hash_are_balanced(seed: int, width: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, width))
    counts = HashSketch(width, size, seed).gram().diagonal()
    assert counts.sum() == width
    assert counts.max() - counts.min() <= 1


def test_a_full_hash_is_a_signed_permutation() -> None:
    sketch, x = HashSketch(30, 30, 4), vector(5, 30)
    torch.testing.assert_close(sketch.transpose(sketch.apply(x)), x, rtol=0, atol=0)


@pytest.mark.parametrize("dimensions", [1, 4, 12, 50])
def test_the_basis_is_orthonormal_and_holds_its_anchors(dimensions: int) -> None:
    gradient, previous = vector(1, 12), vector(2, 12)
    basis = subspace(gradient, previous, dimensions, 7)
    rows = torch.stack([basis.lifted(unit) for unit in torch.eye(basis.size).double()])
    torch.testing.assert_close(rows @ rows.T, torch.eye(basis.size).double(), rtol=0, atol=1e-9)
    assert basis.size == min(dimensions + 2, 12)
    for anchor in (gradient, previous):
        torch.testing.assert_close(basis.lifted(basis.reduced(anchor)), anchor, rtol=0, atol=1e-8)
        torch.testing.assert_close(basis.reduced(anchor), rows @ anchor, rtol=0, atol=1e-12)


def test_dependent_anchors_are_dropped() -> None:
    gradient = vector(1, 12)
    assert subspace(gradient, 3 * gradient, 4, 0).size == 5
    assert subspace(torch.zeros(12).double(), None, 4, 0).size == 4


@each_sketch
def test_a_basis_can_stand_on_any_sketch(make: type) -> None:
    basis = orthonormal(vector(1, 20)[None] / vector(1, 20).norm(), make(20, 4, 0))
    rows = torch.stack([basis.lifted(unit) for unit in torch.eye(5).double()])
    torch.testing.assert_close(rows @ rows.T, torch.eye(5).double(), rtol=0, atol=1e-9)


def test_products_are_differences_of_gradients() -> None:
    """Central differences of the gradient; their error is of order step^2."""

    def function(theta: torch.Tensor) -> torch.Tensor:
        return torch.tanh(theta[:4] * theta[4:]).sum() + theta.pow(4).sum() / 4 + theta.prod()

    point, direction, step = vector(1, 8), vector(2, 8), 1e-5
    gradient, product = slope_and_product(function, point)
    after, before = (slope_and_product(function, point + sign * step * direction)[0] for sign in (1, -1))
    torch.testing.assert_close(product(direction), (after - before) / (2 * step), rtol=1e-7, atol=1e-7)
    slopes = [(function(point + step * e) - function(point - step * e)) / (2 * step) for e in torch.eye(8).double()]
    torch.testing.assert_close(gradient, torch.stack(slopes), rtol=1e-7, atol=1e-7)


def test_a_flat_function_has_no_curvature() -> None:
    gradient, product = slope_and_product(lambda theta: 3 * theta.sum(), torch.zeros(4).double())
    assert (gradient == 3).all()
    assert (product(torch.ones(4).double()) == 0).all()
