"""What a search hands back, before knowledge is enforced on it."""

from dataclasses import dataclass

import numpy as np

from components.contracts import FloatArray
from components.discovery.constraints import BoolArray
from components.findings import Decision


@dataclass(frozen=True, eq=False)
class Found:
    """What one search of one table found. Matrices are [effect, cause].

    Attributes:
        weights: Direct effects in standard deviations of the effect per standard deviation of the cause; 0 is no edge.
            A method that models no lines gives the slopes of :func:`least_squares` on the parents. Cycles are allowed
            here; they are broken afterwards.
        confounded: Symmetric; the pair is held to share a hidden cause, or its path to run through a hidden variable.
        undirected: Symmetric; the pair is adjacent and its direction open.
        order: Causal order where the method has one; empty otherwise.
        decisions: Which test decided which pair, where the method keeps account.
        notes: Sentences a reader must know.
    """

    weights: FloatArray
    confounded: BoolArray
    undirected: BoolArray
    order: tuple[int, ...] = ()
    decisions: tuple[Decision, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def directed(cls, weights: FloatArray, order: tuple[int, ...] = (), notes: tuple[str, ...] = ()) -> "Found":
        """A graph of directed edges and nothing else."""
        nothing = np.zeros(weights.shape, dtype=np.bool_)
        return cls(weights, nothing, nothing, order, (), notes)


def least_squares(values: FloatArray, effect: int, parents: BoolArray) -> FloatArray:
    """[p] slopes of column ``effect`` of ``values`` [n, p] on the columns ``parents``, 0 elsewhere."""
    weights = np.zeros(values.shape[1])
    if parents.any():
        centred = values - values.mean(axis=0)
        weights[parents] = np.linalg.lstsq(centred[:, parents], centred[:, effect], rcond=None)[0]
    return weights


def slopes(values: FloatArray, edges: BoolArray) -> FloatArray:
    """[effect, cause] slopes of every column on its parents in ``edges``."""
    return np.stack([least_squares(values, effect, parents) for effect, parents in enumerate(edges)])
