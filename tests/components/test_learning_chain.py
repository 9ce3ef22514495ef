"""Train, update, tune and assess on a world whose truth is known: half of the positives are labeled at random."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from components import objective as objective_module
from components.assessment import STEPS, Chain, assess
from components.bayes import Continual, Ivon
from components.contracts import CausalGraph, Column, Dataset, EvaluationLabels, Posterior, TimeBatch
from components.errors import InputError
from components.evaluation import OURS, Bootstrapped
from components.features import FeatureMap
from components.heads import Linear, Mlp
from components.learner import NAIVE, PU, SHIFTED, Trained, Training
from components.objective import Labelling, Rows, WeakObjective
from components.predictor import Predictor
from components.shift import DriftTest
from components.state import State
from components.storage import read_rows
from components.tuning import PosteriorTuning
from components.updating import Updating
from components.weak import BestBin, Declared, NonNegative, Uncorrected, positive_unlabeled

FREQUENCY = 0.5
COLUMNS = (
    Column("a"),
    Column("b"),
    Column("group", role="group", kind="category"),
    Column("when", role="time"),
    Column("label", role="weak_label", kind="flag"),
)
TRAINING = Training(head=Linear(), rule=Ivon(epochs=15), class_prior=Declared(value=0.5, low=0.4, high=0.6, source="x"))
UPDATING = Updating(rule=Continual(rule=Ivon(learning_rate=0.1, epochs=8)), drift=DriftTest(permutations=20))


def truth_of(frame: pd.DataFrame) -> np.ndarray:
    """P(positive | row) of the world."""
    return 1 / (1 + np.exp(-(1.5 * frame["a"] - frame["b"] - 1)))


def build(folder: Path, rows: int = 1500, batches: int = 4, seed: int = 0) -> tuple[Dataset, EvaluationLabels]:
    random = np.random.default_rng(seed)
    entries, labels = [], []
    for index in range(1, batches + 1):
        frame = pd.DataFrame({"a": random.normal(0.2 * index, 1, rows), "b": random.normal(0, 1, rows)})
        positive = random.uniform(size=rows) < truth_of(frame)
        frame["group"] = random.choice(["east", "west"], rows)
        frame["when"] = float(index)
        frame["label"] = (positive & (random.uniform(size=rows) < FREQUENCY)).astype(float)
        frame["_row"] = np.arange(rows) + rows * index
        frame["_part"] = random.choice(["fit", "tune", "held"], rows, p=[0.6, 0.15, 0.25])
        target = folder / "data" / f"batch={index}"
        target.mkdir(parents=True)
        frame.to_parquet(target / "part-0.parquet", index=False, row_group_size=200)
        labels.append(pd.DataFrame({"batch": index, "_row": frame["_row"], "label": positive.astype(float)}))
        entries.append(TimeBatch(index, f"year {index}", rows, int(frame["label"].sum())))
    pd.concat(labels).to_parquet(folder / "evaluation.parquet", index=False)
    dataset = Dataset(folder / "data", COLUMNS, tuple(entries), "digest")
    return dataset, EvaluationLabels(folder / "evaluation.parquet", "truth", "", "labels")


def graph(edges: dict[tuple[str, str], float]) -> CausalGraph:
    names = ("a", "b", "label")
    weights = np.zeros((3, 3))
    for (cause, effect), weight in edges.items():
        weights[names.index(effect), names.index(cause)] = weight
    return CausalGraph(names, weights, (0, 1, 2), weights, weights, weights, weights, "label", 100, 1)


CAUSES = graph({("a", "label"): 1.0, ("b", "label"): -1.0})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, EvaluationLabels]:
    return build(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def trained(world: tuple[Dataset, EvaluationLabels]) -> Trained:
    return TRAINING.train(world[0], CAUSES)


def rows_of(dataset: Dataset, batches: tuple[int, ...] = (1,)) -> Rows:
    columns = tuple(column for column in COLUMNS if column.role == "feature")
    return Rows(dataset, FeatureMap.fit(read_rows(dataset, ["a", "b"], (1,), ("fit",)), columns), batches, "fit")


def test_the_risk_is_the_positive_unlabeled_risk_of_the_paper(world) -> None:
    rows, prior = rows_of(world[0]), 0.4
    features, labelled = rows.sample().alike
    theta = torch.tensor([0.7, -0.3, 0.2], dtype=torch.float64)
    whole = WeakObjective(Linear(), Labelling.positive_unlabeled(prior, prior), Uncorrected(), rows)
    logits = features @ theta.numpy()[:2] + 0.2
    plus, minus = np.logaddexp(0, -logits), np.logaddexp(0, logits)
    expected = prior * plus[labelled].mean() + minus.mean() - prior * minus[labelled].mean()
    np.testing.assert_allclose(float(whole.value(theta)), expected, rtol=1e-12)
    (minibatch,) = whole.minibatches(10_000, seed=3)
    np.testing.assert_allclose(float(whole.risk(theta, minibatch)), expected, rtol=1e-12)


def test_the_naive_risk_is_the_cross_entropy_of_the_labels(world) -> None:
    rows = rows_of(world[0])
    features, labelled = rows.sample().alike
    theta = torch.tensor([0.7, -0.3, 0.2], dtype=torch.float64)
    naive = WeakObjective(Linear(), Labelling.unlabeled_is_negative(float(labelled.mean())), Uncorrected(), rows)
    logits = features @ theta.numpy()[:2] + 0.2
    expected = np.logaddexp(0, np.where(labelled, -logits, logits)).mean()
    np.testing.assert_allclose(float(naive.value(theta)), expected, rtol=1e-12)


def test_sample_weights_weigh_the_risk(world, tmp_path: Path) -> None:
    dataset, _ = build(tmp_path, rows=300, batches=1)
    (file,) = (dataset.path / "batch=1").glob("*.parquet")
    frame = pd.read_parquet(file)
    frame["w"] = np.random.default_rng(0).integers(1, 4, len(frame)).astype(float)
    frame.to_parquet(file, index=False)
    weighted = replace(dataset, columns=(*COLUMNS, Column("w", role="weight")))
    rows, prior = rows_of(weighted), 0.4
    whole = WeakObjective(Linear(), Labelling.positive_unlabeled(prior, prior), Uncorrected(), rows)
    fit = frame[frame["_part"] == "fit"]
    logits = rows.features.transform(fit) @ np.array([0.7, -0.3]) + 0.2
    plus, minus, known = np.logaddexp(0, -logits), np.logaddexp(0, logits), fit["label"].to_numpy() == 1
    positive, everyone = (
        (lambda x: np.average(x[known], weights=fit["w"][known])),
        (lambda x: np.average(x, weights=fit["w"])),
    )
    expected = prior * positive(plus) + everyone(minus) - prior * positive(minus)
    theta = torch.tensor([0.7, -0.3, 0.2], dtype=torch.float64)
    np.testing.assert_allclose(float(whole.value(theta)), expected, rtol=1e-12)


@pytest.mark.parametrize("target_prior", [0.4, 0.55])
def test_the_curvature_of_a_linear_head_is_the_diagonal_of_the_hessian(world, target_prior: float) -> None:
    whole = WeakObjective(Linear(), Labelling.positive_unlabeled(0.4, target_prior), Uncorrected(), rows_of(world[0]))
    theta = torch.tensor([0.7, -0.3, 0.2], dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(whole.value, theta)
    torch.testing.assert_close(whole.gauss_newton(theta), whole.rows * hessian.diagonal())
    assert (whole.curvature(theta) <= whole.gauss_newton(theta)).all()


def fitted(objective: WeakObjective) -> np.ndarray:
    """The minimum of a linear head's risk, by another optimiser."""
    from scipy.optimize import minimize

    def both(point: np.ndarray) -> tuple[float, np.ndarray]:
        theta = torch.tensor(point, requires_grad=True)
        value = objective.value(theta)
        (slope,) = torch.autograd.grad(value, theta)
        return float(value.detach()), slope.numpy()

    return minimize(both, np.zeros(2), jac=True, method="BFGS").x


def test_the_posterior_is_as_wide_as_estimates_from_new_samples_are_spread() -> None:
    points, claimed = [], []
    for seed in range(40):
        random = np.random.default_rng(seed)
        x = random.normal(size=(3000, 1))
        positive = random.uniform(size=3000) < 1 / (1 + np.exp(-(1.2 * x[:, 0] - 1)))
        data = positive_unlabeled(x, positive & (random.uniform(size=3000) < 0.3), class_prior=0.3115)
        labelling = Labelling.positive_unlabeled(0.3115, 0.3115)
        objective = WeakObjective(Linear(), labelling, Uncorrected(), data)
        points.append(fitted(objective))
        claimed.append(objective.curvature(torch.tensor(points[-1])).numpy() ** -0.5)
    # The spread of 40 estimates is itself known to 11 %; the curvature alone claims a third of it for the weight.
    np.testing.assert_allclose(np.mean(claimed, axis=0), np.std(points, axis=0), rtol=0.35)


def test_every_minibatch_has_a_labeled_row_and_every_row_comes_once(tmp_path: Path) -> None:
    dataset, _ = build(tmp_path, rows=400, batches=1)
    (file,) = (dataset.path / "batch=1").glob("*.parquet")
    frame = pd.read_parquet(file)
    fit = np.flatnonzero(frame["_part"] == "fit")
    frame["label"] = 0.0
    frame.loc[fit[:3], "label"] = 1.0
    frame.to_parquet(file, index=False)
    objective = WeakObjective(Linear(), Labelling.positive_unlabeled(0.4, 0.4), Uncorrected(), rows_of(dataset))
    minibatches = list(objective.minibatches(10, seed=0))
    assert len(minibatches) == 3
    assert [int(minibatch.sources[:, 0].sum()) for minibatch in minibatches] == [1, 1, 1]
    drawn = torch.cat([minibatch.features for minibatch in minibatches])
    whole = torch.from_numpy(rows_of(dataset).sample().features)
    torch.testing.assert_close(drawn.sort(0).values, whole.sort(0).values)


def test_a_streamed_table_gives_what_a_kept_one_gives(world, monkeypatch: pytest.MonkeyPatch) -> None:
    theta = torch.tensor([0.7, -0.3, 0.2], dtype=torch.float64)
    naive = Labelling.unlabeled_is_negative(0.3)
    kept = WeakObjective(Mlp(hidden=2), naive, Uncorrected(), rows_of(world[0], (1, 2)))
    theta = torch.linspace(-1, 1, 2 + 4 + 2 + 2 + 1, dtype=torch.float64)
    monkeypatch.setattr(objective_module, "BUFFER", 256)
    streamed = WeakObjective(Mlp(hidden=2), naive, Uncorrected(), rows_of(world[0], (1, 2)))
    assert streamed.rows == kept.rows
    torch.testing.assert_close(streamed.curvature(theta), kept.curvature(theta))
    rows = [len(minibatch.features) for minibatch in streamed.minibatches(100, seed=1)]
    assert sum(rows) == kept.rows
    assert max(rows) <= 101
    # Stratified means of chunks are not the means of the whole, but nearly so.
    np.testing.assert_allclose(float(streamed.value(theta)), float(kept.value(theta)), rtol=0.05)


def test_correcting_for_unlabeled_positives_brings_the_truth_nearer(world, trained: Trained) -> None:
    held = read_rows(world[0], ["a", "b"], (1,), ("held",))
    truth = truth_of(held).to_numpy()
    errors = {
        step: np.abs(trained.predictor(step).predict(held)["probability"].to_numpy() - truth).mean()
        for step in (NAIVE, PU, SHIFTED)
    }
    assert errors[NAIVE] > 0.12
    assert errors[PU] < 0.07
    assert errors[SHIFTED] < 0.09


def test_causes_ask_for_covariate_shift_and_weights_have_mean_one(trained: Trained) -> None:
    assert trained.correction.kind == "covariate"
    assert "a, b" in trained.correction.reason
    assert not trained.correction.overridden
    np.testing.assert_allclose(trained.weights.mean(), 1)
    assert trained.batches == (1,)
    assert trained.state.absorbed == ("year 1",)
    assert trained.correction.target == "year 2"


@pytest.mark.parametrize(
    ("edges", "policy", "names"),
    [
        ({("a", "label"): 1.0}, "connected", ("a",)),
        ({("a", "b"): 1.0, ("a", "label"): 1.0}, "connected", ("a", "b")),
        ({("a", "b"): 1.0, ("a", "label"): 1.0}, "causes", ("a",)),
        ({}, "all", ("a", "b")),
    ],
)
def test_the_graph_allows_features(world, edges, policy, names) -> None:
    allowed = replace(TRAINING, features=policy).allowed(world[0], graph(edges))
    assert tuple(column.name for column in allowed) == names


def test_a_state_survives_the_disk(trained: Trained, tmp_path: Path, world) -> None:
    trained.state.save(tmp_path)
    again, held = State.load(tmp_path), read_rows(world[0], ["a", "b"], (2,), ("held",))
    pd.testing.assert_frame_equal(again.predictor.predict(held), trained.state.predictor.predict(held))
    pd.testing.assert_frame_equal(Predictor.load(tmp_path).predict(held), trained.state.predictor.predict(held))
    assert again.absorbed == trained.state.absorbed
    assert again.initial.digest == trained.state.initial.digest
    np.testing.assert_array_equal(again.reference.features, trained.state.reference.features)
    assert again.reference.labelled == trained.state.reference.labelled
    np.testing.assert_array_equal(again.frequency.density, trained.state.frequency.density)


def test_a_predictor_of_another_schema_is_refused(trained: Trained, tmp_path: Path) -> None:
    trained.state.save(tmp_path)
    file = tmp_path / "predictor.json"
    file.write_text(file.read_text().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(InputError, match=r"schema of the predictor .* must be 1, got 2"):
        Predictor.load(tmp_path)


def test_an_update_learns_and_forgets_nothing_it_was_given(world, trained: Trained) -> None:
    before = trained.state.predictor.posterior.digest
    absorbed = UPDATING.absorb(world[0], 2, trained.state)
    assert trained.state.predictor.posterior.digest == before
    assert absorbed.after.absorbed == ("year 1", "year 2")
    assert absorbed.after.predictor.posterior.rows > trained.state.predictor.posterior.rows * 0.7
    assert absorbed.drift.batch == "year 2"
    again = UPDATING.absorb(world[0], 2, trained.state)
    assert again.after.predictor.posterior.digest == absorbed.after.predictor.posterior.digest


def wrong(state: State, by: float) -> State:
    """The state with every weight moved, and unsure of all of them."""
    posterior = state.predictor.posterior
    precision = np.full(len(posterior.precision), 1.0)
    return state.with_posterior(Posterior(posterior.layout, precision, posterior.mean + by))


def test_tuning_mends_a_wrong_posterior_and_is_worse_on_no_half(world, trained: Trained) -> None:
    tuned = PosteriorTuning().tune(world[0], 2, wrong(trained.state, 0.8))
    assert tuned.moved
    kept = [entry for entry in tuned.rounds if entry.accepted]
    checking = [entry.checking for entry in kept]
    assert checking == sorted(checking, reverse=True)
    assert kept[-1].steering <= kept[0].steering
    assert (tuned.state.predictor.posterior.precision > 1).all()


def test_tuning_rows_are_evidence_only_once(world, trained: Trained) -> None:
    tuned = PosteriorTuning(window=1).tune(world[0], 2, wrong(trained.state, 0.8))
    assert tuned.moved
    assert "tuned on year 2" in tuned.state.predictor.posterior.lineage
    assert PosteriorTuning(window=1).tune(world[0], 2, tuned.state).rounds == ()


def test_assessment_scores_every_step_on_every_later_batch(world, trained: Trained) -> None:
    dataset, labels = world
    absorbed, state = [], trained.state
    for batch in (2, 3, 4):
        absorbed.append(UPDATING.absorb(dataset, batch, state))
        state = absorbed[-1].after
    tuned = tuple(PosteriorTuning(rounds=2).tune(dataset, entry.batch, entry.after) for entry in absorbed)
    chain = Chain(trained, tuple(absorbed), tuned)
    champion = trained.predictor(NAIVE)
    assessed = assess(dataset, labels, chain, champion, Bootstrapped(resamples=30))
    assert assessed.scorecard.label == "truth"
    assert set(assessed.scored.batches) == {"year 4"}
    for step in STEPS:
        assert np.isfinite(assessed.ladder.value(step, "log_loss", batch="year 3").value)
    last = assessed.ladder.value("+ tune", "log_loss", batch="year 4").value
    np.testing.assert_allclose(assessed.scorecard.value(OURS, "log_loss").value, last)
    naive = assessed.scorecard.value("champion", "prevalence_error").value
    assert assessed.scorecard.value(OURS, "prevalence_error").value < naive / 2
    assert {score.slice for score in assessed.scorecard.scores} == {"all", "group=east", "group=west"}
    weak = assess(dataset, None, chain, None, Bootstrapped(resamples=30))
    assert weak.scorecard.weak
    assert weak.scorecard.label == "label"


def test_a_batch_without_labeled_rows_is_examined_and_not_learnt_from(trained: Trained, tmp_path: Path) -> None:
    dataset, labels = build(tmp_path, batches=3)
    for batch in (2, 3):
        for file in (dataset.path / f"batch={batch}").glob("*.parquet"):
            pd.read_parquet(file).assign(label=0.0).to_parquet(file, index=False)
    absorbed = UPDATING.absorb(dataset, 2, trained.state)
    assert "nothing was learnt from year 2: 0 labeled rows" in absorbed.note
    assert absorbed.after.predictor.posterior.digest == trained.state.predictor.posterior.digest
    assert absorbed.after.absorbed == ("year 1", "year 2")
    tuned = PosteriorTuning().tune(dataset, 2, absorbed.after)
    assessed = assess(dataset, labels, Chain(trained, (absorbed,), (tuned,)), None, Bootstrapped(resamples=20))
    assert set(assessed.scored.batches) == {"year 2"}


def test_a_batch_with_hardly_any_row_does_not_stop_the_chain(trained: Trained, tmp_path: Path) -> None:
    dataset, labels = build(tmp_path, batches=3)
    for file in (dataset.path / "batch=3").glob("*.parquet"):
        pd.read_parquet(file).head(1).assign(_part="fit").to_parquet(file, index=False)
    absorbed = [UPDATING.absorb(dataset, 2, trained.state)]
    absorbed.append(UPDATING.absorb(dataset, 3, absorbed[0].after))
    assert absorbed[1].note
    tuned = tuple(PosteriorTuning().tune(dataset, entry.batch, entry.after) for entry in absorbed)
    assessed = assess(dataset, labels, Chain(trained, tuple(absorbed), tuned), None, Bootstrapped(resamples=20))
    assert set(assessed.scored.batches) == {"year 2"}


def test_with_one_batch_there_is_nothing_to_correct_for(tmp_path: Path) -> None:
    dataset, _ = build(tmp_path, batches=1)
    trained = TRAINING.train(dataset, CAUSES)
    assert trained.correction.kind == "none"
    assert "there is no later batch" in trained.correction.reason


def test_drift_is_measured_against_the_last_batch_not_the_first(world, trained: Trained) -> None:
    absorbed = UPDATING.absorb(world[0], 2, trained.state)
    again = UPDATING.absorb(world[0], 2, absorbed.after)
    assert again.drift.kind == "none"


@pytest.mark.parametrize(
    ("training", "message"),
    [
        (lambda: Training(batches=-1), "batches must be at least 0, got -1"),
        (lambda: PosteriorTuning(rounds=0), "rounds must be at least 1, got 0"),
        (lambda: PosteriorTuning(window=0), "window must be at least 1, got 0"),
    ],
)
def test_a_bad_field_is_named(training, message) -> None:
    with pytest.raises(InputError, match=message):
        training()


def test_what_the_data_cannot_give_is_named(world, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="batches must not exceed the 4 batches of the dataset, got 9"):
        replace(TRAINING, batches=9).split(world[0])
    with pytest.raises(InputError, match="features = 'causes' must leave at least one feature"):
        replace(TRAINING, features="causes").allowed(world[0], graph({}))
    dataset, _ = build(tmp_path)
    for file in (dataset.path / "batch=1").glob("*.parquet"):
        pd.read_parquet(file).assign(label=0.0).to_parquet(file, index=False)
    with pytest.raises(InputError, match="weak label 'label' must have labeled and unlabeled rows"):
        TRAINING.train(dataset, CAUSES)


def test_the_class_prior_can_be_declared_by_the_data_or_estimated(world) -> None:
    rows = rows_of(world[0])
    seen = rows.sample()
    estimated = replace(TRAINING, class_prior=BestBin()).frequency(world[0], seen)
    assert abs(estimated.estimate.value - FREQUENCY) < 0.2
    stated = replace(world[0], label_frequency=replace(estimated.estimate, value=0.3, low=0.2, high=0.4, source="us"))
    declared = TRAINING.frequency(stated, seen)
    assert abs(declared.estimate.value - 0.3) < 0.03
    assert NonNegative().kind == "non_negative"
