"""Learning from labels that say only part of the truth.

A channel says what each source of rows holds; its decontamination turns losses over sources into the risk of each
class; a correction keeps those risks from turning negative; and a class prior method finds the one number that
positives and unlabeled rows leave open.
"""

from typing import get_args

from components.weak.best_bin import BestBin
from components.weak.channel import NEGATIVE, POSITIVE, decontamination, fully_labelled, positive_unlabeled
from components.weak.class_prior import Estimates
from components.weak.correction import Absolute, NonNegative, Uncorrected, correctable
from components.weak.declared import Declared
from components.weak.risk import group_risks, logistic_losses, sigmoid_losses, source_totals
from components.weak.saturating_logistic import SaturatingLogistic

RiskCorrection = Uncorrected | NonNegative | Absolute
ClassPrior = SaturatingLogistic | BestBin | Declared

CORRECTIONS: dict[str, type[RiskCorrection]] = {method.kind: method for method in get_args(RiskCorrection)}
CLASS_PRIORS: dict[str, type[ClassPrior]] = {method.kind: method for method in get_args(ClassPrior)}
METHODS: dict[str, type[RiskCorrection | ClassPrior]] = {**CORRECTIONS, **CLASS_PRIORS}

__all__ = [
    "CLASS_PRIORS",
    "CORRECTIONS",
    "METHODS",
    "NEGATIVE",
    "POSITIVE",
    "Absolute",
    "BestBin",
    "ClassPrior",
    "Declared",
    "Estimates",
    "NonNegative",
    "RiskCorrection",
    "SaturatingLogistic",
    "Uncorrected",
    "correctable",
    "decontamination",
    "fully_labelled",
    "group_risks",
    "logistic_losses",
    "positive_unlabeled",
    "sigmoid_losses",
    "source_totals",
]
