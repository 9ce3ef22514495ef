"""Scores with intervals, baselines that correct nothing, and the gates of the registry."""

from components.evaluation.baselines import NaiveBoosting, NaiveLogistic, Predictor
from components.evaluation.bootstrap import Interval, Resamples, resample, resampled
from components.evaluation.gates import Gate, GateResult, decide, load_gates
from components.evaluation.ladder import limits
from components.evaluation.metrics import METRICS, Metric
from components.evaluation.scorecard import OURS, Bootstrapped, Difference, Groups, Scored

Evaluation = Bootstrapped
METHODS: dict[str, type[Evaluation]] = {"bootstrapped": Bootstrapped}

Baseline = NaiveLogistic | NaiveBoosting
BASELINES: dict[str, type[Baseline]] = {"logistic regression": NaiveLogistic, "gradient boosting": NaiveBoosting}

__all__ = [
    "BASELINES",
    "METHODS",
    "METRICS",
    "OURS",
    "Baseline",
    "Bootstrapped",
    "Difference",
    "Evaluation",
    "Gate",
    "GateResult",
    "Groups",
    "Interval",
    "Metric",
    "NaiveBoosting",
    "NaiveLogistic",
    "Predictor",
    "Resamples",
    "Scored",
    "decide",
    "limits",
    "load_gates",
    "resample",
    "resampled",
]
