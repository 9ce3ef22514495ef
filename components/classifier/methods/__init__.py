"""The methods a classifier can be trained by.

``AnyMethod`` are those that a form can hold; ``ConfidenceScored`` needs a number for each row.
"""

from typing import get_args

from components.classifier.methods.co_teaching import CoTeaching
from components.classifier.methods.co_teaching_plus import CoTeachingPlus
from components.classifier.methods.confidence_scored import ConfidenceScored
from components.classifier.methods.estimated_transition import EstimatedNoise
from components.classifier.methods.manifold_regularised import ManifoldRegularised
from components.classifier.methods.method import Method
from components.classifier.methods.part_dependent import PartDependent
from components.classifier.methods.risk_minimisation import RiskMinimisation
from components.classifier.methods.sigua import Sigua
from components.classifier.methods.total_variation import TotalVariation
from components.classifier.methods.transition_revision import TransitionRevision
from components.classifier.methods.volume_minimisation import VolumeMinimisation

AnyMethod = (
    RiskMinimisation
    | EstimatedNoise
    | VolumeMinimisation
    | TotalVariation
    | TransitionRevision
    | PartDependent
    | ManifoldRegularised
    | CoTeaching
    | CoTeachingPlus
    | Sigua
)

METHODS: dict[str, type[AnyMethod]] = {method.kind: method for method in get_args(AnyMethod)}

__all__ = [
    "METHODS",
    "AnyMethod",
    "CoTeaching",
    "CoTeachingPlus",
    "ConfidenceScored",
    "EstimatedNoise",
    "ManifoldRegularised",
    "Method",
    "PartDependent",
    "RiskMinimisation",
    "Sigua",
    "TotalVariation",
    "TransitionRevision",
    "VolumeMinimisation",
]
