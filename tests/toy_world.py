"""A small world whose truth is known, for tests that run the chain.

Four numbers and a category decide P(positive), six of ten positives are labeled, and the numbers move a little from
year to year.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

YEARS = (2016, 2017, 2018, 2019)
ROWS = (350, 350, 350, 900)  # the last batch is scored
FREQUENCY = 0.6
PREDICTORS = ("age", "dose", "pressure", "marker", "site")
SPECIFICATION: dict[str, Any] = {
    "name": "toy",
    "description": "Visits of people who do not exist.",
    "source": {"kind": "csv", "path": "visits.csv"},
    "label_frequency": {"value": 0.6, "low": 0.55, "high": 0.65, "source": "the world"},
    "knowledge": "knowledge.yaml",
    "columns": {
        "visit": {"role": "id", "kind": "number"},
        "year": {"role": "time", "kind": "number"},
        "region": {"role": "group", "kind": "category"},
        "told": {"role": "weak_label", "kind": "flag", "description": "somebody has told them"},
        "secret_truth": {"role": "evaluation_label", "kind": "flag", "description": "what a laboratory found"},
        "age": {"unit": "decades", "minimum": -10, "maximum": 20, "description": "age"},
        "dose": {"unit": "mg", "minimum": 0, "description": "dose"},
        "pressure": {"description": "pressure"},
        "marker": {"description": "marker"},
        "site": {"kind": "category", "description": "where the visit was"},
    },
}
KNOWLEDGE = {"exogenous": ["age", "dose"], "sinks": ["told"]}
# The shipped gates, but limits that some hundred held rows can be asked to meet.
GATES = {
    "gates": [
        {"metric": "log_loss", "against": "champion", "margin": 0.05, "at": "bound"},
        {"metric": "log_loss", "against": "logistic regression", "margin": 0.0},
        {"metric": "log_loss", "against": "gradient boosting", "margin": 0.01},
        {"metric": "prevalence_error", "limit": 0.1},
        {"metric": "calibration_error", "limit": 0.12},
    ]
}
IMPOSSIBLE = {"gates": [{"metric": "log_loss", "limit": 0.0}]}
SMALL: dict[str, Any] = {
    "discovery": {"replicates": 5},
    "training": {"head": {"kind": "linear"}, "features": "all", "rule": {"epochs": 8}},
    "update": {"rule": {"rule": {"epochs": 5}}, "drift": {"permutations": 30}},
    "tuning": {"rounds": 2},
    "evaluation": {"resamples": 40},
}


def visits(years: tuple[int, ...] = YEARS, rows: tuple[int, ...] = ROWS, seed: int = 7) -> pd.DataFrame:
    """The rows of ``years``; the rows of one year do not depend on which others are asked for."""
    frames = []
    for year, count in zip(years, rows, strict=True):
        random = np.random.default_rng((seed, year))
        age = random.uniform(-1.7, 1.7, count) + 0.1 * (year - YEARS[0])
        dose = random.exponential(1.0, count)
        pressure = 0.8 * age + random.laplace(0, 0.5, count)
        marker = 0.7 * dose + random.uniform(-1, 1, count)
        site = random.choice(["clinic", "home"], count)
        logit = 1.5 * pressure + 0.5 * age - 1.2 * marker + 0.6 * (site == "home")
        truth = random.uniform(size=count) < 1 / (1 + np.exp(-logit))
        told = truth & (random.uniform(size=count) < FREQUENCY)
        region = random.choice(["north", "south"], count)
        visit = np.arange(count) + 10_000 * year
        frames.append(
            pd.DataFrame(
                {
                    "visit": visit,
                    "year": year,
                    "region": region,
                    "told": told.astype(int),
                    "secret_truth": truth.astype(int),
                    "age": age.round(4),
                    "dose": dose.round(4),
                    "pressure": pressure.round(4),
                    "marker": marker.round(4),
                    "site": site,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def write_toy(folder: Path, frame: pd.DataFrame, **changes: Any) -> Path:
    """The table and its specification in ``folder``; the path of the specification."""
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_csv(folder / "visits.csv", index=False)
    (folder / "knowledge.yaml").write_text(yaml.safe_dump(KNOWLEDGE), encoding="utf-8")
    (folder / "gates.yaml").write_text(yaml.safe_dump(GATES), encoding="utf-8")
    (folder / "impossible.yaml").write_text(yaml.safe_dump(IMPOSSIBLE), encoding="utf-8")
    path = folder / "toy.yaml"
    path.write_text(yaml.safe_dump(SPECIFICATION | changes, sort_keys=False), encoding="utf-8")
    return path


def copied(home: Path, target: Path) -> Path:
    """Another home whose registry begins with the models of ``home``; their files stay where they are."""
    target.mkdir(parents=True)
    shutil.copy(home / "mlflow.db", target / "mlflow.db")
    return target


class Toy:
    """How the tests make tables and specifications of the toy world."""

    small, gates, impossible = SMALL, "gates.yaml", "impossible.yaml"
    specification, predictors, years = SPECIFICATION, PREDICTORS, YEARS
    visits, write, copied = staticmethod(visits), staticmethod(write_toy), staticmethod(copied)


@pytest.fixture(scope="session")
def toy() -> type[Toy]:
    return Toy
