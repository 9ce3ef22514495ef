"""Settings with a nuisance that nobody knows: it is estimated from the rows, before or while a classifier learns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from components.contracts import Estimate, FloatArray
from components.errors import InputError
from components.weak.best_bin import BestBin
from components.weak.declared import Declared
from components.weak.nuisance.belief import prior_among_unlabelled
from components.weak.nuisance.elkan_noto import ElkanNoto
from components.weak.nuisance.kernel_mean import KernelMean
from components.weak.saturating_logistic import SaturatingLogistic
from components.weak.settings import NoisyLabels, PositiveUnlabeled, Setting
from components.weak.settings.two_classes import Sampling
from components.weak.transitions import as_table

ClassPrior = SaturatingLogistic | BestBin | ElkanNoto | KernelMean | Declared


@dataclass(frozen=True, eq=False)
class Settled:
    """A setting all of whose nuisances are there.

    Attributes:
        setting: The setting.
        estimates: Those that were estimated, by name.
    """

    setting: Setting
    estimates: Mapping[str, Estimate] = field(default_factory=dict)


@dataclass(frozen=True)
class PriorUnknown:
    """Some positives, and rows without a label; how many positives there are in all is estimated first.

    Attributes:
        class_prior: How the class prior is estimated.
        sampling: ``one_sample``: all rows together stand for the population, and some of their positives carry a label.
            ``two_samples``: the rows without a label do by themselves.
        kind: Names the setting.
    """

    class_prior: ClassPrior = SaturatingLogistic()
    sampling: Sampling = "one_sample"
    kind: Literal["positive_unlabeled_estimated"] = "positive_unlabeled_estimated"

    def __post_init__(self) -> None:
        if self.sampling not in get_args(Sampling):
            raise InputError(f"sampling must be one of {', '.join(get_args(Sampling))}, got {self.sampling!r}")

    @property
    def provisional(self) -> PositiveUnlabeled:
        """The same with any prior, to read labels by."""
        return PositiveUnlabeled(0.5, self.sampling)

    def settled(self, features: FloatArray, labelled: NDArray[np.bool_]) -> Settled:
        """The setting with the prior of the rows with ``features`` [n, d], of which some are ``labelled`` [n].

        Raises:
            InputError: No row is labeled, or all are.
        """
        found = self.estimate(features, labelled)
        return Settled(PositiveUnlabeled(found.value, self.sampling), {"class_prior": found})

    def estimate(self, features: FloatArray, labelled: NDArray[np.bool_]) -> Estimate:
        """Share of positives in the population: among all rows of one sample, else among the unlabeled ones."""
        share = float(labelled.mean())
        belief = self.class_prior.estimate(features, labelled)
        one = self.sampling == "one_sample"
        found = belief.class_prior(share) if one else prior_among_unlabelled(belief, share)
        # Rows can only tell that there is no positive, or nothing else, up to half a row; and not fewer than labeled.
        least = max(share * (1 + 1e-9) if one else 0.0, 0.5 / len(labelled))
        most = max(least, 1 - 0.5 / len(labelled))
        value, low, high = (float(np.clip(end, least, most)) for end in (found.value, found.low, found.high))
        return Estimate(value, low, high, found.source)


@dataclass(frozen=True)
class NoiseUnknown:
    """Labels of which some are wrong; how often each is taken for which other, the training finds out.

    Attributes:
        classes: Number of classes, 2 or more; None: as many as the label column lists values.
        kind: Names the setting.
    """

    classes: int | None = None
    kind: Literal["noisy_labels_estimated"] = "noisy_labels_estimated"

    def __post_init__(self) -> None:
        if self.classes is not None and self.classes < 2:
            raise InputError(f"classes must be at least 2, or None for those of the label column, got {self.classes}")

    @property
    def provisional(self) -> NoisyLabels:
        """Labels that are all right, for a method to begin with.

        Raises:
            InputError: The number of classes is not known.
        """
        if self.classes is None:
            raise InputError("classes must be given where the label column lists no values, got None")
        return NoisyLabels(as_table(np.eye(self.classes)))


Unsettled = PriorUnknown | NoiseUnknown
UNSETTLED: dict[str, type[Unsettled]] = {setting.kind: setting for setting in get_args(Unsettled)}
