"""Training on several workers of Ray, each with a share of the rows of every step: the numbers of one worker."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from components.classifier import ClassifierTraining, Source
from components.contracts import CausalGraph, Dataset, FloatArray
from components.errors import InputError, OutsideError
from components.learner import Trained, Training
from components.ports import ALONE, Report, Together, silent
from tasks.compute import ray_session
from tasks.settings import Settings

if TYPE_CHECKING:
    from ray.util.queue import Queue

    from components.classifier.fitted import Classifier
    from tasks.ray_worker import Job

Learnt = TypeVar("Learnt")

POLL_SECONDS = 0.5
PATIENCE_SECONDS = 5  # with workers that are to end, before the caller goes on without them

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class ChainTraining:
    """The first posterior of the chain, as a job for several workers.

    Attributes:
        method: How it is learnt.
        dataset: From which rows.
        graph: With which causal graph.
    """

    method: Training
    dataset: Dataset
    graph: CausalGraph

    def work(self, report: Report, together: Together) -> Trained:
        """The training."""
        return self.method.train(self.dataset, self.graph, report, together)

    def numbers(self, result: Trained) -> FloatArray:
        """All posteriors."""
        return np.concatenate([part for step in result.steps.values() for part in (step.precision, step.shift)])


@dataclass(frozen=True, eq=False)
class ClassifierJob:
    """A classifier from weak labels, as a job for several workers.

    Attributes:
        training: How it is trained.
        rows: What it learns from.
        validation: Rows kept for validation; None: the last epoch is kept.
        checkpoint: Folder that all nodes see, to go on from; None: a training that is begun again begins anew.
    """

    training: ClassifierTraining
    rows: Source
    validation: Source | None = None
    checkpoint: Path | None = None

    def work(self, report: Report, together: Together) -> "Classifier":
        """The training."""
        return self.training.fit(self.rows, self.validation, report, self.checkpoint, together)

    def numbers(self, result: "Classifier") -> FloatArray:
        """All parameters."""
        return result.parameters


def train_together(
    method: Training, dataset: Dataset, graph: CausalGraph, settings: Settings, report: Report = silent
) -> Trained:
    """What ``method.train(dataset, graph, report)`` gives, from as many workers as the settings name.

    Raises:
        InputError: The training was refused, or the settings name no Ray with room for the workers.
        OutsideError: Ray does not answer, or workers died again and again.
    """
    here = replace(dataset, path=dataset.path.absolute())  # workers have a working folder of their own
    return work_together(ChainTraining(method, here, graph), settings, report)


def work_together(job: "Job[Learnt]", settings: Settings, report: Report = silent) -> "Learnt":
    """What ``job.work(report, ALONE)`` gives, from as many workers as the settings name.

    With one worker the work runs right here. Several share every minibatch and end with the same numbers, equal to
    those of one up to the rounding of sums. A worker that dies is replaced and the work begun again, with the same
    numbers; ``report`` gets every step once, in this thread. When it raises, or the caller is interrupted, the
    workers end by their next step.

    Raises:
        InputError: The work was refused, or the settings name no Ray with room for the workers.
        OutsideError: Ray does not answer, or workers died again and again.
    """
    if settings.training_workers == 1:
        return job.work(report, ALONE)
    _check(settings)
    with ray_session(settings) as ray:
        from ray.util.queue import Queue

        from tasks.ray_worker import Lead

        told = Queue(maxsize=1, actor_options={"num_cpus": 0})  # as here, who reports waits until it is taken
        lead = ray.remote(num_cpus=0)(Lead).remote()
        resources = worker_resources(ray.cluster_resources(), settings)
        learnt = lead.train.remote(job, told, settings.training_workers, resources)
        try:
            _relay(ray, told, learnt, report)
        finally:
            # Workers whose report nobody takes end. Were the lead killed, Ray would keep their CPUs reserved.
            told.shutdown(force=True)
            with suppress(ray.exceptions.RayError):
                ray.get(learnt, timeout=PATIENCE_SECONDS)
        result: Learnt = _result(ray, learnt)
        return result


def worker_resources(cluster: Mapping[str, float], settings: Settings) -> dict[str, float]:
    """What each training worker asks of Ray; a share of a GPU only where there is one, or it would wait forever."""
    if cluster.get("GPU", 0) and settings.gpus_per_worker:
        return {"CPU": 1, "GPU": settings.gpus_per_worker}
    why = "KINTSUGI_GPUS_PER_WORKER is 0" if cluster.get("GPU", 0) else "Ray has no GPU"
    _log.info("%d training workers compute on CPUs: %s", settings.training_workers, why)
    return {"CPU": 1}


def _check(settings: Settings) -> None:
    if "ray" not in (settings.map, settings.runner):
        raise InputError(
            f"KINTSUGI_TRAINING_WORKERS above 1 needs Ray, got {settings.training_workers} with "
            f"KINTSUGI_MAP={settings.map}; set KINTSUGI_MAP=ray"
        )
    if settings.ray_address == "local" and settings.training_workers > settings.worker_count:
        raise InputError(
            f"KINTSUGI_TRAINING_WORKERS must not exceed the {settings.worker_count} workers of a local Ray "
            f"(KINTSUGI_WORKERS), got {settings.training_workers}"
        )


def _relay(ray: ModuleType, told: "Queue", trained: Any, report: Report) -> None:
    """Pass on what the first worker reports until the training has ended; a training begun again repeats steps."""
    from ray.util.queue import Empty

    last = -1
    while not (ended := bool(ray.wait([trained], timeout=0)[0])) or told.qsize():
        try:
            step, total, metrics = told.get(timeout=0.01 if ended else POLL_SECONDS)
        except Empty:
            continue
        if step > last:
            last = step
            report(step, total, metrics)


def _result(ray: ModuleType, trained: Any) -> Any:
    try:
        return ray.get(trained)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        raise OutsideError(f"Ray lost the training ({str(error).strip().splitlines()[0]}); run again") from error
