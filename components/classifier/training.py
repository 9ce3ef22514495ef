"""The training loop: minibatches, steps, validation from weak labels alone, checkpoints, reports.

There is one loop for every setting and every method. It reads memory or Parquet alike, on one worker or on several that
share each minibatch, and keeps the epoch that weak validation likes best.
"""

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from components.classifier.methods import AnyMethod, EstimatedNoise, Method, RiskMinimisation
from components.classifier.networks import BuildsNetwork, Network, Perceptron, builder
from components.classifier.optimisers import Adam, Optimiser, remaining
from components.classifier.rows import Chunk, InMemory, Source, tally
from components.classifier.settling import settle
from components.contracts import FloatArray
from components.errors import InputError
from components.ports import ALONE, Report, Together, silent
from components.weak import AnySetting, NoiseUnknown, Observed, Setting, Unsettled
from components.weak.nuisance import ConfidentJoint

if TYPE_CHECKING:
    from components.classifier.fitted import Classifier
    from components.classifier.learners.learner import Learner
    from components.classifier.minibatches import Minibatch


@dataclass(frozen=True)
class ClassifierTraining:
    """How a classifier is trained from weak labels.

    Attributes:
        setting: What the labels are, with the nuisances that are known.
        method: What is descended on. None: the usual risk of the setting; where label noise is to be estimated, what
            the confident joint says of it.
        network: From features to logits; a function (width, outputs) to a torch module will do.
        optimiser: How parameters move.
        epochs: Passes over the rows.
        minibatch_rows: Rows of a minibatch, about.
        keep: ``best``: the epoch whose rows kept for validation have the lowest error, as weak labels alone tell it;
            ``last``: the last one.
        patience: Epochs without a better one after which training stops; 0: never.
        calibrate: Whether the logits are scaled so that probabilities mean what they say, by the rows kept for
            validation; not done where a method learns the labels' likelihood itself, or where none are kept.
        arithmetic: ``mixed``: the network's products in bfloat16 where there is a GPU; ``float32``: exact everywhere.
        seed: Of all chance.
    """

    setting: Setting | AnySetting | Unsettled
    method: Method | AnyMethod | None = None
    network: Network | BuildsNetwork = Perceptron()
    optimiser: Optimiser = Adam()
    epochs: int = 30
    minibatch_rows: int = 256
    keep: Literal["best", "last"] = "best"
    patience: int = 0
    calibrate: bool = True
    arithmetic: Literal["float32", "mixed"] = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "minibatch_rows"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("patience", "seed"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} must be at least 0, got {getattr(self, name)}")

    def fit(
        self,
        rows: Source | Observed,
        validation: Source | Observed | None = None,
        report: Report = silent,
        checkpoint: Path | None = None,
        together: Together = ALONE,
    ) -> "Classifier":
        """Train on ``rows``.

        Args:
            rows: What to learn from.
            validation: Rows of the same kind kept for validation; None: the last epoch is kept.
            report: Gets the metrics of each epoch.
            checkpoint: Folder that holds the training after each epoch; where it holds one already, training goes on
                from there and ends with the same bits.
            together: The workers that learn as one.

        Raises:
            InputError: The rows do not fit the setting or the method, or the risk stopped being finite; the checkpoint
                of the last good epoch stays.
        """
        from components.classifier.fitted import Classifier

        source = InMemory.of(rows) if isinstance(rows, Observed) else rows
        kept = InMemory.of(validation) if isinstance(validation, Observed) else validation
        settled = settle(self.setting, source)
        run = _Run(replace(self, setting=settled.setting, method=self._method), settled.setting, source, kept, together)
        run.resume(checkpoint)
        while run.goes_on:
            metrics = run.epoch()
            if checkpoint is not None and together.rank == 0:
                run.save(checkpoint)
            report(run.course.epoch - 1, self.epochs, metrics)
        found = Classifier.of(run.best_learner(), run.course, run.passes).with_estimates(settled.estimates)
        if kept is None or run.check is None or not (self.calibrate and run.check.weak):
            return found
        return found.calibrated(kept)

    @property
    def _method(self) -> Method:
        if self.method is not None:
            return self.method
        return EstimatedNoise(ConfidentJoint()) if isinstance(self.setting, NoiseUnknown) else RiskMinimisation()


class _Run:
    """One training under way."""

    def __init__(
        self,
        training: ClassifierTraining,
        setting: Setting,
        source: Source,
        validation: Source | None,
        together: Together,
    ) -> None:
        import torch

        from components.classifier.check import Check
        from components.classifier.checkpoint import Course
        from components.classifier.learners.learner import Problem
        from components.classifier.minibatches import Minibatches

        self.training, self.together = training, together
        counted = tally(source, setting)
        self.problem = Problem(
            setting,
            counted.counts,
            counted.width,
            counted.rows,
            training.epochs,
            builder(training.network),
            training.seed,
            together,
        )
        method = training._method
        self.learner: Learner = method.learner(self.problem).to(together.device)
        _check_network(self.learner, together)
        groups = self.learner.groups(training.optimiser.step)
        self.optimiser: torch.optim.Optimizer = training.optimiser.over(groups)
        self.steps = [group["lr"] for group in self.optimiser.param_groups]
        size = training.minibatch_rows
        self.minibatches = Minibatches(source, self.learner.evidence, counted.rows, size, together)
        self.course: Course = Course()
        self.identity = _identity(training, method, counted.counts, source)
        self.check = None if validation is None else Check(self.problem, self.learner, validation, size)

    @property
    def goes_on(self) -> bool:
        """Whether another epoch is wanted."""
        since = self.course.epoch - 1 - self.course.best_epoch
        waits = self.training.patience and self.check and self.course.best_epoch >= 0
        tired = waits and since >= self.training.patience
        return self.course.epoch < self.training.epochs and not tired

    def epoch(self) -> dict[str, float]:
        """One pass over the rows."""
        from components.classifier.learners.learner import Progress

        number, total = self.course.epoch, self.training.epochs
        left = remaining(self.training.optimiser.decay, number / total)
        for group, step in zip(self.optimiser.param_groups, self.steps, strict=True):
            group["lr"] = step * left
        self.learner.generator.manual_seed(self._seed(number, 1))
        self.learner.eval()
        self.learner.start_epoch(Progress(number, total), self.passes)
        self.learner.train()
        risk = self._steps(number, total)
        self.learner.eval()
        metrics = {"risk": risk, **self.learner.metrics(), **self._validated()}
        self._remember(metrics)
        return metrics

    def _steps(self, number: int, total: int) -> float:
        import torch

        from components.classifier.learners.learner import Progress

        values, device = [], self.together.device
        moved = [parameter for group in self.optimiser.param_groups for parameter in group["params"]]
        mixed = self.training.arithmetic == "mixed" and torch.device(device).type == "cuda"
        for step, batch in enumerate(self.minibatches.epoch(self._seed(number, 0))):
            with torch.autocast("cuda", torch.bfloat16) if mixed else nullcontext():
                objective = self.learner.objective(batch, Progress(number, total, step))
            value = objective.item()
            if not math.isfinite(value):
                raise InputError(self._diverged(number, step, value))
            for parameter in moved:
                parameter.grad = None  # as zero_grad does, which spends a twentieth of a small step on ceremony
            objective.backward()  # type: ignore[no-untyped-call]
            self._share_gradients()
            self.optimiser.step()
            values.append(value)
        return float(np.mean(values))

    def _share_gradients(self) -> None:
        """Add up the workers' gradients, all parameters in one message."""
        if self.together.world == 1:
            return
        import torch

        moved = [p for group in self.optimiser.param_groups for p in group["params"] if p.grad is not None]
        whole = self.together.sum(torch.cat([p.grad.flatten() for p in moved]))
        parts = torch.split(whole, [p.numel() for p in moved])
        for parameter, gradient in zip(moved, parts, strict=True):
            parameter.grad = gradient.view_as(parameter).clone()

    def _validated(self) -> dict[str, float]:
        return {} if self.check is None else {self.check.name: self.check.score()}

    def _remember(self, metrics: dict[str, float]) -> None:
        from components.classifier.checkpoint import plain

        self.course.history.append(metrics)
        self.course.epoch += 1
        if self.check is None or self.training.keep == "last":
            self.course.best_epoch = self.course.epoch - 1
            return
        name = self.check.name
        reached = self.course.best_epoch
        if self.learner.ready and (reached < 0 or metrics[name] <= self.course.history[reached][name]):
            self.course.best_epoch = self.course.epoch - 1
            self.course.best = plain(self.learner.state_dict())

    def best_learner(self) -> "Learner":
        """The learner of the epoch that is kept."""
        if self.course.best:
            self.learner.load_state_dict(self.course.best)
        return self.learner.eval()

    def passes(self) -> "Iterator[Minibatch]":
        """All rows once."""
        return self.minibatches.passes()

    def resume(self, checkpoint: Path | None) -> None:
        """Go on where the checkpoint stands, if there is one."""
        from components.classifier.checkpoint import load_checkpoint

        found = checkpoint and load_checkpoint(checkpoint, self.identity, self.learner, self.optimiser)
        if found:
            self.course = found

    def save(self, checkpoint: Path) -> None:
        """Keep what is reached."""
        from components.classifier.checkpoint import save_checkpoint

        save_checkpoint(checkpoint, self.identity, self.learner, self.optimiser, self.course)

    def _seed(self, epoch: int, purpose: int) -> int:
        return int(np.random.SeedSequence([self.training.seed, epoch, purpose]).generate_state(1)[0])

    def _diverged(self, epoch: int, step: int, value: float) -> str:
        kept = f"the state after epoch {epoch} stays in the checkpoint" if epoch else "nothing was learnt"
        return (
            f"risk must stay finite, got {value} in epoch {epoch + 1}, step {step + 1}; {kept}; lower optimiser.step = "
            f"{self.training.optimiser.step}, or look for values out of proportion among the features"
        )


def _check_network(learner: "Learner", together: Together) -> None:
    from torch import nn

    normalised = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in learner.modules())
    if together.world > 1 and normalised:
        raise InputError(
            f"network.normalised must be false on {together.world} workers: batch normalisation would see shares only"
        )


def _identity(training: ClassifierTraining, method: object, counts: FloatArray, source: Source) -> str:
    """Digest of what a checkpoint belongs to: everything but the number of epochs."""
    told = {
        "training": {
            name: _described(getattr(training, name))
            for name in ("setting", "network", "optimiser", "minibatch_rows", "keep", "patience", "arithmetic", "seed")
        },
        "method": _described(method),
        "counts": counts.tolist(),
        "rows": _digest(next(source.chunks())),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def _described(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {"class": type(value).__name__, **asdict(value)}
    return getattr(value, "__qualname__", str(value))


def _digest(chunk: Chunk) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(chunk.features).tobytes())
    digest.update(np.ascontiguousarray(chunk.marks).tobytes())
    return digest.hexdigest()
