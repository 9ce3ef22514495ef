"""The methods a classifier can be trained by."""

from typing import get_args

from components.classifier.methods.method import Method
from components.classifier.methods.risk_minimisation import RiskMinimisation

AnyMethod = RiskMinimisation

METHODS: dict[str, type[AnyMethod]] = {method.kind: method for method in (get_args(AnyMethod) or (AnyMethod,))}

__all__ = ["METHODS", "AnyMethod", "Method", "RiskMinimisation"]
