"""A transition matrix for each row, from how sure somebody was of its label.

With r = P(clean = noisy | noisy, x), Bayes' rule gives the one entry that the row's own label speaks of,

    T(x)[y, y] = P(noisy = y | clean = y, x) = r P(noisy = y | x) / P(clean = y | x)

for y the row's label; the other classes keep the mean of the entries of rows with their label, and what is left of
every row of T(x) is spread as the switch matrix says:  T(x)[j] = m[j] e_j + (1 - m[j]) switch[j].

Berthon, Han, Niu, Liu, Sugiyama, Confidence scores make instance-dependent label-noise learning possible, ICML 2021.
"""

import numpy as np

from components.contracts import FloatArray
from components.errors import InputError
from components.weak.channel import check_stochastic
from components.weak.nuisance.transition import Labels, checked

HIGHEST = 0.99  # no label is taken to be beyond doubt


def confidence_transitions(
    confidence: FloatArray, noisy: Labels, labelled: FloatArray, clean: FloatArray, switch: FloatArray
) -> FloatArray:
    """[n, K, K] P(noisy label (last axis) | clean class) of each row.

    Args:
        confidence: [n] P(the label is right | label, x), in [0, 1].
        noisy: [n] label of each row, 0 to K - 1.
        labelled: [n, K] predicted P(noisy label | x), rows sum to one.
        clean: [n, K] predicted P(class | x), rows sum to one; those of the model that is being learned.
        switch: [K, K] where a wrong label of each class (rows) goes; zeros on the diagonal, rows sum to one.

    Raises:
        InputError: One of these is not what it should be.
    """
    labelled, noisy = checked(labelled, noisy, "labelled")
    clean, noisy = checked(clean, noisy, "clean")
    sure = np.asarray(confidence, dtype=np.float64)
    if clean.shape != labelled.shape:
        raise InputError(f"clean must have the shape of labelled, {labelled.shape}, got {clean.shape}")
    if sure.shape != noisy.shape or not ((sure >= 0) & (sure <= 1)).all():
        raise InputError(
            f"confidence must hold one number in [0, 1] for each of {len(noisy)} rows, got {sure.tolist()}"
        )
    check_stochastic("switch", switch)
    if switch.shape != (labelled.shape[1],) * 2 or np.diag(switch).any():
        raise InputError(f"switch must have a row for each class and zeros on the diagonal, got {switch.tolist()}")
    own = own_entries(sure, noisy, labelled, clean)
    kept = np.tile(_means(own, noisy, labelled.shape[1]), (len(noisy), 1))
    kept[np.arange(len(noisy)), noisy] = own
    return np.asarray(kept[:, :, None] * np.eye(labelled.shape[1]) + (1 - kept)[:, :, None] * switch)


def own_entries(confidence: FloatArray, noisy: Labels, labelled: FloatArray, clean: FloatArray) -> FloatArray:
    """[n] T(x)[y, y] of each row's own label y, at most 0.99."""
    rows = np.arange(len(noisy))
    joint, alone = confidence * labelled[rows, noisy], clean[rows, noisy]
    # A model that has not learned yet may find the class impossible: the entry is then as large as it can be.
    return np.where(joint < HIGHEST * alone, joint / np.where(alone > 0, alone, 1.0), HIGHEST)


def _means(values: FloatArray, noisy: Labels, classes: int) -> FloatArray:
    """[K] mean of ``values`` [n] of the rows with each label; of all rows for a label that no row has."""
    counts = np.bincount(noisy, minlength=classes)
    sums = np.bincount(noisy, values, minlength=classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), values.mean())
