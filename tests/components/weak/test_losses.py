"""Losses are tables of what a row would cost were it of each class."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import InputError
from components.weak import (
    LOSSES,
    CrossEntropy,
    DoubleHinge,
    Exponential,
    ExponentialProbability,
    Logistic,
    Loss,
    MeanAbsolute,
    Sigmoid,
    Squared,
    ZeroOne,
)

seeds = st.integers(0, 10_000)
each_loss = pytest.mark.parametrize("loss", [make() for make in LOSSES.values()], ids=list(LOSSES))
each_margin = pytest.mark.parametrize("make", [Sigmoid, Logistic, Squared, DoubleHinge, Exponential])
z = torch.linspace(-4, 4, 41, dtype=torch.float64)


@pytest.mark.parametrize(
    ("loss", "formula"),
    [
        (Sigmoid(), lambda z: 1 / (1 + np.exp(z))),
        (Logistic(), lambda z: np.log1p(np.exp(-z))),
        (CrossEntropy(), lambda z: np.log1p(np.exp(-z))),
        (Squared(), lambda z: (1 - z) ** 2 / 4),
        (DoubleHinge(), lambda z: np.maximum(-z, np.maximum(0, (1 - z) / 2))),
        (Exponential(), lambda z: np.exp(-z)),
        (MeanAbsolute(), lambda z: 1 - 1 / (1 + np.exp(-z))),
        (ExponentialProbability(), lambda z: np.exp(-1 / (1 + np.exp(-z)))),
        (ZeroOne(), lambda z: np.where(z < 0, 1.0, 0.0)),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_one_logit_costs_what_the_formula_says(loss: Loss, formula: object) -> None:
    table = loss(z).numpy()
    np.testing.assert_allclose(table[:, 0], formula(z.numpy()), atol=1e-12)  # type: ignore[operator]
    away = z.numpy() != 0 if isinstance(loss, ZeroOne) else slice(None)
    np.testing.assert_allclose(table[away, 1], formula(-z.numpy())[away], atol=1e-12)  # type: ignore[operator]


@each_loss
def test_two_logits_are_their_difference(loss: Loss) -> None:
    logits = torch.randn(9, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(loss(logits), loss(logits[:, 0] - logits[:, 1]))


@pytest.mark.parametrize("loss", [Logistic(), Squared(), DoubleHinge()], ids=lambda loss: loss.kind)
def test_the_odd_part_of_the_convex_losses_is_linear(loss: Loss) -> None:
    table = loss(z)
    torch.testing.assert_close(table[:, 0] - table[:, 1], -z)


@settings(deadline=None, max_examples=20)
@given(seed=seeds, classes=st.integers(2, 6))
def test_bounded_losses_of_a_row_have_a_constant_sum(seed: int, classes: int) -> None:
    logits = torch.from_numpy(np.random.default_rng(seed).normal(scale=5, size=(7, classes)))
    assert MeanAbsolute()(logits).sum(1).numpy() == pytest.approx(classes - 1)
    assert Sigmoid("pairwise")(logits).sum(1).numpy() == pytest.approx(classes * (classes - 1) / 2)
    assert Sigmoid("one_versus_rest")(logits).sum(1).numpy() == pytest.approx(classes)


@each_margin
@settings(deadline=None, max_examples=10)
@given(seed=seeds, classes=st.integers(3, 6))
def test_several_logits_are_compared_one_by_one(make: type, seed: int, classes: int) -> None:
    logits = torch.from_numpy(np.random.default_rng(seed).normal(size=(4, classes)))
    pairwise, rest = make("pairwise"), make("one_versus_rest")
    for row in range(4):
        for label in range(classes):
            others = [j for j in range(classes) if j != label]
            wanted = sum(pairwise.margin(logits[row, label] - logits[row, j]) for j in others)
            torch.testing.assert_close(pairwise(logits)[row, label], wanted)
            wanted = rest.margin(logits[row, label]) + sum(rest.margin(-logits[row, j]) for j in others) / len(others)
            torch.testing.assert_close(rest(logits)[row, label], wanted)


@each_loss
@settings(deadline=None, max_examples=10)
@given(seed=seeds)
def test_classes_in_another_order_cost_the_same(loss: Loss, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits, order = torch.from_numpy(rng.normal(size=(5, 4))), rng.permutation(4).tolist()
    torch.testing.assert_close(loss(logits[:, order]), loss(logits)[:, order])


@each_loss
def test_a_right_class_with_a_large_margin_costs_least(loss: Loss) -> None:
    logits = torch.tensor([[0.9, -0.9, -0.9]], dtype=torch.float64)
    assert loss(logits)[0].argmin() == 0


@each_loss
def test_no_loss_of_a_large_logit_is_not_a_number(loss: Loss) -> None:
    logits = torch.tensor([300.0, -300.0, 0.0], dtype=torch.float64, requires_grad=True)
    table = loss(logits)
    assert torch.isfinite(table).all()
    if table.requires_grad:
        assert torch.isfinite(torch.autograd.grad(table.sum(), logits)[0]).all()


def test_cross_entropy_is_that_of_torch() -> None:
    logits = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    for label in range(4):
        wanted = torch.nn.functional.cross_entropy(logits, torch.full((6,), label), reduction="none")
        torch.testing.assert_close(CrossEntropy()(logits)[:, label], wanted)


@each_loss
def test_a_loss_is_a_value(loss: Loss) -> None:
    assert pickle.loads(pickle.dumps(loss)) == loss
    assert hash(loss) == hash(type(loss)())


def test_another_way_to_several_classes_is_refused() -> None:
    with pytest.raises(InputError, match="against must be one of"):
        Sigmoid("both")  # type: ignore[arg-type]
