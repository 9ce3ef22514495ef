"""Rows chosen by their losses: the choice by hand, whose gradient is whose, the noise rate, digits."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from components.classifier import Adam, ClassifierTraining, Linear, Method, Perceptron
from components.classifier.learners import small_loss
from components.classifier.learners.learner import Learner, Problem, Progress
from components.classifier.learners.noisy_labels import NoisyLabelLearner
from components.classifier.learners.small_loss import smallest
from components.classifier.methods.co_teaching import CoTeaching
from components.classifier.methods.co_teaching_plus import CoTeachingPlus
from components.classifier.methods.sigua import Sigua
from components.classifier.methods.small_loss import SmallLoss
from components.classifier.minibatches import Minibatch
from components.errors import InputError
from components.weak import Clean, NoisyLabels, Observed, PositiveUnlabeled, Setting
from components.weak.losses import columns
from components.weak.risk import shares_of
from components.weak.transitions import Table, as_table, pair_noise, symmetric_noise
from tests.benchmarks.weak_mnist import DATA, accuracy, digits
from tests.components.classifier.test_training import clean
from tests.components.test_learning_together import together

EXACT = {"rtol": 1e-11, "atol": 1e-13}
SELECTING = (CoTeaching, CoTeachingPlus, Sigua)
each_selecting = pytest.mark.parametrize("method", SELECTING, ids=lambda method: method.__name__)


def unknown(classes: int) -> NoisyLabels:
    """Noisy labels of which nothing is told."""
    return NoisyLabels(as_table(np.eye(classes)))


def problem(classes: int = 3, setting: Setting | None = None, rows: int = 20, epochs: int = 10) -> Problem:
    counts = np.full(classes, rows / classes)
    return Problem(setting or unknown(classes), counts, 4, rows, epochs, Perceptron((5,)).build)


def learner_of(method: Method, given: Problem | None = None) -> Learner:
    return method.learner(given or problem()).double()


def ready(method: SmallLoss, epoch: int, given: Problem | None = None) -> tuple[Learner, Progress]:
    """A learner at the start of ``epoch``, with the progress to hand on."""
    learner, progress = learner_of(method, given), Progress(epoch, 10)
    learner.start_epoch(progress, lambda: iter(()))
    return learner, progress


def minibatch(learner: Learner, rows: int = 12, seed: int = 0, order: np.ndarray | None = None) -> Minibatch:
    """Rows at random with labels at random, in another ``order``."""
    random = np.random.default_rng(seed)
    features = torch.tensor(random.normal(size=(20, 4)) * 2)
    marks = torch.tensor(random.integers(learner.problem.classes, size=20))
    places = torch.arange(rows) if order is None else torch.tensor(order)
    return of_rows(learner, features[places], marks[places], places)


def of_rows(
    learner: Learner,
    features: torch.Tensor,
    marks: torch.Tensor,
    places: torch.Tensor,
    weights: torch.Tensor | None = None,
) -> Minibatch:
    evidence = learner.evidence(marks, weights)
    totals = evidence.totals()
    return Minibatch(features, marks, evidence, totals, shares_of(evidence.inside, totals), places)


def gradients(learner: Learner, scalar: torch.Tensor) -> list[torch.Tensor]:
    """Of each network's parameters; zero where there is none."""
    parameters = list(learner.networks.parameters())
    found = torch.autograd.grad(scalar, parameters, allow_unused=True, retain_graph=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]


def assert_same(found: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    for mine, other in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, other, **EXACT)


def by_hand(learner: Learner, batch: Minibatch) -> tuple[list[torch.Tensor], list[np.ndarray]]:
    """Losses of each network, and its rows in order of loss."""
    losses = [cross_entropy(columns(net(batch.features)), batch.marks, reduction="none") for net in learner.networks]
    return losses, [np.lexsort((batch.places, loss.detach())) for loss in losses]


@pytest.mark.parametrize(
    ("epoch", "exponent", "kept"),
    [
        (0, 1.0, 1.0),
        (2, 1.0, 0.8),
        (4, 1.0, 0.6),
        (9, 1.0, 0.6),
        (0, 2.0, 1.0),
        (2, 2.0, 0.9),
        (1, 0.5, 0.8),
        (4, 0.5, 0.6),
    ],
)
def test_the_share_goes_down_to_what_is_not_noise(epoch: int, exponent: float, kept: float) -> None:
    method = CoTeaching(0.4, gradual_epochs=4, exponent=exponent)
    learner, _ = ready(method, epoch)
    assert learner.metrics()["kept_share"] == pytest.approx(kept)


def walked(losses: list[float], weights: list[float], places: list[int], share: float) -> list[float]:
    """The choice, row by row."""
    total, mass, chosen = sum(weights), 0.0, [0.0] * len(losses)
    for row in sorted(range(len(losses)), key=lambda row: (losses[row], places[row])):
        mass += weights[row]
        if weights[row] and (mass <= share * total + 1e-9 * total or not any(chosen)):
            chosen[row] = weights[row]
    return chosen


@given(
    rows=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=12),
    share=st.sampled_from([0.0, 0.2, 0.5, 0.55, 0.8, 1.0]),
    seed=st.integers(0, 1000),
)
def test_the_choice_is_that_of_a_walk_through_the_rows(rows: list[tuple[int, int]], share: float, seed: int) -> None:
    """Ties, rows without weight and rows in any order among them."""
    random = np.random.default_rng(seed)
    losses, weights = ([float(row[at]) for row in rows] for at in (0, 1))
    places = random.permutation(50)[: len(rows)].tolist()
    found = smallest(torch.tensor(losses), torch.tensor(weights), torch.tensor(places), share)
    assert found.tolist() == walked(losses, weights, places, share)
    order = random.permutation(len(rows))
    again = smallest(*(torch.tensor(values)[order] for values in (losses, weights, places)), share)
    assert torch.equal(again, found[order])


@given(rows=st.integers(1, 9), share=st.floats(0, 1), seed=st.integers(0, 1000))
def test_no_other_choice_of_as_many_rows_has_smaller_losses(rows: int, share: float, seed: int) -> None:
    losses = torch.tensor(np.random.default_rng(seed).exponential(size=rows))
    chosen = smallest(losses, torch.ones(rows), torch.arange(rows), share).bool()
    count = int(chosen.sum())
    assert count == max(1, int(share * rows + 1e-6))
    least = min(losses[list(choice)].sum() for choice in combinations(range(rows), count))
    assert losses[chosen].sum() == pytest.approx(float(least))


@pytest.mark.parametrize("share", [k / 10 for k in range(1, 11)])
def test_shares_are_not_lost_to_rounding(share: float) -> None:
    assert smallest(torch.rand(10), torch.ones(10), torch.arange(10), share).sum() == round(10 * share)


def test_a_loss_that_is_no_number_is_not_sorted_away() -> None:
    for bad in (torch.nan, torch.inf):
        losses = torch.tensor([0.1, bad, 0.2, 0.3])
        assert smallest(losses, torch.ones(4), torch.arange(4), 0.5).isnan().all()


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("rows", [1, 2, 7, 12])
def test_each_network_learns_from_the_rows_the_other_chose(classes: int, rows: int) -> None:
    learner, progress = ready(CoTeaching(0.5, gradual_epochs=1), 1, problem(classes))
    batch = minibatch(learner, rows)
    (first, second), (by_first, by_second) = by_hand(learner, batch)
    kept = max(1, rows // 2)
    if rows == 12:  # or the example would not tell who chooses for whom
        assert set(by_first[:kept]) != set(by_second[:kept])
    expected = first[by_second[:kept]].mean() + second[by_first[:kept]].mean()
    found = learner.objective(batch, progress)
    torch.testing.assert_close(found, expected, **EXACT)
    of_second, of_first = by_second[:kept], by_first[:kept]
    expected_gradients = [
        *torch.autograd.grad(first[of_second].mean(), list(learner.networks[0].parameters())),
        *torch.autograd.grad(second[of_first].mean(), list(learner.networks[1].parameters())),
    ]
    assert_same(gradients(learner, found), expected_gradients)


@pytest.mark.parametrize(
    "method",
    [CoTeaching(0.5, 1), CoTeachingPlus(0.5, 1), Sigua(0.5, 1, ascent=0.3), Sigua(variant="backward")],
    ids=["co_teaching", "co_teaching_plus", "sigua", "backward"],
)
def test_the_order_of_the_rows_does_not_matter(method: SmallLoss) -> None:
    learner, progress = begun(method)
    for tied in (False, True):
        if tied:  # the first network takes all classes for equally likely
            torch.nn.init.zeros_(learner.networks[0][-1].weight)
            torch.nn.init.zeros_(learner.networks[0][-1].bias)
        whole = learner.objective(minibatch(learner), progress)
        for seed in range(4):
            order = np.random.default_rng(seed).permutation(12)
            torch.testing.assert_close(learner.objective(minibatch(learner, order=order), progress), whole, **EXACT)


@pytest.mark.parametrize(
    "method",
    [CoTeaching(0.5, 1), CoTeachingPlus(0.5, 1), Sigua(0.5, 1, ascent=0.3), Sigua(variant="backward")],
    ids=["co_teaching", "co_teaching_plus", "sigua", "backward"],
)
def test_weights_count_rows_and_only_their_ratios_matter(method: SmallLoss) -> None:
    learner, progress = begun(method)
    batch = minibatch(learner)
    without = of_rows(learner, batch.features[:8], batch.marks[:8], batch.places[:8])
    nothing = torch.tensor([3.0] * 8 + [0.0] * 4)
    weighted = of_rows(learner, batch.features, batch.marks, batch.places, nothing)
    expected = learner.objective(without, progress)
    torch.testing.assert_close(learner.objective(weighted, progress), expected, **EXACT)


def begun(method: SmallLoss) -> tuple[Learner, Progress]:
    if isinstance(method, Sigua) and method.variant == "backward":
        return learner_of(method, problem(3, NoisyLabels(pair_noise(3, 0.4)))), Progress(1, 10)
    return ready(method, 1)


class OneNetwork(NoisyLabelLearner):
    """Ordinary training of the network with the number ``which``."""

    def __init__(self, given: Problem, which: int) -> None:
        super().__init__(given)
        self.networks[0] = given.network(which)

    def objective(self, batch: Minibatch, progress: Progress) -> torch.Tensor:
        return cross_entropy(columns(self.logits(batch.features)), batch.marks)


class Ordinary(Method):
    kind = "ordinary"

    def __init__(self, which: int) -> None:
        self.which = which

    def learner(self, problem: Problem) -> Learner:
        return OneNetwork(problem, self.which)


def noisy(classes: int, table: Table, rows: int = 400, seed: int = 0) -> tuple[Observed, np.ndarray]:
    """Rows with noisy labels, and where these are wrong."""
    sim = NoisyLabels(table).simulate(clean(rows, classes, seed), seed)
    return sim.observed, sim.observed.marks != sim.hidden


@pytest.mark.parametrize("classes", [2, 3])
def test_without_noise_co_teaching_is_two_ordinary_trainings_to_the_bit(classes: int) -> None:
    rows, _ = noisy(classes, symmetric_noise(classes, 0.2))
    training = ClassifierTraining(unknown(classes), CoTeaching(0.0), Perceptron((8,)), Adam(0.01), 4, 50)
    both = training.fit(rows).learner.networks
    for which, network in enumerate(both):
        alone = replace(training, method=Ordinary(which)).fit(rows).learner.networks[0]  # type: ignore[arg-type]
        for mine, other in zip(network.state_dict().values(), alone.state_dict().values(), strict=True):
            assert torch.equal(mine, other)
    assert not torch.equal(*(next(network.parameters()) for network in both))


def test_the_classifier_is_the_mean_of_the_log_probabilities() -> None:
    for classes in (2, 3):
        learner, _ = ready(CoTeaching(0.2), 1, problem(classes))
        features = torch.randn(6, 4, dtype=torch.float64)
        product = torch.ones(6, classes, dtype=torch.float64)
        for network in learner.networks:
            product = product * columns(network(features)).softmax(1).sqrt()
        expected = product / product.sum(1, keepdim=True)
        torch.testing.assert_close(learner.log_probabilities(features).exp(), expected.detach(), **EXACT)
        marks = torch.arange(6) % classes
        torch.testing.assert_close(
            learner.doubts(features, marks, expected.log()).detach(), 1 - expected.detach()[range(6), marks], **EXACT
        )


def test_only_rows_that_are_called_differently_are_chosen_from() -> None:
    learner, progress = ready(CoTeachingPlus(0.5, 1), 1)
    batch = minibatch(learner, 20)
    (first, second), _ = by_hand(learner, batch)
    calls = [columns(network(batch.features)).argmax(1) for network in learner.networks]
    differ = np.flatnonzero(calls[0] != calls[1])
    assert 3 < len(differ) < 17
    kept = len(differ) // 2
    of_first, of_second = (differ[np.argsort(loss.detach().numpy()[differ])[:kept]] for loss in (first, second))
    found = learner.objective(batch, progress)
    torch.testing.assert_close(found, first[of_second].mean() + second[of_first].mean(), **EXACT)
    assert learner.metrics()["disagreement"] == pytest.approx(len(differ) / 20)


def test_where_nobody_disagrees_and_before_it_counts_it_is_co_teaching() -> None:
    plain, progress = ready(CoTeaching(0.5, 1), 1)
    later, _ = ready(CoTeachingPlus(0.5, 1, joint_epochs=2), 1)
    agreeing, _ = ready(CoTeachingPlus(0.5, 1), 1)
    batch = minibatch(plain, 20)
    torch.testing.assert_close(later.objective(batch, progress), plain.objective(batch, progress), **EXACT)
    for learner in (plain, agreeing):  # the second network: the first one, a little surer of everything
        learner.networks[1].load_state_dict(learner.networks[0].state_dict())
        with torch.no_grad():
            for parameter in learner.networks[1][-1].parameters():
                parameter *= 1.3
    torch.testing.assert_close(agreeing.objective(batch, progress), plain.objective(batch, progress), **EXACT)
    assert agreeing.metrics()["disagreement"] == 0


def test_joint_epochs_come_after_the_warm_up() -> None:
    learner = learner_of(CoTeachingPlus(warm_up_epochs=1, joint_epochs=1))
    batch = minibatch(learner, 20)
    counted = []
    for epoch in range(3):
        learner.start_epoch(Progress(epoch, 10), lambda: iter((batch,)))
        learner.objective(batch, Progress(epoch, 10))
        counted.append("disagreement" in learner.metrics())
    assert counted == [False, False, True]


@pytest.mark.parametrize("ascent", [0.0, 0.01, 0.5])
def test_sigua_descends_on_the_kept_and_climbs_on_the_next(ascent: float) -> None:
    learner, progress = ready(Sigua(0.5, 1, ascent=ascent, next_share=0.5), 1)
    batch = minibatch(learner, 12)
    (losses,), (order,) = by_hand(learner, batch)
    small, following = (gradients(learner, losses[rows].mean()) for rows in (order[:6], order[6:9]))
    expected = [down - ascent * up for down, up in zip(small, following, strict=True)]
    assert_same(gradients(learner, learner.objective(batch, progress)), expected)


@pytest.mark.parametrize("rows", [1, 2])
def test_sigua_of_very_few_rows(rows: int) -> None:
    """One row is kept, and where there is one that follows it is no part of what is kept."""
    learner, progress = ready(Sigua(0.5, 1, ascent=0.5, next_share=1.0), 1)
    batch = minibatch(learner, rows)
    (losses,), (order,) = by_hand(learner, batch)
    expected = losses[order[0]] - (0.5 * losses[order[1]] if rows == 2 else 0.0)
    torch.testing.assert_close(learner.objective(batch, progress), expected, **EXACT)


@pytest.mark.parametrize("reversal", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("classes", [2, 3])
def test_backward_sigua_turns_about_the_rows_whose_corrected_loss_is_negative(classes: int, reversal: float) -> None:
    table = np.array([[0.7, 0.3], [0.1, 0.9]]) if classes == 2 else np.array(pair_noise(3, 0.4))
    learner = learner_of(Sigua(variant="backward", reversal=reversal), problem(classes, NoisyLabels(as_table(table))))
    with torch.no_grad():  # sure enough of some rows that their labels look wrong
        for parameter in learner.parameters():
            parameter *= 3
    batch = minibatch(learner, 20)
    losses = -torch.log_softmax(columns(learner.networks[0](batch.features)), 1)
    # What makes it the right correction: its mean over noisy labels is the loss of the clean class.
    inverse = np.linalg.solve(table, np.eye(classes))
    corrected = torch.stack(
        [sum(inverse[s, y] * row[y] for y in range(classes)) for s, row in zip(batch.marks, losses, strict=True)]
    )
    assert 0 < (corrected < 0).sum() < 20
    expected = [torch.zeros_like(parameter) for parameter in learner.parameters()]
    for value in corrected:
        sign = 1.0 if value >= 0 else -reversal
        expected = [e + sign * g / 20 for e, g in zip(expected, gradients(learner, value), strict=True)]
    for mine, other in zip(gradients(learner, learner.objective(batch, Progress(0, 10))), expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)  # the inverse is held in single precision


def test_backward_sigua_knows_the_posterior_of_a_label() -> None:
    table = np.array([[0.7, 0.2, 0.1], [0.0, 0.9, 0.1], [0.3, 0.3, 0.4]])
    learner = learner_of(Sigua(variant="backward"), problem(3, NoisyLabels(as_table(table))))
    batch = minibatch(learner, 20)
    clean_shares = learner.log_probabilities(batch.features).exp().numpy()
    joint = clean_shares[:, :, None] * table
    rows, labels = np.arange(20), batch.marks.numpy()
    expected = 1 - joint[rows, labels, labels] / joint[rows, :, labels].sum(1)
    doubts = learner.doubts(batch.features, batch.marks, learner.log_probabilities(batch.features))
    np.testing.assert_allclose(doubts, expected, atol=1e-6)
    np.testing.assert_allclose(learner.log_noisy(batch.features).exp(), joint.sum(1), atol=1e-6)


@each_selecting
@pytest.mark.parametrize("classes", [2, 4])
def test_the_noise_rate_is_found_with_its_table(method: type[SmallLoss], classes: int) -> None:
    table = pair_noise(classes, 0.25)
    rows, wrong = noisy(classes, table, 4000)
    training = ClassifierTraining(unknown(classes), method(), Perceptron((16,)), Adam(0.01), 5, 100, keep="last")
    fitted = training.fit(rows)
    rate = fitted.found.numbers["noise_rate"]
    assert rate.value == pytest.approx(wrong.mean(), abs=0.06)
    assert rate.low < rate.value < rate.high
    assert "cross-fitted after 3 epochs" in rate.source
    np.testing.assert_allclose(fitted.found.transition.matrix, table, atol=0.12)
    # What is kept of a classifier is the mean of its networks' logits, so that no other may be among them.
    features = torch.tensor(rows.features).float()
    mean = torch.stack([columns(network(features)) for network in fitted.learner.networks]).mean(0).softmax(1)
    np.testing.assert_allclose(fitted.probabilities(rows.features), mean.detach(), atol=1e-5)
    shares = [epoch["kept_share"] for epoch in fitted.history]
    assert shares == pytest.approx([1, 1, 1, 1, 1 - rate.value / 10])


def test_no_row_is_predicted_by_a_network_that_learnt_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = learner_of(CoTeaching(warm_up_epochs=1))
    learner.start_epoch(Progress(0, 10), lambda: iter(()))
    batch = minibatch(learner, 20)
    learnt_by = []
    for row in range(20):
        single = of_rows(learner, *(values[row : row + 1] for values in (batch.features, batch.marks, batch.places)))
        moved = gradients(learner, learner.objective(single, Progress(0, 10)))
        half = len(moved) // 2
        learnt_by.append([any(g.any() for g in part) for part in (moved[:half], moved[half:])])
    assert (np.sum(learnt_by, axis=0) == 10).all()
    assert (np.sum(learnt_by, axis=1) == 1).all()

    seen: list[np.ndarray] = []
    estimate = small_loss.estimate_transition

    def watched(method, probabilities, labels, seed):
        seen.extend([probabilities, labels])
        return estimate(method, probabilities, labels, seed=seed)

    monkeypatch.setattr(small_loss, "estimate_transition", watched)
    for which, network in enumerate(learner.networks):
        with torch.no_grad():
            network[-1].weight.zero_()
            network[-1].bias.copy_(10.0 * torch.nn.functional.one_hot(torch.tensor(which), 3))

    def passes() -> Iterator[Minibatch]:
        yield batch

    learner.start_epoch(Progress(1, 10), passes)
    assert (seen[0].argmax(axis=1) == np.argmin(learnt_by, axis=1)).all()
    assert (seen[1] == batch.marks.numpy()).all()


def test_a_rate_that_is_given_is_told_as_given_and_one_not_yet_found_as_such() -> None:
    given, _ = ready(CoTeaching(0.3), 0)
    assert given.found(lambda: iter(())).numbers["noise_rate"].source == "given"
    early = learner_of(CoTeaching()).found(lambda: iter(()))
    assert not early.numbers
    assert "warm-up" in early.notes[0]


@each_selecting
def test_a_training_that_was_stopped_ends_with_the_same_bits(method: type[SmallLoss], tmp_path: Path) -> None:
    rows, _ = noisy(3, symmetric_noise(3, 0.3))
    training = ClassifierTraining(unknown(3), method(warm_up_epochs=2), Perceptron((8,)), Adam(0.01), 5, 50)
    whole = training.fit(rows)

    def stop(step: int, *_: object) -> None:
        raise KeyboardInterrupt

    for _ in range(5):
        with pytest.raises(KeyboardInterrupt):
            training.fit(rows, report=stop, checkpoint=tmp_path / "course")
    went_on = training.fit(rows, checkpoint=tmp_path / "course")
    assert went_on.history == whole.history
    assert went_on.found.numbers == whole.found.numbers
    states = (fitted.learner.state_dict().values() for fitted in (whole, went_on))
    assert all(torch.equal(*pair) for pair in zip(*states, strict=True))


@pytest.mark.parametrize(
    "method",
    [
        CoTeaching(0.3, 2),
        CoTeaching(None, 2, warm_up_epochs=1),
        CoTeachingPlus(0.3, 2),
        Sigua(0.3, 2),
        Sigua(None, 2, warm_up_epochs=1),
        Sigua(variant="backward"),
    ],
    ids=repr,
)
def test_workers_that_share_the_rows_give_what_one_gives(method: SmallLoss) -> None:
    table = pair_noise(3, 0.3)
    setting = NoisyLabels(table) if method == Sigua(variant="backward") else unknown(3)
    rows, held = (noisy(3, table, seed=seed)[0] for seed in (0, 1))
    training = ClassifierTraining(setting, method, Perceptron((8,)), epochs=4, minibatch_rows=40)
    one = training.fit(rows, held)
    for fitted in together(3, lambda worker: training.fit(rows, held, together=worker)):
        assert fitted.epoch == one.epoch
        for mine, alone in zip(fitted.learner.state_dict().values(), one.learner.state_dict().values(), strict=True):
            torch.testing.assert_close(mine, alone, rtol=1e-3, atol=1e-5, equal_nan=True)
        for mine, alone in zip(fitted.history, one.history, strict=True):
            assert mine == pytest.approx(alone, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_validation_is_by_the_error_at_the_labels_which_change_nothing_else(classes: int) -> None:
    rows, held = (noisy(classes, symmetric_noise(classes, 0.3), seed=seed)[0] for seed in (0, 1))
    training = ClassifierTraining(unknown(classes), CoTeaching(0.3), Linear(), epochs=2, keep="last")
    fitted = training.fit(rows, held)
    found = fitted.probabilities(held.features)
    score = fitted.history[-1]["validation_noisy_error"]
    assert score == pytest.approx(np.mean(found.argmax(axis=1) != held.marks), abs=1e-6)
    # Probabilities are of the clean class: they must not be scaled to fit noisy labels.
    assert np.array_equal(found, training.fit(rows).probabilities(held.features))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CoTeaching(1.0), r"noise_rate must lie in \[0, 1\), got 1.0"),
        (lambda: CoTeaching(-0.1), r"noise_rate must lie in \[0, 1\), got -0.1"),
        (lambda: CoTeaching(float("nan")), r"noise_rate must lie in \[0, 1\), got nan"),
        (lambda: CoTeaching(gradual_epochs=0), "gradual_epochs must be at least 1, got 0"),
        (lambda: CoTeachingPlus(warm_up_epochs=0), "warm_up_epochs must be at least 1, got 0"),
        (lambda: CoTeachingPlus(joint_epochs=-1), "joint_epochs must be at least 0, got -1"),
        (lambda: Sigua(exponent=0.0), "exponent must be positive and finite, got 0.0"),
        (lambda: Sigua(variant="forward"), "variant must be small_loss or backward, got 'forward'"),
        (lambda: Sigua(ascent=1.5), r"ascent must lie in \[0, 1\], got 1.5"),
        (lambda: Sigua(next_share=-0.5), r"next_share must lie in \[0, 1\], got -0.5"),
        (lambda: Sigua(reversal=2.0), r"reversal must lie in \[0, 1\], got 2.0"),
    ],
)
def test_fields_are_checked(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    ("method", "setting", "message"),
    [
        (CoTeaching(0.2), PositiveUnlabeled(0.4), "method must fit the setting: co_teaching learns from noisy labels"),
        (Sigua(variant="backward"), PositiveUnlabeled(0.4), "method must fit the setting: sigua learns from noisy"),
        (
            CoTeaching(warm_up_epochs=10),
            unknown(2),
            "warm_up_epochs must be below epochs = 10 .* got 10; give",
        ),
        (Sigua(variant="backward"), unknown(2), "transition must tell how labels are wrong for variant backward"),
        (Sigua(variant="backward"), NoisyLabels(((0.5, 0.5), (0.5, 0.5))), "transition must have rank 2"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_training(method: Method, setting: Setting, message: str) -> None:
    with pytest.raises(InputError, match=message):
        method.learner(problem(2, setting))


def mnist(table: Table, rows: int) -> tuple[Observed, np.ndarray, Clean]:
    if not (DATA / "mnist.npz").is_file():
        pytest.skip("no mnist.npz; set KINTSUGI_TEST_DATA to its folder")
    pooled = digits()
    part = Clean(pooled.train.features[:rows], pooled.train.labels[:rows])
    sim = NoisyLabels(table).simulate(part, 0)
    return sim.observed, sim.observed.marks != sim.hidden, pooled.test


@pytest.mark.real_data
def test_doubts_find_digits_with_wrong_labels() -> None:
    rows, wrong, _ = mnist(symmetric_noise(10, 0.2), 20_000)
    fitted = ClassifierTraining(unknown(10), CoTeaching(gradual_epochs=2), epochs=6).fit(rows)
    rank = fitted.doubts(rows).argsort().argsort() + 1.0
    count = wrong.sum()
    area = (rank[wrong].sum() - count * (count + 1) / 2) / (count * (len(wrong) - count))
    assert area > 0.97
    assert fitted.found.numbers["noise_rate"].value == pytest.approx(wrong.mean(), abs=0.05)


@pytest.mark.real_data
def test_co_teaching_learns_digits_nearly_half_of_which_are_called_by_their_successor() -> None:
    rows, _, test = mnist(pair_noise(10, 0.45), 60_000)
    training = ClassifierTraining(unknown(10), CoTeaching(0.45, gradual_epochs=3), epochs=10)
    assert accuracy(training.fit(rows), test) >= 0.86  # ordinary training gets .72
