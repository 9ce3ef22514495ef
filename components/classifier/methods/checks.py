"""Bounds that the fields of several methods share."""

from math import inf

from components.errors import InputError


def check_epochs(warm_up_epochs: int, least: int = 1) -> None:
    """Refuse a warm-up shorter than ``least`` epochs."""
    if warm_up_epochs < least:
        raise InputError(f"warm_up_epochs must be at least {least}, got {warm_up_epochs}")


def check_positive(name: str, value: float) -> None:
    """Refuse what is not positive and finite."""
    if not 0 < value < inf:
        raise InputError(f"{name} must be positive and finite, got {value}")


def check_weight(name: str, value: float) -> None:
    """Refuse what is negative or not finite."""
    if not 0 <= value < inf:
        raise InputError(f"{name} must be at least 0 and finite, got {value}")


def check_inside(name: str, value: float) -> None:
    """Refuse what does not lie in (0, 1)."""
    if not 0 < value < 1:
        raise InputError(f"{name} must lie in (0, 1), got {value}")
