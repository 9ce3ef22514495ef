"""Every stage, its methods and their fields, drawn from the methods themselves."""

import dataclasses
import difflib
from collections.abc import Iterator
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from rich.console import Console
from rich.table import Table

from components.errors import InputError
from flows.configuration import Pipeline
from flows.forms import descriptions, summary


def print_methods(stage: str, console: Console | None = None) -> None:
    """Print the methods of one stage, or of all.

    Raises:
        InputError: There is no such stage.
    """
    stages = [field.name for field in dataclasses.fields(Pipeline)]
    if stage and stage not in stages:
        close = difflib.get_close_matches(stage, stages, n=1)
        raise InputError(
            f"stage must be one of {', '.join(stages)}, got {stage!r}" + (f"; {close[0]}?" if close else "")
        )
    printer = console or Console()
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
        default = getattr(chosen if isinstance(chosen, method) else method(), field.name)
        choices = _methods(hints[field.name])
        if choices:
            kinds = " | ".join(_kind(choice) or choice.__name__ for choice in choices)
            yield (
                f"{place}.{field.name}",
                getattr(default, "kind", ""),
                f"{texts.get(field.name, '')} [dim]({kinds})[/dim]",
            )
            for choice in choices:
                yield from _rows(f"{place}.{field.name}", choice, default)
        else:
            yield f"{place}.{field.name}", _shown(default), texts.get(field.name, "") + _options(hints[field.name])


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
