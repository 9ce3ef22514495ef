"""What learners share that choose rows by their losses: the choice, its schedule, and the noise rate it goes by."""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from components.classifier.learners.learner import Found, Passes, Problem, Progress
from components.classifier.learners.noisy_labels import NoisyLabelLearner, check_noisy
from components.classifier.methods.small_loss import SmallLoss
from components.classifier.minibatches import Minibatch
from components.contracts import Estimate
from components.errors import InputError
from components.weak.losses import columns
from components.weak.nuisance import ConfidentJoint, EstimatedTransition, estimate_transition

ROUNDING = 1e-9  # of a share, so that 0.8 of 10 rows are 8
MODEL = (
    "The noise rate takes mistakes of the model for wrong labels, so it is rather too high; its interval does not tell."
)


class SmallLossLearner(NoisyLabelLearner):
    """Chooses rows by their losses, once the noise rate is known.

    To estimate it, two networks first learn from one half of the rows each and predict the other half: what a network
    says of rows it has learnt from is no evidence that their labels are right.

    Attributes:
        method: The knobs.
        share: Share of a minibatch that is kept in this epoch; None in the warm-up.
    """

    score_name = "validation_noisy_error"

    def __init__(self, problem: Problem, method: SmallLoss, networks: int) -> None:
        check_noisy(method, problem)
        estimates = method.noise_rate is None
        if estimates and method.warm_up_epochs >= problem.epochs:
            raise InputError(
                f"warm_up_epochs must be below epochs = {problem.epochs} to estimate the noise rate, "
                f"got {method.warm_up_epochs}; give noise_rate if it is known"
            )
        super().__init__(problem, networks)
        # Of a method with one network, the other one of the warm-up: it is no part of the classifier.
        self.helpers = nn.ModuleList(problem.network(which) for which in range(networks, 2) if estimates)
        self.method, self.share = method, None if estimates else 1.0
        if not estimates:
            return
        shuffled = torch.randperm(problem.rows, generator=torch.Generator().manual_seed(problem.seed))
        # Which network a row is kept from in the warm-up; the seed tells, so that no checkpoint needs to.
        self.fold: Tensor
        self.register_buffer("fold", shuffled % 2, persistent=False)
        # Value, lower and upper end of what is estimated; NaN until then.
        self.rate: Tensor
        self.transition: Tensor
        self.register_buffer("rate", torch.full((3,), torch.nan, dtype=torch.float64))
        self.register_buffer("transition", torch.full((3, *2 * (problem.classes,)), torch.nan, dtype=torch.float64))

    @abstractmethod
    def selected(self, batch: Minibatch, progress: Progress) -> Tensor:
        """The objective after the warm-up."""

    def start_epoch(self, progress: Progress, passes: Passes) -> None:
        """Estimate the noise rate when the warm-up is over, and see how much is kept in this epoch."""
        rate, epoch = self.method.noise_rate, progress.epoch
        if rate is None:
            epoch -= self.method.warm_up_epochs
            if epoch == 0:
                self._estimate(passes)
            rate = self.rate[0].item()
        self.share = self.method.kept_share(rate, epoch) if epoch >= 0 else None

    def metrics(self) -> dict[str, float]:
        """Share of the rows that is kept."""
        return {"kept_share": 1.0 if self.share is None else self.share}

    def objective(self, batch: Minibatch, progress: Progress) -> Tensor:
        """What ``selected`` says; in the warm-up the mean loss of each network on its half of the rows."""
        if self.share is not None:
            return self.selected(batch, progress)
        weights, fold = self.weights(batch), self.fold[batch.places]
        means = [
            self.mean_over(batch, row_losses(logits, batch.marks), weights * (fold != which))
            for which, logits in enumerate(self.logits_of_all(batch.features))
        ]
        return torch.stack(means).sum()

    def logits_of_all(self, features: Tensor) -> list[Tensor]:
        """[n, K] logits of each network, and of the one that only helps in the warm-up."""
        return [columns(network(features)) for network in (*self.networks, *self.helpers)]

    def weights(self, batch: Minibatch) -> Tensor:
        """[m] weight of each row of the whole minibatch."""
        return batch.everyone(batch.evidence.inside.sum(dim=1))

    def smallest(self, batch: Minibatch, losses: Tensor, weights: Tensor, share: float) -> Tensor:
        """[m] ``weights`` [m] of the rows of the whole minibatch with the smallest ``losses`` [n], 0 for the others."""
        return smallest(batch.everyone(losses), weights, batch.places, share)

    def mean_over(self, batch: Minibatch, losses: Tensor, weights: Tensor) -> Tensor:
        """Mean of ``losses`` [n] of this worker's rows over all workers, by ``weights`` [m]; 0 where all are 0."""
        mine = weights[batch.together.rank :: batch.together.world]
        return batch.sum((losses * mine).sum()) / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)

    @property
    def ready(self) -> bool:
        """Not in the warm-up, in which wrong labels are learnt too."""
        return self.share is not None

    def score(self, batch: Minibatch) -> Tensor | None:
        """Share of the labels that are not called: surprise would punish the networks for not believing wrong ones."""
        called = columns(self.logits(batch.features)).argmax(dim=1)
        return self.mean(batch, (called != batch.marks).float())

    def doubts(self, features: Tensor, marks: Tensor, log_clean: Tensor) -> Tensor | None:
        """One minus the probability of the label: the networks were kept from learning wrong ones."""
        return 1 - log_clean.exp().gather(1, marks.long()[:, None])[:, 0]

    def found(self, passes: Passes) -> Found:
        """The noise rate that rows were left out by, and the table it was estimated with."""
        given = self.method.noise_rate
        if given is not None:
            return Found(numbers={"noise_rate": Estimate(given, given, given, "given")})
        if self.rate.isnan().any():
            return Found(notes=("The epoch that is kept lies in the warm-up: the noise rate is not estimated yet.",))
        source = f"{ConfidentJoint().source}, cross-fitted after {self.method.warm_up_epochs} epochs"
        value, least, most = self.rate.tolist()
        rate = Estimate(value, least, most, source)
        matrix, low, high = self.transition.cpu().numpy()
        never = [str(clean) for clean, row in enumerate(matrix) if row[clean] == 1]
        notes = (MODEL, *((f"No label was found to be wrong of class {', '.join(never)}.",) if never else ()))
        return Found(EstimatedTransition(matrix, low, high, rate, source, notes), {"noise_rate": rate}, notes)

    def _estimate(self, passes: Passes) -> None:
        predicted, labels = [], []
        with torch.no_grad():
            for batch in passes():
                first, second = (torch.softmax(each, 1) for each in self.logits_of_all(batch.features))
                unseen = torch.where(self.fold[batch.mine, None] == 0, first, second)
                predicted.append(batch.everyone(unseen))
                labels.append(batch.everyone(batch.marks.long()))
        probabilities, noisy = (torch.cat(parts).cpu().numpy() for parts in (predicted, labels))
        estimated = estimate_transition(ConfidentJoint(), probabilities, noisy, seed=self.problem.seed)
        rate, tables = estimated.noise_rate, (estimated.matrix, estimated.low, estimated.high)
        self.rate.copy_(torch.tensor([rate.value, rate.low, rate.high]))
        self.transition.copy_(torch.stack([torch.tensor(table) for table in tables]))


def row_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """[n] cross entropies of ``logits`` [n, K] at ``labels`` [n]."""
    return torch.nn.functional.cross_entropy(logits, labels.long(), reduction="none")


def smallest(losses: Tensor, weights: Tensor, places: Tensor, share: float) -> Tensor:
    """[m] the weights of the rows with the smallest losses that make up ``share`` of all weight, 0 for the others.

    The row that would go beyond the share is left out, but the first row with any weight is always there.

    Args:
        losses: [m].
        weights: [m] not negative; rows of weight 0 are passed over.
        places: [m] number of each row; of rows with the same loss the lower goes first, in whatever order they come.
        share: In [0, 1].
    """
    by_place = places.argsort()
    order = by_place[losses[by_place].argsort(stable=True)]
    mass = weights[order].double().cumsum(0)
    reached = torch.empty_like(mass)
    reached[order] = mass
    first = torch.where(weights > 0, reached, torch.inf).min()
    chosen = weights * (reached <= torch.maximum(first, mass[-1] * (share + ROUNDING)))
    # A loss that is no number must stop the training, and not be sorted away among the large ones.
    return torch.where(losses.isfinite().all(), chosen, torch.nan)
