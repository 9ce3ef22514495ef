"""A saved predictor as a model that MLflow can store, load and serve: files, code, signature, card; never a pickle."""

import importlib
import importlib.metadata
import shutil
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import components
from components.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

CARD = "card.md"
LONGEST_DESCRIPTION = 5000  # the registry's column
CUT = f"\n\n*Cut here; the whole card is the file `{CARD}` beside the model.*\n"
NEEDED_TO_SERVE = ("mlflow", "numpy", "pandas", "pyarrow", "safetensors", "scikit-learn", "scipy", "torch")

# Saving runs the model's file and leaves what it found in a global of MLflow's.
_saving = threading.Lock()


@dataclass(frozen=True)
class Candidate:
    """A saved predictor to be registered.

    Attributes:
        folder: Where its ``save`` has put it.
        example: A few rows of input; they are stored with the model.
        card: Markdown for a person who looks at the version; kept with the model and as the version's description.
        tags: What its version says about itself (dataset digest, log loss, correction, verdict of each gate).
    """

    folder: Path
    example: "pd.DataFrame"
    card: str
    tags: Mapping[str, str]

    @property
    def description(self) -> str:
        """The card, as far as a registry takes it: whole sections, and where the rest is."""
        if len(self.card) <= LONGEST_DESCRIPTION:
            return self.card
        head = self.card[: LONGEST_DESCRIPTION - len(CUT)]
        section = head.rfind("\n## ")
        return (head[:section] if section > 0 else head).rstrip() + CUT


@contextmanager
def packed(candidate: Candidate, about: Mapping[str, str], identity: Mapping[str, Any]) -> Iterator[Path]:
    """A temporary folder with the candidate as an MLflow model.

    Args:
        candidate: What is packed.
        about: Name of the model and digest of the predictor; loading compares the files with it.
        identity: Fields of ``mlflow.models.Model`` that say where it will lie.

    Raises:
        InputError: The predictor cannot be loaded or does not predict its own example.
    """
    pyfunc = quiet_pyfunc()
    from mlflow.models import Model, infer_signature

    signature = infer_signature(candidate.example, _predict_example(candidate), params=None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model")
        # MLflow stores a folder under the folder's own name.
        predictor = shutil.copytree(candidate.folder, Path(folder, "predictor"))
        with _saving, warnings.catch_warnings():
            # MLflow compares column names with a range, which pandas 3 still does but promises not to.
            warnings.filterwarnings("ignore", "Operation with range is deprecated", DeprecationWarning)
            pyfunc.save_model(
                path=str(path),
                mlflow_model=Model(**identity),
                python_model=str(Path(__file__).with_name("serving_model.py")),
                artifacts={"predictor": str(predictor)},
                code_paths=[str(Path(components.__file__).parent)],
                signature=signature,
                input_example=candidate.example,
                pip_requirements=requirements(),
                model_config=dict(about),
            )
        for cache in list(path.rglob("__pycache__")):
            shutil.rmtree(cache)
        (path / CARD).write_text(candidate.card, encoding="utf-8")
        yield path


def quiet_pyfunc() -> ModuleType:
    """MLflow's ``pyfunc``, without the warning about its own type hints that importing it prints."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType", UserWarning)
        return importlib.import_module("mlflow.pyfunc")


def requirements() -> list[str]:
    """What a server needs to serve a model, in the versions it was made with."""
    return [f"{name}=={importlib.metadata.version(name).partition('+')[0]}" for name in NEEDED_TO_SERVE]


def _predict_example(candidate: Candidate) -> "pd.DataFrame":
    from components.predicting import saved_predictor

    try:
        return saved_predictor(candidate.folder).predict(candidate.example)
    except (KeyError, OSError, TypeError) as error:
        raise InputError(
            f"folder must hold a predictor that predicts its example, got {candidate.folder}: {error}"
        ) from error
