"""Any contract as JSON and arrays, whole and exact, and a digest of what it says.

What a stage hands to the next is made of frozen dataclasses of this project, tuples, lists, mappings, arrays and plain
values. ``save_value`` writes such a tree as ``value.json`` and ``arrays.safetensors``; ``load_value`` makes the same
dataclasses from them, through their own checks. Nothing is pickled: a name in the file can only ever lead to a
dataclass of this project.
"""

import dataclasses
import hashlib
import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel

from components.contracts import Dataset, EvaluationLabels
from components.errors import InputError
from components.storage import read_json, write_json

OURS = ("components", "tasks", "flows")
VALUE, ARRAYS = "value.json", "arrays.safetensors"
MADE, TUPLE, ARRAY, PATH, PAIRS = "$made", "$tuple", "$array", "$path", "$pairs"
MARKS = (MADE, TUPLE, ARRAY, PATH, PAIRS)

Arrays = dict[str, NDArray[Any]]


def digest_of(value: object) -> str:
    """SHA-256 of what ``value`` says; equal values have equal digests, on any machine and in any process.

    A dataset counts by its content and declaration and not by the place where it lies; so do evaluation labels.

    Raises:
        TypeError: It holds something that cannot be stored.
    """
    arrays: Arrays = {}
    tree = _plain(value, arrays, placeless=True)
    sha = hashlib.sha256(json.dumps(tree, sort_keys=True).encode())
    for name, array in arrays.items():
        sha.update(f"{name} {array.dtype.str} {array.shape}".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()


def save_value(value: object, folder: Path) -> None:
    """Write ``value`` into ``folder``, which exists.

    Raises:
        TypeError: It holds something that cannot be stored.
    """
    from safetensors.numpy import save_file

    arrays: Arrays = {}
    tree = _plain(value, arrays, placeless=False)
    # In the order of C, but not by ascontiguousarray, which makes a vector of a single number.
    save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, folder / ARRAYS)
    write_json(folder / VALUE, tree)


def load_value(folder: Path) -> Any:
    """What :func:`save_value` wrote.

    Raises:
        InputError: A file is missing, cut short, or from a version with other dataclasses.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    tree = read_json(folder / VALUE)
    try:
        return _made(tree, load_file(folder / ARRAYS))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, ImportError, AttributeError) as problem:
        raise InputError(f"{folder} must hold a value that this version wrote, but: {problem}") from problem


def _plain(value: object, arrays: Arrays, placeless: bool) -> Any:
    """The tree as JSON, its arrays put aside."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return _plain(value.item(), arrays, placeless)
    if isinstance(value, np.ndarray):
        return _put_aside(value, arrays)
    if isinstance(value, Path):
        return {PATH: str(value)}
    if isinstance(value, tuple):
        return {TUPLE: [_plain(part, arrays, placeless) for part in value]}
    if isinstance(value, list):
        return [_plain(part, arrays, placeless) for part in value]
    if isinstance(value, Mapping):
        pairs = [[_plain(key, arrays, placeless), _plain(part, arrays, placeless)] for key, part in value.items()]
        return {PAIRS: pairs}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _fields(value, arrays, placeless)
    if isinstance(value, pd.DataFrame):
        return _plain({name: value[name].to_numpy() for name in value.columns}, arrays, placeless)
    if isinstance(value, BaseModel):  # a declaration: part of a key, never of a result
        return {MADE: type(value).__name__, "fields": value.model_dump(mode="json")}
    raise TypeError(f"{type(value).__name__} cannot be stored")


def _fields(value: Any, arrays: Arrays, placeless: bool) -> dict[str, Any]:
    kind = type(value)
    if kind.__module__.partition(".")[0] not in OURS:
        raise TypeError(f"{kind.__module__}.{kind.__qualname__} cannot be stored: it is none of ours")
    left_out = {"path"} if placeless and isinstance(value, Dataset | EvaluationLabels) else set()
    names = [field.name for field in dataclasses.fields(value) if field.init and field.name not in left_out]
    fields = {name: _plain(getattr(value, name), arrays, placeless) for name in names}
    return {MADE: f"{kind.__module__}:{kind.__qualname__}", "fields": fields}


def _put_aside(array: NDArray[Any], arrays: Arrays) -> Any:
    if array.dtype.kind in "OUT":  # texts
        return {ARRAY: [_plain(part, arrays, False) for part in array.tolist()], "kind": "text"}
    name = str(len(arrays))
    arrays[name] = array
    return {ARRAY: name}


def _made(tree: Any, arrays: Arrays) -> Any:
    if isinstance(tree, list):
        return [_made(part, arrays) for part in tree]
    if not isinstance(tree, dict):
        return tree
    if ARRAY in tree:
        found = np.array(tree[ARRAY], dtype=object) if "kind" in tree else arrays[tree[ARRAY]]
        found.flags.writeable = False
        return found
    if PATH in tree:
        return Path(tree[PATH])
    if TUPLE in tree:
        return tuple(_made(part, arrays) for part in tree[TUPLE])
    if PAIRS in tree:
        return {_made(key, arrays): _made(part, arrays) for key, part in tree[PAIRS]}
    return _kind(tree[MADE])(**{name: _made(part, arrays) for name, part in tree["fields"].items()})


def _kind(name: str) -> Any:
    module, _, qualified = name.partition(":")
    if module.partition(".")[0] not in OURS:
        raise TypeError(f"{name} is none of ours")
    kind = getattr(importlib.import_module(module), qualified)
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise TypeError(f"{name} is no dataclass")
    return kind
