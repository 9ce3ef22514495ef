"""A trained classifier: features in, calibrated probabilities out, with what was found out on the way."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from components.classifier.calibration import Calibration, calibrate
from components.classifier.checkpoint import Course
from components.classifier.learners.learner import Found, Learner, Passes
from components.classifier.rows import Source
from components.contracts import Estimate, FloatArray
from components.errors import InputError
from components.ports import ALONE
from components.weak import NoisyLabels, Observed
from components.weak.losses import columns

CHUNK = 16_384


@dataclass(frozen=True, eq=False)
class Classifier:
    """A classifier and how it came about.

    Attributes:
        learner: The trained networks, in evaluation mode.
        history: Metrics of each epoch.
        epoch: The epoch that was kept, from 0.
        found: Nuisances that were estimated while training.
        calibration: What the logits go through before they are probabilities; None: they stay as they are.
    """

    learner: Learner
    history: tuple[dict[str, float], ...]
    epoch: int
    found: Found
    calibration: Calibration | None = None

    @classmethod
    def of(cls, learner: Learner, course: Course, passes: Passes) -> Self:
        """What a training ended with."""
        found = learner.found(passes)
        learner.problem = replace(learner.problem, together=ALONE)  # from here on it works for whoever asks
        return cls(learner.cpu(), tuple(course.history), course.best_epoch, found)

    def with_estimates(self, estimates: Mapping[str, Estimate]) -> Self:
        """The same, with nuisances that were estimated before it was trained."""
        return replace(self, found=replace(self.found, numbers={**estimates, **self.found.numbers}))

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.learner.problem.classes

    @property
    def parameters(self) -> FloatArray:
        """All learnt numbers, one after the other."""
        state = [value.double().flatten().cpu().numpy() for value in self.learner.state_dict().values()]
        return np.concatenate(state)

    def calibrated(self, rows: Source) -> Self:
        """The same with logits scaled by ``rows`` it has not learnt from, of which only the weak labels are read."""
        problem, table = self.learner.problem, self.found.transition
        if table is not None:  # it was learnt; what the setting states was not used
            problem = replace(problem, setting=NoisyLabels(table.table))
        return replace(self, calibration=calibrate(problem, self.learner, rows))

    def probabilities(self, features: FloatArray) -> FloatArray:
        """[n, K] probabilities of the classes for ``features`` [n, d]; of two classes the positive one is column 0."""
        found = [np.zeros((0, self.classes))]
        for begin in range(0, len(features), CHUNK):
            chunk = torch.tensor(np.asarray(features[begin : begin + CHUNK]), dtype=torch.float32)
            found.append(torch.softmax(self._logits(chunk), dim=-1).numpy())
        return np.concatenate(found)

    def _logits(self, features: Tensor) -> Tensor:
        with torch.no_grad():
            logits = self.learner.logits(features).double()
            return columns(logits) if self.calibration is None else self.calibration(logits)

    def doubts(self, observed: Observed) -> FloatArray:
        """[n] how doubtful the mark of each row is, in [0, 1], by calibrated probabilities.

        Of a noisy label that is how probably it is wrong; of an unlabeled row, where only positives are known, how
        probably it is positive.

        Raises:
            InputError: Marks of this setting cannot be wrong.
        """
        problem, found = self.learner.problem, [np.zeros(0)]
        for begin in range(0, len(observed), CHUNK):
            part = slice(begin, begin + CHUNK)
            features = torch.tensor(observed.features[part], dtype=torch.float32)
            with torch.no_grad():
                log_clean = torch.log_softmax(self._logits(features), dim=-1)
                doubts = self.learner.doubts(features, torch.tensor(observed.marks[part]), log_clean)
            if doubts is None:
                raise InputError(f"setting must have marks that can be wrong, got {problem.setting.kind}")
            found.append(doubts.double().cpu().numpy())
        return np.concatenate(found)
