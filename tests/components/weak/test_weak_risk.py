"""On worlds small enough to count, the risk learnt from weak labels is the clean risk, exactly."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.contracts import WeakData
from components.errors import InputError
from components.weak import CrossEntropy, Sigmoid, decontamination, fully_labelled, group_risks, positive_unlabeled

seeds = st.integers(0, 10_000)
exact = settings(deadline=None, max_examples=25)


class World:
    """Integer counts of rows over m points and two classes; exactly ``picked`` in ``out_of`` positives are labeled."""

    def __init__(self, seed: int, picked: int = 2, out_of: int = 5) -> None:
        rng = np.random.default_rng(seed)
        points = int(rng.integers(3, 9))
        blocks, negatives = rng.integers(1, 4, points), rng.integers(1, 12, points)
        x, y, s = [], [], []
        for point in range(points):
            for _ in range(blocks[point]):
                x += [point] * out_of
                y += [1] * out_of
                s += [1] * picked + [0] * (out_of - picked)
            x += [point] * negatives[point]
            y += [0] * negatives[point]
            s += [0] * negatives[point]
        order = rng.permutation(len(x))
        self.x, self.y, self.s = np.array(x)[order], np.array(y)[order] == 1, np.array(s)[order] == 1
        self.features = np.eye(points)[self.x]
        self.prior = float(self.y.mean())
        self.table = rng.normal(size=(points, 2))

    @property
    def losses(self) -> np.ndarray:
        return self.table[self.x]

    def clean(self, prior: float | None = None, weights: np.ndarray | None = None) -> np.ndarray:
        """[2] risk of each class in the population with ``prior`` and rows weighted within each class."""
        share = self.prior if prior is None else prior
        w = np.ones(len(self.x)) if weights is None else weights
        return np.array(
            [
                share * np.average(self.losses[self.y, 0], weights=w[self.y]),
                (1 - share) * np.average(self.losses[~self.y, 1], weights=w[~self.y]),
            ]
        )


def produced(data: WeakData, losses: np.ndarray) -> np.ndarray:
    matrix = decontamination(data.mixture, data.prior, data.sources.sum(axis=0))
    parts = (losses, np.array(data.sources), np.array(data.weights), matrix)
    return group_risks(*(torch.from_numpy(np.array(part)) for part in parts)).numpy()


@exact
@given(seed=seeds)
def test_risk_of_each_class_is_the_clean_one_without_shift(seed: int) -> None:
    world = World(seed)
    data = positive_unlabeled(world.features, world.s, world.prior)
    np.testing.assert_allclose(produced(data, world.losses), world.clean(), rtol=0, atol=1e-10)


@exact
@given(seed=seeds, target=st.floats(0.02, 0.98))
def test_risk_of_each_class_is_the_clean_one_under_label_shift(seed: int, target: float) -> None:
    world = World(seed)
    data = positive_unlabeled(world.features, world.s, world.prior, target_prior=target)
    np.testing.assert_allclose(produced(data, world.losses), world.clean(target), rtol=0, atol=1e-10)


@exact
@given(seed=seeds)
def test_risk_of_each_class_is_the_clean_one_under_covariate_shift(seed: int) -> None:
    world = World(seed)
    weights = np.random.default_rng(seed + 1).uniform(0.1, 3.0, len(world.table))[world.x]
    moved = float(np.average(world.y, weights=weights))
    data = positive_unlabeled(world.features, world.s, world.prior, moved, moved, np.column_stack([weights, weights]))
    np.testing.assert_allclose(produced(data, world.losses), world.clean(moved, weights), rtol=0, atol=1e-10)


def test_the_unlabeled_source_is_all_rows() -> None:
    world = World(3)
    data = positive_unlabeled(world.features, world.s, world.prior)
    assert data.sources[:, 1].all()
    np.testing.assert_array_equal(data.sources[:, 0], world.s)
    np.testing.assert_allclose(data.mixture, [[1, 0], [world.prior, 1 - world.prior]])


@exact
@given(seed=seeds)
def test_fully_labelled_is_the_plain_mean_loss(seed: int) -> None:
    world = World(seed)
    plain = np.where(world.s, world.losses[:, 0], world.losses[:, 1]).mean()
    assert produced(fully_labelled(world.features, world.s), world.losses).sum() == pytest.approx(plain, abs=1e-12)


def test_fully_labelled_with_weights_is_the_weighted_mean_loss() -> None:
    world = World(8)
    weights = np.random.default_rng(0).uniform(0.2, 2.0, len(world.s))
    plain = np.average(np.where(world.s, world.losses[:, 0], world.losses[:, 1]), weights=weights)
    assert produced(fully_labelled(world.features, world.s, weights), world.losses).sum() == pytest.approx(plain)


@exact
@given(seed=seeds)
def test_probe_losses_give_one_and_the_priors_and_affine_losses_an_affine_risk(seed: int) -> None:
    world = World(seed)
    data = positive_unlabeled(world.features, world.s, world.prior, target_prior=0.3)
    ones = np.ones_like(world.losses)
    np.testing.assert_allclose(produced(data, ones), [0.3, 0.7], atol=1e-12)
    risk = produced(data, world.losses).sum()
    assert produced(data, 2.5 * world.losses + 0.75).sum() == pytest.approx(2.5 * risk + 0.75, abs=1e-10)


@exact
@given(seed=seeds, guess=st.floats(0.05, 0.95))
def test_a_wrong_class_prior_leaves_its_exact_signature(seed: int, guess: float) -> None:
    world = World(seed)
    data = positive_unlabeled(world.features, world.s, guess)
    positives = world.losses[world.y].mean(axis=0)
    # With mixture = prior = guess: guess E_P[l+] + E_U[l-] - guess E_P[l-].
    bias = (guess - world.prior) * (positives[0] - positives[1])
    assert produced(data, world.losses).sum() - world.clean().sum() == pytest.approx(bias, abs=1e-10)


@exact
@given(seed=seeds)
def test_a_wrong_mixture_leaves_its_exact_signature(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true, told = rng.dirichlet(np.ones(3), 3), rng.dirichlet(np.ones(3), 3) + np.eye(3)
    told /= told.sum(axis=1, keepdims=True)
    classes, prior = rng.normal(size=(3, 3)), rng.dirichlet(np.ones(3))  # classes[j, y] = E_j[loss_y]
    matrix = decontamination(told, prior, np.ones(3))
    expected = np.einsum("yj,jy->y", matrix @ true, classes)
    losses, sources = torch.from_numpy(true @ classes), torch.eye(3).bool()
    risks = group_risks(losses, sources, sources.double(), torch.from_numpy(matrix))
    np.testing.assert_allclose(risks.numpy(), expected, atol=1e-9)


@exact
@given(seed=seeds, first=st.floats(0.6, 0.95), second=st.floats(0.05, 0.4), prior=st.floats(0.1, 0.9))
def test_two_unlabeled_sets_match_the_published_weights(seed: int, first: float, second: float, prior: float) -> None:
    gap = first - second
    published = np.array(
        [[(1 - second) * prior, -(1 - first) * prior], [-second * (1 - prior), first * (1 - prior)]]
    ) / gap  # fmt: skip
    mixture = [[first, 1 - first], [second, 1 - second]]
    np.testing.assert_allclose(decontamination(mixture, [prior, 1 - prior], [3, 50]), published, atol=1e-12)


def test_pure_and_positive_unlabeled_sources_are_special_cases() -> None:
    np.testing.assert_allclose(decontamination(np.eye(2), [0.3, 0.7], [5, 9]), np.diag([0.3, 0.7]))
    positive_unlabeled_weights = decontamination([[1, 0], [0.3, 0.7]], [0.3, 0.7], [5, 9])
    np.testing.assert_allclose(positive_unlabeled_weights, [[0.3, 0], [-0.3, 1]], atol=1e-12)


@exact
@given(seed=seeds, extra=st.integers(0, 3))
def test_decontamination_undoes_the_mixture_and_permutes_with_the_classes(seed: int, extra: int) -> None:
    rng = np.random.default_rng(seed)
    mixture = rng.dirichlet(np.ones(3), 3 + extra) + np.vstack([2 * np.eye(3), np.zeros((extra, 3))])
    mixture /= mixture.sum(axis=1, keepdims=True)
    prior, counts = rng.dirichlet(np.ones(3)), rng.integers(1, 1000, 3 + extra)
    matrix = decontamination(mixture, prior, counts)
    np.testing.assert_allclose(matrix @ mixture, np.diag(prior), atol=1e-10)
    order = rng.permutation(3)
    np.testing.assert_allclose(decontamination(mixture[:, order], prior[order], counts), matrix[order], atol=1e-10)


def test_spare_sources_are_weighted_by_their_rows() -> None:
    # Published least-squares example: 1000 positives, 1000 negatives, 60000 unlabeled at prior 0.4915 give the weights
    # that minimise sum W^2 / n among all left inverses; checked here against a generic constrained solve.
    mixture, prior = np.array([[1, 0], [0, 1], [0.4915, 0.5085]]), np.array([0.4915, 0.5085])
    counts = np.array([1000.0, 1000.0, 60000.0])
    matrix = decontamination(mixture, prior, counts)
    for row, wanted in zip(matrix, np.diag(prior), strict=True):
        system = np.block([[np.diag(1 / counts), mixture], [mixture.T, np.zeros((2, 2))]])
        optimum = np.linalg.solve(system, np.concatenate([np.zeros(3), wanted]))[:3]
        np.testing.assert_allclose(row, optimum, atol=1e-8)
    np.testing.assert_allclose(matrix[0], [0.262, -0.238, 0.467], atol=1e-3)


def test_each_source_is_averaged_by_itself() -> None:
    losses = torch.tensor([[1.0, 5.0], [3.0, 7.0], [10.0, 20.0]], dtype=torch.float64)
    sources = torch.tensor([[True, True], [True, True], [False, True]])
    weights = torch.tensor([[1.0, 1.0], [3.0, 2.0], [9.0, 1.0]], dtype=torch.float64)
    matrix = torch.tensor([[0.4, 0.0], [-0.4, 1.0]], dtype=torch.float64)
    # labeled: (1 + 3*3)/4 = 2.5 and (5 + 3*7)/4 = 6.5; all: (5 + 2*7 + 20)/4 = 9.75
    risks = group_risks(losses, sources, weights, matrix)
    np.testing.assert_allclose(risks.numpy(), [0.4 * 2.5, 9.75 - 0.4 * 6.5], atol=1e-12)


def test_more_labeled_rows_in_a_minibatch_do_not_change_the_risk() -> None:
    world = World(5)
    data = positive_unlabeled(world.features, world.s, world.prior)
    matrix = torch.from_numpy(decontamination(data.mixture, data.prior, data.sources.sum(axis=0)))
    sources, weights, losses = np.array(data.sources), np.array(data.weights), world.losses
    doubled = np.concatenate([np.arange(len(losses)), np.flatnonzero(world.s)])
    marks = sources[doubled]
    marks[len(losses) :, 1] = False
    parts = (losses[doubled], marks, np.where(marks, weights[doubled], 0.0))
    risks = group_risks(*(torch.from_numpy(part) for part in parts), matrix)
    np.testing.assert_allclose(risks.numpy(), world.clean(), atol=1e-10)


def test_a_source_missing_from_the_minibatch_contributes_nothing() -> None:
    losses = torch.tensor([[1.0, 2.0]], dtype=torch.float64, requires_grad=True)
    sources, matrix = torch.tensor([[False, True]]), torch.tensor([[0.4, 0.0], [-0.4, 1.0]], dtype=torch.float64)
    risks = group_risks(losses, sources, sources.double(), matrix)
    risks.sum().backward()
    assert risks.tolist() == [0.0, 2.0]
    assert losses.grad is not None
    assert losses.grad.tolist() == [[0.0, 1.0]]
    empty = group_risks(losses[:0], sources[:0], sources[:0].double(), matrix)
    assert empty.tolist() == [0.0, 0.0]


def test_losses_are_those_of_the_row_as_positive_and_as_negative() -> None:
    logits = torch.tensor([-40.0, -1.0, 0.0, 2.0, 40.0], dtype=torch.float64)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits
    for column, label in ((0, 1.0), (1, 0.0)):
        expected = entropy(logits, torch.full_like(logits, label), reduction="none")
        torch.testing.assert_close(CrossEntropy()(logits)[:, column], expected)
    np.testing.assert_allclose(Sigmoid()(logits).sum(dim=1).numpy(), 1.0)
    np.testing.assert_allclose(Sigmoid()(logits)[:, 1].numpy(), 1 / (1 + np.exp(-logits.numpy())))


def test_training_on_weak_labels_finds_the_clean_minimiser() -> None:
    world = World(11)
    data = positive_unlabeled(world.features, world.s, world.prior)
    matrix = torch.from_numpy(decontamination(data.mixture, data.prior, data.sources.sum(axis=0)))
    sources, weights = torch.from_numpy(np.array(data.sources)), torch.from_numpy(np.array(data.weights))
    logits = torch.zeros(len(world.table), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        losses = CrossEntropy()(logits[torch.from_numpy(world.x)])
        risk = group_risks(losses, sources, weights, matrix).sum()
        risk.backward()
        return risk

    optimiser.step(closure)
    truth = [world.y[world.x == point].mean() for point in range(len(world.table))]
    np.testing.assert_allclose(torch.sigmoid(logits).detach().numpy(), truth, atol=1e-5)


def test_the_error_of_the_risk_falls_like_one_over_the_root_of_the_rows() -> None:
    world, rng = World(4), np.random.default_rng(0)
    truth, spreads = world.clean().sum(), []
    for rows in (400, 1600):
        draws = []
        for _ in range(300):
            picked = rng.integers(0, len(world.x), rows)
            data = positive_unlabeled(world.features[picked], world.s[picked], world.prior)
            draws.append(produced(data, world.losses[picked]).sum())
        spreads.append(np.std(draws))
        assert abs(np.mean(draws) - truth) < 4 * spreads[-1] / np.sqrt(300)
    assert 1.6 < spreads[0] / spreads[1] < 2.5


def test_inputs_are_left_alone() -> None:
    world = World(2)
    labelled, weights = world.s.copy(), np.full((len(world.s), 2), 3.0)
    data = positive_unlabeled(world.features, labelled, 0.4, weights=weights)
    np.testing.assert_array_equal(labelled, world.s)
    assert (weights == 3.0).all()
    assert labelled.flags.writeable
    assert not data.sources.flags.writeable


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("class_prior", {"class_prior": 1.0}),
        ("target_prior", {"target_prior": 0.0}),
        ("mixture_prior", {"mixture_prior": 1.5}),
        ("labelled", {"labelled": [False, False]}),
        ("labelled", {"labelled": [True]}),
        ("weights", {"weights": [1.0, 1.0]}),
        ("weights", {"weights": [[0.0, 1.0], [1.0, 1.0]]}),
        ("weights", {"weights": [[1.0, 2.0], [1.0, -1.0]]}),
        ("features", {"features": [[np.nan], [0.0]]}),
    ],
)
def test_a_bad_argument_of_positive_unlabeled_is_named(name: str, change: dict[str, object]) -> None:
    good: dict[str, object] = {"features": [[0.0], [1.0]], "labelled": [True, False], "class_prior": 0.6}
    with pytest.raises(InputError, match=name):
        positive_unlabeled(**{**good, **change})


def test_bad_arguments_of_the_naive_reading_are_named() -> None:
    with pytest.raises(InputError, match="labelled must be false"):
        fully_labelled([[0.0], [1.0]], [True, True])
    with pytest.raises(InputError, match="weights must have shape"):
        fully_labelled([[0.0], [1.0]], [True, False], [1.0])


@pytest.mark.parametrize(
    ("mixture", "prior", "counts", "name"),
    [
        ([[0.3, 0.7], [0.3, 0.7]], [0.3, 0.7], [1, 1], "mixture must have rank 2"),
        ([[0.3, 0.7]], [0.3, 0.7], [1], "mixture must have rank 2"),
        ([[1, 0], [0.3, 0.7]], [0.3, 0.7], [1, 0], "counts"),
        ([[1, 0], [0.3, 0.7]], [0.3, 0.7], [1], "counts"),
    ],
)
def test_sources_that_do_not_tell_the_classes_apart_are_refused(
    mixture: list[list[float]], prior: list[float], counts: list[int], name: str
) -> None:
    with pytest.raises(InputError, match=name):
        decontamination(mixture, prior, counts)
