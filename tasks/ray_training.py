"""Training on several workers of Ray, each with a share of the rows of every step: the numbers of one worker."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

from components.contracts import CausalGraph, Dataset
from components.errors import InputError, OutsideError
from components.learner import Trained, Training
from components.ports import Report, silent
from tasks.compute import ray_session
from tasks.settings import Settings

if TYPE_CHECKING:
    from ray.util.queue import Queue

POLL_SECONDS = 0.5
PATIENCE_SECONDS = 5  # with workers that are to end, before the caller goes on without them

_log = logging.getLogger(__name__)


def train_together(
    method: Training, dataset: Dataset, graph: CausalGraph, settings: Settings, report: Report = silent
) -> Trained:
    """What ``method.train(dataset, graph, report)`` gives, from as many workers as the settings name.

    With one worker the training runs right here. Several share every minibatch and end with the same posterior, equal
    to that of one up to the rounding of sums. A worker that dies is replaced and the training begun again, with the
    same numbers; ``report`` gets every step once, in this thread. When it raises, or the caller is interrupted, the
    workers end by their next step.

    Raises:
        InputError: The training was refused, or the settings name no Ray with room for the workers.
        OutsideError: Ray does not answer, or workers died again and again.
    """
    if settings.training_workers == 1:
        return method.train(dataset, graph, report)
    _check(settings)
    with ray_session(settings) as ray:
        from ray.util.queue import Queue

        from tasks.ray_worker import Lead

        told = Queue(maxsize=1, actor_options={"num_cpus": 0})  # as here, who reports waits until it is taken
        lead = ray.remote(num_cpus=0)(Lead).remote()
        here = replace(dataset, path=dataset.path.absolute())  # workers have a working folder of their own
        resources = worker_resources(ray.cluster_resources(), settings)
        trained = lead.train.remote((method, here, graph, told), settings.training_workers, resources)
        try:
            _relay(ray, told, trained, report)
        finally:
            # Workers whose report nobody takes end. Were the lead killed, Ray would keep their CPUs reserved.
            told.shutdown(force=True)
            with suppress(ray.exceptions.RayError):
                ray.get(trained, timeout=PATIENCE_SECONDS)
        return _result(ray, trained)


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


def _result(ray: ModuleType, trained: Any) -> Trained:
    try:
        result: Trained = ray.get(trained)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        raise OutsideError(f"Ray lost the training ({str(error).strip().splitlines()[0]}); run again") from error
    return result
