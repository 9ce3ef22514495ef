"""Every stage, its methods and their fields, drawn from the methods themselves."""

import dataclasses
import difflib
from collections.abc import Iterator
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from rich.console import Console
from rich.table import Table

from components.classifier.training import ClassifierTraining
from components.errors import InputError
from flows.configuration import Classify, Pipeline
from flows.forms import descriptions, summary

CLASSIFY = "classify"
REQUIRED = "must be given"


def print_methods(stage: str, console: Console | None = None) -> None:
    """Print the methods of one stage, or of all.

    Raises:
        InputError: There is no such stage.
    """
    stages = [field.name for field in dataclasses.fields(Pipeline)]
    if stage and stage not in (*stages, CLASSIFY):
        close = difflib.get_close_matches(stage, [*stages, CLASSIFY], n=1)
        known = ", ".join((*stages, CLASSIFY))
        raise InputError(f"stage must be one of {known}, got {stage!r}" + (f"; {close[0]}?" if close else ""))
    printer = console or Console()
    if stage == CLASSIFY:
        printer.print(_table("training", ClassifierTraining, Classify().training))
        return
    plain = [name for name in ([stage] if stage else stages) if not _methods(get_type_hints(Pipeline)[name])]
    for name in [stage] if stage else stages:
        for method in _methods(get_type_hints(Pipeline)[name]):
            printer.print(_table(name, method, getattr(Pipeline(), name)))
    if plain:
        texts = descriptions(Pipeline)
        printer.print("\n".join(f"[bold]{name}[/bold]: {texts[name]}" for name in plain))


def _table(place: str, method: type, default: Any) -> Table:
    title = f"{place}: {_kind(method)}" if _kind(method) else place
    table = Table(title=f"[bold]{title}[/bold]  {summary(method)}", title_justify="left", expand=True, show_lines=False)
    table.add_column("field", no_wrap=True)
    table.add_column("default", max_width=24)
    table.add_column("meaning")
    for row in _rows(place, method, default):
        table.add_row(*row)
    return table


def _rows(place: str, method: type, chosen: Any) -> Iterator[tuple[str, str, str]]:
    """Place, default and meaning of every field; a field that holds a method is followed by that method's fields.

    The defaults are those of ``chosen``, the method that stands in this place when nothing is said.
    """
    hints, texts = get_type_hints(method), descriptions(method)
    for field in dataclasses.fields(method):
        if field.name == "kind":
            continue
        default = getattr(chosen, field.name) if isinstance(chosen, method) else _usual(field)
        choices = _methods(hints[field.name])
        if choices:
            here = f"{place}.{field.name}"
            yield here, getattr(default, "kind", "None" if default is None else ""), texts.get(field.name, "")
            for choice in choices:
                if len(choices) > 1:
                    yield f"  [bold]{here}.kind = {_kind(choice)}[/bold]", "", f"[bold]{summary(choice)}[/bold]"
                yield from _rows(f"{place}.{field.name}", choice, default)
        else:
            yield f"{place}.{field.name}", _shown(default), texts.get(field.name, "") + _options(hints[field.name])


def _usual(field: "dataclasses.Field[Any]") -> Any:
    """What a field holds where nothing is said of it."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return REQUIRED if field.default is dataclasses.MISSING else field.default


def _methods(hint: Any) -> tuple[type, ...]:
    members = (hint,) if dataclasses.is_dataclass(hint) else get_args(hint)
    return tuple(cast(type, member) for member in members if dataclasses.is_dataclass(member))


def _kind(method: type) -> str:
    hint = get_type_hints(method).get("kind")
    return str(get_args(hint)[0]) if get_origin(hint) is Literal else ""


def _options(hint: Any) -> str:
    return f" [dim]({' | '.join(map(str, get_args(hint)))})[/dim]" if get_origin(hint) is Literal else ""


def _shown(value: Any) -> str:
    return '""' if value == "" else str(value)
