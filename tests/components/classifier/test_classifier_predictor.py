"""What is kept of a classifier predicts what the classifier predicted."""

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.classifier import Adam, ClassifierPredictor, ClassifierTraining, Linear, Network, Perceptron
from components.contracts import Column
from components.encoding import load_value, save_value
from components.errors import InputError
from components.features import FeatureMap
from components.storage import write_json
from components.weak import ComplementaryLabels, PositiveUnlabeled, Setting
from tests.components.classifier.test_training import clean

TABLE = pd.DataFrame(np.random.default_rng(4).normal(size=(50, 4)), columns=list("abcd"))
GRID = np.random.default_rng(3).normal(size=(300, 4))


def trained(setting: Setting, network: Network):
    rows, held = (setting.simulate(clean(classes=setting.class_count, seed=seed), seed).observed for seed in (0, 1))
    return ClassifierTraining(setting, network=network, epochs=3, optimiser=Adam(0.02)).fit(rows, held)


@pytest.mark.parametrize("setting", [PositiveUnlabeled(0.4), ComplementaryLabels(3)], ids=lambda s: s.kind)
@pytest.mark.parametrize("network", [Linear(), Perceptron((8, 4)), Perceptron((8,), normalised=True)], ids=repr)
def test_a_kept_classifier_is_the_same_to_the_bit(setting: Setting, network: Network, tmp_path: Path) -> None:
    classifier = trained(setting, network)
    ClassifierPredictor.of(classifier, network).save(tmp_path / "kept")
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["classifier.json", "networks.safetensors"]
    loaded = ClassifierPredictor.load(tmp_path / "kept")
    assert np.array_equal(loaded.probabilities(GRID), classifier.probabilities(GRID))
    raw = ClassifierPredictor.of(replace(classifier, calibration=None), network)
    assert not np.allclose(raw.probabilities(GRID), loaded.probabilities(GRID))


@pytest.mark.parametrize("setting", [PositiveUnlabeled(0.4), ComplementaryLabels(3)], ids=lambda s: s.kind)
def test_one_as_the_result_of_a_stage_is_the_same_to_the_bit(setting: Setting, tmp_path: Path) -> None:
    network, features = Perceptron((8,), normalised=True), FeatureMap.fit(TABLE, [Column(name) for name in "abcd"])
    classifier = trained(setting, network)
    kept = ClassifierPredictor.of(classifier, network, features=features)
    before = kept.predict(TABLE)
    with_networks_built = pickle.loads(pickle.dumps(kept))
    save_value(kept, tmp_path)
    for other in (load_value(tmp_path), with_networks_built):
        assert (other.network, other.classes, other.calibration) == (network, kept.classes, classifier.calibration)
        assert np.array_equal(other.probabilities(GRID), classifier.probabilities(GRID))
        pd.testing.assert_frame_equal(other.predict(TABLE), before, check_exact=True)
        other.save(tmp_path / "kept")
        assert np.array_equal(ClassifierPredictor.load(tmp_path / "kept").probabilities(GRID), kept.probabilities(GRID))


def test_the_networks_are_built_once_and_belong_to_the_predictor(monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = trained(PositiveUnlabeled(0.4), Linear())
    kept, before = ClassifierPredictor.of(classifier, Linear()), classifier.probabilities(GRID)
    for value in classifier.learner.state_dict().values():  # goes on learning
        value.zero_()
    built: list[int] = []
    monkeypatch.setattr(Linear, "build", lambda self, *sizes, own=Linear.build: built.append(1) or own(self, *sizes))
    assert np.array_equal(kept.probabilities(GRID), before)
    assert np.array_equal(np.concatenate([kept.probabilities(GRID[:100]), kept.probabilities(GRID[100:])]), before)
    assert built == [1]


def test_importing_it_does_not_import_torch() -> None:
    words = "import components.classifier.predictor, components.predicting, sys; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", words], text=True).strip() == "False"


def test_rows_of_a_table_are_predicted_by_name(tmp_path: Path) -> None:
    frame = pd.DataFrame(clean(200).features, columns=list("abcd"))
    features = FeatureMap.fit(frame, [Column(name) for name in "abcd"])
    setting = PositiveUnlabeled(0.5)
    rows = setting.observe(features.transform(frame), np.repeat([1, 0], 100))
    classifier = ClassifierTraining(setting, network=Linear(), epochs=2).fit(rows)
    kept = ClassifierPredictor.of(classifier, Linear(), ("ill", "well"), features)
    kept.save(tmp_path / "kept")
    found = ClassifierPredictor.load(tmp_path / "kept").predict(frame.set_index(frame.index + 7))
    assert list(found) == ["probability of ill", "probability of well", "likeliest", "outside_support"]
    assert list(found.index) == list(range(7, 207))
    assert np.array_equal(found["probability of ill"], classifier.probabilities(features.transform(frame))[:, 0])
    assert ((found["likeliest"] == "ill") == (found["probability of ill"] > 0.5)).all()
    with pytest.raises(InputError, match="must have the columns the model was trained on, missing: d"):
        kept.predict(frame[["a", "b", "c"]])


def test_bad_requests_are_told(tmp_path: Path) -> None:
    classifier = trained(PositiveUnlabeled(0.4), Linear())
    with pytest.raises(InputError, match="classes must hold 2 different names, got a, b, c"):
        ClassifierPredictor.of(classifier, Linear(), ("a", "b", "c"))
    with pytest.raises(InputError, match="classes must hold 2 different names, got a, a"):
        ClassifierPredictor.of(classifier, Linear(), ("a", "a"))
    kept = ClassifierPredictor.of(classifier, Linear())
    with pytest.raises(InputError, match=r"features must have shape \(rows, 4\), got \(2, 3\)"):
        kept.probabilities(np.zeros((2, 3)))
    with pytest.raises(InputError, match="features must be known to predict rows of a table"):
        kept.predict(pd.DataFrame({"a": [1.0]}))
    with pytest.raises(InputError, match="features must be known to predict rows of a table"):
        _ = kept.inputs
    with pytest.raises(InputError, match="features must be known to predict rows of a table"):
        kept.example()
    kept.save(tmp_path / "kept")
    write_json(tmp_path / "kept" / "classifier.json", {"schema": 99})
    with pytest.raises(InputError, match=r"schema of the classifier in .* must be 1, got 99"):
        ClassifierPredictor.load(tmp_path / "kept")
