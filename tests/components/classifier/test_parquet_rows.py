"""A table on disk teaches what the same rows in memory teach."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from components.classifier import Adam, ClassifierTraining, InMemory, Linear, ParquetRows, Perceptron
from components.classifier import parquet as module
from components.classifier.coding import Coding
from components.classifier.minibatches import Minibatches
from components.contracts import Column, Dataset, TimeBatch
from components.errors import InputError
from components.features import FeatureMap
from components.weak import Observed, PositiveUnlabeled, UnlabeledUnlabeled

COLUMNS = (Column("a"), Column("b"), Column("told", role="weak_label", kind="flag"), Column("heavy", role="weight"))
SETTING = PositiveUnlabeled(0.5, sampling="one_sample")
TRAINING = ClassifierTraining(SETTING, network=Perceptron((6,)), epochs=4, minibatch_rows=100, optimiser=Adam(0.02))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    random, folder = np.random.default_rng(0), tmp_path_factory.mktemp("table")
    for index in (1, 2):
        frame = pd.DataFrame({"a": random.normal(size=600), "b": random.normal(size=600)})
        positive = random.uniform(size=600) < 1 / (1 + np.exp(-(3 * frame["a"] - 2 * frame["b"])))
        frame["told"] = (positive & (random.uniform(size=600) < 0.6)).astype(float)
        frame["heavy"] = random.uniform(0.5, 1.5, 600)
        # Keys are neither in order nor without gaps.
        frame["_row"] = random.permutation(600) * 3 + 5000 * index
        frame["_part"] = np.where(np.arange(600) % 5 == 0, "tune", "fit")
        (folder / f"batch={index}").mkdir()
        for piece in (0, 1):
            frame.iloc[piece::2].to_parquet(folder / f"batch={index}" / f"part-{piece}.parquet", index=False)
    return Dataset(folder, COLUMNS, (TimeBatch(1, "one", 600, 200), TimeBatch(2, "two", 600, 200)), "digest")


@pytest.fixture(scope="module")
def rows(dataset: Dataset) -> ParquetRows:
    frame = pd.concat(pd.read_parquet(path) for path in sorted(dataset.path.rglob("*.parquet")))
    features = FeatureMap.fit(frame, COLUMNS[:2])
    return ParquetRows(dataset, features, Coding(Column("told", "observed_label"), SETTING), (1, 2))


def in_memory(rows: ParquetRows) -> Observed:
    frames = [pd.read_parquet(path) for path in sorted(rows.dataset.path.rglob("*.parquet"))]
    frame = pd.concat(frames).query("_part == 'fit'").sort_values("_row")
    return replace_weights(SETTING.observe(rows.features.transform(frame), frame["told"].to_numpy()), frame)


def replace_weights(observed: Observed, frame: pd.DataFrame) -> Observed:
    return Observed(observed.features, observed.marks, frame["heavy"].to_numpy())


def test_a_table_that_fits_into_a_chunk_teaches_the_same_bits(rows: ParquetRows) -> None:
    streamed, held = TRAINING.fit(rows), TRAINING.fit(in_memory(rows))
    assert streamed.history == held.history
    assert np.array_equal(streamed.parameters, held.parameters)


def test_a_table_that_does_not_is_streamed_and_teaches_much_the_same(
    rows: ParquetRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUFFER", 130)
    pieces = list(rows.chunks(seed=1))
    assert max(map(len, pieces)) <= 130
    places = np.concatenate([chunk.places for chunk in pieces])
    assert sorted(places) == list(range(960))
    assert (np.diff(places) != 1).mean() > 0.9
    training = replace(TRAINING, network=Linear(), epochs=30, keep="last")
    streamed, held = training.fit(rows, rows), training.fit(in_memory(rows))
    assert "validation_error" in streamed.history[0]
    grid = np.random.default_rng(1).normal(size=(500, rows.width))
    np.testing.assert_allclose(streamed.probabilities(grid), held.probabilities(grid), atol=0.08)


def test_rows_are_themselves_in_any_order(rows: ParquetRows) -> None:
    whole = in_memory(rows)
    for seed in (None, 3):
        for chunk in rows.chunks(seed):
            assert np.array_equal(chunk.features, whole.features[chunk.places].astype(np.float32))
            assert np.array_equal(chunk.marks, whole.marks[chunk.places])
            assert whole.weights is not None
            assert np.array_equal(chunk.weights, whole.weights[chunk.places])


def test_a_training_from_disk_goes_on_where_it_stopped(
    rows: ParquetRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUFFER", 130)
    whole = TRAINING.fit(rows)
    replace(TRAINING, epochs=2).fit(rows, checkpoint=tmp_path / "course")
    went_on = TRAINING.fit(rows, checkpoint=tmp_path / "course")
    assert np.array_equal(whole.parameters, went_on.parameters)


def test_a_streamed_source_has_the_totals_of_all_rows(rows: ParquetRows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUFFER", 130)
    whole = in_memory(rows)
    risk = SETTING.risk(SETTING.counts(whole.marks, whole.weights), dtype=torch.float64)
    for source in (rows, InMemory.of(whole)):
        batches = list(Minibatches(source, risk.evidence, 960, 100).passes())
        expected = torch.tensor(np.bincount(whole.marks, whole.weights))
        torch.testing.assert_close(batches[0].totals, expected, rtol=1e-6, atol=0)


def test_a_label_outside_the_coding_is_told(dataset: Dataset, rows: ParquetRows) -> None:
    wrong = replace(rows, coding=replace(rows.coding, column=Column("a")))
    with pytest.raises(InputError, match="column 'a': labels must be coded"):
        TRAINING.fit(wrong)
    sets = replace(rows, coding=replace(rows.coding, setting=UnlabeledUnlabeled(0.9, 0.2, 0.5)))
    assert len(replace(TRAINING, setting=sets.coding.setting, epochs=1).fit(sets).history) == 1
