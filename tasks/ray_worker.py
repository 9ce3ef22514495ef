"""Training on several workers of Ray, seen from inside Ray: the one who leads it and those who do it."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np
import ray.train
import ray.train.torch
import torch
import torch.distributed
from ray.exceptions import RayActorError
from ray.train import UserCallback
from ray.util.queue import Queue

from components.contracts import FloatArray
from components.errors import OutsideError
from components.ports import Report, Together, silent

Learnt = TypeVar("Learnt")

SECOND_TRIES = 2
AGREEMENT = 1e-9  # workers that compute alike have equal bits
LOST_TOUCH = (RuntimeError, OSError)  # what torch raises on a worker whose fellow is gone, and files that are away


@dataclass(frozen=True)
class RayWorker:
    """This process among those of one Ray Train run.

    Attributes:
        rank: Which of the workers this is.
        world: How many there are.
        device: Where it computes, as torch names it.
    """

    rank: int
    world: int
    device: str

    @classmethod
    def here(cls) -> "RayWorker":
        """The worker that asks."""
        context = ray.train.get_context()
        # Ray names the GPU that a worker was given whether or not its torch can compute on one.
        device = str(ray.train.torch.get_device()) if torch.cuda.is_available() else "cpu"
        return cls(context.get_world_rank(), context.get_world_size(), device)

    def sum(self, part: torch.Tensor) -> torch.Tensor:
        """What the workers' ``part`` add up to."""
        meeting = self.device if torch.distributed.get_backend() == "nccl" else "cpu"
        total = part.detach().to(meeting).clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(total)
        return total.to(part.device)


class Job(Protocol[Learnt]):
    """What the workers do together; it travels to each of them."""

    def work(self, report: Report, together: Together) -> Learnt:
        """What comes of it, alike on all workers."""

    def numbers(self, result: Learnt) -> FloatArray:
        """What of ``result`` the workers must agree in."""


def learn(job: Job[Learnt], told: Queue) -> Learnt | None:
    """Work together with the other workers; what came of it on the first worker, None on the others.

    Raises:
        OutsideError: The workers ended with different numbers.
    """
    worker = RayWorker.here()

    def tell(step: int, total: int, metrics: Mapping[str, float]) -> None:
        told.put((step, total, dict(metrics)))

    result = job.work(silent if worker.rank else tell, worker)
    _agree(job.numbers(result), worker)
    return None if worker.rank else result


class Lead:
    """An actor that starts the workers, replaces those that die, and has the result."""

    def train(self, job: Job[Learnt], told: Queue, workers: int, resources: Mapping[str, float]) -> Learnt:
        """What came of ``job`` on the first of ``workers`` workers with ``resources`` each.

        Raises:
            OutsideError: Ray has no room for the workers, or they died again and again.
        """
        os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")  # of this actor; Ray Train looks every 2 s
        train: Any = ray.train  # its types are those of the Ray Train before the present one
        # NCCL refuses two workers on one GPU; what they add up is small, and gloo adds it up on the CPU.
        alone = resources.get("GPU", 0) >= 1 and torch.distributed.is_nccl_available()
        backend = train.torch.TorchConfig(backend="nccl" if alone else "gloo")
        scaling = train.ScalingConfig(
            num_workers=workers, use_gpu="GPU" in resources, resources_per_worker=dict(resources)
        )
        failures = train.FailureConfig(max_failures=SECOND_TRIES, controller_failure_limit=SECOND_TRIES)
        with tempfile.TemporaryDirectory(prefix="kintsugi-training-") as folder:
            run = train.RunConfig(storage_path=folder, failure_config=failures, callbacks=[NoSecondTry()])
            trainer = train.torch.TorchTrainer(
                partial(learn, job, told), torch_config=backend, scaling_config=scaling, run_config=run
            )
            try:
                trained: Learnt = trainer.fit().return_value
            except ray.train.ControllerError as error:
                cause = error.controller_failure
                if not _is_of_ray(cause):
                    raise cause from None
                raise OutsideError(
                    f"Ray could not start {workers} training workers with {dict(resources)} each "
                    f"({_first_line(cause)}); try fewer with KINTSUGI_TRAINING_WORKERS"
                ) from None
            except ray.train.WorkerGroupError as error:
                raise _worst(error.worker_failures) from None
            return trained


class NoSecondTry(UserCallback):
    """Ends a training that would fail again: what it was given is wrong, the program is, or nobody listens any more."""

    def after_exception(self, run_context: object, worker_exceptions: Mapping[int, Exception]) -> None:
        """Raise what is final, which Ray Train then does not try again; it tries everything else again."""
        for error in worker_exceptions.values():
            # A worker that died has an error of Ray Train's; this one is a worker's whose report reached nobody.
            unheard = isinstance(error, RayActorError)
            if unheard or not (isinstance(error, LOST_TOUCH) or _is_of_ray(error)):
                raise error


def _is_of_ray(error: BaseException) -> bool:
    """Whether Ray raised it, and not what runs on Ray."""
    return type(error).__module__.partition(".")[0] == "ray"


def _worst(failures: Mapping[int, Exception]) -> OutsideError:
    """The failure that explains the others: what a worker met, before those of workers that lost touch with it."""
    for failure in failures.values():
        if isinstance(failure, OutsideError):
            return failure
    reason = _first_line(next(iter(failures.values())))
    return OutsideError(
        f"training workers died {SECOND_TRIES + 1} times ({reason}), most often for want of memory; "
        "try fewer with KINTSUGI_TRAINING_WORKERS"
    )


def _agree(numbers: FloatArray, worker: Together) -> None:
    mine = torch.from_numpy(np.array(numbers, dtype=np.float64))
    if not torch.allclose(worker.sum(mine) / worker.world, mine, rtol=AGREEMENT, atol=AGREEMENT):
        raise OutsideError(
            "the training workers ended with different numbers, so they do not compute alike; "
            "give all nodes of the Ray cluster the same versions of Kintsugi and of its libraries"
        )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
