"""Whether the files of a model are still those that were registered."""

import hashlib
from pathlib import Path

from components.errors import InputError


def folder_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of all files in a folder.

    Raises:
        InputError: It holds no file.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise InputError(f"folder of the predictor must hold its files, got {folder}")
    sha = hashlib.sha256()
    for path in files:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        sha.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return sha.hexdigest()


def refuse_damaged(folder: Path, digest: str, model: str, version: str = "") -> None:
    """Refuse a folder whose files are not those that were registered under ``digest``.

    Raises:
        InputError: A file is missing, was cut, or has changed.
    """
    found = folder_digest(folder) if any(folder.rglob("*")) else "nothing"
    if found != digest:
        which = f"version {version} of model {model!r}" if version else f"model {model!r}"
        raise InputError(
            f"files of {which} must be those that were registered (SHA-256 {digest[:12]}), those in {folder} are "
            f"damaged ({found[:12]}). Use another version: kintsugi rollback {model} goes back to the champion before, "
            f"kintsugi models {model} lists them all"
        )
