"""What a run shows on its page in Prefect: tables, pictures, links, text.

A page that cannot be written is a warning and not a failed run.
"""

import base64
import io
import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import httpx
from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)
from prefect.exceptions import PrefectException

LONGEST_PICTURE = 100_000  # characters; Prefect prints the whole address below the picture
SHRINK = 0.8

_log = logging.getLogger(__name__)


def publish_table(key: str, rows: Sequence[Mapping[str, object]], description: str = "") -> None:
    """Show a table; numbers that are not finite are left empty."""
    table = [{name: _plain(value) for name, value in row.items()} for row in rows]
    _publish(create_table_artifact, key, description, table=table)


def publish_markdown(key: str, text: str, description: str = "") -> None:
    """Show formatted text."""
    _publish(create_markdown_artifact, key, description, markdown=text)


def publish_links(key: str, links: Mapping[str, str], description: str = "") -> None:
    """Show links by their names; one alone is a link artifact, several are a list. Empty addresses are left out."""
    given = {name: address for name, address in links.items() if address}
    if len(given) == 1:
        ((name, address),) = given.items()
        _publish(create_link_artifact, key, description, link=address, link_text=name)
    elif given:
        publish_markdown(key, "\n".join(f"- [{name}]({address})" for name, address in given.items()), description)


def publish_picture(key: str, path: Path, description: str = "") -> None:
    """Show a PNG file, scaled down as far as the page needs it.

    The picture is stored in the artifact itself, so that no file server is needed.
    """
    _publish(create_image_artifact, key, description, image_url=_address(path))


def key_of(name: str) -> str:
    """A key that Prefect takes: lower case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "artifact"


def _publish(create: object, key: str, description: str, **content: object) -> None:
    # Prefect types these functions as perhaps awaitable; called from a synchronous flow or task they are not.
    call = cast(Callable[..., Any], create)
    try:
        call(key=key_of(key), description=description or None, **content)
    except (PrefectException, httpx.HTTPError, OSError, RuntimeError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        _log.warning("the Prefect page does not show %s: %s", key, first)


def _plain(value: object) -> object:
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)


def _address(path: Path) -> str:
    """The picture as a data: URL of at most ``LONGEST_PICTURE`` characters."""
    data, scale = path.read_bytes(), 1.0
    while len(address := "data:image/png;base64," + base64.b64encode(data).decode()) > LONGEST_PICTURE:
        scale *= min(SHRINK, (LONGEST_PICTURE / len(address)) ** 0.5)
        data = _scaled(path, scale)
    return address


def _scaled(path: Path, scale: float) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    with Image.open(path) as picture:
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(out, "PNG", optimize=True)
    return out.getvalue()
