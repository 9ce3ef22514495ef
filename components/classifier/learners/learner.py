"""What a training moves: a torch module that holds the networks and everything else that is learnt.

Its state is all there is to a training beside the optimiser's.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from components.classifier.minibatches import Minibatch
from components.classifier.networks import BuildsNetwork, outputs_for
from components.contracts import Estimate, FloatArray
from components.ports import ALONE, Together
from components.weak import Evidence, Setting
from components.weak.losses import columns

if TYPE_CHECKING:
    from components.weak.nuisance import EstimatedTransition

Passes = Callable[[], Iterator[Minibatch]]
_DRAWING = threading.Lock()  # torch's initialisers draw from the one generator that all threads share


@dataclass(frozen=True, eq=False)
class Problem:
    """What a learner must know before the first step.

    Attributes:
        setting: What the observations are.
        counts: [S] rows of each source or label; see ``Setting.counts``.
        width: Number of features.
        rows: Number of rows to learn from.
        epochs: Passes over them.
        build: Makes fresh networks.
        seed: Of all chance.
        together: The workers that learn as one.
    """

    setting: Setting
    counts: FloatArray
    width: int
    rows: int
    epochs: int
    build: BuildsNetwork
    seed: int = 0
    together: Together = ALONE

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.setting.class_count

    def network(self, which: int = 0) -> nn.Module:
        """A fresh network; ``which`` tells networks of one learner apart."""
        with _DRAWING, torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed * 1009 + which)
            return self.build(self.width, outputs_for(self.classes))


@dataclass(frozen=True)
class Progress:
    """Where a training is.

    Attributes:
        epoch: Epoch, from 0.
        epochs: Epochs there will be.
        step: Steps taken in this epoch.
    """

    epoch: int
    epochs: int
    step: int = 0


@dataclass(frozen=True, eq=False)
class Found:
    """What a training found out beside the classifier.

    Attributes:
        transition: Estimated P(noisy label | clean class).
        numbers: Other estimates by name, as ``noise_rate``.
        notes: What a reader must know.
    """

    transition: "EstimatedTransition | None" = None
    numbers: Mapping[str, Estimate] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Learner(nn.Module, ABC):
    """Networks and whatever else a method learns, with the scalar to descend on.

    All state that outlives an epoch is in parameters and buffers, and chance comes from ``generator``, which is
    seeded anew for every epoch: so a state between two epochs is the whole training.

    Attributes:
        problem: What is learnt.
        networks: The networks; the first is the classifier unless the method says otherwise.
        generator: Chance, alike on all workers.
        score_name: What ``score`` is called where it is told.
    """

    score_name: ClassVar[str] = "validation_surprise"

    def __init__(self, problem: Problem, networks: int = 1) -> None:
        super().__init__()
        self.problem = problem
        self.networks = nn.ModuleList(problem.network(which) for which in range(networks))
        self.generator = torch.Generator()

    @abstractmethod
    def objective(self, batch: Minibatch, progress: Progress) -> Tensor:
        """Scalar whose gradient is the step; the gradients of workers add up (see ``Minibatch.sum`` and ``once``)."""

    @abstractmethod
    def evidence(self, marks: Tensor, weights: Tensor | None) -> Evidence:
        """What marks say, as ``objective`` reads it."""

    def start_epoch(self, progress: Progress, passes: Passes) -> None:
        """Anything that must be worked out from all rows between two epochs."""

    def metrics(self) -> dict[str, float]:
        """What is to be reported of the epoch that ends."""
        return {}

    def logits(self, features: Tensor) -> Tensor:
        """[n, K] or [n] logits of the clean class."""
        logits: Tensor = self.networks[0](features)
        return logits

    def groups(self, step: float) -> list[dict[str, Any]]:
        """Parameters as the optimiser takes them; a method may give its own step sizes relative to ``step``."""
        return [{"params": list(self.parameters())}]

    @property
    def ready(self) -> bool:
        """Whether it is a classifier yet; what is reached in a warm-up is not kept as the best."""
        return True

    def score(self, batch: Minibatch) -> Tensor | None:
        """What these rows kept for validation contribute to the score, the lower the better.

        None: the score is the setting's own, see ``Check``.
        """
        return None

    def doubts(self, features: Tensor, marks: Tensor, log_clean: Tensor) -> Tensor | None:
        """[n] how doubtful each row's mark is, in [0, 1], no gradient; None: marks of this setting cannot be wrong.

        Args:
            features: [n, d].
            marks: [n] or [n, K] what was observed.
            log_clean: [n, K] log probabilities of the clean class, calibrated if the classifier is.
        """
        return None

    def found(self, passes: Passes) -> Found:
        """What was found out beside the classifier."""
        return Found()

    def log_probabilities(self, features: Tensor) -> Tensor:
        """[n, K] log probabilities of the clean class, no gradient."""
        with torch.no_grad():
            return torch.log_softmax(columns(self.logits(features)), dim=-1)
