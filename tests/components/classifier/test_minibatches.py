"""Every row once an epoch, every source in every minibatch, and means that are right over the epoch."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.classifier import Chunk, InMemory
from components.classifier.minibatches import Minibatches, interleaved
from components.weak import Observed, PositiveUnlabeled, SemiSupervised
from components.weak.settings.setting import Setting

sizes = st.lists(st.integers(1, 60), min_size=1, max_size=5)


class InPieces:
    """A table that is read piece by piece, in an order of its own for each seed."""

    def __init__(self, observed: Observed, piece: int) -> None:
        self.observed, self.piece, self.width = observed, piece, observed.features.shape[1]

    def chunks(self, seed: int | None = None):
        order = np.arange(len(self.observed))
        if seed is not None:
            order = np.random.default_rng(seed).permutation(order)
        for begin in range(0, len(order), self.piece):
            index = order[begin : begin + self.piece]
            part = self.observed.rows(index)
            yield Chunk(index, part.features.astype(np.float32), part.marks, part.weights)


def made(counts: list[int], seed: int = 0) -> tuple[Setting, Observed]:
    marks = np.repeat(np.arange(len(counts)), counts)
    np.random.default_rng(seed).shuffle(marks)
    setting = SemiSupervised(prior=tuple([1 / (len(counts) - 1)] * (len(counts) - 1)))
    return setting, Observed(np.arange(len(marks), dtype=float)[:, None], marks)


def of(setting: Setting, observed: Observed, size: int, piece: int = 0) -> Minibatches:
    risk = setting.risk(setting.counts(observed.marks), dtype=torch.float64)
    source = InPieces(observed, piece) if piece else InMemory.of(observed)
    return Minibatches(source, risk.evidence, len(observed), size)


@settings(deadline=None)
@given(sizes, st.integers(0, 99))
def test_any_stretch_has_every_stratum_in_proportion(counts: list[int], seed: int) -> None:
    strata = np.repeat(np.arange(len(counts)), counts)
    order = interleaved(strata, np.random.default_rng(seed))
    assert sorted(order) == list(range(len(strata)))
    for begin, end in ((0, len(order) // 2), (len(order) // 3, len(order))):
        seen = np.bincount(strata[order[begin:end]], minlength=len(counts))
        expected = np.array(counts) * (end - begin) / len(order)
        assert (np.abs(seen - expected) <= 1 + len(counts)).all()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 40), min_size=3, max_size=5), st.integers(2, 30), st.sampled_from((0, 7, 25)))
def test_an_epoch_has_every_row_once_and_the_means_of_all_rows(counts: list[int], size: int, piece: int) -> None:
    setting, observed = made(counts)
    minibatches = of(setting, observed, size, piece)
    seen, sums, steps = [], torch.zeros(len(counts), dtype=torch.float64), 0
    for batch in minibatches.epoch(seed=3):
        assert torch.equal(batch.features[:, 0].long(), batch.places)
        assert torch.equal(batch.marks, torch.from_numpy(np.array(observed.marks))[batch.places])
        there = batch.evidence.inside > 0
        assert torch.equal(batch.shares[there], (batch.evidence.inside / batch.totals)[there])
        assert not batch.shares[~there].any()
        sums += batch.shares.sum(0)
        seen += batch.places.tolist()
        steps += 1
    assert sorted(seen) == list(range(len(observed)))
    if not piece:  # what the rows of a source are divided by adds up to one a minibatch, rare sources included
        torch.testing.assert_close(sums / steps, torch.ones_like(sums), rtol=0, atol=1e-9)


def test_two_epochs_differ_and_the_same_seed_repeats() -> None:
    minibatches = of(*made([20, 30, 5]), 10)
    first, again, other = ([b.places.tolist() for b in minibatches.epoch(seed)] for seed in (1, 1, 2))
    assert first == again != other


def test_passes_are_in_order_with_the_totals_of_all_rows() -> None:
    setting, observed = made([20, 30, 5])
    for piece in (0, 8):
        found = list(of(setting, observed, 10, piece).passes(size=7))
        assert [place for batch in found for place in batch.places.tolist()] == list(range(55))
        assert all(batch.totals.tolist() == [20, 30, 5] for batch in found)
        torch.testing.assert_close(sum(batch.shares.sum(dim=0) for batch in found), torch.ones(3, dtype=torch.float64))


def test_a_plentiful_source_is_in_every_minibatch() -> None:
    features = np.zeros((1100, 1))
    observed = PositiveUnlabeled(0.4).observe(features, np.repeat([1, 0], [100, 1000]))
    batches = list(of(PositiveUnlabeled(0.4), observed, 50).epoch(0))
    assert len(batches) == 22
    assert {int((batch.marks == 0).sum()) for batch in batches} <= {4, 5}
    # Means are those of the rows that are there, so that four rows weigh as much as five.
    assert all(torch.equal(batch.totals, batch.evidence.inside.sum(dim=0)) for batch in batches)


@pytest.mark.parametrize("rows", [1, 2])
def test_one_row_is_an_epoch(rows: int) -> None:
    observed = PositiveUnlabeled(0.4).observe(np.zeros((rows + 1, 1)), np.array([1, *[0] * rows]))
    assert len(list(of(PositiveUnlabeled(0.4), observed, 256).epoch(0))) == 1
