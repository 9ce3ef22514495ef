"""Training on several workers of a real Ray: the numbers of one, also when a worker is killed."""

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import psutil
import pytest
import torch

from components.bayes import Ivon
from components.classifier import ClassifierTraining, InMemory, ParquetRows, Perceptron
from components.classifier.coding import Coding
from components.contracts import CausalGraph, Column, Dataset, TimeBatch
from components.errors import InputError, OutsideError
from components.features import FeatureMap
from components.heads import Mlp
from components.learner import Trained, Training
from components.ports import Alone
from components.storage import read_rows
from components.weak import Declared, PositiveUnlabeled
from tasks.compute import ray_session
from tasks.ray_training import ClassifierJob, train_together, work_together, worker_resources
from tasks.settings import Settings

EPOCHS = 6
METHOD = Training(
    head=Mlp(hidden=3),
    rule=Ivon(epochs=EPOCHS, minibatch_rows=64),
    class_prior=Declared(value=0.5, low=0.4, high=0.6, source="x"),
)
NAMES = ("a", "b", "label")
WEIGHTS = np.array([[0, 0, 0], [0, 0, 0], [1.0, -1.0, 0]])
GRAPH = CausalGraph(NAMES, WEIGHTS, (0, 1, 2), WEIGHTS, WEIGHTS, WEIGHTS, WEIGHTS, "label", 100, 1)
TWO = Settings(map="ray", workers=2, training_workers=2)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    random, folder = np.random.default_rng(0), tmp_path_factory.mktemp("data")
    for index in (1, 2):
        frame = pd.DataFrame({"a": random.normal(index / 5, 1, 500), "b": random.normal(size=500)})
        positive = random.uniform(size=500) < 1 / (1 + np.exp(-(1.5 * frame["a"] - frame["b"])))
        frame["label"] = (positive & (random.uniform(size=500) < 0.5)).astype(float)
        frame["_row"], frame["_part"] = np.arange(500) + 500 * index, "fit"
        (folder / f"batch={index}").mkdir()
        frame.to_parquet(folder / f"batch={index}" / "part-0.parquet", index=False)
    columns = (Column("a"), Column("b"), Column("label", role="weak_label", kind="flag"))
    return Dataset(folder, columns, (TimeBatch(1, "one", 500, 100), TimeBatch(2, "two", 500, 100)), "digest")


@pytest.fixture(scope="module")
def running() -> Iterator[None]:
    with ray_session(TWO):
        yield


@pytest.fixture(scope="module")
def shared(dataset: Dataset, running: None) -> tuple[Trained, list[tuple[int, int, Mapping[str, float], bool]]]:
    """What two workers made, and what they reported."""
    told: list[tuple[int, int, Mapping[str, float], bool]] = []
    main = threading.current_thread()

    def report(step: int, total: int, metrics: Mapping[str, float]) -> None:
        told.append((step, total, metrics, threading.current_thread() is main))

    return train_together(METHOD, dataset, GRAPH, TWO, report), told


def workers() -> list[int]:
    """Process ids of our Ray's training workers."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "RayTrainWorker" in " ".join(process.cmdline()):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def digests(trained: Trained) -> dict[str, str]:
    return {name: posterior.digest for name, posterior in trained.steps.items()}


def test_two_workers_learn_what_one_learns(dataset: Dataset, shared) -> None:
    together, told = shared
    alone_told: list[tuple[int, int, Mapping[str, float]]] = []
    alone = METHOD.train(dataset, GRAPH, lambda *said: alone_told.append(said))
    for name, expected in alone.steps.items():
        # Nothing but the order of sums differs: on this data the worst is 1e-14.
        np.testing.assert_allclose(together.steps[name].precision, expected.precision, rtol=1e-10)
        np.testing.assert_allclose(together.steps[name].mean, expected.mean, rtol=1e-10, atol=1e-12)
        assert together.steps[name].lineage == expected.lineage
    np.testing.assert_allclose(together.weights, alone.weights, rtol=1e-10)
    assert together.correction.reason == alone.correction.reason
    assert [(step, total, in_here) for step, total, _, in_here in told] == [
        (step, 3 * EPOCHS, True) for step in range(3 * EPOCHS)
    ]
    for (_, _, seen, _), (_, _, expected) in zip(told, alone_told, strict=True):
        assert seen == pytest.approx(expected, rel=1e-9)


def test_a_killed_worker_changes_no_bit_and_no_step_is_told_twice(dataset: Dataset, shared) -> None:
    steps, at_work = [], []

    def report(step: int, total: int, metrics: Mapping[str, float]) -> None:
        steps.append(step)
        at_work.append(workers())
        if step == 1:  # in the midst: nobody goes on before this is taken
            os.kill(at_work[-1][-1], signal.SIGKILL)

    struck = train_together(METHOD, dataset, GRAPH, TWO, report)
    assert digests(struck) == digests(shared[0])
    assert steps == list(range(3 * EPOCHS))
    assert not set(at_work[0]) & set(at_work[-1])  # the training was begun again


def test_workers_end_when_the_caller_does(dataset: Dataset, running: None) -> None:
    import ray

    class TrackingDownError(Exception):
        pass

    def report(step: int, total: int, metrics: Mapping[str, float]) -> None:
        raise TrackingDownError

    before = signal.getsignal(signal.SIGINT)
    endless = replace(METHOD, rule=replace(METHOD.rule, epochs=10**6))
    with pytest.raises(TrackingDownError):
        train_together(endless, dataset, GRAPH, TWO, report)
    waited_until = time.monotonic() + 60
    while (workers() or ray.available_resources().get("CPU") != 2) and time.monotonic() < waited_until:
        time.sleep(0.2)
    assert workers() == []
    assert ray.available_resources()["CPU"] == 2
    assert signal.getsignal(signal.SIGINT) == before


def test_a_refused_training_is_refused_once_and_as_it_would_be_here(dataset: Dataset, running: None) -> None:
    # Were it tried again like a dead worker, it would end in an OutsideError.
    with pytest.raises(InputError, match="batches must not exceed the 2 batches of the dataset, got 99"):
        train_together(replace(METHOD, batches=99), dataset, GRAPH, TWO)


def test_one_worker_needs_no_ray(dataset: Dataset) -> None:
    one = train_together(METHOD, dataset, GRAPH, Settings(map="inline"))
    assert digests(one) == digests(METHOD.train(dataset, GRAPH))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(map="processes", training_workers=2), r"TRAINING_WORKERS above 1 needs Ray, got 2 .*MAP=processes"),
        (Settings(map="ray", workers=2, training_workers=3), r"must not exceed the 2 workers of a local Ray .*got 3"),
    ],
)
def test_settings_without_room_are_refused_before_ray_starts(dataset: Dataset, settings, message: str) -> None:
    with pytest.raises(InputError, match=message):
        train_together(METHOD, dataset, GRAPH, settings)


def test_gpus_are_asked_for_only_where_there_are_any(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert worker_resources({"CPU": 4}, replace_gpus(0.25)) == {"CPU": 1}
    assert "2 training workers compute on CPUs: Ray has no GPU" in caplog.text
    assert worker_resources({"CPU": 4, "GPU": 1}, replace_gpus(0.25)) == {"CPU": 1, "GPU": 0.25}
    assert worker_resources({"CPU": 4, "GPU": 1}, replace_gpus(0)) == {"CPU": 1}


def replace_gpus(share: float) -> Settings:
    return Settings(map="ray", training_workers=2, gpus_per_worker=share)


def test_workers_that_compute_differently_are_found_out() -> None:
    from tasks.ray_worker import _agree

    class Apart(Alone):
        def sum(self, part: torch.Tensor) -> torch.Tensor:
            return part + 1e-6

    _agree(np.ones(4), Alone())
    with pytest.raises(OutsideError, match="different numbers"):
        _agree(np.ones(4), Apart())


def test_two_workers_train_the_classifier_that_one_trains(dataset: Dataset, running: None) -> None:
    setting = PositiveUnlabeled(0.6, sampling="one_sample")
    features = FeatureMap.fit(read_rows(dataset, ["a", "b"]), dataset.columns[:2])
    coding = Coding(Column("label", "observed_label"), setting)
    rows = ParquetRows(replace(dataset, path=dataset.path.absolute()), features, coding, (1, 2))
    training = ClassifierTraining(setting, network=Perceptron((8,)), epochs=4, minibatch_rows=100)
    told: list[int] = []
    one = work_together(ClassifierJob(training, rows, rows), Settings(map="inline"))
    two = work_together(ClassifierJob(training, rows, rows), TWO, lambda step, *_: told.append(step))
    assert told == [0, 1, 2, 3]
    np.testing.assert_allclose(two.parameters, one.parameters, rtol=1e-3, atol=1e-5)
    for mine, alone in zip(two.history, one.history, strict=True):
        assert mine == pytest.approx(alone, rel=1e-3, abs=1e-5)
    grid = np.random.default_rng(2).normal(size=(100, 2))
    np.testing.assert_allclose(two.probabilities(grid), one.probabilities(grid), rtol=1e-3, atol=1e-5)


def test_a_classifier_that_cannot_be_shared_is_refused_on_the_workers(dataset: Dataset, running: None) -> None:
    rows = InMemory.of(PositiveUnlabeled(0.5).observe(np.eye(4), np.array([1, 0, 0, 0])))
    training = ClassifierTraining(PositiveUnlabeled(0.5), network=Perceptron((8,), normalised=True))
    with pytest.raises(InputError, match=r"network\.normalised must be false on 2 workers"):
        work_together(ClassifierJob(training, rows), TWO)
