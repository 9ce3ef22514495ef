"""A specification as a YAML file; whatever is wrong with it is said in one sentence."""

from collections.abc import Hashable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from components.errors import InputError
from components.ingestion.cdc import NhanesCdc
from components.ingestion.delimited import Delimited
from components.ingestion.nhanes import Nhanes
from components.ingestion.parquet import Parquet
from components.ingestion.specification import Batches, Condition, Declared, Frequency, Specification
from components.ingestion.sql import Sql
from components.secrets import masked

_SHIPPED = Path(__file__).parent / "specifications"
BUILT_IN = {
    "nhanes": _SHIPPED / "nhanes.yaml",
    "nhanes-cycles": _SHIPPED / "nhanes_cycles.yaml",
    "nhanes-cdc": _SHIPPED / "nhanes_cdc.yaml",
}

_SOURCES: dict[str, type[BaseModel]] = {
    "csv": Delimited,
    "parquet": Parquet,
    "sql": Sql,
    "nhanes": Nhanes,
    "nhanes-cdc": NhanesCdc,
}
_PARTS: dict[str, type[BaseModel]] = {
    "columns": Declared,
    "keep": Condition,
    "batches": Batches,
    "label_frequency": Frequency,
}


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key written twice instead of keeping the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise InputError(f"key {key!r} is written twice, the second time near line {node.end_mark.line}")
        return super().construct_mapping(node, deep)


def load_specification(reference: str | Path) -> Specification:
    """The built-in specification of that name, or the one in a YAML file.

    Relative paths in the file are seen from the file's own folder. What a file that is ``like`` a built-in one does
    not say is said there.

    Raises:
        InputError: There is no such name or file, or its content breaks a rule.
    """
    path = BUILT_IN.get(str(reference), Path(reference))
    if not path.is_file():
        near = get_close_matches(str(reference), BUILT_IN, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(
            f"specification must be a YAML file or one of {', '.join(BUILT_IN)}, got {str(reference)!r}{hint}"
        )
    try:
        return Specification.model_validate(_content(path)).relative_to(path.parent.resolve())
    except yaml.YAMLError as problem:
        raise InputError(f"{path} must be YAML, but {_where(problem)}") from problem
    except ValidationError as problem:
        raise InputError(f"{_sentence(problem.errors()[0])} (in {path})") from problem
    except (InputError, UnicodeDecodeError) as problem:
        raise InputError(f"{problem} (in {path})") from problem


def _content(path: Path) -> dict[str, Any]:
    content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - it is a SafeLoader
    if not isinstance(content, dict):
        raise InputError(f"it must hold keys and values, got {type(content).__name__}")
    if "like" not in content:
        return content
    model = content.pop("like")
    if model not in [*BUILT_IN]:  # a list, for it may be anything, hashable or not
        raise InputError(f"like must be one of {', '.join(BUILT_IN)}, got {model!r}{_nearest(str(model), [*BUILT_IN])}")
    known = _content(BUILT_IN[model])
    if "knowledge" in known:
        known["knowledge"] = str(_SHIPPED.resolve() / known["knowledge"])
    return known | content


def _where(problem: yaml.YAMLError) -> str:
    mark = getattr(problem, "problem_mark", None)
    place = f" at line {mark.line + 1}" if mark else ""
    return f"{getattr(problem, 'problem', None) or 'it cannot be read'}{place}"


def _sentence(error: Any) -> str:
    place = [str(step) for step in error["loc"]]
    if place[:1] == ["source"] and len(place) > 1:
        place.pop(1)  # pydantic names the chosen kind of source as a step of its own
    shown, kind = ".".join(place), error["type"]
    if kind == "extra_forbidden":
        return _unknown_key(place, list(_model(error["loc"]).model_fields))
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if kind == "missing":
        return f"{shown} must be given"
    if kind == "union_tag_invalid":
        tag, known = error["ctx"]["tag"], list(_SOURCES)
        return f"{shown}.kind must be one of {', '.join(known)}, got {tag!r}{_nearest(tag, known)}"
    if kind == "union_tag_not_found":
        return f"{shown}.kind must be given, one of {', '.join(_SOURCES)}"
    if kind == "literal_error":
        known = str(error["ctx"]["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        return (
            f"{shown} must be one of {', '.join(known)}, got {error['input']!r}{_nearest(str(error['input']), known)}"
        )
    return f"{shown} must fit its type, got {masked(repr(error['input']))}: {error['msg'].lower()}"


def _model(place: Sequence[str | int]) -> type[BaseModel]:
    if len(place) < 2:
        return Specification
    return _SOURCES[str(place[1])] if place[0] == "source" else _PARTS[str(place[0])]


def _unknown_key(place: list[str], known: list[str]) -> str:
    where = ".".join(place[:-1]) or "the specification"
    hint = _nearest(place[-1], known) or f"; known are {', '.join(known)}"
    return f"key {place[-1]!r} in {where} is not known{hint}"


def _nearest(word: str, known: Sequence[str]) -> str:
    near = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
