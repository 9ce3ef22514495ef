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

    def risks(self) -> dict[str, list[float]]:
        """Name of the fit to its risk after each epoch."""
        return {name.removesuffix("_risk"): values for name, values in self._kept.items() if name.endswith("_risk")}
