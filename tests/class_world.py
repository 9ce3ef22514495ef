"""A small table with three classes (or two) whose truth is known, and classifiers made by hand, for tests that score.

A class depends on two numbers and a category. The label says the wrong class of three rows in ten.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from components.classification import LearntClassifier
from components.classifier import ClassifierPredictor, Linear
from components.classifier.calibration import Calibration
from components.classifier.coding import Coding
from components.contracts import Column, Dataset, Estimate, EvaluationLabels, TimeBatch
from components.features import FeatureMap
from components.weak import NoisyLabels, PositiveUnlabeled, Setting
from components.weak.nuisance import EstimatedTransition
from components.weak.transitions import as_table

CLASSES = ("ash", "beech", "oak")
NOISE = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.1, 0.2, 0.7]])
BATCHES = ("spring", "autumn")
ROWS = 900  # of a batch; a third of them is held
SITES = ("dry", "wet")


@dataclass(frozen=True, eq=False)
class ClassWorld:
    """A table, what is known of it, and what it was made of."""

    dataset: Dataset
    labels: EvaluationLabels
    frame: pd.DataFrame
    features: FeatureMap
    setting: Setting

    @property
    def classes(self) -> tuple[str, ...]:
        return CLASSES if self.setting.class_count == 3 else ("positive", "negative")

    @property
    def held(self) -> pd.DataFrame:
        """The held rows as they are ordered when they are scored."""
        return self.frame[self.frame["_part"] == "held"].sort_values(["batch", "_row"], ignore_index=True)

    def predictor(self, seed: int, near: float = 1.0) -> ClassifierPredictor:
        """A classifier that is ``near`` the truth, and chance for the rest."""
        outputs, rng = 1 if len(self.classes) == 2 else 3, np.random.default_rng(seed)
        weight = near * _slopes(outputs) + 0.3 * rng.normal(size=(outputs, 3))
        state = {"0.weight": weight.astype(np.float32), "0.bias": np.zeros(outputs, dtype=np.float32)}
        calibration = Calibration(1.5, (0.0,) * len(self.classes))
        return ClassifierPredictor(Linear(), (state,), self.classes, calibration, self.features)

    def learnt(self, seed: int = 0, near: float = 1.0) -> LearntClassifier:
        """A classifier with a story."""
        coding = Coding(self.dataset.column("told"), self.setting)
        rate = Estimate(0.3, 0.27, 0.34, "confident joint")
        low, high = np.clip(NOISE - 0.05, 0, 1), np.clip(NOISE + 0.06, 0, 1)
        found = EstimatedTransition(NOISE, low, high, rate, "confident joint", ("Rows were few.",))
        history = tuple({"risk": 1 / (1 + epoch), "validation_error": 0.4 - 0.02 * epoch} for epoch in range(6))
        noisy = isinstance(self.setting, NoisyLabels)
        return LearntClassifier(
            self.predictor(seed, near),
            coding,
            {"noise_rate": rate} if noisy else {"class_prior": Estimate(0.4, 0.35, 0.44, "best bin estimation")},
            found if noisy else None,
            history,
            4,
            (1, 2),
            ("Labels of oak are few.",),
        )


def _slopes(outputs: int) -> np.ndarray:
    """Weights of the two numbers and of the wet site."""
    return np.array([[1.5, 0.2, -0.5], [-1.2, 1.0, 0.5], [-0.2, -1.5, 0.3]])[:outputs]


def class_world(folder: Path, classes: int = 3, weights: bool = False, rows: int = ROWS) -> ClassWorld:
    """Write a world into ``folder``."""
    rng, frames = np.random.default_rng(classes), []
    for index in (1, 2):
        frame = pd.DataFrame({"height": rng.normal(20, 5, rows), "girth": rng.normal(2, 0.5, rows)})
        frame["site"] = rng.choice(SITES, rows, p=[0.6, 0.4])
        seen = np.column_stack([(frame["height"] - 20) / 5, (frame["girth"] - 2) / 0.5, frame["site"] == "wet"])
        scores = seen.astype(float) @ _slopes(1 if classes == 2 else 3).T * 1.5
        if classes == 2:
            scores = np.column_stack([scores[:, 0], np.zeros(rows)])
        chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        truth = (rng.random((rows, 1)) > chances.cumsum(axis=1)).sum(axis=1)
        if classes == 2:  # six in ten of the first class are known
            frame["told"] = np.where((truth == 0) & (rng.random(rows) < 0.6), 1.0, 0.0)
        else:
            noisy = (rng.random((rows, 1)) > NOISE[truth].cumsum(axis=1)).sum(axis=1)
            frame["told"] = np.array(CLASSES)[noisy]
        frame["heavy"] = rng.uniform(0.5, 2, rows)
        frame["truth"] = np.where(rng.random(rows) < 0.1, np.nan, truth)
        frame["_row"] = rng.permutation(rows) * 3 + index  # keys of one batch lie between those of the other
        frame["_part"] = np.array(["fit", "tune", "held"])[np.arange(rows) % 3]
        frame["batch"] = index
        (folder / f"batch={index}").mkdir(parents=True)
        for piece in (0, 1):
            kept = frame.iloc[piece::2].drop(columns=["truth", "batch"])
            kept.to_parquet(folder / f"batch={index}" / f"part-{piece}.parquet", index=False)
        frames.append(frame)
    whole = pd.concat(frames, ignore_index=True)
    two = classes == 2
    told = Column("told", "observed_label", "number" if two else "category", values=() if two else CLASSES)
    columns = (
        Column("height", unit="m", description="from the ground to the top"),
        Column("girth", unit="m", minimum=0),
        Column("site", kind="category"),
        told,
        *([Column("heavy", role="weight")] if weights else []),
    )
    batches = tuple(TimeBatch(index + 1, name, rows, 0) for index, name in enumerate(BATCHES))
    dataset = Dataset(folder, columns, batches, "ab" * 32, ("Trees that do not exist.",))
    truth = whole[["batch", "_row"]].assign(label=1 - whole["truth"] if two else whole["truth"])
    truth.sample(frac=1, random_state=0).to_parquet(folder / "evaluation.parquet", index=False)
    labels = EvaluationLabels(folder / "evaluation.parquet", "species", "what it is", "cd" * 32, () if two else CLASSES)
    features = FeatureMap.fit(whole[whole["_part"] == "fit"], columns[:3])
    prior = float((whole["truth"] == 0).sum() / whole["truth"].notna().sum())
    setting: Setting = PositiveUnlabeled(prior, "one_sample") if two else NoisyLabels(as_table(NOISE))
    return ClassWorld(dataset, labels, whole, features, setting)
