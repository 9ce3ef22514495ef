"""What every page is made of: tables and pictures as a template shows them, and the way a page is written."""

import base64
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from components.contracts import Score


class Story(Protocol):
    """What the story of any page has."""

    @property
    def pictures(self) -> Mapping[str, Path]:
        """Name to a PNG; files that are missing are left out."""

    @property
    def timings(self) -> pd.DataFrame:
        """One row a stage, shown as it is."""

    @property
    def links(self) -> Mapping[str, str]:
        """Text to address."""


def write_page(template: str, view: Mapping[str, Any], path: Path) -> None:
    """Write a page to ``path``; an older one stays as it is until the new one is complete."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(template).render(view)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(page, encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def shared_view(story: Story, captions: Mapping[str, str]) -> dict[str, Any]:
    """What the parts that pages share show; ``captions`` are of the pictures that have a place of their own."""
    web = {text: link for text, link in story.links.items() if link.startswith(("http://", "https://"))}
    return {
        "story": story,
        "pictures": {name: _encoded(path) for name, path in story.pictures.items() if path.is_file()},
        "captions": captions,
        "timings": frame_table(story.timings),
        "links": web,
        "places": {text: link for text, link in story.links.items() if text not in web},
        "number": number,
    }


def _encoded(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    # A PNG's width and height stand at bytes 16 to 24; with them the page does not jump while it opens.
    width, height = int.from_bytes(content[16:20]), int.from_bytes(content[20:24])
    return {"data": base64.b64encode(content).decode("ascii"), "width": width, "height": height}


def number(value: object) -> str:
    """A value as people read it."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    if isinstance(value, float | np.floating):
        if np.isnan(value):
            return "—"
        size = abs(float(value))
        if size >= 1000 or size == 0:
            return f"{value:,.0f}"
        return f"{value:.1e}" if size < 0.0005 else f"{value:.3f}" if size < 1 else f"{value:#.3g}".rstrip(".")
    return "—" if value is None else str(value)


def table_of(columns: Sequence[str], rows: Iterable[Sequence[object]], ours: str = "") -> dict[str, Any]:
    """A table for a template: each column with whether it holds numbers, and rows of text."""
    values = [list(row) for row in rows]
    numeric = [
        any(isinstance(row[i], int | float | np.number) for row in values)
        and all(row[i] is None or isinstance(row[i], int | float | np.number) for row in values)
        for i in range(len(columns))
    ]
    return {
        "columns": list(zip(columns, numeric, strict=True)),
        "rows": [[number(value) for value in row] for row in values],
        "ours": ours,
    }


def frame_table(frame: pd.DataFrame) -> dict[str, Any] | None:
    """A frame as a table; None where it is empty."""
    if frame.empty:
        return None
    names = [str(name).replace("_", " ").strip() for name in frame.columns]
    return table_of(names, frame.itertuples(index=False, name=None))


def interval(score: Score | None) -> str:
    """A score with its interval."""
    if score is None or np.isnan(score.value):
        return "—"
    return f"{score.value:.3f} [{score.low:.3f}, {score.high:.3f}]"
