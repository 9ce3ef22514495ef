"""Read what a person knows from a YAML file, or from a CSV file with one claim a row.

Every key is optional::

    tiers: [[age, sex], [bmi], [hba1c]]    # no path leads from a later tier to an earlier one
    exogenous: [age]                       # nothing causes them
    sinks: [hba1c]                         # they cause nothing
    required: {paths: [[age, hba1c]], edges: [[age, bmi]]}     # pairs are [cause, effect]
    forbidden: {paths: [[bmi, age]], edges: []}

A pair may also be ``{cause: age, effect: bmi, probability: 0.9, source: textbook}``. Claims without a probability are
certain: they must not contradict each other. Those with one count as far as they are sure, and give way like a language
model's.
"""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from itertools import combinations
from pathlib import Path
from typing import cast

import numpy as np
import yaml

from components.contracts import Evidence
from components.errors import InputError
from components.priors.claims import Claims, arrow, certainty, check_names, check_person
from components.priors.elicited import Claim
from components.priors.knowledge_csv import csv_claims
from components.priors.stated import read_probability, stated
from components.relations import chain, widest

KEYS = ("tiers", "exogenous", "sinks", "required", "forbidden")
KINDS = ("paths", "edges")
PAIR = ("cause", "effect", "probability", "source")


def load_knowledge(path: Path, names: tuple[str, ...], known: tuple[str, ...] = ()) -> tuple[Evidence, ...]:
    """Claims of a person about the variables ``names``, in the order of the file.

    Args:
        path: The file; it is CSV where its name ends so, and YAML otherwise.
        names: Variables of the graph.
        known: Further variables that the data set declares but the graph leaves out. Claims may name them; of
            those claims, only required paths between ``names`` that lead through them survive.

    Raises:
        InputError: The file is missing, is no such file, names unknown variables or contradicts itself.
    """
    everything = (*names, *(name for name in known if name not in names))
    if path.suffix.lower() == ".csv":
        found = csv_claims(_text(path).removeprefix("\ufeff"), path, everything)
    else:
        found = _claims(_mapping(_parsed(_text(path), path), KEYS, f"{path}"), everything)
    claims = list(dict.fromkeys(found))
    check_person(everything, claims)
    inside = [claim for claim in claims if claim.cause in names and claim.effect in names]
    return tuple(inside + _through_outsiders(names, everything, claims, inside))


class _Loader(yaml.SafeLoader):
    """The safe loader, but a key written twice is an error: the plain one forgets the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        keys = [str(key.value) for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise InputError(f"each key must be written once, got {twice!r} twice; join the two")
        return cast("dict[object, object]", super().construct_mapping(node, deep))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"the knowledge file must exist, got {path}; write it or elicit without one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the knowledge file must be readable UTF-8 text, got {path}: {error}") from None


def _parsed(text: str, path: Path) -> object:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506  the loader is a safe one
    except yaml.YAMLError as error:
        where = " ".join(str(error).split())
        raise InputError(f"the knowledge file must be YAML, got {path}: {where}") from None


def _mapping(value: object, keys: Sequence[str], where: str) -> dict[str, object]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(f"{where} must hold the keys {', '.join(keys)}, got {_shown(value)}")
    for key in value:
        if key not in keys:
            near = get_close_matches(str(key), keys, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "take it out"
            raise InputError(f"keys of {where} must be among {', '.join(keys)}, got {key!r}; {hint}")
    return value


def _claims(content: dict[str, object], names: tuple[str, ...]) -> Iterator[Evidence]:
    yield from _tiers(_list(content.get("tiers"), "tiers"), names)
    for effect in _names(content.get("exogenous"), names, "exogenous"):
        for cause in names:
            if cause != effect:
                yield stated(cause, effect, "forbidden path", f"nothing causes {effect}")
    for cause in _names(content.get("sinks"), names, "sinks"):
        for effect in names:
            if cause != effect:
                yield stated(cause, effect, "forbidden path", f"{cause} causes nothing")
    for verdict in ("required", "forbidden"):
        group = _mapping(content.get(verdict), KINDS, verdict)
        for kind in KINDS:
            yield from _pairs(group.get(kind), names, cast("Claim", f"{verdict} {kind[:-1]}"))


def _tiers(value: list[object], names: tuple[str, ...]) -> Iterator[Evidence]:
    tiers = [_names(tier, names, f"tier {place}", empty=False) for place, tier in enumerate(value, start=1)]
    for (first, earlier), (second, later) in combinations(enumerate(tiers, start=1), 2):
        for effect in earlier:
            if effect in later:
                raise InputError(f"tiers must not share variables, got {effect!r} in tiers {first} and {second}")
            for cause in later:
                note = f"{cause} is in tier {second}, {effect} in tier {first}"
                yield stated(cause, effect, "forbidden path", note)


def _list(value: object, where: str) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise InputError(f"{where} must be a list, got {_shown(value)}; write [ ... ]")
    return value


def _names(value: object, names: tuple[str, ...], where: str, *, empty: bool = True) -> list[str]:
    if value is None and not empty:
        raise InputError(f"{where} must be a list of names, got nothing")
    found = []
    for name in _list(value, where):
        if not isinstance(name, str):
            raise InputError(f"{where} must hold names of variables, got {_shown(name)}; put text in quotes")
        found.append(name)
    check_names(names, found, where)
    return found


def _pairs(value: object, names: tuple[str, ...], claim: Claim) -> Iterator[Evidence]:
    where = f"{claim}s"
    for pair in _list(value, where):
        written = _mapping(pair, PAIR, f"a pair of {where}") if isinstance(pair, dict) else {}
        ends = [written.get("cause"), written.get("effect")] if written else pair
        if not isinstance(ends, list) or len(ends) != 2:
            raise InputError(f"{where} must hold pairs [cause, effect], got {_shown(pair)}")
        cause, effect = _names(ends, names, where)
        if cause == effect:
            raise InputError(f"{where} must join two different variables, got {cause!r} causing itself")
        source = written.get("source")
        if source is not None and not isinstance(source, str):
            raise InputError(f"source of a pair of {where} must be text, got {_shown(source)}; put it in quotes")
        probability = read_probability(written.get("probability"), f"{cause} -> {effect} in {where}")
        yield stated(cause, effect, claim, "stated", probability, source or "")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _through_outsiders(
    names: tuple[str, ...], everything: tuple[str, ...], claims: list[Evidence], inside: list[Evidence]
) -> list[Evidence]:
    """Required paths between ``names`` that only follow, or are surer, with the help of variables the graph leaves out.

    Each is as sure as the weakest link of its chain.
    """
    required = Claims.of(everything, claims).required
    reach = widest(required)[: len(names), : len(names)]
    helped = reach > widest(Claims.of(names, inside).required)
    np.fill_diagonal(helped, val=False)
    derived = []
    for i, j in np.argwhere(helped).tolist():
        strength = float(reach[i, j])
        note = f"follows from {arrow(everything, chain(required, j, i, least=strength))}"
        derived.append(stated(names[j], names[i], "required path", note, certainty(strength)))
    return derived
