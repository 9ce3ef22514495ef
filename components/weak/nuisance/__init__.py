"""What weak labels leave open, estimated: the class prior of positives and unlabeled rows, the table of label noise."""

from typing import get_args

from components.weak.nuisance.anchors import Anchors
from components.weak.nuisance.belief import prior_among_unlabelled
from components.weak.nuisance.confidence import confidence_transitions
from components.weak.nuisance.confident_joint import ConfidentJoint
from components.weak.nuisance.dual import DualTransition
from components.weak.nuisance.elkan_noto import ElkanNoto
from components.weak.nuisance.kernel_mean import KernelMean
from components.weak.nuisance.structure import Structured, also_taken_for, neighbours, within_groups
from components.weak.nuisance.transition import (
    EstimatedTransition,
    EstimatesTransition,
    estimate_transition,
    relative_error,
)

TransitionMethod = Anchors | DualTransition | ConfidentJoint | Structured

TRANSITION_METHODS: dict[str, type[TransitionMethod]] = {method.kind: method for method in get_args(TransitionMethod)}

__all__ = [
    "TRANSITION_METHODS",
    "Anchors",
    "ConfidentJoint",
    "DualTransition",
    "ElkanNoto",
    "EstimatedTransition",
    "EstimatesTransition",
    "KernelMean",
    "Structured",
    "TransitionMethod",
    "also_taken_for",
    "confidence_transitions",
    "estimate_transition",
    "neighbours",
    "prior_among_unlabelled",
    "relative_error",
    "within_groups",
]
