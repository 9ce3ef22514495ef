"""A training between two epochs, on disk: whoever goes on from here ends with the same bits.

What an epoch does depends on its number, the seed and this state alone, so no state of a random generator is kept. A
folder is replaced as a whole, so there is always one whole checkpoint.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from components.classifier.learners.learner import Learner
from components.errors import InputError
from components.storage import atomic_folder, read_json, write_json


@dataclass
class Course:
    """Where a training stands.

    Attributes:
        epoch: Epochs done.
        history: Metrics of each.
        best: State of the learner at the best epoch so far.
        best_epoch: That epoch; -1: none yet.
    """

    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = -1


def save_checkpoint(
    folder: Path, identity: str, learner: Learner, optimiser: torch.optim.Optimizer, course: Course
) -> None:
    """Replace the checkpoint in ``folder``, which belongs to the training that ``identity`` names."""
    with atomic_folder(folder) as scratch:
        save_file(plain(learner.state_dict()), scratch / "learner.safetensors")
        save_file(plain(_flat(optimiser)), scratch / "optimiser.safetensors")
        save_file(plain(course.best), scratch / "best.safetensors")
        told = {"identity": identity, "epoch": course.epoch, "history": course.history, "best_epoch": course.best_epoch}
        write_json(scratch / "course.json", told)


def load_checkpoint(folder: Path, identity: str, learner: Learner, optimiser: torch.optim.Optimizer) -> Course | None:
    """Set ``learner`` and ``optimiser`` to the checkpoint in ``folder``; None where there is none.

    Raises:
        InputError: The checkpoint is of another training.
    """
    if not (folder / "course.json").is_file():
        return None
    told = read_json(folder / "course.json")
    if told["identity"] != identity:
        raise InputError(
            f"checkpoint must be that of this training, the one in {folder} is of another (data or parameters differ); "
            "name another folder or remove it"
        )
    learner.load_state_dict(load_file(folder / "learner.safetensors"))
    _restore(optimiser, load_file(folder / "optimiser.safetensors"))
    return Course(told["epoch"], told["history"], load_file(folder / "best.safetensors"), told["best_epoch"])


def plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU that share no memory, as safetensors wants them."""
    return {name: value.detach().cpu().clone().contiguous() for name, value in state.items()}


def _flat(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's tensors; parameter groups come from the configuration and are not kept."""
    state: Mapping[int, Mapping[str, Any]] = optimiser.state_dict()["state"]
    return {
        f"{number}.{name}": value
        for number, entries in state.items()
        for name, value in entries.items()
        if isinstance(value, Tensor)
    }


def _restore(optimiser: torch.optim.Optimizer, flat: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in flat.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
