"""Tune a posterior on rows kept for it: some steer, the others check, and it never comes back worse on either.

The posterior is the prior of the move. What is minimised over the steering rows is

    risk(theta) + (theta - mean)' S (theta - mean) / (2 rows)

so a direction the data have settled hardly moves. The checking rows have no say in the direction: the move goes on,
round by round, while their corrected risk falls, and its last good point is kept.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from components.contracts import Dataset, FloatArray, Posterior
from components.errors import InputError
from components.objective import Labelling, Minibatch, Rows, WeakObjective
from components.ports import Report, silent
from components.state import State
from components.subspace import SubspaceTrustRegion, Tuning
from components.weak import Absolute

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Round:
    """The corrected risks after one round.

    Attributes:
        steering: On the rows that steer.
        checking: On the rows that check.
        accepted: Whether the round's point was kept.
    """

    steering: float
    checking: float
    accepted: bool


@dataclass(frozen=True, eq=False)
class TunedState:
    """What tuning made of a state.

    Attributes:
        state: The tuned state; the state given, where no round was accepted.
        rounds: The start, and every round with the rejected last one.
    """

    state: State
    rounds: tuple[Round, ...]

    @property
    def moved(self) -> bool:
        """Whether the posterior changed."""
        return any(entry.accepted for entry in self.rounds[1:])


@dataclass(frozen=True)
class PosteriorTuning:
    """Tuning of the posterior's mean on the tuning rows of the latest batches.

    Attributes:
        search: How the steering risk is minimised.
        rounds: Most rounds; each takes the search's iterations and is checked.
        window: Number of latest batches whose tuning rows are used.
    """

    search: Tuning = SubspaceTrustRegion(iterations=4)
    rounds: int = 12
    window: int = 3

    def __post_init__(self) -> None:
        for name in ("rounds", "window"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")

    def tune(self, dataset: Dataset, batch: int, state: State, report: Report = silent) -> TunedState:
        """The state with its posterior tuned for batch ``batch``; the state given is not changed."""
        evidence = {
            f"tuned on {entry.label}": entry.index
            for entry in dataset.batches[max(0, batch - self.window) : batch]
            if f"tuned on {entry.label}" not in state.predictor.posterior.lineage
        }
        halves = _halves(dataset, tuple(evidence.values()), state) if evidence else None
        if halves is None:
            return TunedState(state, ())
        steering, checking = halves
        point, rounds = self._search(steering, checking, state.predictor.posterior, report)
        moved = TunedState(state, rounds)
        if not moved.moved:
            return moved
        posterior = _with_evidence(state.predictor.posterior, point, steering, tuple(evidence))
        return replace(moved, state=state.with_posterior(posterior))

    def _search(
        self, steering: WeakObjective, checking: WeakObjective, posterior: Posterior, report: Report
    ) -> tuple[FloatArray, tuple[Round, ...]]:
        import torch

        centre, precision = (torch.from_numpy(np.array(part)) for part in (posterior.mean, posterior.precision))

        def penalised(theta: "Tensor") -> "Tensor":
            return steering.value(theta) + (precision * (theta - centre) ** 2).sum() / (2 * size)

        point = posterior.mean
        # As in the posterior, rows count as much as they inform; of the parameters they are asked about, on average.
        size = steering.rows * float(steering.information_share(centre).mean())
        rounds = [Round(_value(steering, point), _value(checking, point), True)]
        for index in range(self.rounds):
            tuned = replace(self.search, seed=self.search.seed + index).minimise(penalised, point)
            entry = Round(_value(steering, tuned.point), _value(checking, tuned.point), False)
            better = entry.checking < rounds[-1].checking and entry.steering <= rounds[0].steering
            rounds.append(replace(entry, accepted=better))
            report(index, self.rounds, {"steering": entry.steering, "checking": entry.checking})
            if not better:
                break
            point = tuned.point
        return point, tuple(rounds)


def _halves(dataset: Dataset, batches: tuple[int, ...], state: State) -> tuple[WeakObjective, WeakObjective] | None:
    """The risk on every other tuning row, and on the rest; None where one of them has no labeled row.

    Of very many tuning rows a sample is used: a search in few directions does not need them all.
    """
    import torch

    sample = Rows(dataset, state.predictor.features, batches, "tune").sample()
    labelled = sample.labelled
    prior = state.frequency.class_prior(sample.share).value if labelled.any() else 0.0
    even = np.arange(len(labelled)) % 2 == 0
    if not (labelled[even].any() and labelled[~even].any()):
        return None
    labelling = Labelling.positive_unlabeled(prior, prior)
    memberships = np.column_stack([labelled, sample.everyone])
    halves = []
    for half in (even, ~even):
        sources = torch.from_numpy(memberships[half])
        chunk = Minibatch(torch.from_numpy(sample.features[half]), sources, sources.double())
        halves.append(WeakObjective(state.predictor.head, labelling, Absolute(), chunk))
    return halves[0], halves[1]


def _value(objective: WeakObjective, point: FloatArray) -> float:
    import torch

    with torch.no_grad():
        return float(objective.value(torch.from_numpy(np.array(point))))


def _with_evidence(
    posterior: Posterior, point: FloatArray, objective: WeakObjective, evidence: tuple[str, ...]
) -> Posterior:
    """The steering rows are evidence like any other: their curvature adds to the precision."""
    import torch

    precision = posterior.precision + objective.curvature(torch.from_numpy(np.array(point))).numpy()
    rows = posterior.rows + objective.rows
    return Posterior(posterior.layout, precision, precision * point, rows, (*posterior.lineage, *evidence))
