"""Methods that learn the table of label noise: exact worlds, brute force, finite differences, and what all promise."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from components.classifier import Adam, ClassifierTraining, Linear, Perceptron
from components.classifier.fitted import Classifier
from components.classifier.learners.learner import Problem, Progress
from components.classifier.learners.transition_learner import TransitionLearner
from components.classifier.methods.confidence_scored import ConfidenceScored
from components.classifier.methods.estimated_transition import EstimatedNoise
from components.classifier.methods.manifold_regularised import ManifoldRegularised
from components.classifier.methods.method import Method
from components.classifier.methods.part_dependent import PartDependent
from components.classifier.methods.total_variation import TotalVariation
from components.classifier.methods.transition_revision import TransitionRevision
from components.classifier.methods.volume_minimisation import VolumeMinimisation
from components.classifier.minibatches import Minibatch, Minibatches
from components.classifier.networks import BuildsNetwork, Network, builder
from components.classifier.rows import InMemory
from components.errors import InputError
from components.weak import Clean, Inverse, NoisyLabels, Observed, PositiveUnlabeled, Reweight
from components.weak.nuisance import Anchors, ConfidentJoint, relative_error
from components.weak.transitions import as_table, symmetric_noise
from tests.components.test_learning_together import together

DATA = Path(os.environ.get("KINTSUGI_TEST_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
ROWS = 300
TABLE = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.15, 0.05, 0.8]])

METHODS: list[Method] = [
    EstimatedNoise(warm_up_epochs=2),
    EstimatedNoise(ConfidentJoint(), Reweight(), warm_up_epochs=2),
    EstimatedNoise(ConfidentJoint(), Inverse(), warm_up_epochs=2),
    VolumeMinimisation(penalty=5e-3, relative_step=1.0),
    TotalVariation(),
    TotalVariation(table="dirichlet"),
    TransitionRevision(warm_up_epochs=2, reweighted_epochs=1),
    PartDependent(parts=3, warm_up_epochs=2, reweighted_epochs=1),
    ConfidenceScored((0.8,) * ROWS, warm_up_epochs=2),
    ManifoldRegularised(),
]
each_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.kind)


def unknown(classes: int) -> NoisyLabels:
    return NoisyLabels(as_table(np.eye(classes)))


def noisy(classes: int, seed: int = 0, rows: int = ROWS, rate: float = 0.3) -> tuple[Observed, np.ndarray]:
    """Gaussians around the corners of a simplex with symmetric noise, and their clean labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(classes, size=rows)
    features = 4.0 * np.eye(classes, 4)[labels] + random.normal(size=(rows, 4))
    simulated = NoisyLabels(symmetric_noise(classes, rate)).simulate(Clean(features, labels), seed)
    return simulated.observed, simulated.hidden


def training(method: Method, classes: int, epochs: int = 5) -> ClassifierTraining:
    return ClassifierTraining(
        unknown(classes), method, Perceptron((8,)), Adam(0.02), epochs=epochs, minibatch_rows=50, keep="last"
    )


def weights(fitted: Classifier) -> list[Tensor]:
    return list(fitted.learner.state_dict().values())


def learner_of(
    method: Method, rows: Observed, classes: int, network: Network | BuildsNetwork, epochs: int = 9
) -> TransitionLearner:
    setting = unknown(classes)
    counts = setting.counts(rows.marks, rows.weights)
    problem = Problem(setting, counts, rows.features.shape[1], len(rows), epochs, builder(network))
    learner = method.learner(problem)
    assert isinstance(learner, TransitionLearner)
    learner.generator.manual_seed(0)
    return learner


def whole(learner: TransitionLearner, rows: Observed, double: bool = False) -> Minibatch:
    """All rows as one minibatch."""
    batch = next(Minibatches(InMemory.of(rows), learner.evidence, len(rows), len(rows)).passes())
    return replace(batch, features=batch.features.double()) if double else batch


class Known(nn.Module):
    """A network whose logits are among the features, after those that its last layer sees and ignores."""

    def __init__(self, seen: int, outputs: int) -> None:
        super().__init__()
        self.seen, self.outputs = seen, outputs
        self.last = nn.Linear(seen, max(outputs, 1))

    def forward(self, features: Tensor) -> Tensor:
        logits = features[:, self.seen :] + 0.0 * self.last(features[:, : self.seen])
        return logits[:, 0] if self.outputs == 1 else logits


def known(_: int, outputs: int) -> nn.Module:
    return Known(1, outputs)


class StoppedError(Exception):
    """Somebody switched the machine off."""


# What every one of them promises.


@each_method
@pytest.mark.parametrize("classes", [2, 3])
def test_it_learns_the_classes_the_noise_and_which_labels_are_wrong(method: Method, classes: int) -> None:
    rows, hidden = noisy(classes, rows=3000)
    wrong = rows.marks != hidden
    if isinstance(method, ConfidenceScored):
        method = replace(method, confidence=tuple(np.where(wrong, 0.1, 0.9).tolist()))
    fitted = replace(training(method, classes), epochs=8, minibatch_rows=100).fit(rows)
    assert (fitted.probabilities(rows.features).argmax(axis=1) == hidden).mean() > 0.9
    told = fitted.found.transition
    assert told is not None
    assert told.matrix.argmax(axis=1).tolist() == list(range(classes))  # else classes could have changed names
    assert relative_error(told.matrix, np.array(symmetric_noise(classes, 0.3))) < 0.3
    assert told.noise_rate == fitted.found.numbers["noise_rate"]
    assert told.noise_rate.value == pytest.approx(0.3, abs=0.15)
    assert fitted.found.notes
    doubts = fitted.doubts(rows)
    assert ((doubts >= 0) & (doubts <= 1)).all()
    assert np.median(doubts[wrong]) > np.median(doubts[~wrong]) + 0.3


@each_method
def test_a_training_that_was_stopped_ends_with_the_same_bits(method: Method, tmp_path: Path) -> None:
    rows, _ = noisy(3)
    held, _ = noisy(3, seed=1, rows=120)
    course = replace(training(method, 3), keep="best")
    straight = course.fit(rows, held)

    for end in (1, 3):  # in the warm-up, and after what ends it

        def stop(step: int, total: int, metrics: object, end: int = end) -> None:
            if step == end:
                raise StoppedError

        with pytest.raises(StoppedError):
            course.fit(rows, held, report=stop, checkpoint=tmp_path / str(end))
        went_on = course.fit(rows, held, checkpoint=tmp_path / str(end))
        assert straight.history == went_on.history
        assert all(torch.equal(*pair) for pair in zip(weights(straight), weights(went_on), strict=True))
        assert straight.found.numbers == went_on.found.numbers


@each_method
def test_several_workers_learn_what_one_does(method: Method) -> None:
    rows, _ = noisy(3)
    course = training(method, 3, epochs=4)
    one = course.fit(rows)
    for fitted in together(2, lambda worker: course.fit(rows, together=worker)):
        np.testing.assert_allclose(
            fitted.probabilities(rows.features), one.probabilities(rows.features), rtol=0, atol=5e-3
        )
        assert fitted.found.transition is not None
        assert one.found.transition is not None
        np.testing.assert_allclose(fitted.found.transition.matrix, one.found.transition.matrix, atol=2e-3)


def test_the_warm_up_is_never_kept_as_the_best_epoch() -> None:
    """A network that still says noisy labels can surprise less than one that is being corrected."""
    rows, _ = noisy(3)
    held, _ = noisy(3, seed=1)
    fitted = replace(training(EstimatedNoise(warm_up_epochs=3), 3), keep="best", patience=1).fit(rows, held)
    scores = [entry["validation_surprise"] for entry in fitted.history]
    assert scores[:3] == pytest.approx([np.log(3)] * 3)
    assert scores[3] < 0.95 * np.log(3)
    assert fitted.epoch >= 3


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: EstimatedNoise(warm_up_epochs=0), "warm_up_epochs must be at least 1, got 0"),
        (lambda: ManifoldRegularised(warm_up_epochs=-1), "warm_up_epochs must be at least 0, got -1"),
        (lambda: ManifoldRegularised(weight=-1), "weight must be at least 0"),
        (lambda: ManifoldRegularised(width=0), "width must be positive"),
        (lambda: ManifoldRegularised(start=1), r"start must lie in \(0, 1\)"),
        (lambda: VolumeMinimisation(penalty=float("inf")), "penalty must be at least 0 and finite"),
        (lambda: VolumeMinimisation(relative_step=0), "relative_step must be positive"),
        (lambda: VolumeMinimisation(start=50), r"start must lie in \[-20, 20\], got 50"),
        (lambda: TotalVariation(table="other"), "table must be one of categorical, dirichlet, got 'other'"),  # type: ignore[arg-type]
        (lambda: TotalVariation(retained=1.0), r"retained must lie in \(0, 1\)"),
        (lambda: TotalVariation(held_epochs=-1), "held_epochs must be at least 0, got -1"),
        (lambda: TransitionRevision(reweighted_epochs=-1), "reweighted_epochs must be at least 0, got -1"),
        (lambda: PartDependent(parts=1), "parts must be at least 2, got 1"),
        (lambda: PartDependent(lowest=99, highest=97), "lowest and highest must be percentiles in order, got 99 and"),
        (lambda: PartDependent(reweighted_epochs=-1), "reweighted_epochs must be at least 0, got -1"),
        (lambda: ConfidenceScored((0.5, 1.5)), r"confidence must lie in \[0, 1\], got 1.5"),
    ],
)
def test_bad_fields_are_refused(make: Callable[[], Method], told: str) -> None:
    with pytest.raises(InputError, match=told):
        make()


@pytest.mark.parametrize(
    ("method", "told"),
    [
        (EstimatedNoise(warm_up_epochs=5), r"epochs must be more than the 5 of method\.warm_up_epochs, got 5"),
        (
            TransitionRevision(warm_up_epochs=2, reweighted_epochs=3),
            r"epochs must be more than the 5 of method\.warm_up_epochs and method",
        ),
        (ConfidenceScored((0.5,) * 7), f"method.confidence must hold one number for each of {ROWS} rows, got 7"),
    ],
)
def test_what_does_not_fit_the_rows_is_refused(method: Method, told: str) -> None:
    with pytest.raises(InputError, match=told):
        training(method, 3).fit(noisy(3)[0])


@each_method
def test_a_label_that_no_row_has_is_refused(method: Method) -> None:
    with pytest.raises(InputError, match=r"marks must hold every one of 4 labels, got none of \[3\]"):
        training(method, 4).fit(noisy(3)[0])


def test_parts_need_a_linear_layer() -> None:
    course = replace(training(PartDependent(), 3, 9), network=lambda *_: nn.Flatten())
    with pytest.raises(InputError, match="network must end in a linear layer"):
        course.fit(noisy(3)[0])


@each_method
def test_marks_that_are_not_noisy_labels_are_refused(method: Method) -> None:
    rows = PositiveUnlabeled(0.4).simulate(Clean(np.eye(4), np.array([0, 0, 1, 1])), 0, (2, 2)).observed
    with pytest.raises(InputError, match="method must fit the setting"):
        replace(training(method, 2), setting=PositiveUnlabeled(0.4)).fit(rows)


# A world without chance: every point with every noisy label once, with its probability as weight.


def world(eta: np.ndarray, table: np.ndarray) -> Observed:
    points, classes = eta.shape
    point, mark = (part.ravel() for part in np.indices((points, classes)))
    return Observed(np.eye(points)[point], mark, (mass(points)[:, None] * (eta @ table)).ravel())


def mass(points: int) -> np.ndarray:
    """[m] probabilities of the points: uneven, and with them the classes."""
    return np.linspace(3, 1, points) / np.linspace(3, 1, points).sum()


def scattered() -> np.ndarray:
    """[6, 3] posteriors on the edges of the simplex, at no corner: scattered enough, and without anchors."""
    return np.array(
        [[0.85, 0.15, 0], [0.85, 0, 0.15], [0.15, 0.85, 0], [0, 0.85, 0.15], [0.15, 0, 0.85], [0, 0.15, 0.85]]
    )


@pytest.mark.parametrize("classes", [2, 3])
def test_volume_minimisation_finds_the_table_without_anchors(classes: int) -> None:
    eta = scattered() if classes == 3 else np.array([[1.0, 0.0], [0.6, 0.4], [0.0, 1.0]])
    table = TABLE if classes == 3 else np.array([[0.7, 0.3], [0.2, 0.8]])
    rows = world(eta, table)
    method = VolumeMinimisation(penalty=1e-2, relative_step=1.0)
    course = ClassifierTraining(unknown(classes), method, Linear(), Adam(0.1, decay="cosine"), 500, 100, "last")
    fitted = course.fit(rows)
    assert fitted.found.transition is not None
    assert relative_error(fitted.found.transition.matrix, table) < 0.05
    np.testing.assert_allclose(fitted.probabilities(np.eye(len(eta))), eta, atol=0.1)
    rate = 1 - (mass(len(eta)) @ eta * np.diag(table)).sum()
    assert fitted.found.transition.noise_rate.value == pytest.approx(rate, abs=0.03)


def test_without_the_penalty_the_volume_is_not_the_smallest() -> None:
    """The world is explained by larger tables as well: what finds the table is the penalty."""
    method = VolumeMinimisation(penalty=0.0, relative_step=1.0)
    course = ClassifierTraining(unknown(3), method, Linear(), Adam(0.1, decay="cosine"), 500, 100, "last")
    fitted = course.fit(world(scattered(), TABLE))
    assert fitted.found.transition is not None
    assert relative_error(fitted.found.transition.matrix, TABLE) > 0.1


@pytest.mark.parametrize("classes", [2, 3])
def test_anchors_are_read_off_exactly_and_the_classes_come_out(classes: int) -> None:
    """Warm-up to the exact noisy posterior, anchors at the top, forward correction to the clean posterior."""
    eta = np.concatenate([np.eye(classes), np.full((1, classes), 1 / classes), np.roll(scattered(), 1, 1)[:, :classes]])
    eta /= eta.sum(axis=1, keepdims=True)
    table = TABLE[:classes, :classes] / TABLE[:classes, :classes].sum(axis=1, keepdims=True)
    method = EstimatedNoise(Anchors(100), warm_up_epochs=300)
    course = ClassifierTraining(unknown(classes), method, Linear(), Adam(0.1), 800, 100, "last")
    fitted = course.fit(world(eta, table))
    assert fitted.found.transition is not None
    np.testing.assert_allclose(fitted.found.transition.matrix, table, atol=1e-3)
    np.testing.assert_allclose(fitted.probabilities(np.eye(len(eta))), eta, atol=0.02)


def test_the_doubt_of_a_label_is_bayes_rule() -> None:
    eta = scattered()
    points = np.column_stack([np.ones(6), np.log(np.maximum(eta, 1e-9))])
    rows = Observed(np.repeat(points, 3, axis=0), np.tile(np.arange(3), 6))
    learner = learner_of(EstimatedNoise(), rows, 3, known)
    learner.get_buffer("estimated").copy_(torch.tensor(TABLE).expand(3, 3, 3))
    features = torch.tensor(rows.features).float()
    doubts = learner.doubts(features, torch.tensor(rows.marks), learner.log_probabilities(features))
    joint = eta[:, :, None] * TABLE
    exact = 1 - np.einsum("nss->ns", joint) / joint.sum(axis=1)
    assert doubts is not None
    np.testing.assert_allclose(doubts.detach().reshape(6, 3), exact, atol=1e-5)


# Gradients.


def slope(learner: TransitionLearner, batch: Minibatch, parameter: Tensor, progress: Progress) -> np.ndarray:
    """The gradient by ``parameter`` from differences."""
    found, step = np.zeros(parameter.numel()), 1e-6
    flat = parameter.data.view(-1)
    for number in range(parameter.numel()):
        sides = []
        for sign in (1, -1):
            flat[number] += sign * step
            sides.append(learner.objective(batch, progress).item())
            flat[number] -= sign * step
        found[number] = (sides[0] - sides[1]) / (2 * step)
    return found.reshape(tuple(parameter.shape))


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    ("method", "name"),
    [(VolumeMinimisation(penalty=0.7), "cells"), (TransitionRevision(warm_up_epochs=1, reweighted_epochs=1), "slack")],
    ids=["volume", "live weight"],
)
def test_gradients_are_those_of_the_objective(method: Method, name: str, classes: int) -> None:
    rows, _ = noisy(classes, rows=12)
    learner = learner_of(method, rows, classes, Linear()).double()
    table = learner.get_parameter(name)
    if name == "slack":
        learner.get_buffer("estimated").copy_(torch.tensor(TABLE[:classes, :classes]))
        table.data.copy_(torch.tensor(np.random.default_rng(0).normal(size=table.shape) / 50))
    batch, progress = whole(learner, rows, double=True), Progress(5, 9)
    learner.objective(batch, progress).backward()
    for parameter in (table, *learner.networks[0].parameters()):
        assert parameter.grad is not None
        np.testing.assert_allclose(parameter.grad, slope(learner, batch, parameter, progress), rtol=1e-5, atol=1e-8)
    assert float(table.grad.abs().max()) > 1e-3


def test_the_volume_counts_by_its_logarithm() -> None:
    rows, _ = noisy(3, rows=12)
    with_, without = (learner_of(VolumeMinimisation(penalty), rows, 3, Linear()) for penalty in (0.5, 0.0))
    batch, progress = whole(with_, rows), Progress(0, 9)
    gap = (with_.objective(batch, progress) - without.objective(batch, progress)).item()
    own = 1 / (1 + np.exp(2.0))
    table = (own + (1 - own) * np.eye(3)) / (1 + 2 * own)
    assert gap == pytest.approx(0.5 * np.log(np.linalg.det(table)), rel=1e-4)
    assert gap < 0


def test_until_it_is_revised_the_weight_and_the_table_do_not_move() -> None:
    rows, _ = noisy(3, rows=12)
    learner = learner_of(TransitionRevision(warm_up_epochs=1, reweighted_epochs=1), rows, 3, Linear()).double()
    learner.get_buffer("estimated").copy_(torch.tensor(TABLE))
    batch = whole(learner, rows, double=True)
    learner.objective(batch, Progress(1, 9)).backward()
    assert learner.get_parameter("slack").grad is None
    logits = learner.logits(batch.features).detach().requires_grad_()
    clean = torch.softmax(logits, dim=1)
    own = clean.gather(1, batch.marks[:, None])[:, 0]
    weight = own / (clean @ torch.tensor(TABLE)).gather(1, batch.marks[:, None])[:, 0]
    (-(weight.detach() * own.log()).mean()).backward()
    bias = list(learner.networks[0].parameters())[-1]
    torch.testing.assert_close(bias.grad, logits.grad.sum(dim=0), rtol=1e-5, atol=1e-9)


def test_the_slack_is_added_once_for_all_rows() -> None:
    """The published loop adds it once more for each row, so that a row's table depends on its place."""
    rows = Observed(np.random.default_rng(0).normal(size=(3, 4)), np.arange(3))
    many = rows.rows(np.tile(np.arange(3), 20))
    values = []
    for observed in (rows, many):
        learner = learner_of(TransitionRevision(warm_up_epochs=1, reweighted_epochs=1), observed, 3, Linear())
        learner.get_buffer("estimated").copy_(torch.tensor(TABLE))
        learner.get_parameter("slack").data.fill_(0.3).fill_diagonal_(-0.1)
        values.append(learner.objective(whole(learner, observed), Progress(5, 9)).item())
        table = learner.log_transition(torch.zeros(1, 4), torch.zeros(1, 3)).exp().detach().numpy()
        expected = TABLE + 0.3 - 0.4 * np.eye(3)
        np.testing.assert_allclose(table, expected / expected.sum(axis=1, keepdims=True), rtol=1e-5)
    assert values[0] == pytest.approx(values[1], rel=1e-5)


# Total variation.


def test_a_dirichlet_law_counts_and_forgets() -> None:
    """Its total tends to gain * rows / (1 - retained), and no parameter ever reaches zero."""
    rows, _ = noisy(3, rows=100)
    method = TotalVariation(table="dirichlet", retained=0.95, gain=0.1)
    learner = learner_of(method, rows, 3, Linear())
    batch, counts = whole(learner, rows), learner.get_buffer("counts")
    np.testing.assert_array_equal(counts, 10 * np.eye(3) + 1)
    total = float(counts.sum())
    for _ in range(300):
        learner.objective(batch, Progress(0, 9))
        total = 0.95 * total + 0.1 * 100
        assert float(counts.sum()) == pytest.approx(total, rel=1e-4)
        assert float(counts.min()) > 0
    assert float(counts.sum()) == pytest.approx(0.1 * 100 / (1 - 0.95), rel=1e-4)


def test_a_dirichlet_law_counts_predicted_classes_against_noisy_labels() -> None:
    eta = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    points = np.column_stack([np.ones(3), np.log(np.maximum(eta, 1e-9))])
    rows = Observed(np.repeat(points, 3, axis=0), np.tile(np.arange(3), 3), TABLE.ravel())
    method = TotalVariation(table="dirichlet", retained=0.9)
    learner = learner_of(method, rows, 3, known)
    batch = whole(learner, rows)
    for _ in range(400):
        learner.objective(batch, Progress(0, 9))
    table = learner.log_transition(batch.features, batch.features).exp().numpy()
    np.testing.assert_allclose(table, TABLE, atol=1e-3)  # rows and columns are not exchanged


@pytest.mark.parametrize("world_size", [1, 3])
def test_the_spread_of_predictions_is_that_of_the_pairs(world_size: int) -> None:
    """Value and gradient, on one worker and on several, against a loop over the same pairs."""
    rows, _ = noisy(3, rows=31)
    method = TotalVariation()
    order = torch.randperm(31, generator=torch.Generator().manual_seed(0))
    clean = torch.softmax(torch.randn(31, 3, generator=torch.Generator().manual_seed(1)).double(), dim=1)

    def share(worker: object) -> tuple[float, Tensor]:
        learner = learner_of(method, rows, 3, Linear())
        batch = replace(whole(learner, rows), together=worker)
        mine = clean[worker.rank :: worker.world].clone().requires_grad_()  # type: ignore[attr-defined]
        value = learner.spread(batch, mine)  # type: ignore[operator]
        value.backward()
        return value.item(), mine.grad

    exact = clean.clone().requires_grad_()
    brute = sum((exact[i] - exact[order[i]]).abs().sum() / 2 for i in range(31)) / 31
    brute.backward()
    gradient = torch.zeros_like(clean)
    for rank, (value, part) in enumerate(together(world_size, share)):
        assert value == pytest.approx(brute.item(), rel=1e-9)
        gradient[rank::world_size] = part
    torch.testing.assert_close(gradient, exact.grad)


def test_a_categorical_table_waits_and_rewards_what_lies_apart() -> None:
    rows, _ = noisy(3, rows=40)
    learner = learner_of(TotalVariation(held_epochs=2, weight=0.0), rows, 3, Linear())
    batch, cells = whole(learner, rows), learner.get_parameter("cells")
    start = learner.log_transition(batch.features, batch.features).exp().detach()
    np.testing.assert_allclose(start, symmetric_noise(3, 0.5), rtol=1e-5)
    plain = learner.objective(batch, Progress(1, 9))
    plain.backward()
    assert cells.grad is None
    learner.objective(batch, Progress(2, 9)).backward()
    assert cells.grad is not None
    rewarded = learner_of(TotalVariation(held_epochs=2, weight=0.5), rows, 3, Linear())
    clean = rewarded.log_clean(batch.features).exp()
    spread = rewarded.spread(batch, clean).item()  # type: ignore[operator]
    rewarded.generator.manual_seed(0)
    assert spread > 0
    assert rewarded.objective(batch, Progress(1, 9)).item() == pytest.approx(plain.item() - 0.5 * spread, rel=1e-5)


# Hand-written digits.


@pytest.mark.real_data
def test_volume_minimisation_on_digits_with_half_the_labels_wrong() -> None:
    path = DATA / "mnist.npz"
    if not path.is_file():
        pytest.skip(f"no test table {path}; set KINTSUGI_TEST_DATA to its folder")
    with np.load(path) as held:
        pictures, labels = held["x_train"].astype(np.float32), held["y_train"].astype(np.int64)
    features = pictures.reshape(-1, 14, 2, 14, 2).mean((2, 4)).reshape(-1, 196) / 255
    table = symmetric_noise(10, 0.5)
    simulated = NoisyLabels(table).simulate(Clean(features, labels))
    course = ClassifierTraining(unknown(10), VolumeMinimisation(), epochs=10, keep="last")
    fitted = course.fit(simulated.observed)
    assert fitted.found.transition is not None
    assert relative_error(fitted.found.transition.matrix, np.array(table)) <= 0.10
    assert fitted.found.transition.noise_rate.value == pytest.approx(0.5, abs=0.06)
    assert (fitted.probabilities(features).argmax(axis=1) == labels).mean() > 0.93
