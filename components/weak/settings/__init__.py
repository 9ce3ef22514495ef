"""The settings of weak supervision: what is observed in the place of clean labels."""

from typing import get_args

from components.weak.settings.bags import LabelProportions
from components.weak.settings.confidences import ConfidenceDifference, PositiveConfidence, SimilarityConfidence
from components.weak.settings.labels import ComplementaryLabels, NoisyLabels
from components.weak.settings.pairs import (
    DissimilarUnlabeled,
    PairwiseComparison,
    SimilarDissimilar,
    SimilarDissimilarUnlabeled,
    SimilarUnlabeled,
)
from components.weak.settings.sets import MultipleComplementary, PartialLabels
from components.weak.settings.setting import Setting
from components.weak.settings.several_classes import SemiSupervised, SeveralPositives, UnlabeledSets
from components.weak.settings.two_classes import (
    NegativeUnlabeled,
    PositiveNegative,
    PositiveNegativeUnlabeled,
    PositiveUnlabeled,
    UnlabeledUnlabeled,
)

AnySetting = (
    PositiveNegative
    | PositiveUnlabeled
    | NegativeUnlabeled
    | PositiveNegativeUnlabeled
    | UnlabeledUnlabeled
    | UnlabeledSets
    | SemiSupervised
    | SeveralPositives
    | LabelProportions
    | SimilarUnlabeled
    | DissimilarUnlabeled
    | SimilarDissimilar
    | SimilarDissimilarUnlabeled
    | PairwiseComparison
    | PositiveConfidence
    | SimilarityConfidence
    | ConfidenceDifference
    | NoisyLabels
    | ComplementaryLabels
    | MultipleComplementary
    | PartialLabels
)

SETTINGS: dict[str, type[AnySetting]] = {setting.kind: setting for setting in get_args(AnySetting)}

__all__ = [
    "SETTINGS",
    "AnySetting",
    "ComplementaryLabels",
    "ConfidenceDifference",
    "DissimilarUnlabeled",
    "LabelProportions",
    "MultipleComplementary",
    "NegativeUnlabeled",
    "NoisyLabels",
    "PairwiseComparison",
    "PartialLabels",
    "PositiveConfidence",
    "PositiveNegative",
    "PositiveNegativeUnlabeled",
    "PositiveUnlabeled",
    "SemiSupervised",
    "Setting",
    "SeveralPositives",
    "SimilarDissimilar",
    "SimilarDissimilarUnlabeled",
    "SimilarUnlabeled",
    "SimilarityConfidence",
    "UnlabeledSets",
    "UnlabeledUnlabeled",
]
