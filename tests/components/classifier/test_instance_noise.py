"""Noise that depends on the row: the simulator, and learners of a table for each row against exact worlds."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from components.classifier.learners.learner import Progress
from components.classifier.learners.parts import found_parts, mixtures_of, tables_of_parts
from components.classifier.methods.confidence_scored import ConfidenceScored
from components.classifier.methods.manifold_regularised import ManifoldRegularised
from components.classifier.methods.part_dependent import PartDependent
from components.classifier.minibatches import Minibatches
from components.classifier.networks import Linear
from components.classifier.rows import InMemory
from components.errors import InputError
from components.weak import Clean, Observed
from components.weak.instance_noise import instance_noise
from components.weak.nuisance import confidence_transitions
from tests.components.classifier.test_transition_methods import Known, learner_of, noisy, whole
from tests.components.test_learning_together import together


def stochastic(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.dirichlet(np.ones(shape[-1]), shape[:-1])


# The simulator.


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("rate", [0.2, 0.45])
def test_noise_has_its_rate_and_differs_among_rows(classes: int, rate: float) -> None:
    rng, rows = np.random.default_rng(1), 6000
    clean = Clean(rng.normal(size=(rows, 6)), np.arange(rows) % classes)
    labels, tables = instance_noise(clean, rate, seed=2)
    assert tables.shape == (rows, classes, classes)
    np.testing.assert_allclose(tables.sum(axis=2), 1, rtol=1e-12)
    assert (tables >= 0).all()
    wrong = 1 - tables[np.arange(rows), clean.labels, clean.labels]
    assert wrong.mean() == pytest.approx(rate, abs=0.01)
    assert wrong.std() == pytest.approx(0.1, abs=0.02)
    assert (labels != clean.labels).mean() == pytest.approx(rate, abs=3 * 0.5 / np.sqrt(rows))
    off = ~np.eye(classes, dtype=bool)
    shares = (tables / (1 - tables.diagonal(axis1=1, axis2=2))[:, :, None])[:, off]
    if classes > 2:
        assert shares.std(axis=0).min() > 0.05  # what a row is taken for depends on the row
    # Labels are drawn from the tables: where they say a class is likely, it is as often the label.
    own = tables[np.arange(rows), clean.labels]
    for low, high in ((0.0, 0.1), (0.1, 0.3), (0.3, 1.0)):
        cells = (own >= low) & (own < high)
        drawn = (labels[:, None] == np.arange(classes))[cells]
        if len(drawn) > 100:
            assert drawn.mean() == pytest.approx(own[cells].mean(), abs=4 * 0.5 / np.sqrt(len(drawn)))


def test_a_row_goes_where_its_projection_says() -> None:
    """Scores are linear in the features: the logarithm of the odds of two labels is odd in them."""
    x = np.random.default_rng(0).normal(size=(50, 3))
    _, tables = instance_noise(Clean(np.concatenate([x, -x]), np.arange(100) % 4), 0.3)
    odds = np.log(tables[:, 0, 1] / tables[:, 0, 2])
    np.testing.assert_allclose(odds[:50], -odds[50:], rtol=1e-6, atol=1e-9)
    assert np.abs(odds).max() > 0.5


def test_seeds_reproduce_the_noise() -> None:
    clean = Clean(np.random.default_rng(0).normal(size=(200, 3)), np.arange(200) % 3)
    first, again, other = (instance_noise(clean, 0.3, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != other[0]).any()


def test_a_rate_or_classes_without_sense_are_refused() -> None:
    with pytest.raises(InputError, match=r"rate must lie in \(0, 1\), got 0"):
        instance_noise(Clean(np.eye(2), np.array([0, 1])), 0.0)
    with pytest.raises(InputError, match="labels must be of two classes or more"):
        instance_noise(Clean(np.eye(2), np.array([0, 0])), 0.3)


# Parts.


def test_parts_and_mixtures_are_recovered() -> None:
    rng = np.random.default_rng(0)
    shares = torch.tensor(np.concatenate([np.eye(3), rng.dirichlet(np.ones(3), 200)]))
    parts = torch.tensor(rng.uniform(size=(3, 7)) + 3 * np.eye(3, 7))
    np.testing.assert_allclose(mixtures_of(shares @ parts, parts)[3:], shares[3:], atol=0.05)
    found = found_parts(shares @ parts, 3, torch.Generator().manual_seed(0))
    assert (found >= 0).all()
    rows, weights = (
        (shares @ parts).numpy(),
        np.linalg.lstsq(found.T.numpy(), (shares @ parts).T.numpy(), rcond=None)[0],
    )
    assert np.abs(weights.T @ found.numpy() - rows).max() < 0.05 * rows.max()


def test_tables_of_parts_are_those_that_were_mixed() -> None:
    rng = np.random.default_rng(1)
    tables, mixtures = stochastic(rng, 3, 4, 4), stochastic(rng, 4, 12, 3)
    posteriors = np.einsum("kar,rks->kas", mixtures, tables)
    found = tables_of_parts(torch.tensor(mixtures), torch.tensor(posteriors)).numpy()
    np.testing.assert_allclose(found, tables, atol=0.03)
    np.testing.assert_allclose(found.sum(axis=2), 1, rtol=1e-9)


def test_tables_of_rows_come_out_where_they_are_mixtures_of_parts() -> None:
    """A network that knows the exact noisy posterior of rows of one class each, and their mixtures of three parts."""
    rng, count, classes = np.random.default_rng(2), 3000, 3
    shares, labels = rng.dirichlet(np.full(3, 0.5), count), np.arange(count) % classes
    parts = 0.6 * np.eye(classes) + 0.4 * stochastic(rng, 3, classes, classes)
    tables = np.einsum("nr,rks->nks", shares, parts)
    posterior = tables[np.arange(count), labels]
    marks = np.array([rng.choice(classes, p=row) for row in posterior])
    rows = Observed(np.column_stack([shares, np.log(posterior)]), marks)

    def knowing(_: int, outputs: int) -> nn.Module:
        return Known(3, outputs)

    method = PartDependent(parts=3, lowest=70, highest=99.9, warm_up_epochs=1, reweighted_epochs=1)
    learner = learner_of(method, rows, classes, knowing)
    batches = Minibatches(InMemory.of(rows), learner.evidence, count, count)
    learner.eval()
    learner.start_epoch(Progress(1, 9), batches.passes)
    assert not learner.warming
    features = torch.tensor(rows.features).float()
    found = learner.log_transition(features, features).exp().detach().numpy()
    off, alike = np.abs(found - tables).mean(), np.abs(tables.mean(axis=0) - tables).mean()
    assert off < 0.02
    assert off < alike / 3  # which one table for all rows comes no nearer than


# Confidence.


def test_tables_from_confidence_are_those_of_the_formula() -> None:
    """The objective, with marks mixed among places, is the surprise under the tables of the function by itself."""
    rng, count = np.random.default_rng(3), 60
    said, clean = stochastic(rng, count, 3), stochastic(rng, count, 3)
    confidence, marks = rng.uniform(size=count), rng.integers(3, size=count)
    rows = Observed(np.column_stack([np.ones(count), np.log(clean), np.log(said)]), marks)

    class Frozen(nn.Module):
        def forward(self, features: Tensor) -> Tensor:
            return features[:, 4:]

    class Learning(Known):
        def forward(self, features: Tensor) -> Tensor:
            return super().forward(features[:, :4])

    method = ConfidenceScored(tuple(confidence.tolist()), warm_up_epochs=1)
    learner = learner_of(method, rows, 3, lambda _, outputs: Learning(1, outputs))
    learner.warmed = Frozen()
    switch = np.array([[0, 0.3, 0.7], [0.5, 0, 0.5], [1.0, 0, 0]])
    learner.get_buffer("switch").copy_(torch.tensor(switch))
    batches = Minibatches(InMemory.of(rows), learner.evidence, count, count)
    learner.eval()
    learner.start_epoch(Progress(2, 9), batches.passes)
    tables = confidence_transitions(confidence, marks, said, clean, switch)
    exact = -np.log(np.einsum("nk,nk->n", clean, tables[np.arange(count), :, marks]))
    value = learner.objective(whole(learner, rows), Progress(2, 9))
    assert value.item() == pytest.approx(exact.mean(), rel=1e-4)
    shuffled = [next(batches.epoch(seed)) for seed in range(3)]
    for batch in shuffled:
        assert (batch.places != torch.arange(count)).any()
        assert learner.objective(batch, Progress(2, 9)).item() == pytest.approx(exact.mean(), rel=1e-4)


def test_where_wrong_labels_go_comes_from_the_table_that_is_read_off() -> None:
    rows, _ = noisy(3, rows=90)
    learner = learner_of(ConfidenceScored((0.5,) * 90, warm_up_epochs=1), rows, 3, Linear())
    batches = Minibatches(InMemory.of(rows), learner.evidence, 90, 90)
    learner.start_epoch(Progress(1, 9), batches.passes)
    probabilities, marks = learner.predicted(batches.passes)
    table = ConfidenceScored((0.5,)).transition.find(probabilities, marks)[0]
    np.fill_diagonal(table, 0)
    np.testing.assert_allclose(learner.get_buffer("switch"), table / table.sum(axis=1, keepdims=True), rtol=1e-4)
    assert learner.warmed is not None
    assert len(learner.networks) == 1  # whoever predicts asks all of them
    moving, frozen = list(learner.networks[0].parameters()), list(learner.warmed.parameters())
    assert all(torch.equal(*pair) for pair in zip(frozen, moving, strict=True))
    moved = [parameter for group in learner.groups(0.1) for parameter in group["params"]]
    assert not {id(parameter) for parameter in frozen} & {id(parameter) for parameter in moved}


# Manifold.


@pytest.mark.parametrize("classes", [2, 4])
def test_every_row_starts_with_the_same_table(classes: int) -> None:
    rows, _ = noisy(classes, rows=20)
    learner = learner_of(ManifoldRegularised(start=0.9), rows, classes, Linear())
    batch = whole(learner, rows)
    table = learner.log_transition(batch.features, learner.log_clean(batch.features)).exp()
    expected = 0.9 * torch.eye(classes) + 0.1 / classes
    torch.testing.assert_close(table, expected.expand(20, classes, classes))


@pytest.mark.parametrize("world_size", [1, 2])
def test_roughness_is_the_mean_over_pairs_of_rows(world_size: int) -> None:
    """Value and gradient, on one worker and on two, against a loop over pairs."""
    rows, _ = noisy(3, rows=9)
    rng, method = np.random.default_rng(4), ManifoldRegularised(width=0.7)
    clean, tables = torch.tensor(stochastic(rng, 9, 3)), torch.tensor(stochastic(rng, 9, 3, 3))

    def share(worker: object) -> tuple[float, Tensor]:
        learner = learner_of(method, rows, 3, Linear())
        batch = replace(whole(learner, rows), together=worker)
        part = slice(worker.rank, None, worker.world)  # type: ignore[attr-defined]
        mine = tables[part].clone().requires_grad_()
        value = learner.roughness(batch, clean[part], mine)  # type: ignore[operator]
        value.backward()
        return value.item(), mine.grad

    exact = tables.clone().requires_grad_()
    total = torch.zeros((), dtype=torch.float64)
    for i, j in product(range(9), repeat=2):
        near = torch.exp(-(clean[i] - clean[j]).square().sum() / (2 * 0.7**2))
        sign = 1 if clean[i].argmax() == clean[j].argmax() else -1
        total = total + sign * near * (exact[i] - exact[j]).square().sum() / 81
    total.backward()
    gradient = torch.zeros_like(tables)
    for rank, (value, part) in enumerate(together(world_size, share)):
        assert value == pytest.approx(total.item(), rel=1e-9)
        gradient[rank::world_size] = part
    torch.testing.assert_close(gradient, exact.grad)
