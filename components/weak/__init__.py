"""Learning from labels that say only part of the truth.

A channel says what observations tell of the classes; a rewrite turns losses of all classes into the risk of a clean
classifier; a correction keeps the risk of a class from turning negative; a setting names what is observed and puts
them together. A class prior method finds the one number that positives and unlabeled rows leave open.
"""

from typing import get_args

from components.weak.aggregates import AGGREGATES, Aggregate, AnyPositive, Count, Likeness, Order
from components.weak.best_bin import BestBin
from components.weak.channel import (
    NEGATIVE,
    POSITIVE,
    BagChannel,
    Channel,
    LabelChannel,
    RowChannel,
    SourceChannel,
    decontamination,
)
from components.weak.class_prior import Estimates
from components.weak.correction import Absolute, Floored, Leaky, NonNegative, RiskCorrection, Uncorrected, correctable
from components.weak.declared import Declared
from components.weak.evidence import Evidence
from components.weak.losses import (
    CrossEntropy,
    DoubleHinge,
    Exponential,
    ExponentialProbability,
    Logistic,
    Loss,
    Losses,
    MarginLoss,
    MeanAbsolute,
    Sigmoid,
    Squared,
    ZeroOne,
)
from components.weak.nuisance.elkan_noto import ElkanNoto
from components.weak.nuisance.kernel_mean import KernelMean
from components.weak.observed import Clean, Observed, Simulated
from components.weak.rewrite import Forward, Inverse, PosteriorRewrite, Reweight, Rewrite, Surrogate
from components.weak.risk import group_risks, reduced, source_totals
from components.weak.samples import fully_labelled, positive_unlabeled
from components.weak.saturating_logistic import SaturatingLogistic
from components.weak.settings import (
    SETTINGS,
    AnySetting,
    ComplementaryLabels,
    ConfidenceDifference,
    DissimilarUnlabeled,
    LabelProportions,
    MultipleComplementary,
    NegativeUnlabeled,
    NoisyLabels,
    PairwiseComparison,
    PartialLabels,
    PositiveConfidence,
    PositiveNegative,
    PositiveNegativeUnlabeled,
    PositiveUnlabeled,
    SemiSupervised,
    Setting,
    SeveralPositives,
    SimilarDissimilar,
    SimilarDissimilarUnlabeled,
    SimilarityConfidence,
    SimilarUnlabeled,
    UnlabeledSets,
    UnlabeledUnlabeled,
)
from components.weak.unsettled import UNSETTLED, ClassPrior, NoiseUnknown, PriorUnknown, Settled, Unsettled
from components.weak.weak_risk import WeakRisk

CORRECTIONS: dict[str, type[RiskCorrection]] = {method.kind: method for method in get_args(RiskCorrection)}
CLASS_PRIORS: dict[str, type[ClassPrior]] = {method.kind: method for method in get_args(ClassPrior)}
METHODS: dict[str, type[RiskCorrection | ClassPrior]] = {**CORRECTIONS, **CLASS_PRIORS}
LOSSES: dict[str, type[Loss]] = {loss.kind: loss for loss in get_args(Loss)}
REWRITES: dict[str, type[Rewrite]] = {rewrite.kind: rewrite for rewrite in get_args(Rewrite)}

__all__ = [
    "AGGREGATES",
    "CLASS_PRIORS",
    "CORRECTIONS",
    "LOSSES",
    "METHODS",
    "NEGATIVE",
    "POSITIVE",
    "REWRITES",
    "SETTINGS",
    "UNSETTLED",
    "Absolute",
    "Aggregate",
    "AnyPositive",
    "AnySetting",
    "BagChannel",
    "BestBin",
    "Channel",
    "ClassPrior",
    "Clean",
    "ComplementaryLabels",
    "ConfidenceDifference",
    "Count",
    "CrossEntropy",
    "Declared",
    "DissimilarUnlabeled",
    "DoubleHinge",
    "ElkanNoto",
    "Estimates",
    "Evidence",
    "Exponential",
    "ExponentialProbability",
    "Floored",
    "Forward",
    "Inverse",
    "KernelMean",
    "LabelChannel",
    "LabelProportions",
    "Leaky",
    "Likeness",
    "Logistic",
    "Loss",
    "Losses",
    "MarginLoss",
    "MeanAbsolute",
    "MultipleComplementary",
    "NegativeUnlabeled",
    "NoiseUnknown",
    "NoisyLabels",
    "NonNegative",
    "Observed",
    "Order",
    "PairwiseComparison",
    "PartialLabels",
    "PositiveConfidence",
    "PositiveNegative",
    "PositiveNegativeUnlabeled",
    "PositiveUnlabeled",
    "PosteriorRewrite",
    "PriorUnknown",
    "Reweight",
    "Rewrite",
    "RiskCorrection",
    "RowChannel",
    "SaturatingLogistic",
    "SemiSupervised",
    "Setting",
    "Settled",
    "SeveralPositives",
    "Sigmoid",
    "SimilarDissimilar",
    "SimilarDissimilarUnlabeled",
    "SimilarUnlabeled",
    "SimilarityConfidence",
    "Simulated",
    "SourceChannel",
    "Squared",
    "Surrogate",
    "Uncorrected",
    "UnlabeledSets",
    "UnlabeledUnlabeled",
    "Unsettled",
    "WeakRisk",
    "ZeroOne",
    "correctable",
    "decontamination",
    "fully_labelled",
    "group_risks",
    "positive_unlabeled",
    "reduced",
    "source_totals",
]
