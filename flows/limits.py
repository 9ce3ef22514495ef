"""The bounds of a method's numbers, found by asking the method itself.

A run form and an API check numbers by the schema of the parameters, which knows nothing of ``__post_init__``. So that
the bounds are not written twice, a number is moved away from its default until the method refuses it, and the place
where it does so is closed in on. Only a refusal that speaks of this field alone counts. A rule that ties two fields
together (one may not exceed the other) is no bound of either and stays with the method.
"""

import dataclasses
import math
import re
from collections.abc import Callable

from components.errors import InputError

FARTHEST = 10.0**12
STEPS = 80
DIGITS = 12


def limits(method: type, name: str, kind: type[int] | type[float]) -> dict[str, float]:
    """JSON Schema's keywords for the numbers that ``method`` takes in its field ``name``."""
    fields = dataclasses.fields(method)
    if any(field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING for field in fields):
        return {}
    usual = method()
    others = {field.name for field in fields} - {name}

    def refused(value: float) -> bool:
        try:
            dataclasses.replace(usual, **{name: kind(value)})
        except InputError as error:
            said = re.findall(r"\w+", str(error))
            return said[:1] == [name] and not others.intersection(said)
        return False

    start = float(getattr(usual, name))
    found: dict[str, float] = {}
    for sign, closed, open_ in ((-1, "minimum", "exclusiveMinimum"), (1, "maximum", "exclusiveMaximum")):
        beyond = _first_refused(start, sign, refused)
        if beyond is None:
            continue
        edge = _edge(start, beyond, refused) if kind is float else float(_last_taken(start, beyond, refused))
        found[open_ if refused(edge) else closed] = kind(edge)
    return found


def _first_refused(start: float, sign: int, refused: Callable[[float], bool]) -> float | None:
    step = 1.0
    while step <= FARTHEST:
        if refused(start + sign * step):
            return start + sign * step
        step *= 2
    return None


def _last_taken(taken: float, beyond: float, refused: Callable[[float], bool]) -> int:
    inside, outside = round(taken), round(beyond)
    while abs(outside - inside) > 1:
        middle = (inside + outside) // 2
        inside, outside = (inside, middle) if refused(middle) else (middle, outside)
    return inside


def _edge(taken: float, beyond: float, refused: Callable[[float], bool]) -> float:
    inside, outside = taken, beyond
    for _ in range(STEPS):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if refused(middle) else (middle, outside)
    edge = round((inside + outside) / 2, DIGITS)
    return 0.0 if math.isclose(edge, 0.0, abs_tol=10.0**-DIGITS) else edge
