"""Tuning never rises, solves what it can in one step, leaves saddles and finds known optima."""

from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from components.errors import InputError
from components.subspace import METHODS, SubspaceTrustRegion, Tuned

seeds = st.integers(0, 10_000)


def quadratic(seed: int, size: int, rank: int) -> tuple[Callable[[Tensor], Tensor], np.ndarray]:
    """A least-squares value of this rank whose least value is 0, and a start."""
    random = np.random.default_rng(seed)
    design = torch.tensor(random.normal(size=(rank, size)))
    target = design @ torch.tensor(random.normal(size=size))
    return lambda theta: 0.5 * (design @ theta - target).square().sum(), random.normal(size=size)


def rosenbrock(theta: Tensor) -> Tensor:
    return (100 * (theta[1:] - theta[:-1] ** 2) ** 2 + (1 - theta[:-1]) ** 2).sum()


def bumpy(theta: Tensor) -> Tensor:
    return (theta.square() / (1 + theta.square())).sum() + torch.cos(3 * theta).sum() / 2


def check_monotone(tuned: Tuned, function: Callable[[Tensor], Tensor], start: np.ndarray) -> None:
    values = [tuned.start_value, *(entry.value for entry in tuned.ledger)]
    for before, after, entry in zip(values[:-1], values[1:], tuned.ledger, strict=True):
        assert after < before if entry.accepted else after == before
        assert not entry.accepted or entry.ratio >= 0.1
    assert tuned.value == values[-1] == float(function(torch.tensor(tuned.point)))
    assert tuned.start_value == float(function(torch.tensor(start)))
    if not any(entry.accepted for entry in tuned.ledger):
        assert tuned.point.tobytes() == start.tobytes()


@given(seed=seeds, size=st.integers(1, 20), dimensions=st.integers(1, 8), radius=st.floats(1e-2, 10))
@settings(deadline=None, max_examples=30)
def test_no_step_rises_on_random_quadratics(seed: int, size: int, dimensions: int, radius: float) -> None:
    random = np.random.default_rng(seed)
    root = torch.tensor(random.normal(size=(size, size)))
    hessian, slope = root + root.T, torch.tensor(random.normal(size=size))
    start = random.normal(size=size)

    def function(theta: Tensor) -> Tensor:
        return 0.5 * theta @ hessian @ theta + slope @ theta

    method = SubspaceTrustRegion(dimensions=dimensions, iterations=8, radius=radius, seed=seed)
    check_monotone(method.minimise(function, start), function, start)


@pytest.mark.parametrize("function", [rosenbrock, bumpy])
@given(seed=seeds)
@settings(deadline=None, max_examples=15)
def test_no_step_rises_on_smooth_functions(function: Callable[[Tensor], Tensor], seed: int) -> None:
    start = 2 * np.random.default_rng(seed).normal(size=10)
    check_monotone(SubspaceTrustRegion(iterations=25, seed=seed).minimise(function, start), function, start)


@pytest.mark.parametrize(("dimensions", "solved"), [(9, True), (14, True), (7, False), (3, False)])
def test_one_step_solves_a_quadratic_exactly_when_the_subspace_spans_its_rank(dimensions: int, solved: bool) -> None:
    """Rank 10 in 60 coordinates: the gradient and 9 random directions are just enough."""
    function, start = quadratic(0, 60, 10)
    tuned = SubspaceTrustRegion(dimensions=dimensions, iterations=1, radius=1e3).minimise(function, start)
    assert (tuned.value < 1e-12 * tuned.start_value) == solved
    assert tuned.ledger[0].products == dimensions + 1
    assert solved or tuned.value > 1e-3 * tuned.start_value


def test_the_radius_triples_while_the_model_is_right_and_the_minimum_is_outside() -> None:
    function, start = quadratic(3, 10, 10)
    tuned = SubspaceTrustRegion(dimensions=10, iterations=5, radius=1e-3).minimise(function, start)
    np.testing.assert_allclose([entry.radius for entry in tuned.ledger], 1e-3 * 3.0 ** np.arange(5))
    lengths = np.linalg.norm(tuned.point - start)
    assert 3.0**4 * 1e-3 < lengths <= 1e-3 * (3.0**5 - 1) / 2 * (1 + 1e-9)


def test_in_all_coordinates_a_step_is_newtons() -> None:
    random = np.random.default_rng(0)
    root = random.normal(size=(8, 8))
    hessian, slope = root @ root.T + np.eye(8), random.normal(size=8)

    def function(theta: Tensor) -> Tensor:
        return 0.5 * theta @ torch.tensor(hessian) @ theta + torch.tensor(slope) @ theta

    tuned = SubspaceTrustRegion(dimensions=8, iterations=1, radius=1e3).minimise(function, np.ones(8))
    np.testing.assert_allclose(tuned.point, -np.linalg.solve(hessian, slope), atol=1e-12)


def test_the_optimum_is_that_of_scipy() -> None:
    from scipy.optimize import minimize

    random = np.random.default_rng(1)
    design = torch.tensor(random.normal(size=(300, 15)))
    target = torch.tensor((random.random(300) < 0.4).astype(float))

    def loss(theta: Tensor) -> Tensor:
        data = torch.nn.functional.binary_cross_entropy_with_logits(design @ theta, target)
        return data + 0.01 * theta.square().sum()

    def value_and_slope(theta: np.ndarray) -> tuple[float, np.ndarray]:
        point = torch.tensor(theta, requires_grad=True)
        value = loss(point)
        value.backward()
        return value.item(), point.grad.numpy()

    best = minimize(value_and_slope, np.zeros(15), jac=True, method="L-BFGS-B", options={"ftol": 0, "gtol": 1e-9})
    tuned = SubspaceTrustRegion(iterations=200, tolerance=1e-8).minimise(loss, np.zeros(15))
    np.testing.assert_allclose(tuned.point, best.x, atol=1e-6)
    assert tuned.value == pytest.approx(best.fun, abs=1e-12)
    assert "gradient is below tolerance" in tuned.reason
    assert len(tuned.ledger) < 200


def test_rosenbrocks_valley_is_followed_to_its_end() -> None:
    tuned = SubspaceTrustRegion(iterations=150, dimensions=8).minimise(rosenbrock, np.full(10, -1.0))
    assert tuned.value < 1e-8


def test_the_minimum_of_a_network_is_approached() -> None:
    """A tanh network of 61 parameters: the loss falls by far more than its first gradient step alone can give."""
    random = np.random.default_rng(2)
    features = torch.tensor(random.normal(size=(200, 4)))
    target = torch.sin(features[:, 0]) * features[:, 1]

    def loss(theta: Tensor) -> Tensor:
        hidden = torch.tanh(features @ theta[:40].view(4, 10) + theta[40:50])
        return (hidden @ theta[50:60] + theta[60] - target).square().mean()

    start = 0.5 * random.normal(size=61)
    tuned = SubspaceTrustRegion(iterations=60).minimise(loss, start)
    check_monotone(tuned, loss, start)
    assert tuned.value < 0.2 * float(target.var())


@pytest.mark.parametrize("positive", [3, 6])
@pytest.mark.parametrize("seed", range(3))
def test_an_exact_saddle_is_left(positive: int, seed: int) -> None:
    """The gradient is zero, one curvature is negative, ``positive`` are positive, the others vanish."""
    axes = torch.linalg.qr(torch.tensor(np.random.default_rng(seed).normal(size=(40, 40))))[0]
    curvature = torch.zeros(40).double()
    curvature[0], curvature[1 : positive + 1] = -1.0, 1.0

    def function(theta: Tensor) -> Tensor:
        along = axes @ theta
        return 0.5 * (curvature * along.square()).sum() + along.pow(4).sum() / 4

    tuned = SubspaceTrustRegion(dimensions=8, iterations=60, seed=seed).minimise(function, np.zeros(40))
    assert tuned.ledger[0].gradient_norm == 0
    assert tuned.ledger[0].lowest_curvature < 0
    assert tuned.value == pytest.approx(-0.25, abs=1e-6)


def test_at_a_minimum_nothing_moves() -> None:
    start = np.array([1.0, 1.0, 1.0, 1.0])
    tuned = SubspaceTrustRegion().minimise(rosenbrock, start)
    assert tuned.point.tobytes() == start.tobytes()
    assert tuned.value == tuned.start_value == 0.0
    assert len(tuned.ledger) == 3
    assert "no negative curvature" in tuned.reason


def test_values_that_are_not_finite_are_rejected_steps() -> None:
    """A cliff to NaN beside the minimum; full Newton steps fall off it."""

    def function(theta: Tensor) -> Tensor:
        return (theta - torch.log(theta)).sum() + theta.square().sum() / 100

    start = np.full(6, 3.0)
    tuned = SubspaceTrustRegion(radius=100.0, dimensions=6).minimise(function, start)
    check_monotone(tuned, function, start)
    np.testing.assert_allclose(tuned.point, np.full(6, (-1 + 1.08**0.5) / 0.04), atol=1e-5)


def test_where_every_other_value_is_infinite_the_start_comes_back() -> None:
    start = np.array([0.3, -0.7])

    def trap(theta: Tensor) -> Tensor:
        inside = bool((theta.detach() == torch.tensor(start)).all())
        return theta.sum() if inside else theta.sum() * float("inf")

    tuned = SubspaceTrustRegion().minimise(trap, start)
    assert tuned.point.tobytes() == start.tobytes()
    assert tuned.value == tuned.start_value
    assert tuned.reason == "no step gives a measurable decrease"
    assert np.isnan(tuned.ledger[0].ratio)


def test_derivatives_that_stop_being_finite_end_the_search() -> None:
    """Below one half the value goes on falling but its derivative becomes 0 / 0."""

    def function(theta: Tensor) -> Tensor:
        return (theta + 0 * (theta - 0.5 + (theta - 0.5).abs()).sqrt()).sum()

    tuned = SubspaceTrustRegion(radius=1.0).minimise(function, np.ones(1))
    np.testing.assert_allclose(tuned.point, 0, atol=1e-12)
    assert tuned.reason == "the derivatives are not finite here"
    assert len(tuned.ledger) == 1


def test_the_same_seed_gives_the_same_tuning() -> None:
    start = np.random.default_rng(0).normal(size=30)
    once, again, other = (SubspaceTrustRegion(iterations=10, seed=seed).minimise(bumpy, start) for seed in (1, 1, 2))
    assert once.point.tobytes() == again.point.tobytes()
    assert once.ledger == again.ledger
    assert once.point.tobytes() != other.point.tobytes()


def test_the_start_is_left_alone_and_each_iteration_is_reported() -> None:
    start, seen = np.full(6, 2.0), []
    tuned = SubspaceTrustRegion(iterations=7).minimise(bumpy, start, lambda *entry: seen.append(entry))
    assert (start == 2.0).all()
    assert [entry[:2] for entry in seen] == [(step, 7) for step in range(len(tuned.ledger))]
    assert seen[-1][2]["value"] == tuned.value
    assert all(isinstance(number, float) for entry in seen for number in entry[2].values())


def test_an_exception_passes_through() -> None:
    def broken(theta: Tensor) -> Tensor:
        raise RuntimeError("no data")

    with pytest.raises(RuntimeError, match="no data"):
        SubspaceTrustRegion().minimise(broken, np.zeros(3))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda theta: theta.sum() * float("nan"), "start must have a finite value"),
        (lambda theta: theta.abs().sqrt().sum(), "finite derivatives at the start"),
        (lambda _: torch.ones(()).double(), "does not depend on them"),
    ],
)
def test_a_bad_function_is_named(function: Callable[[Tensor], Tensor], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SubspaceTrustRegion().minimise(function, np.zeros(3))


@pytest.mark.parametrize(
    ("field", "value"), [("dimensions", 0), ("iterations", 0), ("radius", 0.0), ("tolerance", -1.0), ("seed", -1)]
)
def test_a_bad_field_of_the_tuner_is_named(field: str, value: float) -> None:
    with pytest.raises(InputError, match=f"^{field} must"):
        replace(SubspaceTrustRegion(), **{field: value})


def test_the_method_is_a_value() -> None:
    method = METHODS["subspace_trust_region"]()
    assert hash(method) == hash(SubspaceTrustRegion())
    assert SubspaceTrustRegion(**asdict(method)) == method
