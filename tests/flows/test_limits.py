"""The bounds of the forms are those of the methods, neither wider nor narrower."""

import dataclasses
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass
from functools import cache
from typing import get_args, get_type_hints

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import InputError
from flows.configuration import PLANS
from flows.forms import form_of
from flows.limits import limits


@dataclass(frozen=True)
class Ruled:
    """Rules of every sort."""

    count: int = 3
    most: int = 7
    share: float = 0.5
    half_open: float = 0.25
    above: float = 2.0
    finite: float = 1.0
    at_the_edge: float = 0.0
    free: float = 0.0
    low: float = 0.2
    high: float = 0.4

    def __post_init__(self) -> None:
        if self.count < 3:
            raise InputError(f"count must be at least 3, got {self.count}")
        if not -20 <= self.most <= 10_000_000:
            raise InputError(f"most must lie in [-20, 10000000], got {self.most}")
        if not 0 <= self.share <= 1:
            raise InputError(f"share must lie in [0, 1], got {self.share}")
        if not 0.1 < self.half_open <= 0.3:
            raise InputError(f"half_open must lie in (0.1, 0.3], got {self.half_open}")
        if not self.above > 0:
            raise InputError(f"above must be positive, got {self.above}")
        if not 0 < self.finite < math.inf:
            raise InputError(f"finite must be positive and finite, got {self.finite}")
        if self.at_the_edge < 0:
            raise InputError(f"at_the_edge must not be negative, got {self.at_the_edge}")
        if self.low > self.high:
            raise InputError(f"low must not exceed high {self.high}, got {self.low}")


EXPECTED: dict[str, dict[str, float]] = {
    "count": {"minimum": 3},
    "most": {"minimum": -20, "maximum": 10_000_000},
    "share": {"minimum": 0.0, "maximum": 1.0},
    "half_open": {"exclusiveMinimum": 0.1, "maximum": 0.3},
    "above": {"exclusiveMinimum": 0.0},
    "finite": {"exclusiveMinimum": 0.0},
    "at_the_edge": {"minimum": 0.0},
    "free": {},
    "low": {},  # a rule that ties two fields together bounds neither
    "high": {},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_rules_that_are_known_are_found(name: str) -> None:
    hint = get_type_hints(Ruled)[name]
    found = limits(Ruled, name, hint)
    assert found == EXPECTED[name]
    assert {type(bound) for bound in found.values()} <= {hint}


@dataclass(frozen=True)
class WithoutDefaults:
    """One that cannot be asked."""

    count: int


def test_a_method_that_cannot_be_made_without_values_has_no_bounds() -> None:
    assert limits(WithoutDefaults, "count", int) == {}


def methods(method: type) -> Iterator[type]:
    """A method and all that stand below it, every member of a union."""
    yield method
    for hint in get_type_hints(method).values():
        for member in (hint, *get_args(hint)):
            if dataclasses.is_dataclass(member) and isinstance(member, type):
                yield from methods(member)


def can_be_made_without_values(method: type) -> bool:
    usual = (
        field.default_factory if field.default is MISSING else field.default for field in dataclasses.fields(method)
    )
    return MISSING not in usual


EVERY = sorted({each for plan in PLANS.values() for each in methods(plan)}, key=lambda method: method.__name__)
NUMBERS = [
    (method, field.name)
    for method in filter(can_be_made_without_values, EVERY)
    for field in dataclasses.fields(method)
    if get_type_hints(method)[field.name] in (int, float)
]


def refusal(method: type, name: str, value: float) -> str:
    """What the method says to a value; empty when it takes it, or when its rule is about another field as well."""
    try:
        method(**{name: value})
    except InputError as error:
        others = {field.name for field in dataclasses.fields(method)} - {name}
        return "" if others & set(re.findall(r"\w+", str(error))) else str(error)
    return ""


@cache
def form_takes(method: type, name: str) -> Callable[[float], bool]:
    schema = form_of(method).model_json_schema()["properties"][name]
    return jsonschema.Draft202012Validator(schema).is_valid


NEAR, FAR = st.integers(-3, 30), st.integers(-(10**9), 10**9)
PARTS = st.floats(-2, 3).filter(lambda value: value == 0 or abs(value) > 1e-9)


@given(st.sampled_from(NUMBERS), NEAR | FAR, PARTS)
@settings(max_examples=1500)
def test_the_form_takes_a_number_when_the_method_does(field: tuple[type, str], whole: int, part: float) -> None:
    method, name = field
    values = [whole] if get_type_hints(method)[name] is int else [float(whole), part]
    for value in values:
        assert form_takes(method, name)(value) == (refusal(method, name, value) == ""), value


def test_there_are_numbers_to_ask_for() -> None:
    assert len(NUMBERS) > 50
    bounded = [name for method, name in NUMBERS if limits(method, name, get_type_hints(method)[name])]
    assert len(bounded) > 0.9 * len(NUMBERS)
