"""IVON against ivon-opt, exact posteriors and the learning rule's closed form."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.bayes import Ivon, from_moments, isotropic
from components.bayes.ivon_step import IvonScale, IvonState, advance, ivon_step, perturbation, sampled_gradient
from components.bayes.rule import improved_step
from components.contracts import Posterior
from components.errors import InputError

seeds = st.integers(0, 10_000)


def scale_of(pull: torch.Tensor, size: float = 100.0, **changes: float) -> IvonScale:
    plain = IvonScale(torch.zeros_like(pull), pull, size, 0.2 * (0.5 + pull), 0.9, 0.99, 1e30)
    return replace(plain, **changes)


def state_of(size: int, hessian: float = 0.5, dtype: torch.dtype = torch.float64) -> IvonState:
    start = torch.linspace(-1, 1, size, dtype=dtype)
    return IvonState(start, torch.zeros_like(start), torch.full_like(start, hessian))


def layout(size: int) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return (("weight", (size,)),)


def rosenbrock(theta: torch.Tensor, minibatch: object = None) -> torch.Tensor:
    return (5 * (theta[1:] - theta[:-1] ** 2) ** 2 + (1 - theta[:-1]) ** 2).sum() / 10


@pytest.mark.skipif(importlib.util.find_spec("ivon") is None, reason="ivon-opt is not installed")
@pytest.mark.parametrize(
    ("dtype", "samples", "clip_radius", "tolerance"),
    [
        (torch.float64, 1, 1e30, 1e-10),
        (torch.float64, 3, 0.05, 1e-10),
        (torch.float32, 1, 1e30, 1e-5),
        (torch.float32, 1, 0.05, 1e-5),
    ],
)
def test_fifty_steps_are_those_of_ivon_opt(
    dtype: torch.dtype, samples: int, clip_radius: float, tolerance: float
) -> None:
    """The same normals reach both: ivon-opt draws one vector a sample from the global generator."""
    import ivon

    state = state_of(12, dtype=dtype)
    pull = torch.full_like(state.mean, 1e-2)
    scale = IvonScale(
        torch.zeros_like(pull), pull, 500.0, 0.3 * (torch.full_like(pull, 0.5) + pull), 0.9, 0.995, clip_radius
    )
    flat = torch.nn.Parameter(state.mean.clone())
    reference = ivon.IVON(
        [flat], lr=0.3, ess=500.0, hess_init=0.5, beta1=0.9, beta2=0.995, weight_decay=1e-2,
        mc_samples=samples, clip_radius=clip_radius,
    )  # fmt: skip
    ours = torch.Generator().manual_seed(7)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        for _ in range(50):
            for _ in range(samples):
                with reference.sampled_params(train=True):
                    reference.zero_grad()
                    rosenbrock(flat).backward()
            reference.step()
            shifts = [perturbation(state, scale, torch.randn(12, generator=ours, dtype=dtype)) for _ in range(samples)]
            _, gradient, product = sampled_gradient(rosenbrock, None, state.mean, shifts)
            state = ivon_step(state, scale, gradient, product)
    group = reference.param_groups[0]
    torch.testing.assert_close(state.mean, flat.detach(), rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(state.hessian, group["hess"], rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(state.momentum, group["momentum"], rtol=tolerance, atol=tolerance)
    assert not torch.allclose(state.mean, state_of(12, dtype=dtype).mean, atol=0.1)


@given(seed=seeds, rate=st.floats(1e-3, 0.5), size=st.floats(1, 1e4))
@settings(deadline=None)
def test_the_precision_moves_as_the_improved_rule_says(seed: int, rate: float, size: float) -> None:
    """In units of precision S = L (h + d), with E[H] = S_p + L f and the rule's rate 1 - b2."""
    random = np.random.default_rng(seed)
    pull, hessian = random.uniform(0.01, 1, 6), random.uniform(-0.005, 2, 6)
    product, gradient = random.normal(size=6) / size, random.normal(size=6)
    state = IvonState(torch.zeros(6).double(), torch.zeros(6).double(), torch.tensor(hessian))
    scale = scale_of(torch.tensor(pull), size, decay=1 - rate)
    moved = ivon_step(state, scale, torch.tensor(gradient), torch.tensor(product))
    precision = size * (hessian + pull)
    _, renewed = improved_step(np.zeros(6), precision, gradient, size * pull + size * precision * product, rate)
    np.testing.assert_allclose(size * (moved.hessian.numpy() + pull), renewed, rtol=1e-9)


@given(seed=seeds, noise=st.floats(0.1, 1e6))
@settings(deadline=None)
def test_no_noise_makes_the_precision_less_than_half(seed: int, noise: float) -> None:
    random = np.random.default_rng(seed)
    state, scale = state_of(6), scale_of(torch.full((6,), 0.01).double(), decay=0.5)
    before = state.hessian + scale.pull
    advance(state, scale, torch.zeros(6).double(), torch.tensor(noise * random.normal(size=6)))
    assert (state.hessian + scale.pull >= before / 2 * (1 - 1e-10)).all()


def test_a_step_leaves_what_it_was_given() -> None:
    state, scale = state_of(5), scale_of(torch.full((5,), 0.01).double())
    gradient, product = torch.ones(5).double(), torch.ones(5).double()
    moved = ivon_step(state, scale, gradient, product, 0.5)
    fresh = state_of(5)
    for name in ("mean", "momentum", "hessian"):
        assert torch.equal(getattr(state, name), getattr(fresh, name))
        assert not torch.equal(getattr(moved, name), getattr(fresh, name))
    assert (gradient == 1).all()
    assert (product == 1).all()
    assert (state.steps, moved.steps) == (0, 1)


def test_started_from_no_curvature_the_noise_is_the_priors() -> None:
    state, scale = state_of(4, hessian=0.0), scale_of(torch.full((4,), 0.25).double(), 16.0)
    torch.testing.assert_close(perturbation(state, scale, torch.ones(4).double()), torch.full((4,), 0.5).double())


def test_the_curvature_estimate_is_unbiased_and_calmer_in_pairs() -> None:
    """On a quadratic f = S e g has mean diag(H); pairs cancel the gradient at the mean out of its variance."""
    random = np.random.default_rng(0)
    root = random.normal(size=(4, 4))
    hessian = torch.tensor(root @ root.T + np.eye(4))
    centre = torch.tensor(20 + random.normal(size=4))

    def risk(theta: torch.Tensor, minibatch: object) -> torch.Tensor:
        return 0.5 * (theta - centre) @ hessian @ (theta - centre)

    state, scale = state_of(4), scale_of(torch.full((4,), 0.1).double())
    draws = torch.randn(20_000, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shifts = perturbation(state, scale, draws)
    gradients = (state.mean + shifts - centre) @ hessian
    precision = scale.size * (state.hessian + scale.pull)
    alone, paired = precision * shifts * gradients, precision * shifts * (shifts @ hessian)
    mean, _, product = sampled_gradient(risk, None, state.mean, [shifts[0], -shifts[0]])
    torch.testing.assert_close(precision * product, paired[0], rtol=1e-9, atol=1e-9)
    assert np.isfinite(mean)
    error = paired.std(0) / len(draws) ** 0.5
    assert ((paired.mean(0) - hessian.diagonal()).abs() < 4 * error).all()
    assert (alone.std(0) > 1.3 * paired.std(0)).all()


def test_stationary_on_linear_regression() -> None:
    """Constant steps hover around the exact posterior: its mean, and the diagonal of its precision."""
    random = np.random.default_rng(0)
    design = torch.tensor(random.normal(size=(200, 4)) @ (np.eye(4) + 0.3 * random.normal(size=(4, 4))))
    target = design @ torch.tensor(random.normal(size=4)) + torch.tensor(random.normal(size=200))
    pull = torch.full((4,), 0.01).double()
    scale = replace(scale_of(pull, 200.0), decay=0.998, rate=torch.full((4,), 0.02).double())
    state, generator = state_of(4), torch.Generator().manual_seed(1)
    hessian, slope = design.T @ design / 200, design.T @ target / 200
    mean, precision, kept = torch.zeros(4).double(), torch.zeros(4).double(), 0
    for step in range(20_000):
        shift = perturbation(state, scale, torch.randn(4, generator=generator, dtype=torch.float64))
        gradient = hessian @ (state.mean + shift) - slope
        advance(state, scale, gradient, gradient * shift)
        if step >= 4_000:
            mean, kept = mean + state.mean, kept + 1
            precision += scale.size * (state.hessian + pull)
    exact = 200 * hessian + torch.diag(200 * pull)
    deviation = exact.diagonal().rsqrt()
    gap = (mean / kept - torch.linalg.solve(exact, 200 * slope)) / deviation
    assert gap.abs().max() < 0.06
    np.testing.assert_allclose(precision / kept, exact.diagonal(), rtol=0.06)


@pytest.fixture
def problem(linear_risk: type) -> tuple[object, Posterior, np.ndarray]:
    random = np.random.default_rng(5)
    design = random.normal(size=(400, 6))
    target = design @ random.normal(size=6) + random.normal(size=400)
    return linear_risk(design, target), isotropic(layout(6), 1.0), np.zeros(6)


def test_a_fit_finds_the_posterior_of_linear_regression(problem: tuple) -> None:
    objective, prior, start = problem
    posterior = Ivon(epochs=400, minibatch_rows=400).fit(objective, prior, start, "data")
    design, target = objective.design.numpy(), objective.target.numpy()
    exact = design.T @ design + np.eye(6)
    np.testing.assert_allclose(posterior.mean, np.linalg.solve(exact, design.T @ target), atol=1e-4)
    np.testing.assert_allclose(posterior.precision, np.diag(exact), rtol=1e-12)
    assert posterior.rows == 400
    assert posterior.lineage == ("data",)


def test_a_prior_of_constant_precision_around_zero_is_plain_weight_decay(problem: tuple) -> None:
    """With S_p = L d I and m_p = 0 a fit is plain IVON of weight decay d, run here by hand."""
    objective, _, start = problem
    decay, rule = (
        0.03,
        Ivon(epochs=20, minibatch_rows=400, hessian_decay=0.99, antithetic=False, clip_radius=4.0, seed=3),
    )
    prior = from_moments(layout(6), np.zeros(6), np.full(6, 400 * decay), 0.0, ())
    posterior = rule.fit(objective, prior, start, "data")
    mean, momentum, hessian = np.zeros(6), np.zeros(6), np.full(6, 0.3)
    generator = torch.Generator().manual_seed(3)
    design, target = objective.design.numpy(), objective.target.numpy()
    for step in range(20):
        deviation = (400 * (hessian + decay)) ** -0.5
        shift = torch.randn(1, 6, generator=generator, dtype=torch.float64).numpy()[0] * deviation
        gradient = design.T @ (design @ (mean + shift) - target) / 400
        momentum = 0.9 * momentum + 0.1 * gradient
        estimate = gradient * shift / deviation**2
        old = hessian + decay
        hessian = 0.99 * hessian + 0.01 * estimate + 0.5 * 0.01**2 * (hessian - estimate) ** 2 / old
        rate = 0.3 * (0.3 + decay) * 0.5 * (1 + np.cos(np.pi * step / 20))
        newton = (momentum / (1 - 0.9 ** (step + 1)) + decay * mean) / (hessian + decay)
        mean = mean - rate * np.clip(newton, -4, 4)
    np.testing.assert_allclose(posterior.mean, mean, rtol=1e-7)


def test_the_same_seed_gives_the_same_posterior_and_another_a_close_one(problem: tuple) -> None:
    objective, prior, start = problem
    rule = Ivon(epochs=30, minibatch_rows=100)
    once, again, other = (r.fit(objective, prior, start, "d") for r in (rule, rule, replace(rule, seed=1)))
    assert once.digest == again.digest
    assert once.digest != other.digest
    assert np.abs(once.mean - other.mean).max() < 0.5 * once.deviation.max()


def test_the_precision_is_that_of_laplace_at_the_mode(logistic_risk: type) -> None:
    """From the mode, with steps too small to leave it, against scipy's mode and autograd's Hessian."""
    from scipy.optimize import minimize

    random = np.random.default_rng(6)
    design = random.normal(size=(300, 5))
    target = (random.random(300) < 1 / (1 + np.exp(-design @ random.normal(size=5)))).astype(float)
    objective, prior = logistic_risk(design, target), isotropic(layout(5), 2.0)

    def loss(theta: torch.Tensor) -> torch.Tensor:
        data = 300 * objective.risk(theta, (objective.design, objective.target)) / 1.5
        return data + 0.5 * theta.square().sum() / 4

    mode = minimize(lambda theta: loss(torch.tensor(theta)).item(), np.zeros(5), tol=1e-12).x
    rule = Ivon(epochs=1, learning_rate=1e-12, minibatch_rows=300, temperature=1.5)
    posterior = rule.fit(objective, prior, mode, "data")
    hessian = torch.autograd.functional.hessian(loss, torch.tensor(mode))
    np.testing.assert_allclose(posterior.precision, hessian.diagonal(), rtol=1e-9)


def test_learning_beats_the_prior_on_noisy_labels(logistic_risk: type) -> None:
    random = np.random.default_rng(7)
    design = random.normal(size=(2_000, 20))
    weight = random.normal(size=20) / 2
    target = (random.random(2_000) < 1 / (1 + np.exp(-design @ weight))) * (random.random(2_000) < 0.8)
    objective = logistic_risk(design, target.astype(float))
    seen: list[tuple[int, int, dict[str, float]]] = []
    posterior = Ivon().fit(objective, isotropic(layout(20), 1.0), np.zeros(20), "d", lambda *entry: seen.append(entry))
    assert np.corrcoef(posterior.mean, weight)[0, 1] > 0.95
    assert [entry[0] for entry in seen] == list(range(30))
    assert seen[-1][2]["risk"] < seen[0][2]["risk"] < np.log(2)
    assert seen[-1][2]["lowest_curvature"] > 0
    assert seen[-1][2]["clipped_share"] == 0


class Broken:
    """A linear risk that fails after some calls."""

    def __init__(self, objective: object, after: int, failure: Exception | float) -> None:
        self.inner, self.after, self.failure = objective, after, failure
        self.rows = objective.rows
        self.minibatches, self.curvature = objective.minibatches, objective.curvature

    def risk(self, theta: torch.Tensor, minibatch: object) -> torch.Tensor:
        self.after -= 1
        if self.after >= 0:
            return self.inner.risk(theta, minibatch)
        if isinstance(self.failure, Exception):
            raise self.failure
        return self.inner.risk(theta, minibatch) * self.failure


def test_a_failing_objective_leaves_nothing_changed(problem: tuple) -> None:
    objective, prior, start = problem
    before, digest, generator = start.copy(), prior.digest, torch.get_rng_state()
    numpy_state = np.random.get_state()[1].copy()
    with pytest.raises(RuntimeError, match="out of rows"):
        Ivon().fit(Broken(objective, 5, RuntimeError("out of rows")), prior, start, "d")
    assert np.array_equal(start, before)
    assert prior.digest == digest
    assert torch.equal(torch.get_rng_state(), generator)
    assert np.array_equal(np.random.get_state()[1], numpy_state)


@pytest.mark.parametrize("failure", [float("nan"), float("inf")])
def test_a_risk_that_stops_being_finite_is_named_with_its_epoch(problem: tuple, failure: float) -> None:
    objective, prior, start = problem
    with pytest.raises(InputError, match=r"learning_rate .* in epoch 2 of 5 the risk was (nan|inf)"):
        Ivon(epochs=5, minibatch_rows=100).fit(Broken(objective, 10, failure), prior, start, "d")


def test_a_bad_curvature_is_named(problem: tuple) -> None:
    objective, prior, start = problem
    broken = Broken(objective, 10**6, 0.0)
    broken.curvature = lambda theta: -torch.ones_like(theta)
    with pytest.raises(InputError, match="curvature of the objective"):
        Ivon(epochs=1).fit(broken, prior, start, "d")


def test_an_unused_parameter_keeps_its_prior(problem: tuple, linear_risk: type) -> None:
    objective, _, _ = problem
    design = np.concatenate([objective.design.numpy(), np.zeros((400, 1))], axis=1)
    prior = from_moments(layout(7), np.full(7, 0.2), np.ones(7), 0.0, ())
    posterior = Ivon(epochs=5).fit(linear_risk(design, objective.target.numpy()), prior, prior.mean, "d")
    assert posterior.precision[-1] == 1.0
    assert posterior.mean[-1] == pytest.approx(0.2, abs=1e-12)


@pytest.mark.parametrize("start", [np.zeros(5), np.full(6, np.nan)])
def test_a_bad_start_is_named(problem: tuple, start: np.ndarray) -> None:
    objective, prior, _ = problem
    with pytest.raises(InputError, match="start must hold 6 finite numbers"):
        Ivon().fit(objective, prior, start, "d")


def test_an_objective_without_rows_is_named(problem: tuple) -> None:
    objective, prior, start = problem
    objective.rows = 0.0
    with pytest.raises(InputError, match="rows of the objective"):
        Ivon().fit(objective, prior, start, "d")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("learning_rate", 0.0),
        ("initial_hessian", -0.1),
        ("momentum", 1.0),
        ("hessian_decay", 1.0),
        ("prior_deviation", 0.0),
        ("epochs", 0),
        ("minibatch_rows", 0),
        ("clip_radius", float("inf")),
        ("samples", 0),
        ("temperature", float("nan")),
        ("seed", -1),
    ],
)
def test_a_bad_field_of_ivon_is_named(field: str, value: float) -> None:
    with pytest.raises(InputError, match=f"^{field} must"):
        replace(Ivon(), **{field: value})
