"""The registered champion, as the flows that start from it or compare with it need it."""

from typing import Literal

from components.contracts import Column, Dataset
from components.errors import InputError
from components.predictor import Predictor
from components.state import State
from tasks.register import candidate_digest
from tasks.registry import champion, load_predictor, opponent_of
from tasks.workspace import Workspace


def reigning_predictor(
    name: str, declared: tuple[Column, ...], work: Workspace, candidate: State | None = None
) -> tuple[Predictor | None, str]:
    """The predictor and version that a new model is compared with, the champion's; None and empty when there is none.

    When the champion is ``candidate`` itself, from a run before this one, it is the version that it was compared with
    at that time.

    Raises:
        InputError: It reads columns that these data do not declare, so the two cannot be compared.
    """
    if candidate is None:
        found = champion(work.tracking, name)
    else:
        found = opponent_of(work.tracking, name, candidate_digest(candidate))
    if found is None:
        return None, ""
    predictor = Predictor.load(load_predictor(work.tracking, found.uri))
    names = {column.name for column in declared if column.role == "feature"}
    absent = [column.name for column in predictor.inputs if column.name not in names]
    if absent:
        raise InputError(
            f"model {name!r} has a champion that reads features these data do not declare ({', '.join(absent)}); "
            "give the new model another name (--model)"
        )
    return predictor, found.version


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
