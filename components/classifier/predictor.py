"""A trained classifier as it is kept: networks, calibration and feature map in files that run nobody's code.

A folder holds ``classifier.json`` and ``networks.safetensors``.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.classifier.networks import NETWORKS, Network, outputs_for
from components.contracts import Column, FloatArray
from components.errors import InputError
from components.features import FeatureMap
from components.predicting import LIKELIEST, Kind
from components.storage import atomic_folder, read_json, write_json

if TYPE_CHECKING:
    from torch import nn

    from components.classifier.calibration import Calibration
    from components.classifier.fitted import Classifier

SCHEMA = 1
CHUNK = 16_384


@dataclass(frozen=True, eq=False)
class ClassifierPredictor:
    """From rows of a table, or features, to probabilities of classes.

    Attributes:
        network: What the networks are.
        states: Parameters of each network by name; the mean of their logits is the classifier's.
        classes: Names of the classes; of two the positive one is the first.
        calibration: What the logits go through before they are probabilities; None: nothing.
        features: From rows to features; None: features are given.
    """

    network: Network
    states: tuple[Mapping[str, NDArray[Any]], ...]
    classes: tuple[str, ...]
    calibration: "Calibration | None" = None
    features: FeatureMap | None = None

    @classmethod
    def of(
        cls,
        classifier: "Classifier",
        network: Network,
        classes: tuple[str, ...] = (),
        features: FeatureMap | None = None,
    ) -> Self:
        """What of ``classifier`` predicts.

        Args:
            classifier: The trained one.
            network: What its training was told of the network.
            classes: Names of the classes; empty: their numbers.
            features: From rows of a table to the features it learnt from.

        Raises:
            InputError: There are not as many names as classes.
        """
        from components.classifier.checkpoint import plain

        names = classes or tuple(map(str, range(classifier.classes)))
        if len(names) != classifier.classes or len(set(names)) != len(names):
            raise InputError(f"classes must hold {classifier.classes} different names, got {', '.join(names)}")
        tensors = [plain(each.state_dict()) for each in classifier.learner.networks]
        states = tuple({name: value.numpy() for name, value in state.items()} for state in tensors)
        return cls(network, states, names, classifier.calibration, features)

    @property
    def width(self) -> int:
        """Number of features."""
        return int(next(value.shape[1] for value in self.states[0].values() if value.ndim == 2))

    @property
    def inputs(self) -> tuple[Column, ...]:
        """The columns a table must have.

        Raises:
            InputError: It knows features only.
        """
        return self._known.columns

    @property
    def added(self) -> Mapping[str, Kind]:
        """The columns that :meth:`predict` makes, in order."""
        each: dict[str, Kind] = dict.fromkeys(map(_column_of, self.classes), "number")
        return {**each, LIKELIEST: "text", "outside_support": "flag"}

    def example(self) -> pd.DataFrame:
        """Input to show how the model is called; invented, nobody's row.

        Raises:
            InputError: It knows features only.
        """
        return self._known.typical()

    def probabilities(self, features: FloatArray) -> FloatArray:
        """[n, K] probabilities of the classes for ``features`` [n, d].

        Raises:
            InputError: There are more or fewer features than it learnt from.
        """
        import torch

        from components.weak.losses import columns

        if np.ndim(features) != 2 or np.shape(features)[1] != self.width:
            raise InputError(f"features must have shape (rows, {self.width}), got {np.shape(features)}")
        found = [np.zeros((0, len(self.classes)))]
        for begin in range(0, len(features), CHUNK):
            chunk = torch.tensor(np.asarray(features[begin : begin + CHUNK]), dtype=torch.float32)
            with torch.no_grad():
                logits = torch.stack([columns(network(chunk)) for network in self._networks]).mean(dim=0).double()
                known = logits if self.calibration is None else self.calibration(logits)
            found.append(torch.softmax(known, dim=-1).numpy())
        return np.concatenate(found)

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """One row a row: ``probability of <class>`` for each class, ``likeliest``, and ``outside_support``.

        Raises:
            InputError: It knows features only, or a column is absent or holds text where numbers are declared.
        """
        features = self._known
        probabilities = self.probabilities(features.transform(frame))
        likeliest = np.array(self.classes, dtype=object)[probabilities.argmax(axis=1)]
        columns = (*probabilities.T, likeliest, features.outside(frame))
        return pd.DataFrame(dict(zip(self.added, columns, strict=True)), index=frame.index)

    @property
    def _known(self) -> FeatureMap:
        if self.features is None:
            raise InputError("features must be known to predict rows of a table; this classifier takes features only")
        return self.features

    @cached_property
    def _networks(self) -> "tuple[nn.Module, ...]":
        """The networks, built once: a table is predicted in chunks."""
        import torch

        networks = []
        for state in self.states:
            network = self.network.build(self.width, outputs_for(len(self.classes))).eval()
            network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state.items()})
            networks.append(network)
        return tuple(networks)

    def save(self, folder: Path) -> None:
        """Write the predictor as ``folder``, whole or not at all."""
        from safetensors.numpy import save_file

        calibration = None if self.calibration is None else asdict(self.calibration)
        described: dict[str, Any] = {"schema": SCHEMA, "network": asdict(self.network), "classes": list(self.classes)}
        described |= {"networks": len(self.states), "calibration": calibration}
        described["features"] = None if self.features is None else self.features.to_json()
        named = {
            f"{number}.{name}": np.array(value, order="C")
            for number, state in enumerate(self.states)
            for name, value in state.items()
        }
        with atomic_folder(folder) as scratch:
            save_file(named, scratch / "networks.safetensors")
            write_json(scratch / "classifier.json", described)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises:
            InputError: The folder holds no classifier, a damaged one, or one of a schema this version does not know.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        described = read_json(folder / "classifier.json")
        schema = described.get("schema") if isinstance(described, Mapping) else None
        if schema != SCHEMA:
            raise InputError(f"schema of the classifier in {folder} must be {SCHEMA}, got {schema!r}")
        try:
            return cls._made(described, load_file(folder / "networks.safetensors"))
        except (SafetensorError, OSError, LookupError, TypeError, ValueError) as problem:
            raise InputError(f"{folder} must hold a classifier that this version wrote, but: {problem}") from problem

    @classmethod
    def _made(cls, described: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        from components.classifier.calibration import Calibration

        network = dict(described["network"])
        kind = NETWORKS[network["kind"]]
        if "hidden" in network:
            network["hidden"] = tuple(network["hidden"])
        states: list[dict[str, NDArray[Any]]] = [{} for _ in range(described["networks"])]
        for key, value in arrays.items():
            number, _, name = key.partition(".")
            states[int(number)][name] = value
        kept = described["calibration"]
        calibration = None if kept is None else Calibration(kept["scale"], tuple(kept["offsets"]))
        features = None if described["features"] is None else FeatureMap.from_json(described["features"])
        return cls(kind(**network), tuple(states), tuple(described["classes"]), calibration, features)


def _column_of(name: str) -> str:
    return f"probability of {name}"
