"""Graphs whose truth is agreed on, and a survey as discovery would hand it over."""

import numpy as np

from components.contracts import CausalGraph, Column, FloatArray
from components.findings import Findings, PairSupport

# Edges (cause, effect) as the public benchmark of Statistical Causal Prompting agrees on them.
AUTO_MPG = ("Displacement", "Mpg", "Horsepower", "Weight", "Acceleration")
AUTO_MPG_EDGES = (
    ("Weight", "Displacement"),
    ("Weight", "Mpg"),
    ("Horsepower", "Mpg"),
    ("Displacement", "Horsepower"),
    ("Horsepower", "Acceleration"),
)
DWD = ("Altitude", "Temperature", "Precipitation", "Longitude", "Sunshine", "Latitude")
DWD_EDGES = (
    ("Altitude", "Temperature"),
    ("Longitude", "Temperature"),
    ("Latitude", "Temperature"),
    ("Altitude", "Precipitation"),
    ("Longitude", "Precipitation"),
    ("Altitude", "Sunshine"),
)
TRUTHS = {"Auto MPG": (AUTO_MPG, AUTO_MPG_EDGES), "DWD": (DWD, DWD_EDGES)}


def adjacency(names: tuple[str, ...], edges: tuple[tuple[str, str], ...]) -> FloatArray:
    """[effect, cause] 1 where there is an edge."""
    matrix = np.zeros((len(names), len(names)))
    for cause, effect in edges:
        matrix[names.index(effect), names.index(cause)] = 1
    return matrix


def paths(matrix: FloatArray) -> FloatArray:
    """[effect, cause] 1 where a path leads there, by summing powers."""
    total, power = np.zeros_like(matrix), np.eye(len(matrix))
    for _ in matrix:
        power = power @ matrix
        total += power
    return (total > 0).astype(float)


def columns(names: tuple[str, ...]) -> list[Column]:
    return [Column(name, description=f"what is called {name.lower()}.", unit="units") for name in names]


def survey(names: tuple[str, ...] = ("wind", "waves", "foam", "salt")) -> CausalGraph:
    """wind -> waves -> foam, waves and salt adjacent, wind and salt confounded; foam -> wind in some resamples."""
    size = len(names)
    weights, support, nothing = np.zeros((size, size)), np.zeros((size, size)), np.zeros((size, size))
    weights[1, 0], weights[2, 1] = 0.437, -0.218
    support[1, 0], support[2, 1], support[0, 2] = 0.91, 0.64, 0.07
    return CausalGraph(
        names,
        weights,
        tuple(range(size)),
        support,
        nothing,
        nothing,
        nothing,
        names[2],
        321,
        55,
        confounded=((names[0], names[3]),),
        undirected=((names[1], names[3]),),
        findings=Findings(
            "direct_lingam",
            pairs=(
                PairSupport(names[0], names[3], "confounded", 0.36),
                PairSupport(names[1], names[3], "undirected", 0.58),
            ),
        ),
    )
