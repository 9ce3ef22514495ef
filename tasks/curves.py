"""Remembers the metrics of each step, to be drawn."""

from collections.abc import Mapping


class Curves:
    """A report that keeps what it hears."""

    def __init__(self) -> None:
        self._kept: dict[str, list[float]] = {}

    def __call__(self, step: int, total: int, metrics: Mapping[str, float]) -> None:
        """Keep the metrics of one step."""
        for name, value in metrics.items():
            self._kept.setdefault(name, []).append(value)

    def risks(self) -> list[list[float]]:
        """The risk of each fit after each of its epochs, in the order of the fits."""
        return [values for name, values in self._kept.items() if name.endswith("_risk")]
