"""Tuning in random subspaces with true curvature; the result is never worse than the start."""

from components.subspace.trust_region import Iteration, SubspaceTrustRegion, Tuned

Tuning = SubspaceTrustRegion

METHODS: dict[str, type[Tuning]] = {"subspace_trust_region": SubspaceTrustRegion}

__all__ = ["METHODS", "Iteration", "SubspaceTrustRegion", "Tuned", "Tuning"]
