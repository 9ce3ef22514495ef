"""A file that has come in part, and what must be the same for the rest of it to fit."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import InputError
from components.storage import read_json, write_json

if TYPE_CHECKING:
    import httpx

_PARTIAL, _BEYOND = 206, 416


class PassingError(Exception):
    """Trouble with a server that may be over the next time.

    ``wait`` is the seconds that the server asks to wait.
    """

    def __init__(self, what: str, wait: float = 0.0) -> None:
        super().__init__(what)
        self.wait = wait


class Part:
    """What has come of the file at ``path``, as ``NAME.part``, and where it came from, as ``NAME.part.json``."""

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(f"{path.name}.part")
        self._about = path.with_name(f"{path.name}.part.json")
        self._said = _read(self._about) if self.path.is_file() else {}

    @property
    def bytes(self) -> int:
        """How much has come."""
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def size(self) -> int | None:
        """How much there is; None where the server did not say."""
        return self._said.get("size")

    @property
    def whole(self) -> bool:
        """Whether all has come, as far as the server has said how much that is."""
        return self.path.is_file() and self.bytes == self.size

    def said(self, what: str) -> str:
        """What the server said of the content: its ``etag``, or when it was ``modified``; empty where nothing."""
        return str(self._said.get(what, ""))

    def continuing(self, url: str) -> dict[str, str]:
        """What to ask for the rest of the same content; nothing where it cannot be told whether it is the same."""
        # A weak ETag promises the same meaning, not the same bytes.
        strong = "" if self.said("etag").startswith("W/") else self.said("etag")
        mark = strong or self.said("modified")
        if not (self.bytes and mark and self.said("url") == url):
            return {}
        return {"Range": f"bytes={self.bytes}-", "If-Range": mark}

    def open(self, response: "httpx.Response", url: str) -> None:
        """Make ready for the bytes of ``response``: keep what it continues, and else begin anew.

        Raises:
            PassingError: It continues something else.
        """
        headers = response.headers
        if response.status_code in (_PARTIAL, _BEYOND):
            found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("content-range", ""))
            if not found or int(found[1]) != self.bytes:
                self.drop()
                raise PassingError("it does not continue where the last connection ended")
            return
        self.drop()
        # Encoded content (a proxy may do that unasked) has another length, and ranges of it are of no use.
        plain = "content-encoding" not in headers
        length = headers.get("content-length", "")
        self._said = {
            "url": url,
            "etag": headers.get("etag", "") if plain else "",
            "modified": headers.get("last-modified", "") if plain else "",
            "size": int(length) if plain and length.isdigit() else None,
        }
        write_json(self._about, self._said)

    def drop(self) -> None:
        """Forget what has come."""
        self.path.unlink(missing_ok=True)
        self._about.unlink(missing_ok=True)
        self._said = {}


def _read(about: Path) -> dict[str, Any]:
    try:
        said = read_json(about)
    except InputError:
        return {}
    return said if isinstance(said, dict) else {}
