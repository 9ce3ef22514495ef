"""With exact confidences and posteriors the entry a row's own label speaks of is exact, by Bayes' rule in a table."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import InputError
from components.weak.nuisance import confidence_transitions
from components.weak.nuisance.confidence import own_entries

SWITCH = np.array([[0.0, 0.5, 0.5], [1.0, 0.0, 0.0], [0.2, 0.8, 0.0]])


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000))
def test_the_entry_of_the_rows_own_label_is_found_exactly(seed: int) -> None:
    rng = np.random.default_rng(seed)
    clean = rng.dirichlet(np.ones(3), size=20)
    stays = rng.uniform(0.3, 0.95, size=(20, 3))
    truth = stays[:, :, None] * np.eye(3) + (1 - stays)[:, :, None] * SWITCH
    joint = clean[:, :, None] * truth  # [row, class, label]
    noisy = rng.integers(3, size=20)
    rows = np.arange(20)
    labelled = joint.sum(axis=1)
    confidence = joint[rows, noisy, noisy] / labelled[rows, noisy]
    found = confidence_transitions(confidence, noisy, labelled, clean, SWITCH)
    np.testing.assert_allclose(found[rows, noisy], truth[rows, noisy], atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=2), 1.0)
    others = [(row, k) for row in range(20) for k in range(3) if k != noisy[row] and (noisy == k).any()]
    for row, k in others:
        assert found[row, k, k] == pytest.approx(np.mean([truth[i, k, k] for i in range(20) if noisy[i] == k]))


def test_entries_stay_below_one_whatever_a_model_says() -> None:
    labelled, clean = np.array([[0.9, 0.1], [0.5, 0.5]]), np.array([[0.1, 0.9], [0.0, 1.0]])
    np.testing.assert_array_equal(own_entries(np.array([1.0, 0.5]), np.array([0, 0]), labelled, clean), [0.99, 0.99])


H = np.full((2, 3), 1 / 3)
R, Y = np.array([0.5, 1.0]), np.array([0, 2])


@pytest.mark.parametrize(
    ("confidence", "noisy", "labelled", "clean", "switch", "name"),
    [
        (R + 0.1, Y, H, H, SWITCH, "confidence must hold"),
        (R * np.nan, Y, H, H, SWITCH, "confidence must hold"),
        (R[:1], Y, H, H, SWITCH, "confidence must hold"),
        (R, Y + 1, H, H, SWITCH, "noisy must hold class numbers"),
        (R, Y, H * 2, H, SWITCH, "labelled must sum to one"),
        (R, Y, H, H * 2, SWITCH, "clean must sum to one"),
        (R, np.zeros(2, dtype=int), H, np.full((2, 2), 0.5), SWITCH, "clean must have the shape"),
        (R, Y, H, H, np.eye(3), "switch must have a row for each class and zeros"),
        (R, Y, H, H, SWITCH / 2, "switch must have rows of probabilities"),
        (R, Y, H, H, 1 - np.eye(2), "switch must have a row for each class"),
    ],
)
def test_bad_input_is_named(
    confidence: np.ndarray, noisy: np.ndarray, labelled: np.ndarray, clean: np.ndarray, switch: np.ndarray, name: str
) -> None:
    with pytest.raises(InputError, match=f"^{name}"):
        confidence_transitions(confidence, noisy, labelled, clean, switch)
