"""A label frequency that a person states."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from components.contracts import FloatArray, LabelFrequency
from components.errors import InputError
from components.weak.class_prior import GRID, STEP, check_rows, share_of, update_belief


@dataclass(frozen=True)
class Declared:
    """A Beta density with the stated mean and the spread of the stated 95 % interval.

    An interval narrower than a step of the grid is taken as certainty.

    Attributes:
        kind: Name of the method.
        value: Stated P(labeled | positive), in (0, 1].
        low: Lower end of its 95 % interval.
        high: Upper end.
        source: Who says so.
    """

    kind: Literal["declared"] = "declared"
    value: float = 0.7
    low: float = 0.5
    high: float = 0.9
    source: str = "declared"

    def __post_init__(self) -> None:
        if not 0 < self.value <= 1:
            raise InputError(f"value must lie in (0, 1], got {self.value}")
        if not 0 < self.low <= self.value:
            raise InputError(f"low must lie in (0, value = {self.value}], got {self.low}")
        if not self.value <= self.high <= 1:
            raise InputError(f"high must lie in [value = {self.value}, 1], got {self.high}")
        if not self.source:
            raise InputError("source must say who declares the label frequency, got an empty text")

    def estimate(
        self,
        features: FloatArray,
        labelled: NDArray[np.bool_],
        previous: LabelFrequency | None = None,
        oversampling: float = 1.0,
    ) -> LabelFrequency:
        """The stated belief, without the values below the share of ``labelled`` [n], which are impossible.

        ``previous`` does not enter: a statement made twice is not twice the evidence.

        Raises:
            InputError: More rows are labeled than the stated interval allows.
        """
        check_rows(features, labelled)
        share = share_of(labelled, oversampling)
        if share > self.high:
            raise InputError(
                f"high must be at least the share of labeled rows, {share:.3f}, got {self.high}; "
                "a label frequency below it would need more positives than rows"
            )
        density = update_belief(self._log_density(), None, 1.0, share)
        return LabelFrequency(GRID, density, self.source, f"stated: {self.value} [{self.low}, {self.high}]")

    def _log_density(self) -> FloatArray:
        if self.high - self.low < STEP:
            mass = np.maximum(1 - np.abs(GRID - max(self.value, STEP)) / STEP, 0.0)
            return np.asarray(np.log(mass, out=np.full(len(GRID), -np.inf), where=mass > 0))
        mean = min(self.value, 1 - STEP / 4)
        room = mean * (1 - mean)
        variance = min(max((self.high - self.low) / 3.92, STEP / 2) ** 2, room / 2)
        strength = room / variance - 1
        inner = np.minimum(GRID, 1 - STEP / 4)
        return np.asarray((mean * strength - 1) * np.log(inner) + ((1 - mean) * strength - 1) * np.log1p(-inner))
