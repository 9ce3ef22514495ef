"""Known mistakes of published code, each put into the library and each found by an oracle of these tests.

The oracles are asked first without a mistake, so that none passes by refusing everything.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch

import components.weak.aggregates as aggregates
import components.weak.channel as channel
import components.weak.correction as correction
import components.weak.rewrite as rewrite
import components.weak.weak_risk as weak_risk
from components.weak import AGGREGATES, Evidence, Forward, Inverse, NonNegative
from components.weak.losses import columns
from tests.components.weak.test_aggregates import enumerated
from tests.components.weak.worlds import Case, make

Patch = pytest.MonkeyPatch


def risk_is_clean(name: str) -> None:
    """E1, E2: group by group the clean risk of an arbitrary table."""
    for seed in range(4):
        case = make(name, seed)
        losses = np.random.default_rng(seed).normal(size=case.world.joint.shape)
        np.testing.assert_allclose(case.groups(losses, Inverse()), case.world.clean(losses), rtol=0, atol=1e-10)


def unbalanced_risk_is_clean(name: str) -> None:
    """Sources in other numbers than among all rows: the risk stays."""
    for seed in range(4):
        case = make(name, seed)
        losses = np.random.default_rng(seed).normal(size=case.world.joint.shape)
        counts = case.setting.counts(case.observed.marks, case.observed.weights)
        risk = case.setting.risk(counts, lambda table: table, Inverse(), None, torch.float64)
        more = case.weights * torch.linspace(1, 9, len(counts), dtype=torch.float64)[case.marks]
        found = risk.groups(torch.from_numpy(losses)[case.at], risk.evidence(case.marks, more))
        np.testing.assert_allclose(found.numpy(), case.world.clean(losses), rtol=0, atol=1e-10)


def forward_is_likelihood() -> None:
    """Minus the log of (T' g) at the noisy label, row by row."""
    case, logits = noisy_rows()
    risk = case.risk(Forward())
    g = torch.softmax(logits, dim=1)
    transition = torch.tensor(case.setting.transition, dtype=torch.float64)  # type: ignore[attr-defined]
    wanted = -(g @ transition).gather(1, case.marks[:, None]).log()
    found = risk.rewrite.losses(logits, risk.evidence(case.marks), risk.tilt, risk.loss)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


def noisy_rows() -> tuple[Case, torch.Tensor]:
    case = make("noisy_labels", 3)
    table = torch.from_numpy(np.random.default_rng(3).normal(size=case.world.joint.shape))
    return case, table[case.at]


def step_back_is_alone() -> None:
    """E4: value and gradient of nnPU while a class is violated."""
    theta = torch.tensor([0.3, 0.8], dtype=torch.float64, requires_grad=True)
    groups = torch.stack([theta[0] ** 2, theta[1] - 2])
    weights = torch.tensor([[0.4, 0.0], [-0.4, 1.0]], dtype=torch.float64)
    method = NonNegative(beta=0.5, gamma=0.5)
    value = method.objective(groups, weights)
    (slope,) = torch.autograd.grad(value, theta)
    assert slope.tolist() == [0.0, -0.5]
    assert float(value.detach()) == pytest.approx(0.09 - 0.5)


def counts_are_enumerated() -> None:
    """E10: marginals of the rows of a bag against all assignments."""
    logits = np.random.default_rng(0).normal(scale=2, size=(5, 2))
    _, wanted = enumerated("count", logits)
    facts = torch.tensor(list(wanted))
    found = AGGREGATES["count"]().posterior(torch.from_numpy(logits).expand(len(facts), -1, -1), facts)
    np.testing.assert_allclose(found.numpy(), np.stack(list(wanted.values())), atol=1e-10)


def other_sign_on_unlabeled(patch: Patch) -> None:
    right = channel.decontamination

    def wrong(mixture: object, prior: object, counts: object) -> np.ndarray:
        matrix = right(mixture, prior, counts)  # type: ignore[arg-type]
        return np.column_stack([matrix[:, 0], matrix[::-1, 1]])  # l(x) where l(-x) is meant

    patch.setattr(channel, "decontamination", wrong)


def gradient_of_the_positives_kept(patch: Patch) -> None:
    def wrong(self: NonNegative, groups: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        violated = correction.correctable(weights) & (groups < -self.beta)
        step = torch.where(violated, -self.gamma * groups, groups).sum()
        reported = torch.where(correction.correctable(weights), groups.clamp(min=-self.beta), groups).sum()
        return step + (reported - step).detach()

    patch.setattr(NonNegative, "objective", wrong)


def flat_means(patch: Patch) -> None:
    def wrong(losses: torch.Tensor, inside: torch.Tensor, table: torch.Tensor, totals: object = None) -> torch.Tensor:
        made = wrong.shares  # type: ignore[attr-defined]  # of all rows
        return ((inside / made) @ table.T * losses).sum(0) / inside.sum()

    right = weak_risk.build_risk

    def remember(setting: object, made: channel.Channel, *rest: object) -> object:
        wrong.shares = torch.tensor(np.array(made.shares()))  # type: ignore[attr-defined]
        return right(setting, made, *rest)  # type: ignore[arg-type]

    patch.setattr(weak_risk, "reduced", wrong)
    patch.setattr("components.weak.settings.setting.build_risk", remember)


def transposed(patch: Patch) -> None:
    right = channel.LabelChannel.__init__

    def wrong(self: channel.LabelChannel, transition: np.ndarray, *rest: object) -> None:
        turned = transition.T / transition.T.sum(axis=1, keepdims=True)
        right(self, turned, *rest)  # type: ignore[arg-type]

    patch.setattr(channel.LabelChannel, "__init__", wrong)


def softmax_twice(patch: Patch) -> None:
    patch.setattr(rewrite, "columns", lambda logits: torch.softmax(columns(logits), dim=-1))


def transition_accumulates(patch: Patch) -> None:
    right = rewrite.likelihood_of

    def wrong(evidence: Evidence) -> torch.Tensor:
        rows = right(evidence).exp()
        slack = 0.01 * torch.arange(len(rows), dtype=rows.dtype)[:, None]  # row i sees the revision i times
        return (rows + slack).log()

    patch.setattr(rewrite, "likelihood_of", wrong)


def mean_divided_twice(patch: Patch) -> None:
    right = weak_risk.reduced

    def wrong(losses: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        return right(losses, *rest) / len(losses)

    patch.setattr(weak_risk, "reduced", wrong)


def dropped_and_not_clamped(patch: Patch) -> None:
    right = NonNegative.objective

    def wrong(self: NonNegative, groups: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        step = right(self, groups, weights)
        kept = torch.where(correction.correctable(weights) & (groups < -self.beta), 0.0, groups).sum()
        return step + (kept - step).detach()

    patch.setattr(NonNegative, "objective", wrong)


def prior_from_the_minibatch(patch: Patch) -> None:
    right = weak_risk.reduced

    def wrong(losses: torch.Tensor, inside: torch.Tensor, table: torch.Tensor, totals: object = None) -> torch.Tensor:
        drawn = inside.sum(0) / inside.sum()
        return right(losses, inside, table / wrong.shares * drawn)  # type: ignore[attr-defined]

    build = weak_risk.build_risk

    def remember(setting: object, made: channel.Channel, *rest: object) -> object:
        wrong.shares = torch.tensor(np.array(made.shares()))  # type: ignore[attr-defined]
        return build(setting, made, *rest)  # type: ignore[arg-type]

    patch.setattr(weak_risk, "reduced", wrong)
    patch.setattr("components.weak.settings.setting.build_risk", remember)


def forward_and_backward(patch: Patch, emissions: int) -> None:
    """The posterior of a count by recursions over the bag; the backward one emits the negative class so many times."""

    def step(last: torch.Tensor, is_not: torch.Tensor, is_of: torch.Tensor) -> torch.Tensor:
        return last * is_not + torch.cat([last.new_zeros(1), last[:-1]]) * is_of

    def posterior(self: aggregates.Count, logits: torch.Tensor, observed: torch.Tensor) -> torch.Tensor:
        g = torch.softmax(logits, dim=-1)
        units, rows, _ = g.shape
        table = torch.empty_like(g)
        for unit in range(units):
            p, n = g[unit, :, 0], int(observed[unit])
            before, after = [torch.eye(rows + 2, dtype=g.dtype)[0]], [torch.eye(rows + 2, dtype=g.dtype)[0]]
            for row in range(rows):
                before.append(step(before[-1], 1 - p[row], p[row]))
                back = rows - 1 - row
                after.insert(0, step(after[0], (1 - p[back]) ** emissions, p[back]))
            for row in range(rows):
                yes = sum((before[row][k] * p[row] * after[row + 1][n - 1 - k] for k in range(n)), g.new_zeros(()))
                no = sum((before[row][k] * (1 - p[row]) * after[row + 1][n - k] for k in range(n + 1)), g.new_zeros(()))
                table[unit, row] = torch.stack([yes, no]) / (yes + no)
        return table

    patch.setattr(aggregates.Count, "posterior", posterior)


def odd_states_emit(patch: Patch) -> None:
    forward_and_backward(patch, emissions=2)


MISTAKES: dict[str, tuple[Callable[[Patch], None], Callable[[], None]]] = {
    "l(x) for l(-x) on unlabeled rows": (other_sign_on_unlabeled, lambda: risk_is_clean("positive_unlabeled")),
    "the gradient of the positives in the step back": (gradient_of_the_positives_kept, step_back_is_alone),
    "flat means": (flat_means, lambda: unbalanced_risk_is_clean("unlabeled_sets")),
    "a transposed transition, backwards": (transposed, lambda: risk_is_clean("noisy_labels")),
    "a transposed transition, forwards": (transposed, forward_is_likelihood),
    "softmax twice": (softmax_twice, forward_is_likelihood),
    "a transition that accumulates from row to row": (transition_accumulates, forward_is_likelihood),
    "a mean divided twice": (mean_divided_twice, lambda: risk_is_clean("complementary_labels")),
    "negative classes dropped and not clamped": (dropped_and_not_clamped, step_back_is_alone),
    "shares of labels from the minibatch": (
        prior_from_the_minibatch,
        lambda: unbalanced_risk_is_clean("complementary_labels"),
    ),
    "states that emit once too often": (odd_states_emit, counts_are_enumerated),
}
each = pytest.mark.parametrize("mistake", list(MISTAKES))


@each
def test_the_oracle_passes_what_is_right(mistake: str) -> None:
    MISTAKES[mistake][1]()


@each
def test_the_oracle_finds_the_mistake(mistake: str, monkeypatch: Patch) -> None:
    plant, oracle = MISTAKES[mistake]
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        oracle()


def test_flat_means_are_right_on_all_rows_and_so_no_other_oracle_finds_them(monkeypatch: Patch) -> None:
    flat_means(monkeypatch)
    risk_is_clean("unlabeled_sets")


def test_the_recursion_without_the_mistake_passes(monkeypatch: Patch) -> None:
    forward_and_backward(monkeypatch, emissions=1)
    counts_are_enumerated()
