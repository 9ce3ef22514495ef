"""The risk that a head learns from: rows streamed from Parquet, rewritten by what their labels mean.

Each row belongs to one or more sources (labeled, everyone), each source is a known mixture of the classes, and the
risk of the target population is a weighted sum of losses over the sources (``components.weak``). This module
streams the rows, applies the head, and hands the learning rule a number to descend on.

Workers that learn together hold the same parameters and read the same minibatches in the same order; each applies the
head to its share of the rows. What is a sum over rows is then summed over the workers, and all that is not linear in
the rows comes after that sum: the correction of the risk of a share is not a share of the corrected risk.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.contracts import ROW, Dataset, FloatArray, Part, WeakData
from components.features import FeatureMap
from components.heads import Head
from components.ports import ALONE, Together
from components.sampling import Sampled, draw
from components.storage import stream_rows
from components.weak import CrossEntropy, RiskCorrection, decontamination, group_risks, source_totals

if TYPE_CHECKING:
    from torch import Tensor

BUFFER = 65_536
PRIORS = (1e-3, 0.99)  # beyond, decontamination divides by next to nothing


@dataclass(frozen=True, eq=False)
class Minibatch:
    """Rows as tensors, all there are or one worker's share of them.

    Attributes:
        features: [n, d].
        sources: [n, S] bool.
        weights: [n, S].
        totals: [S] weight within each source of all the rows that these are a share of; None: of these.
    """

    features: "Tensor"
    sources: "Tensor"
    weights: "Tensor"
    totals: "Tensor | None" = None

    def share(self, together: Together, index: "Tensor | None" = None) -> "Minibatch":
        """One worker's share of the rows at ``index`` (None: of all): every ``world``-th, on that worker's device."""
        whole = slice(None) if index is None else index
        mine = slice(together.rank, None, together.world)
        here, place = mine if index is None else index[mine], together.device
        features, sources, weights = self.features[here].to(place), self.sources[here].to(place), self.weights[here]
        totals = source_totals(self.sources[whole], self.weights[whole])
        return Minibatch(features, sources, weights.to(place), totals.to(place))


class Importance(Protocol):
    """Importance weights for the rows at hand."""

    def __call__(self, keys: NDArray[np.int64], features: FloatArray, labelled: NDArray[np.bool_]) -> FloatArray:
        """[n, 2] weight as a labeled row and as a row, of rows with ``keys`` [n], ``features`` [n, d] and labels."""


@dataclass(frozen=True, eq=False)
class Remembered:
    """Weights of rows that are known one by one.

    Attributes:
        keys: [n] row keys, in increasing order.
        weights: [n, 2] their weights.
    """

    keys: NDArray[np.int64]
    weights: FloatArray

    def __call__(self, keys: NDArray[np.int64], features: FloatArray, labelled: NDArray[np.bool_]) -> FloatArray:
        """The weights of the rows with ``keys``, all of which are known."""
        return self.weights[np.searchsorted(self.keys, keys)]


@dataclass(frozen=True, eq=False)
class Labelling:
    """What a label says of its row: the sources, their class mixtures, and the weights of rows within them.

    Classes are ordered [positive, negative]; source 0 is always the labeled rows.

    Attributes:
        mixture: [2, 2] class composition of each source.
        prior: [2] class prior of the population the risk is for.
        everyone: True: source 1 is all rows, the labeled ones included; False: source 1 is the unlabeled rows only.
        weights: Gives the importance weight of each row within each source; None: ones.
    """

    mixture: FloatArray
    prior: FloatArray
    everyone: bool = True
    weights: Importance | None = None

    @classmethod
    def unlabeled_is_negative(cls, share: float) -> "Labelling":
        """The naive reading: who is not labeled is negative. ``share`` is the share of labeled rows."""
        return cls(np.eye(2), np.array([share, 1 - share]), everyone=False)

    @classmethod
    def positive_unlabeled(
        cls, mixture_prior: float, target_prior: float, weights: Importance | None = None
    ) -> "Labelling":
        """Labeled rows are positives, all rows are a mixture with ``mixture_prior`` positives among them."""
        mixed, target = np.clip([mixture_prior, target_prior], *PRIORS)
        return cls(np.array([[1.0, 0.0], [mixed, 1 - mixed]]), np.array([target, 1 - target]), weights=weights)

    def sources(self, labelled: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> "np.ndarray":  # type: ignore[type-arg]  # bool [n, 2]
        """[n, 2] which source each row belongs to."""
        return np.column_stack([labelled, np.ones_like(labelled) if self.everyone else ~labelled])


@dataclass(frozen=True, eq=False)
class Rows:
    """Where the rows come from. Sample weights, where the dataset has them, multiply the weights of the rows.

    Attributes:
        dataset: The table.
        features: Turns its rows into features.
        batches: Indices of the batches that are read.
        part: Which part of each batch.
    """

    dataset: Dataset
    features: FeatureMap
    batches: tuple[int, ...]
    part: Part

    def frames(self, seed: int = 0) -> Iterator[pd.DataFrame]:
        """The rows in shuffled chunks of bounded size."""
        columns = [column.name for column in self.features.columns]
        columns += [self.dataset.weak_label, *self.dataset.names("weight")]
        return stream_rows(self.dataset, columns, BUFFER, self.batches, (self.part,), seed)

    def chunks(self, labelling: Labelling, seed: int = 0) -> Iterator[Minibatch]:
        """The same rows as tensors."""
        for frame in self.frames(seed):
            yield self._tensors(frame, labelling)

    def sample(self) -> Sampled:
        """A bounded sample of the rows in memory: all of them, unless there are very many."""
        columns = [column.name for column in self.features.columns]
        return draw(self.dataset, columns, self.batches, (self.part,)).matrix(self.features)

    def _tensors(self, frame: pd.DataFrame, labelling: Labelling) -> Minibatch:
        import torch

        labelled = frame[self.dataset.weak_label].to_numpy() == 1
        sources, features = labelling.sources(labelled), self.features.transform(frame)
        weights = sources.astype(float)
        if labelling.weights is not None:
            weights = labelling.weights(frame[ROW].to_numpy(), features, labelled) * sources
        for name in self.dataset.names("weight"):
            weights = weights * frame[name].to_numpy()[:, None]
        rows = torch.from_numpy(np.ascontiguousarray(features))
        return Minibatch(rows, torch.from_numpy(sources), torch.from_numpy(weights))


@dataclass(eq=False)
class WeakObjective:
    """An :class:`~components.ports.Objective`: the corrected mean risk of a head.

    Chunks that fit into one buffer are kept, so that a small table is read once and a large one is streamed anew
    each epoch.

    Attributes:
        head: Turns features into logits.
        labelling: What labels mean.
        correction: What is done where a group's risk turns negative.
        origin: Rows on disk, or rows in memory.
        effective_share: Kish effective sample share of the weights; the risk speaks for that share of the rows.
        together: The workers that share the rows of every minibatch.
        mixed: Whether the head's products are taken in bfloat16 while learning; the curvature never is.
    """

    head: Head
    labelling: Labelling
    correction: RiskCorrection
    origin: "Rows | WeakData | Minibatch"
    effective_share: float = 1.0
    together: Together = ALONE
    mixed: bool = False
    _kept: list[Minibatch] = field(default_factory=list, init=False, repr=False)
    _rows: int = field(default=0, init=False, repr=False)
    _coefficients: "Tensor | None" = field(default=None, init=False, repr=False)
    _source_weights: "Tensor | None" = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        import torch

        counts = np.zeros(len(self.labelling.mixture))
        for chunk in self._chunks(0):
            self._rows += len(chunk.features)
            counts += chunk.weights.sum(0).numpy()
            self._kept = [chunk] if self._rows <= BUFFER else []
        rewritten = decontamination(self.labelling.mixture, self.labelling.prior, counts)
        self._coefficients = torch.from_numpy(np.array(rewritten))
        self._source_weights = torch.from_numpy(rewritten.sum(axis=0) / counts)

    @property
    def rows(self) -> float:
        """Effective number of rows."""
        return self._rows * self.effective_share

    def minibatches(self, rows: int, seed: int) -> Iterator[Minibatch]:
        """One epoch of this worker's shares of minibatches, shuffled by ``seed``, labeled rows spread evenly over them.

        A minibatch without a labeled row would lose its part of the risk, so there are never more minibatches than
        labeled rows.
        """
        import torch

        generator = torch.Generator().manual_seed(seed)
        for chunk in self._kept or self._chunks(seed):
            order = torch.randperm(len(chunk.features), generator=generator)
            labelled = chunk.sources[order, 0]
            count = max(1, min(-(-len(order) // rows), int(labelled.sum())))
            parts = (order[labelled].tensor_split(count), order[~labelled].tensor_split(count))
            for known, rest in zip(parts[0], reversed(parts[1]), strict=True):
                yield chunk.share(self.together, torch.cat([known, rest]))

    def risk(self, theta: "Tensor", minibatch: object) -> "Tensor":
        """The corrected risk on one minibatch, that of all workers."""
        from components.collective import gather, spread

        assert isinstance(minibatch, Minibatch)
        assert self._coefficients is not None
        groups = gather(self._groups(spread(theta, self.together), minibatch), self.together)
        return self.correction.objective(groups, self._coefficients)

    def value(self, theta: "Tensor") -> "Tensor":
        """The corrected risk over all rows, streamed once."""
        import torch

        from components.collective import gather, spread

        assert self._coefficients is not None
        groups, point = torch.zeros(len(self._coefficients), dtype=torch.float64), spread(theta, self.together)
        for chunk in self._kept or self._chunks(0):
            groups = groups + self._groups(point, chunk.share(self.together)) * len(chunk.features) / self._rows
        return self.correction.objective(gather(groups, self.together), self._coefficients)

    def curvature(self, theta: "Tensor") -> "Tensor":
        """[P] what these rows say of the parameters: the Gauss-Newton diagonal times the share that is information."""
        return self.gauss_newton(theta) * self.information_share(theta)

    def gauss_newton(self, theta: "Tensor") -> "Tensor":
        """[P] diagonal Gauss-Newton matrix of rows times the risk over all data, cut off at zero."""
        import torch

        assert self._source_weights is not None
        point, source_weights = theta.to(self.together.device), self._source_weights.to(self.together.device)
        total = torch.zeros_like(point)
        for chunk in self._shares():
            probability = self.head.logits(point, chunk.features).sigmoid()
            weight = (chunk.weights @ source_weights) * probability * (1 - probability)
            total += self.head.curvature(point, chunk.features, weight)
        return (self.together.sum(total).to(theta.device) * self.rows).clamp(min=0)

    def information_share(self, theta: "Tensor") -> "Tensor":
        """[P] how far the curvature of the risk overstates what the rows say of each parameter, in (0, 1].

        For a likelihood the curvature H and the variance J of the gradient agree. A risk put together from few labeled
        and many other rows varies more than its curvature says, because the labeled rows enter twice. The posterior is
        tempered by H / J, parameter by parameter (the diagonal of Huber's sandwich; Ribatet et al., Bayesian inference
        from composite likelihoods, Statistica Sinica 22, 2012).
        """
        import torch

        assert self._coefficients is not None
        point, coefficients = theta.to(self.together.device), self._coefficients.to(self.together.device)
        second = torch.zeros_like(point)
        sums = [torch.zeros_like(point) for _ in coefficients.T]
        counts = torch.zeros(len(sums), dtype=torch.float64)
        for chunk in self._kept or self._chunks(0):
            counts += chunk.weights.sum(0)
        drawn = [float(count) for count in counts]
        for chunk in self._shares():
            logits = self.head.logits(point, chunk.features)
            slopes = torch.stack([logits.sigmoid() - 1, logits.sigmoid()])
            for source, total in enumerate(sums):
                weight = (coefficients[:, source] @ slopes) * chunk.weights[:, source] / drawn[source]
                second += self.head.curvature(point, chunk.features, weight**2)
                total += _pulled(self.head, point, chunk.features, weight)
        all_sums = self.together.sum(torch.stack([second, *sums])).to(theta.device)
        means = [total**2 / max(n, 1.0) for total, n in zip(all_sums[1:], drawn, strict=True)]
        variance = all_sums[0] - torch.stack(means).sum(0)
        curvature = self.gauss_newton(theta) / self.rows
        spread = self.rows * variance.clamp(min=0)
        return (curvature / spread.clamp(min=torch.finfo(spread.dtype).tiny)).clamp(max=1.0)

    def _groups(self, theta: "Tensor", minibatch: Minibatch) -> "Tensor":
        """[K] what these rows contribute to the risk of each class."""
        assert self._coefficients is not None
        device = minibatch.features.device
        losses = CrossEntropy()(self._logits(theta.to(device), minibatch.features))
        coefficients = self._coefficients.to(device)
        groups = group_risks(losses, minibatch.sources, minibatch.weights, coefficients, minibatch.totals)
        return groups.to(theta.device)

    def _logits(self, theta: "Tensor", features: "Tensor") -> "Tensor":
        if not self.mixed:
            return self.head.logits(theta, features)
        from components.mixed_precision import mixed_logits

        return mixed_logits(self.head, theta, features)

    def _shares(self) -> Iterator[Minibatch]:
        return (chunk.share(self.together) for chunk in self._kept or self._chunks(0))

    def _chunks(self, seed: int) -> Iterator[Minibatch]:
        import torch

        if isinstance(self.origin, Minibatch):
            yield self.origin
        elif isinstance(self.origin, Rows):
            yield from self.origin.chunks(self.labelling, seed)
        else:
            data = self.origin
            features, weights = (torch.tensor(np.array(part)) for part in (data.features, data.weights))
            yield Minibatch(features, torch.tensor(np.array(data.sources)), weights)


def _pulled(head: Head, theta: "Tensor", features: "Tensor", weight: "Tensor") -> "Tensor":
    """[P] sum over rows of weight times the derivative of the logit."""
    import torch

    with torch.enable_grad():
        point = theta.detach().clone().requires_grad_(True)
        total = (head.logits(point, features) * weight.detach()).sum()
    return torch.autograd.grad(total, point)[0]
