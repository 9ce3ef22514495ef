"""A small table with labels of many kinds, and specifications that read one of them at a time."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

CLASSES = ("ash", "beech", "cedar")
CENTRES = np.array([[0.0, 2.0], [-2.0, -1.0], [2.0, -1.0]])
NOISE = np.array([[0.7, 0.3, 0.0], [0.0, 0.7, 0.3], [0.3, 0.0, 0.7]])
FREQUENCY = 0.5  # of the ashes that are known to be such


def trees(rows: int = 1500, seed: int = 0) -> pd.DataFrame:
    """Rows of three kinds of tree, told apart by two measurements; what is known of their kind in several columns."""
    random = np.random.default_rng(seed)
    kind = random.integers(3, size=rows)
    place = CENTRES[kind] + random.normal(size=(rows, 2))
    names = np.array(CLASSES)
    noisy = (NOISE.cumsum(axis=1)[kind] > random.uniform(size=(rows, 1))).argmax(axis=1)
    other = (kind + random.integers(1, 3, size=rows)) % 3
    second = np.where(random.uniform(size=rows) < 0.5, (kind + 1) % 3, kind)
    pairs = [sorted({names[first], names[last]}) for first, last in zip(kind, second, strict=True)]
    return pd.DataFrame(
        {
            "number": np.arange(rows),
            "height": 20 + 3 * place[:, 0],
            "girth": 90 + 10 * place[:, 1],
            "forest": np.where(random.uniform(size=rows) < 0.5, "north", "south"),
            "kind": names[kind],
            "noisy": names[noisy],
            "not_this": names[other],
            "candidates": ["|".join(pair) for pair in pairs],
            "known_ash": np.where((kind == 0) & (random.uniform(size=rows) < FREQUENCY), 1.0, np.nan),
            "some_kinds": np.where(random.uniform(size=rows) < 0.3, names[kind], None),
            "is_ash": (kind == 0).astype(float),
        }
    )


def write_trees(folder: Path, label: str, truth: str | None = "kind", table: pd.DataFrame | None = None) -> Path:
    """A specification in ``folder`` that learns from the column ``label``, with the table beside it."""
    frame = trees() if table is None else table
    frame.to_csv(folder / "trees.csv", index=False)
    named = label not in ("known_ash", "is_ash")
    columns: dict[str, Any] = {
        "number": {"role": "id"},
        "height": {"unit": "m", "description": "height of the tree"},
        "girth": {"unit": "cm", "description": "girth of the trunk"},
        "forest": {"kind": "category", "description": "where it stands"},
        label: {"role": "observed_label", **({"kind": "category", "values": list(CLASSES)} if named else {})},
    }
    if truth is not None:
        columns[truth] = {"role": "evaluation_label", **({"values": list(CLASSES)} if truth == "kind" else {})}
    said = {"name": "trees", "source": {"kind": "csv", "path": "trees.csv"}, "columns": columns}
    path = folder / f"{label}.yaml"
    path.write_text(yaml.safe_dump(said, sort_keys=False), encoding="utf-8")
    return path
