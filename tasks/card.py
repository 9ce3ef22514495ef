"""What every model card is made of: Markdown from a template, and the features as a table."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.contracts import Column
from tasks.page import table_of


def card_of(template: str, view: Mapping[str, Any]) -> str:
    """The card that a template makes of ``view``."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # Markdown and not HTML: what could break out of a cell is taken out by the filter.
    environment = Environment(  # noqa: S701
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["cell"] = _cell
    text = environment.get_template(template).render(view)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def features_table(columns: Sequence[Column]) -> dict[str, Any]:
    """One row a feature: what it is and which values are valid."""
    rows = [[c.name, c.kind, c.unit, _valid(c), c.description] for c in columns]
    return table_of(["feature", "kind", "unit", "valid", "meaning"], rows)


def _valid(column: Column) -> str:
    low, high = (f"{bound:g}" if bound is not None else "" for bound in (column.minimum, column.maximum))
    if low and high:
        return f"{low} to {high}"
    return f"from {low}" if low else f"up to {high}" if high else ""


def _cell(value: object) -> str:
    """Text that stays in its line and its cell, and is no markup."""
    text = " ".join(str(value).split())
    return re.sub(r"([|<>`])", r"\\\1", text)
