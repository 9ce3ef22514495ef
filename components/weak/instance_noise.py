"""Labels that are wrong by habit, where the habit depends on the row.

The chance of a mistake is normal around a rate with deviation 0.1, cut off at 0 and 1; what the row is mistaken for
depends on a random projection of its features, one for each class.

Xia, Liu, Han, Wang, Gong, Liu, Niu, Tao, Sugiyama, Part-dependent label noise: towards instance-dependent label noise,
NeurIPS 2020.
"""

import numpy as np

from components.contracts import FloatArray
from components.errors import InputError
from components.weak.observed import Clean, IntArray
from components.weak.simulators import drawn_from

SPREAD = 0.1  # standard deviation of a row's chance of a mistake


def instance_noise(clean: Clean, rate: float, seed: int = 0) -> tuple[IntArray, FloatArray]:
    """A noisy label for each row of ``clean``, and the tables they were drawn from.

    Args:
        clean: Fully labelled rows; there are as many classes as the largest label tells.
        rate: Mean chance of a mistake, in (0, 1).
        seed: Of all chance.

    Returns:
        [n] noisy labels, and [n, K, K] P(noisy label | x, clean class).

    Raises:
        InputError: The rate lies outside (0, 1), or there is one class only.
    """
    from scipy.special import softmax
    from scipy.stats import truncnorm

    rows, classes = len(clean.labels), int(clean.labels.max()) + 1
    if not 0 < rate < 1:
        raise InputError(f"rate must lie in (0, 1), got {rate}")
    if classes < 2:
        raise InputError("labels must be of two classes or more, got one")
    generator = np.random.default_rng(seed)
    wrong = truncnorm.rvs(-rate / SPREAD, (1 - rate) / SPREAD, rate, SPREAD, size=rows, random_state=generator)
    tables = np.empty((rows, classes, classes))
    for label in range(classes):
        scores = clean.features @ generator.standard_normal((clean.features.shape[1], classes))
        scores[:, label] = -np.inf
        tables[:, label] = wrong[:, None] * softmax(scores, axis=1)
        tables[:, label, label] = 1 - wrong
    return drawn_from(tables[np.arange(rows), clean.labels], generator), tables
