"""Typed parameters made from the methods' own fields.

A method is a frozen dataclass whose docstring describes each field. From it a pydantic model is made: the same
names, types and defaults, the descriptions of the docstring, unknown keys forbidden. Prefect's run form and the
command line's help are drawn from that model, and a wrong value is refused before a run starts.
"""

import dataclasses
import inspect
import re
import types
from functools import cache
from typing import Annotated, Any, Literal, Optional, Union, cast, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator

from components.errors import InputError
from flows.limits import limits


class Form(BaseModel):
    """Parameters of one method; ``build`` makes the method."""

    model_config = ConfigDict(extra="forbid", frozen=True, model_title_generator=lambda form: _title(form))

    @model_validator(mode="before")
    @classmethod
    def _over_the_defaults(cls, values: Any) -> Any:
        """What is said of a nested method changes its default and does not replace it by the method's own."""
        if not isinstance(values, dict):
            return values
        return {
            name: _merged(cls.model_fields[name].default, value) if name in cls.model_fields else value
            for name, value in values.items()
        }

    @model_validator(mode="after")
    def _accepted_by_the_method(self) -> "Form":
        build(self)
        return self


@cache
def form_of(method: type) -> type[Form]:
    """The pydantic model of a frozen dataclass, nested dataclasses and unions of them included."""
    hints = get_type_hints(method)
    described = descriptions(method)
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(method):
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        form_default = _as_form(default) if dataclasses.is_dataclass(default) else default
        if default is dataclasses.MISSING:  # there is no usual value: a person must give one
            form_default = ...
        text = described.get(field.name, "Name of the method." if field.name == "kind" else "")
        further = _further(method, field.name, hints[field.name])
        on_page = text.replace("<", "&lt;")  # a page reads Markdown, in which <name> would be a tag and not be seen
        shown = Field(form_default, title=_words(field.name), description=on_page, json_schema_extra=further)
        fields[field.name] = (_form_type(hints[field.name]), shown)
    made = create_model(method.__name__, __base__=Form, __doc__=summary(method), **fields)
    made.__kintsugi_method__ = method  # type: ignore[attr-defined]  # read back by build()
    return made


def build(form: Form) -> Any:
    """The method that a filled-in form describes.

    Raises:
        InputError: A value breaks a rule of the method.
    """
    values = {name: getattr(form, name) for name in type(form).model_fields}
    made = {name: build(value) if isinstance(value, Form) else value for name, value in values.items()}
    return form.__kintsugi_method__(**made)  # type: ignore[attr-defined]  # set by form_of()


def read_form(method: type, values: dict[str, Any]) -> Form:
    """A form filled in from plain values.

    Raises:
        InputError: One sentence on the first wrong field: its place, the rule, the value.
    """
    try:
        return form_of(method).model_validate(values)
    except ValidationError as error:
        found = error.errors()
        first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])  # a slip of the pen first
        tags = {kind for union in _unions(method) for kind in union}
        place = ".".join(str(part) for part in first["loc"] if part not in tags)
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            raise InputError(
                f"{place} is no field of the configuration; {_nearest(method, first['loc'], tags)}"
            ) from error
        if first["type"] == "missing":
            raise InputError(f"{place} must be given, it has no usual value") from error
        got = "" if message.count("got ") else f", got {first['input']!r}"
        raise InputError(f"{place or 'configuration'}: {message}{got}") from error


def summary(method: type) -> str:
    """First line of a method's docstring."""
    return (inspect.getdoc(method) or method.__name__).split("\n")[0].replace("``", "")


def descriptions(method: type) -> dict[str, str]:
    """Field name to its text in the ``Attributes`` section of the docstring, or of that of a class it derives from."""
    found: dict[str, str] = {}
    for described in reversed(method.__mro__):
        _, _, section = inspect.cleandoc(described.__dict__.get("__doc__") or "").partition("Attributes:\n")
        section = re.split(r"\n(?=\S)", section)[0]
        entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, flags=re.MULTILINE)
        found |= {name: re.sub(r"\s+", " ", text).replace("``", "") for name, text in entries}
    return found


def _title(form: type) -> str:
    """What a person chooses a method by: its kind, and the name of its class where it has none."""
    kind = getattr(form, "model_fields", {}).get("kind")
    return _words(str(kind.default) if kind else form.__name__)


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _further(method: type, name: str, hint: Any) -> Any:
    """What the schema says of a field beside its type."""
    if hint in (int, float):
        return limits(method, name, hint)
    if name == "kind":
        return {"enum": list(get_args(hint))}  # a page shows a choice of one, and not a text to be written over
    return _choice_of_methods


def _choice_of_methods(schema: dict[str, Any]) -> None:
    """Say of a choice of methods what Prefect's pages and its API understand.

    The pages offer what stands in ``anyOf``, and take ``oneOf`` and ``allOf`` for text to be typed. The choice alone
    only says that no method fits; the conditions let the API check a value against the method that it names.
    """
    nothing = [option for option in schema.get("anyOf", []) if option == {"type": "null"}]
    choice = next((option for option in schema.get("anyOf", []) if "discriminator" in option), schema)
    named = choice.get("discriminator", {}).get("mapping", {})
    if named:
        schema["discriminator"], schema["anyOf"] = choice["discriminator"], [*choice.pop("oneOf"), *nothing]
        conditions: dict[str, Any] = {}
        for kind, place in named.items():
            chosen = {"type": "object", "properties": {"kind": {"const": kind}}, "required": ["kind"]}
            conditions = {"if": chosen, "then": {"$ref": place}} | ({"else": conditions} if conditions else {})
        schema.update(conditions)


def _merged(default: Any, value: Any) -> Any:
    if not (isinstance(default, Form) and isinstance(value, dict)):
        return value
    kind = getattr(default, "kind", None)
    if value.get("kind", kind) != kind:
        return value
    known = {name: getattr(default, name) for name in type(default).model_fields}
    return known | {name: _merged(known.get(name), part) for name, part in value.items()}


def _form_type(hint: Any) -> Any:
    """The form of a method, of a choice of methods, or of either or nothing; the hint itself of plain values.

    A member of a choice that is no dataclass, as a base class to derive one's own from, has no form and is left out.
    """
    members = _members(hint)
    if not members:
        return hint
    # Prefect's pages open the first that has most of the given fields: the smallest that has them all.
    by_size = sorted(members, key=lambda member: len(dataclasses.fields(member)))
    forms = tuple(form_of(member) for member in by_size)
    made = Annotated[Union[forms], Field(discriminator="kind")] if len(forms) > 1 else forms[0]  # noqa: UP007  # built at run time
    return Optional[made] if types.NoneType in get_args(hint) else made  # noqa: UP045  # built at run time


def _members(hint: Any) -> list[Any]:
    """The methods that a field may hold."""
    union = get_origin(hint) in (Union, types.UnionType)
    return [member for member in (get_args(hint) if union else (hint,)) if dataclasses.is_dataclass(member)]


def _as_form(method: Any) -> Form:
    values = {field.name: getattr(method, field.name) for field in dataclasses.fields(method)}
    made = {name: _as_form(value) if dataclasses.is_dataclass(value) else value for name, value in values.items()}
    filled = form_of(cast(Any, type(method)))
    return filled.model_construct(None, **made)


def _unions(method: type) -> list[tuple[str, ...]]:
    """Kinds of every union of methods below ``method``; they appear in pydantic's error places."""
    found: list[tuple[str, ...]] = []
    for hint in get_type_hints(method).values():
        members = _members(hint)
        for member in members:
            found += _unions(member)
        found.append(tuple(map(_kind, members)))
    return found


def _kind(method: type) -> str:
    literal = get_type_hints(method).get("kind")
    return str(get_args(literal)[0]) if get_origin(literal) is Literal else ""


def _nearest(method: type, place: tuple[int | str, ...], tags: set[str]) -> str:
    import difflib

    here: Any = form_of(method)
    for part in place[:-1]:
        if part in tags:
            continue
        options = _options(here.model_fields[part].annotation)
        chosen = [option for option in options if _tag(option) in place]
        here = chosen[0] if chosen else options[0]
    names = list(here.model_fields)
    close = difflib.get_close_matches(str(place[-1]), names, n=1)
    return f"did you mean {close[0]}?" if close else f"its fields are {', '.join(names)}"


def _options(annotation: Any) -> list[Any]:
    """The forms that a field of a form may hold."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    parts = get_args(annotation)
    return [option for part in parts for option in _options(part)] if parts else [annotation]


def _tag(option: Any) -> str:
    method = getattr(option, "__kintsugi_method__", None)
    return _kind(method) if method is not None else ""
