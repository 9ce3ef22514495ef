"""The registered champion, as the flows that start from it or compare with it need it."""

from collections.abc import Sequence
from typing import Literal

from components.classifier.predictor import ClassifierPredictor
from components.contracts import Column, Dataset
from components.errors import InputError
from components.predicting import TablePredictor, saved_predictor
from components.predictor import Predictor
from components.state import State
from tasks.register import candidate_digest
from tasks.registry import champion, load_predictor, opponent_of
from tasks.workspace import Workspace

ANOTHER_NAME = "give the new model another name (--model)"


def reigning_predictor(
    name: str, declared: Sequence[Column], work: Workspace, candidate: State | None = None
) -> tuple[Predictor | None, str]:
    """The predictor and version that a new model is compared with, the champion's; None and empty when there is none.

    When the champion is ``candidate`` itself, from a run before this one, it is the version that it was compared with
    at that time.

    Raises:
        InputError: It is a classifier, or reads columns that these data do not declare, so the two cannot be compared.
    """
    predictor, version = _opponent(name, work, "" if candidate is None else candidate_digest(candidate))
    if predictor is None:
        return None, ""
    if not isinstance(predictor, Predictor):
        raise InputError(
            f"model {name!r} has a champion that is a classifier ({', '.join(predictor.classes)}); {ANOTHER_NAME}"
        )
    _refuse_undeclared(name, predictor, declared)
    return predictor, version


def reigning_classifier(
    name: str, classes: Sequence[str], declared: Sequence[Column], work: Workspace, digest: str = ""
) -> tuple[ClassifierPredictor | None, str]:
    """The same for a classifier.

    Args:
        name: Name of the model.
        classes: Names of the classes that the new one tells apart, in order.
        declared: The columns of its data.
        work: Where the registry is.
        digest: Of the new one as it was saved; empty: it is not made yet.

    Raises:
        InputError: The champion is no classifier, tells other classes apart, or reads columns that these data do not
            declare, so the two cannot be compared.
    """
    predictor, version = _opponent(name, work, digest)
    if predictor is None:
        return None, ""
    if not isinstance(predictor, ClassifierPredictor):
        raise InputError(f"model {name!r} has a champion that is no classifier; {ANOTHER_NAME}")
    if predictor.classes != tuple(classes):
        theirs, ours = ", ".join(predictor.classes), ", ".join(classes)
        raise InputError(
            f"model {name!r} has a champion with other classes ({theirs}) than these data ({ours}); {ANOTHER_NAME}"
        )
    _refuse_undeclared(name, predictor, declared)
    return predictor, version


def _opponent(name: str, work: Workspace, digest: str) -> tuple[TablePredictor | None, str]:
    found = opponent_of(work.tracking, name, digest)
    if found is None:
        return None, ""
    return saved_predictor(load_predictor(work.tracking, found.uri)), found.version


def _refuse_undeclared(name: str, predictor: TablePredictor, declared: Sequence[Column]) -> None:
    names = {column.name for column in declared if column.role == "feature"}
    absent = [column.name for column in predictor.inputs if column.name not in names]
    if absent:
        raise InputError(
            f"model {name!r} has a champion that reads features these data do not declare ({', '.join(absent)}); "
            f"{ANOTHER_NAME}"
        )


def champion_state(name: str, purpose: Literal["update", "tune"], work: Workspace) -> State:
    """The state of the reigning model.

    Raises:
        InputError: There is none.
    """
    found = champion(work.tracking, name)
    if found is None:
        raise InputError(
            f"model {name!r} must have a champion to {purpose}, it has none; train one first: kintsugi run"
        )
    return State.load(load_predictor(work.tracking, found.uri))


def new_batches(dataset: Dataset, state: State) -> list[int]:
    """Indices of the batches that the state has not absorbed."""
    return [batch.index for batch in dataset.batches if batch.label not in state.absorbed]
