"""Bayesian learning: a fit gives a Gaussian posterior, and every update's prior is the last posterior."""

from components.bayes.continual import Continual
from components.bayes.gaussian import Layout, divergence, from_moments, isotropic, merged, removed, tempered
from components.bayes.ivon import Ivon

BayesRule = Ivon
Update = Continual

METHODS: dict[str, type[BayesRule | Update]] = {"ivon": Ivon, "continual": Continual}

__all__ = [
    "METHODS",
    "BayesRule",
    "Continual",
    "Ivon",
    "Layout",
    "Update",
    "divergence",
    "from_moments",
    "isotropic",
    "merged",
    "removed",
    "tempered",
]
