"""Heads: their closed-form curvature against automatic differentiation, and their shapes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.errors import InputError
from components.heads import HEADS, Head, Linear, Mlp

heads = st.one_of(st.just(Linear()), st.builds(Mlp, hidden=st.integers(1, 5)))


def drawn(head: Head, rows: int, width: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(seed)
    size = sum(int(np.prod(shape)) for _, shape in head.layout(width))
    theta, features, weight = random.normal(size=size), random.normal(size=(rows, width)), random.uniform(size=rows)
    return torch.from_numpy(theta), torch.from_numpy(features), torch.from_numpy(weight)


@given(head=heads, rows=st.integers(1, 6), width=st.integers(1, 5), seed=st.integers(0, 99))
def test_curvature_is_the_weighted_sum_of_squared_derivatives(head: Head, rows: int, width: int, seed: int) -> None:
    theta, features, weight = drawn(head, rows, width, seed)
    jacobian = torch.autograd.functional.jacobian(lambda t: head.logits(t, features), theta)
    torch.testing.assert_close(head.curvature(theta, features, weight), weight @ jacobian**2)


@given(head=heads, width=st.integers(1, 5), seed=st.integers(0, 99))
def test_many_parameters_at_once_equal_one_by_one(head: Head, width: int, seed: int) -> None:
    theta, features, _ = drawn(head, 4, width, seed)
    thetas = torch.stack([theta, 2 * theta, -theta])
    torch.testing.assert_close(
        head.logits(thetas, features), torch.stack([head.logits(one, features) for one in thetas])
    )


@given(head=heads, width=st.integers(1, 5), seed=st.integers(0, 99))
def test_start_fits_the_layout_and_predicts_one_half(head: Head, width: int, seed: int) -> None:
    _, features, _ = drawn(head, 3, width, seed)
    start = torch.from_numpy(head.start(width, seed))
    assert len(start) == sum(int(np.prod(shape)) for _, shape in head.layout(width))
    torch.testing.assert_close(head.logits(start, features), torch.zeros(3, dtype=torch.float64))


def test_every_head_is_listed_by_its_kind() -> None:
    assert {kind: head().kind for kind, head in HEADS.items()} == {kind: kind for kind in HEADS}


def test_a_bad_field_is_named() -> None:
    with pytest.raises(InputError, match="hidden must be at least 1, got 0"):
        Mlp(hidden=0)
