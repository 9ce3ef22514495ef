"""Folders that nothing a stranger names may lead out of: by an absolute path, by ``..`` or by a link."""

import glob
import os
from dataclasses import dataclass
from pathlib import Path

from components.errors import InputError

SETTING = "KINTSUGI_DATA_FOLDERS"


@dataclass(frozen=True)
class Folders:
    """The folders that may be reached.

    Attributes:
        allowed: Each with all that is below it.
    """

    allowed: tuple[Path, ...]

    def check(self, field: str, path: str | Path) -> None:
        """Refuse a path that leads out of all folders, whether there is something at its end or not.

        Raises:
            InputError: It does, or it is no path at all.
        """
        place = true_place(field, path)
        if not any(place.is_relative_to(true_place(SETTING, folder)) for folder in self.allowed):
            shown = "" if Path(path) == place else f", which is {place}"
            raise InputError(
                f"{field} must lie in {' or '.join(map(str, self.allowed))}, got {str(path)!r}{shown}; move it there, "
                f"or add its folder to {SETTING} where the run is started from"
            )

    def check_pattern(self, field: str, pattern: str) -> None:
        """Refuse a path or pattern that can match outside; what it does match is for the caller to check.

        Raises:
            InputError: See :meth:`check`.
        """
        self.check(field, pattern)
        parts = Path(pattern).parts
        fixed = next((place for place, part in enumerate(parts) if glob.has_magic(part)), len(parts))
        self.check(field, Path(*parts[:fixed]))
        if ".." in parts[fixed:]:
            raise InputError(f"{field} must not have '..' after a wildcard, got {pattern!r}")


def true_place(field: str, path: str | Path) -> Path:
    """The absolute path without ``..``, links and ``~`` that ``path`` means, whether it exists or not.

    Raises:
        InputError: It means none: a link that leads to itself, an unknown user, a character that no path has.
    """
    try:
        return Path(os.path.realpath(Path(path).expanduser(), strict=False))
    except (OSError, RuntimeError, ValueError) as problem:
        raise InputError(f"{field} must be a path, got {str(path)!r}: {problem}") from problem
