"""The nuisance that a setting leaves open, estimated from a sample of the rows before they are learnt from."""

import numpy as np
from numpy.typing import NDArray

from components.classifier.rows import Source
from components.contracts import FloatArray
from components.sampling import SAMPLE, WordArray, ranks
from components.weak import POSITIVE, NoiseUnknown, PriorUnknown, Setting, Settled, Unsettled


def settle(setting: Setting | Unsettled, rows: Source) -> Settled:
    """The setting with all its nuisances, and those that had to be estimated; ``rows`` are then read once more.

    Raises:
        InputError: The rows do not allow the estimate.
    """
    if isinstance(setting, PriorUnknown):
        return setting.settled(*_sample(rows))
    return Settled(setting.provisional if isinstance(setting, NoiseUnknown) else setting)


def _sample(rows: Source) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Features, and marks of the positives, of all rows, or of as many as a sample holds, each as likely as another."""
    features, labelled, lots = list[FloatArray](), list[NDArray[np.bool_]](), list[WordArray]()
    for chunk in rows.chunks():
        features.append(chunk.features.astype(np.float64))
        labelled.append(np.asarray(chunk.marks == POSITIVE))
        lots.append(ranks(chunk.places))
        if sum(map(len, lots)) > SAMPLE:
            all_lots = np.concatenate(lots)
            drawn = np.sort(np.argpartition(all_lots, SAMPLE)[:SAMPLE])
            features, labelled = [np.concatenate(features)[drawn]], [np.concatenate(labelled)[drawn]]
            lots = [all_lots[drawn]]
    return np.concatenate(features), np.concatenate(labelled)
